"""What is wrong with one journey among the policies that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.check.event_types import lint_event_type
from orchestrator.check.installation import Installation
from orchestrator.check.journey_expressions import (
    JourneyExpressionLint,
    Keys,
    keys_of,
    keys_of_block,
    sound,
)
from orchestrator.configuration.journey_file import JourneyFile
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import Report, clip, find, place, suggestion
from orchestrator.configuration.yaml_file import Position
from orchestrator.core.journey.decide import STEPS_MAX
from orchestrator.core.journey.journey import (
    OTHERWISE,
    BranchStep,
    JourneyEnd,
    JourneyStep,
    RepeatStep,
    SendStep,
    SplitStep,
    UntilEventStep,
    UntilTimeStep,
    WaitStep,
    blocks,
    walk,
)
from orchestrator.primitives.durations import duration

Steps = tuple[JourneyStep, ...]


@dataclass(frozen=True)
class JourneyLint:
    """Looks at one journey; ``policies`` are those that it may send."""

    file: JourneyFile
    policies: Mapping[str, PolicyFile]
    report: Report

    def run(self) -> None:
        self.look_at_types()
        self.look_at_ends()
        if not sound(self.file):
            return
        self.look_at_sends()
        self.look_at_branches()
        self.look_at_repeats()
        self.look_at_deadline()

    def at(self, *keys: str | int) -> Position:
        return place(self.file.root, *keys)

    def step(self, path: str) -> Keys:
        return keys_of(self.file.journey, path)

    def look_at_types(self) -> None:
        """Report event types that match nothing."""
        root = self.file.root
        exits = find(root, "exit")
        count = len(exits.value) if exits is not None and exits.kind == "list" else 0
        ends: list[Keys] = [("exit", number) for number in range(count)]
        waits = [(*self.step(path), "until") for path, _ in self.untils()]
        for keys in (("enter",), ("goal",), *ends, *waits):
            lint_event_type(find(root, *keys, "event"), self.report)

    def untils(self) -> Iterator[tuple[str, UntilEventStep]]:
        if sound(self.file):
            for path, step in walk(self.file.journey.steps):
                if isinstance(step, UntilEventStep):
                    yield path, step

    def look_at_ends(self) -> None:
        """Report events that start and end a journey at once, and waits for what ends it."""
        journey = self.file.journey
        ends: list[tuple[str, Keys, JourneyEnd]] = [
            ("exit", ("exit", number), one) for number, one in enumerate(journey.exits)
        ]
        if journey.goal is not None:
            ends.append(("goal", ("goal",), journey.goal))
        for called, keys, end in ends:
            if end.event and end.event == journey.enter.event and end.match is None:
                what = f"{clip(end.event)} starts the journey, and is its {called} at once"
                fix = "name another event, or tell them apart with `match`"
                self.report.error(self.at(*keys, "event"), what, fix)
        for path, step in self.untils():
            for called, _, end in ends:
                if end.event == step.event and end.match is None:
                    what = f"{clip(step.event)} is the {called}, so it ends the journey instead"
                    fix = f"wait for another event, or give the {called} a `match`"
                    self.report.warn(self.at(*self.step(path), "until", "event"), what, fix)
                    break

    def look_at_sends(self) -> None:
        """Report policies that there are not."""
        for path, step in walk(self.file.journey.steps):
            if isinstance(step, SendStep) and step.policy not in self.policies:
                what = f"there is no policy {clip(step.policy)!r}"
                fix = suggestion(step.policy, self.policies, f"write policies/{step.policy}.yaml")
                self.report.error(self.at(*self.step(path), "send"), what, fix)

    def look_at_branches(self) -> None:
        """Warn of branches that no run can take."""
        for path, step in walk(self.file.journey.steps):
            if not isinstance(step, BranchStep):
                continue
            always = next((n for n, arm in enumerate(step.arms) if arm.when is None), None)
            if always is not None and always + 1 < len(step.arms):
                what = "no run comes to this branch: the one before has no `when`"
                fix = "give that one a condition, or put it last"
                position = self.at(*self.step(path), "branch", always + 1)
                self.report.warn(position, what, fix)

    def look_at_repeats(self) -> None:
        """Report repeats that do too much, or all of it at once."""
        for path, step in walk(self.file.journey.steps):
            if not isinstance(step, RepeatStep):
                continue
            rounds = step.times
            if carried_out((step,)) > STEPS_MAX:
                what = f"it may carry out {carried_out((step,))} steps, and a journey {STEPS_MAX}"
                self.report.error(self.at(*self.step(path), "repeat"), what, "repeat less often")
            elif not surely_waits(step.steps):
                what = f"a round may pass without a wait, so all {rounds} may be done at once"
                fix = "put a wait into it that every round comes to: - wait: 7d"
                self.report.warn(self.at(*self.step(path), "repeat"), what, fix)

    def look_at_deadline(self) -> None:
        """Report what the deadline comes before."""
        self.look_at_block(self.file.journey.steps, ("steps",), (0, 0))

    def look_at_block(self, steps: Steps, keys: Keys, waited: tuple[int, int]) -> bool:
        """
        Report the first step of a block that is never reached in time after waits of ``waited``
        (shortest, longest; ms). True if one was.
        """
        deadline_ms = self.file.journey.deadline_ms
        than = f"the deadline is {duration(deadline_ms, units=4)}"
        least, most = waited
        for number, step in enumerate(steps):
            at = (*keys, number)
            if least >= deadline_ms:
                what = f"no run comes here: the steps before wait {duration(least, units=4)}"
                fix = "shorten their waits, or lengthen the deadline"
                self.report.error(self.at(*at), f"{what}, and {than}", fix)
                return True
            own = longest((step,))
            if isinstance(step, WaitStep | UntilEventStep) and own > deadline_ms:
                what = f"the step waits {duration(own, units=4)}, and {than}"
                key = "wait" if isinstance(step, WaitStep) else "until"
                fix = "shorten it, or lengthen the deadline"
                self.report.error(self.at(*at, key), what, fix)
                return True
            if most >= deadline_ms:
                what = f"the steps before may wait {duration(most, units=4)}"
                fix = "shorten their waits, or lengthen the deadline"
                self.report.warn(self.at(*at), f"{what}, and {than}", fix)
                return True
            within_ms = (step.within_ms or 0) if isinstance(step, UntilEventStep) else 0
            for name, inner in blocks(step):
                missed = isinstance(step, UntilEventStep) and name == OTHERWISE
                waits = (least + (within_ms if missed else 0), most + within_ms)
                if self.look_at_block(inner, (*at, *keys_of_block(step, name)), waits):
                    return True
            least += shortest((step,))
            most += own
        return False


def shortest(steps: Steps) -> int:
    """The least that steps wait in all, in milliseconds."""
    total = 0
    for step in steps:
        match step:
            case WaitStep():
                total += step.wait_ms
            case RepeatStep():
                total += step.times * shortest(step.steps)
            case SplitStep():
                total += min(shortest(arm.steps) for arm in step.arms)
            case BranchStep():
                ways = [shortest(arm.steps) for arm in step.arms]
                total += min(ways if step.arms[-1].when is None else [0, *ways])
            case UntilEventStep():
                missed = (step.within_ms or 0) + shortest(step.otherwise)
                total += min(shortest(step.then), missed)
    return total


def longest(steps: Steps) -> int:
    """
    The most that steps wait in all, in milliseconds, without what messages take and times of day.
    """
    total = 0
    for step in steps:
        match step:
            case WaitStep():
                total += step.wait_ms
            case RepeatStep():
                total += step.times * longest(step.steps)
            case UntilEventStep():
                inner = max(longest(step.then), longest(step.otherwise))
                total += (step.within_ms or 0) + inner
            case _:
                total += max((longest(inner) for _, inner in blocks(step)), default=0)
    return total


def carried_out(steps: Steps) -> int:
    """How many steps may be carried out in all."""
    total = 0
    for step in steps:
        most = max((carried_out(inner) for _, inner in blocks(step)), default=0)
        total += 1 + (step.times if isinstance(step, RepeatStep) else 1) * most
    return total


def surely_waits(steps: Steps) -> bool:
    """Whether every way through steps comes to a wait."""
    for step in steps:
        match step:
            case WaitStep() | UntilTimeStep() | UntilEventStep():
                return True
            case RepeatStep() | SplitStep():
                if all(surely_waits(inner) for _, inner in blocks(step)):
                    return True
            case BranchStep() if step.arms[-1].when is None:
                if all(surely_waits(arm.steps) for arm in step.arms):
                    return True
    return False


def lint_journey(
    file: JourneyFile, policies: Mapping[str, PolicyFile], installation: Installation
) -> None:
    """Report everything about one journey that only shows when the policies are known."""
    journey, report = file.journey, installation.report
    if file.path.stem != journey.name and find(file.root, "journey") is not None:
        what = f"the journey {journey.name!r} is in a file named {file.path.name}"
        report.warn(place(file.root, "journey"), what, f"rename the file to {journey.name}.yaml")
    before = len(report.problems)
    JourneyExpressionLint(installation.conditions, installation.samples, report, file).run()
    JourneyLint(file, policies, report).run()
    if any(one.path == str(file.path) and one.severity == "error" for one in report.problems):
        # warnings may follow from the error; the others come back when it is fixed
        report.problems[before:] = [
            one for one in report.problems[before:] if one.severity == "error"
        ]


def sent_by(files: Mapping[str, JourneyFile]) -> frozenset[str]:
    """The policies that journeys send."""
    return frozenset().union(*(file.journey.sends for file in files.values()))
