"""
Random journeys and whatever may happen on them: a run ends at most once, carries out no step twice
and in the order in which they are written, starts nothing after its end, and replays.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.journey import facts
from orchestrator.core.journey.decide import decide
from orchestrator.core.journey.effects import (
    EmitJourneyStatus,
    JourneyEffect,
    StartMessage,
)
from orchestrator.core.journey.facts import JourneyFact
from orchestrator.core.journey.inputs import RecordedInputs
from orchestrator.core.journey.journey import (
    BranchArm,
    BranchStep,
    Entrance,
    Journey,
    JourneyStep,
    PublishStep,
    RepeatStep,
    SendStep,
    SetStep,
    SplitArm,
    SplitStep,
    UntilEventStep,
    UntilTimeStep,
    WaitStep,
)
from orchestrator.core.journey.state import JOURNEY_ENDS, JourneyRun
from orchestrator.core.policy import DAY_MS, HOUR_MS
from tests.core.clocks import at
from tests.core.journey.answers import Answers
from tests.properties.sizes import runs

BEGAN = at("2026-03-27T10:00:00+02:00")
VALUES = {"yes": True, "no": False, "five": 5, "bad": ValueError("no")}
expressions = st.sampled_from(sorted(VALUES))

leaves: st.SearchStrategy[JourneyStep] = st.one_of(
    st.builds(SendStep, st.sampled_from(["a", "b", "c"]), at_once=st.booleans()),
    st.builds(WaitStep, st.integers(1, 5).map(lambda days: days * DAY_MS)),
    st.builds(UntilTimeStep, st.integers(0, 1439), st.none() | st.integers(0, 6)),
    st.builds(PublishStep, st.just("done"), st.tuples(st.tuples(st.just("x"), expressions))),
    st.builds(SetStep, st.tuples(st.tuples(st.just("tier"), expressions))),
)


def around_steps(inner: st.SearchStrategy[JourneyStep]) -> st.SearchStrategy[JourneyStep]:
    steps = st.lists(inner, max_size=3).map(tuple)
    some = st.lists(inner, min_size=1, max_size=3).map(tuple)
    ways = st.tuples(steps, steps)
    return st.one_of(
        st.builds(UntilEventStep, st.just("came"), st.none(), st.just(2 * DAY_MS), steps, steps),
        st.builds(RepeatStep, st.integers(1, 3), some),
        ways.map(lambda two: SplitStep((SplitArm("x", 1, two[0]), SplitArm("y", 3, two[1])))),
        st.tuples(ways, expressions).map(
            lambda two: BranchStep((BranchArm(two[0][0], two[1]), BranchArm(two[0][1])))
        ),
    )


steps = st.lists(st.recursive(leaves, around_steps, max_leaves=8), min_size=1, max_size=5)
happenings = st.lists(
    st.tuples(
        st.sampled_from(["due"] * 6 + ["ended"] * 4 + ["came"] * 3)
        | st.sampled_from(["stale", "replied", "elsewhere", "late", "goal", "exit", "asked"]),
        st.integers(0, 30),
    ),
    max_size=40,
)


class Walk:
    """One run, and everything that it has done."""

    def __init__(self, steps: list[JourneyStep], share: float, days: int) -> None:
        self.journey = Journey("j", "v", Entrance("e"), tuple(steps), deadline_ms=days * DAY_MS)
        self.answers = Answers(VALUES, share=share)
        self.now = BEGAN
        deadline_at = BEGAN + self.journey.deadline_ms
        self.run = JourneyRun("j1", "j", "v", "r", "", "s", "e1", "e", BEGAN, deadline_at)
        self.carried_out: list[str] = []
        self.ends = 0
        self.awaited: set[str] = set()
        self.history: list[tuple[JourneyFact, int, Any, JourneyRun]] = []

    def happens(self, fact: JourneyFact) -> None:
        before = self.run
        decision = decide(self.journey, before, self.answers, fact, self.now)
        if isinstance(fact, facts.MessageEnded):
            self.awaited.discard(fact.message)
        self.history.append((fact, self.now, decision.looked, decision.run))
        self.run = decision.run
        self.carried_out += decision.carried_out
        assert len(set(self.carried_out)) == len(self.carried_out)
        if before.terminal:
            assert decision.effects == ()
            assert decision.run.status is before.status
        moved = decision.run.steps > before.steps or decision.run.place != before.place
        if moved or decision.run.status == "completed" != before.status:
            assert self.may_move(before, fact)
        for effect in decision.effects:
            self.follow(effect)
        waits = self.run.due_at is not None
        assert waits is not self.run.terminal
        if self.run.due_at is not None:
            assert self.now < self.run.due_at <= self.run.deadline_at

    def may_move(self, before: JourneyRun, fact: JourneyFact) -> bool:
        """Whether a fact ends what the run waited for."""
        match before.waiting_for, fact:
            case "", facts.Entered():
                return True
            case "message", facts.MessageEnded(message):
                return before.last is not None and before.last.message == message
            case "event", facts.EventCame(place):
                return place == before.place
        return before.waiting_for != "message" and self.now >= (before.due_at or 0)

    def follow(self, effect: JourneyEffect) -> None:
        if isinstance(effect, EmitJourneyStatus):
            self.ends += effect.what.removeprefix("journey.") in JOURNEY_ENDS
        if isinstance(effect, StartMessage):
            assert not self.awaited, "a message overtook the one before"
            assert not self.ends
            if self.run.waiting_for == "message" and self.run.open[-1] == effect.message:
                self.awaited.add(effect.message)

    def fact(self, what: str, number: int) -> JourneyFact:
        run = self.run
        due_at = run.due_at or self.now
        match what:
            case "due":
                self.now = max(self.now, due_at)
                return facts.WaitOver(due_at)
            case "stale":
                return facts.WaitOver(due_at - 1)
            case "ended":
                message = run.open[number % len(run.open)] if run.open else "unknown"
                return facts.MessageEnded(message, ("succeeded", "exhausted")[number % 2])
            case "replied":
                return facts.MessageReplied(run.last.message if run.last else "m0", "x", "5")
            case "came":
                return facts.EventCame(run.place, "s", f"e{number}")
            case "elsewhere":
                return facts.EventCame("7.then.0", "s", f"e{number}")
            case "goal":
                return facts.GoalCame("s", "g")
            case "exit":
                return facts.ExitCame("s", "x", "left")
            case "asked":
                return facts.ExitAsked("anna")
        self.now += number * 6 * HOUR_MS
        return facts.WaitOver(due_at)


def order(step: str) -> tuple[tuple[int, int], ...]:
    """
    The place of a step among all that a run carries out: each of its numbers, with the round of the
    `repeat` that this number stands in.
    """
    path, *rounds = step.split("#")
    parts = path.split(".")
    found, left = [(int(parts[0]), 0)], [int(one) for one in rounds]
    for index in range(1, len(parts), 2):
        within = left.pop(0) if parts[index] == "steps" else 0
        found.append((within, int(parts[index + 1])))
    return tuple(found)


@runs(100)
@given(steps, happenings, st.sampled_from([0.0, 0.5]), st.integers(1, 60))
def test_a_run_ends_once_and_repeats_and_overtakes_nothing(
    steps: list[JourneyStep], happenings: list[tuple[str, int]], share: float, days: int
) -> None:
    walk = Walk(steps, share, days)
    walk.happens(facts.Entered())
    for what, number in happenings:
        walk.happens(walk.fact(what, number))
    assert walk.ends == walk.run.terminal
    places = [order(step) for step in walk.carried_out]
    assert places == sorted(places)
    replayed = JourneyRun("j1", "j", "v", "r", "", "s", "e1", "e", BEGAN, walk.run.deadline_at)
    for fact, now, looked, after in walk.history:
        replayed = decide(walk.journey, replayed, RecordedInputs(looked), fact, now).run
        assert replayed == after


@runs(100)
@given(steps, st.sampled_from([0.0, 0.5]))
def test_every_run_comes_to_an_end_by_time_alone(steps: list[JourneyStep], share: float) -> None:
    walk = Walk(steps, share, 365)
    walk.happens(facts.Entered())
    for _ in range(2_000):
        if walk.run.terminal:
            break
        walk.happens(walk.fact("ended" if walk.run.open else "due", 0))
    assert walk.run.status == "completed"
