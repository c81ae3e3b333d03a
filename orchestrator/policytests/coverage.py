"""
What the tests of policies have met: steps that were sent, and reasons that came; and what those of
journeys have: steps that were carried out, and ways that were taken.

A reason counts for a policy if one of its own keys, or a governance rule for its class and
channels, can give it; what only a provider or a template can cause (a refusal, a variable that is
absent) does not. So ``never_met`` lists what somebody wrote down and no test has tried. A way is a
block of steps of which a journey takes one or none, such as `then`; an empty one is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.core.journey.journey import Journey, blocks, walk
from orchestrator.core.policy import CONVERSATION, Governance, Policy, covers
from orchestrator.core.reasons import Reason
from orchestrator.engine.rules import Rules
from orchestrator.explain.journey_words import place_words
from orchestrator.policytests.verdict import Judgement

LATE = {
    "sent": Reason.NOT_SENT_IN_TIME,
    "delivered": Reason.NOT_DELIVERED_IN_TIME,
    "read": Reason.NOT_READ_IN_TIME,
    "clicked": Reason.NOT_CLICKED_IN_TIME,
    "replied": Reason.NOT_REPLIED_IN_TIME,
}


@dataclass(frozen=True, slots=True)
class PolicyCoverage:
    """``never_sent`` are steps, counted from 1 and with companions last, as ``3 whatsapp``."""

    policy: str
    tests: int
    steps: int
    never_sent: tuple[str, ...]
    reasons: int
    never_met: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class JourneyCoverage:
    """``never_done`` are steps, ``never_taken`` ways, as explanations have them: ``2 › then``."""

    journey: str
    tests: int
    steps: int
    never_done: tuple[str, ...]
    ways: int
    never_taken: tuple[str, ...]


def journey_coverage(
    judgements: Sequence[Judgement], rules: Rules, *, only_tested: bool = False
) -> list[JourneyCoverage]:
    """What these tests did of each journey; those without a test as for ``coverage``."""
    found = []
    for name, journey in sorted(rules.journeys.items()):
        tests = [one.test.journey for one in judgements]
        own = [
            one
            for one, tested in zip(judgements, tests, strict=True)
            if tested is not None and tested.name == name
        ]
        if only_tested and not own:
            continue
        done = {path for one in own for path in one.observed.carried_out}
        steps = [path for path, _ in walk(journey.steps)]
        ways = list(ways_of(journey))
        taken = {way for way in ways if any(path.startswith(f"{way}.") for path in done)}
        found.append(
            JourneyCoverage(
                name,
                len(own),
                len(steps),
                tuple(place_words(path) for path in steps if path not in done),
                len(ways),
                tuple(place_words(way) for way in ways if way not in taken),
            )
        )
    return found


def ways_of(journey: Journey) -> Iterator[str]:
    """The paths of the blocks that have steps."""
    for path, step in walk(journey.steps):
        for block, steps in blocks(step):
            if steps:
                yield f"{path}.{block}"


def coverage(
    judgements: Sequence[Judgement], rules: Rules, *, only_tested: bool = False
) -> list[PolicyCoverage]:
    """
    What these tests met of each policy that has a file; those without a test are left out if
    ``only_tested``.
    """
    found = []
    for name, policy in sorted(rules.policies.items()):
        if name == CONVERSATION:
            continue
        own = [
            one for one in judgements if one.test.journey is None and one.test.policy.name == name
        ]
        if only_tested and not own:
            continue
        sent = {number for one in own for number in steps_sent(one)}
        met = {reason for one in own for reason in one.observed.reasons}
        possible = list(dict.fromkeys(possible_reasons(policy, rules.governance)))
        found.append(
            PolicyCoverage(
                name,
                len(own),
                len(policy.plan),
                tuple(
                    f"{number + 1} {step.channel}"
                    for number, step in enumerate(policy.plan)
                    if number not in sent
                ),
                len(possible),
                tuple(reason for reason in possible if reason not in met),
            )
        )
    return found


def steps_sent(judgement: Judgement) -> Iterator[int]:
    """The steps, as places in the plan, that a test has sent."""
    message = judgement.observed.message
    return (attempt.step for attempt in (message.attempts if message is not None else ()))


def possible_reasons(policy: Policy, governance: Governance) -> Iterator[Reason]:
    """The reasons that the policy's keys and the rules for it can give."""
    consent = governance.consent.get(policy.message_class)
    if consent != "bypass":
        yield Reason.OPTED_OUT
    if consent == "opt_in":
        yield Reason.NO_CONSENT
    yield Reason.NO_ADDRESS
    if policy.goal is not None:
        yield Reason.GOAL_MET
    if policy.dedupe is not None:
        yield Reason.DEDUPLICATED
    if any(step.when is not None for step in policy.plan):
        yield Reason.CONDITION_FALSE
    rules: tuple[tuple[Reason, Iterable[Any]], ...] = (
        (Reason.QUIET_HOURS, governance.quiet_hours),
        (Reason.FREQUENCY_CAP, governance.caps),
        (Reason.MIN_GAP, governance.gaps),
    )
    channels = {step.channel for step in policy.plan}
    for reason, some in rules:
        if any(
            covers(rule.classes, policy.message_class)
            and (not rule.channels or channels & set(rule.channels))
            for rule in some
        ):
            yield reason
    if any(step.max_cost is not None for step in policy.plan):
        yield Reason.TOO_EXPENSIVE
    for step in policy.cascade:
        for state, _ in step.wait:
            yield LATE[state]


