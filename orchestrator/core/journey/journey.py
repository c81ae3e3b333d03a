"""
Journeys as the core sees them: plain, frozen data.

The YAML is read and checked in ``orchestrator/configuration`` (keys: ``journey_keys.py``), so
nothing in these values can be wrong. Durations are milliseconds, times of day are minutes from
local midnight, weekdays count from Monday (0).

Every step has a path, which says where it stands: ``2`` is the third step, ``2.then.0`` the first
of what follows if its event comes, ``3.calm.0`` the first of the arm ``calm``, ``4.1.0`` the first
of the second branch, ``5.steps.0`` the first of what is repeated. So the place of a running
journey is a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from orchestrator.core.policy import DAY_MS
from orchestrator.core.values import Tagged, Value

Archetype = Literal["routine", "joyride", "trek", "odyssey"]
Stage = Literal["awareness", "consideration", "purchase", "retention", "advocacy"]
Again = Literal["never", "after_end", "always"]
ARCHETYPES: tuple[Archetype, ...] = ("routine", "joyride", "trek", "odyssey")
STAGES: tuple[Stage, ...] = ("awareness", "consideration", "purchase", "retention", "advocacy")
AGAIN: tuple[Again, ...] = ("never", "after_end", "always")
DEADLINE_MS = 90 * DAY_MS


class Entrance(Value):
    """
    The event that starts a journey. ``when`` and ``key`` are expressions over ``event``, ``ce`` and
    ``recipient``. ``again``: whether a person may enter with the same key (None: any event of
    theirs has the same) a second time.
    """

    event: str
    when: str | None = None
    key: str | None = None
    again: Again = "after_end"


class JourneyEnd(Value):
    """
    An event that ends a journey: its goal, or an exit. ``match`` is over ``goal`` or ``exit`` (the
    event that came), ``event`` (the one that started the journey), ``journey`` and ``recipient``.
    """

    event: str
    match: str | None = None


class SendStep(Tagged, tag="send"):
    """
    Start a message of a policy. It is waited for until it has ended, unless ``at_once``.
    """

    policy: str
    at_once: bool = False


class WaitStep(Tagged, tag="wait"):
    """Wait so long."""

    wait_ms: int


class UntilTimeStep(Tagged, tag="until_time"):
    """Wait for a time of day of the recipient, on a weekday if one is given."""

    minute: int
    weekday: int | None = None


class UntilEventStep(Tagged, tag="until_event"):
    """
    Wait for an event. ``match`` is over ``event`` (the one that came), ``journey`` and
    ``recipient``. ``within_ms`` None: until the journey's deadline.
    """

    event: str
    match: str | None = None
    within_ms: int | None = None
    then: tuple[JourneyStep, ...] = ()
    otherwise: tuple[JourneyStep, ...] = ()


class SplitArm(Value):
    """One arm of a split; the weights of all arms are shares of their sum."""

    name: str
    weight: int
    steps: tuple[JourneyStep, ...]


class SplitStep(Tagged, tag="split"):
    """Go one of several ways, by a hash of the recipient: the same way whenever it is asked."""

    arms: tuple[SplitArm, ...]


class BranchArm(Value):
    """The steps to carry out if ``when`` is true; None is always true."""

    steps: tuple[JourneyStep, ...]
    when: str | None = None


class BranchStep(Tagged, tag="branch"):
    """Go the first way whose condition is true; none: go on."""

    arms: tuple[BranchArm, ...]


class RepeatStep(Tagged, tag="repeat"):
    """Carry out the steps so many times."""

    times: int
    steps: tuple[JourneyStep, ...]


class PublishStep(Tagged, tag="publish"):
    """Publish an event; ``data`` are names with expressions."""

    type: str
    data: tuple[tuple[str, str], ...] = ()


class SetStep(Tagged, tag="set"):
    """Set attributes of the recipient; ``values`` are names with expressions."""

    values: tuple[tuple[str, str], ...]


JourneyStep = (
    SendStep
    | WaitStep
    | UntilTimeStep
    | UntilEventStep
    | SplitStep
    | BranchStep
    | RepeatStep
    | PublishStep
    | SetStep
)


class Journey(Value):
    """One journey. ``version`` is the content hash of its definition."""

    name: str
    version: str
    enter: Entrance
    steps: tuple[JourneyStep, ...]
    archetype: Archetype | None = None
    stage: str = ""
    exits: tuple[JourneyEnd, ...] = ()
    goal: JourneyEnd | None = None
    deadline_ms: int = DEADLINE_MS

    @property
    def listens_to(self) -> frozenset[str]:
        """The types of the events that may end a run or a wait of it."""
        ends = self.exits if self.goal is None else (*self.exits, self.goal)
        waits = (s.event for _, s in walk(self.steps) if isinstance(s, UntilEventStep))
        return frozenset((*(end.event for end in ends), *waits))

    @property
    def sends(self) -> frozenset[str]:
        """The policies whose messages it may send."""
        return frozenset(s.policy for _, s in walk(self.steps) if isinstance(s, SendStep))


THEN, OTHERWISE, ROUNDS = "then", "else", "steps"


def blocks(step: JourneyStep) -> Iterator[tuple[str, tuple[JourneyStep, ...]]]:
    """The blocks of steps within a step, by their names in paths."""
    match step:
        case UntilEventStep():
            yield THEN, step.then
            yield OTHERWISE, step.otherwise
        case SplitStep():
            for arm in step.arms:
                yield arm.name, arm.steps
        case BranchStep():
            for number, branch in enumerate(step.arms):
                yield str(number), branch.steps
        case RepeatStep():
            yield ROUNDS, step.steps
        case _:
            return


def walk(steps: tuple[JourneyStep, ...], before: str = "") -> Iterator[tuple[str, JourneyStep]]:
    """Every step with its path, in the order in which they are written."""
    for number, step in enumerate(steps):
        path = f"{before}{number}"
        yield path, step
        for name, inner in blocks(step):
            yield from walk(inner, f"{path}.{name}.")


def step_at(journey: Journey, path: str) -> JourneyStep | None:
    """The step at a path, None if the journey has none there."""
    parts = path.split(".")
    steps, step = journey.steps, None
    for index in range(0, len(parts), 2):
        number = parts[index]
        if not number.isdecimal() or int(number) >= len(steps):
            return None
        step = steps[int(number)]
        if index + 1 < len(parts):
            found = dict(blocks(step)).get(parts[index + 1])
            if found is None:
                return None
            steps = found
    return step if len(parts) % 2 else None


def next_to(journey: Journey, path: str) -> str | None:
    """The path of the step after this one in the same block, None at the block's end."""
    before, _, number = path.rpartition(".")
    following = f"{before}.{int(number) + 1}" if before else str(int(number) + 1)
    return following if step_at(journey, following) is not None else None


def around(path: str) -> str | None:
    """The path of the step in whose block this one stands, None on the top level."""
    parts = path.rsplit(".", 2)
    return parts[0] if len(parts) == 3 else None


def event_of(path: str) -> str | None:
    """
    Which event ``event`` is at a path: that of the innermost `until` (its path) in whose `then` the
    step stands; None: the event that started the journey.
    """
    while (outer := around(path)) is not None:
        if path.rsplit(".", 2)[1] == THEN:
            return outer
        path = outer
    return None


def same_place(old: Journey, new: Journey, path: str) -> bool:
    """
    Whether both versions have the step at a path, so that a run may wait there in either: the same
    kind of step, within the same kinds of steps; of a send the same policy, of `until` the same
    event.
    """
    while True:
        before, after = step_at(old, path), step_at(new, path)
        if before is None or after is None or alike(before) != alike(after):
            return False
        outer = around(path)
        if outer is None:
            return True
        path = outer


def alike(step: JourneyStep) -> tuple[object, ...]:
    """What makes a step the same in two versions."""
    match step:
        case SendStep():
            return SendStep, step.policy
        case UntilEventStep():
            return UntilEventStep, step.event
        case _:
            return (type(step),)