def coverage_json(found: Iterable[PolicyCoverage]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "policy": one.policy,
            "tests": one.tests,
            "steps": one.steps,
            "steps_never_sent": list(one.never_sent),
            "reasons": one.reasons,
            "reasons_never_met": [reason.value for reason in one.never_met],
        }
        for one in found
    ]


def journey_coverage_json(found: Iterable[JourneyCoverage]) -> list[dict[str, Any]]:
    """The same of journeys, for programs."""
    return [
        {
            "journey": one.journey,
            "tests": one.tests,
            "steps": one.steps,
            "steps_never_done": list(one.never_done),
            "ways": one.ways,
            "ways_never_taken": list(one.never_taken),
        }
        for one in found
    ]


def journey_coverage_lines(found: Sequence[JourneyCoverage]) -> Iterator[str]:
    """The same of journeys, for people."""
    width = max((len(one.journey) for one in found), default=0)
    for one in found:
        name = one.journey.ljust(width)
        if not one.tests:
            yield f"{name}  no test"
            continue
        steps = f"{one.steps - len(one.never_done)} of {one.steps} steps done"
        ways = f"{one.ways - len(one.never_taken)} of {one.ways} ways taken"
        yield f"{name}  {one.tests} test(s), {steps}, {ways}"
        if one.never_done:
            yield f"{' ' * width}  never done: {', '.join(one.never_done)}"
        if one.never_taken:
            yield f"{' ' * width}  never taken: {', '.join(one.never_taken)}"


def coverage_lines(found: Sequence[PolicyCoverage]) -> Iterator[str]:
    """The same for people."""
    width = max((len(one.policy) for one in found), default=0)
    for one in found:
        name = one.policy.ljust(width)
        if not one.tests:
            yield f"{name}  no test"
            continue
        steps = f"{one.steps - len(one.never_sent)} of {one.steps} steps sent"
        reasons = f"{one.reasons - len(one.never_met)} of {one.reasons} reasons met"
        yield f"{name}  {one.tests} test(s), {steps}, {reasons}"
        if one.never_sent:
            yield f"{' ' * width}  never sent: {', '.join(one.never_sent)}"
        if one.never_met:
            yield f"{' ' * width}  never met: {', '.join(one.never_met)}"
