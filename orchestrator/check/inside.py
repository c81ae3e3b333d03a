"""Circles of policies and journeys that start from what happens inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from orchestrator.configuration.journey_file import JourneyFile
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import Report, place
from orchestrator.configuration.yaml_file import Position
from orchestrator.core.hops import HOPS_MAX
from orchestrator.core.inside import PREFIX
from orchestrator.core.journey.journey import PublishStep, walk
from orchestrator.render.environment import SafeEnvironment

CAUSED = {
    "policy": (f"{PREFIX}message.", f"{PREFIX}attempt."),
    "journey": (f"{PREFIX}journey.",),
}
"""Types of what messages and journeys do; what a person says or wants is no circle of ours."""


@dataclass(frozen=True)
class Starter:
    """
    A policy or a journey, as far as it starts others: the event that it is started by, with its
    condition, and what it sends and publishes.
    """

    name: str
    kind: Literal["policy", "journey"]
    event: str
    when: str | None
    position: Position
    sends: frozenset[str] = frozenset()
    publishes: frozenset[str] = frozenset()

    def may_start(self, other: Starter) -> bool:
        """Whether what becomes of this may start the other, or this itself again."""
        if other.kind == "policy" and other.name in self.sends:
            return True
        if other.event in self.publishes:
            return True
        if not other.event.startswith(CAUSED[self.kind]):
            return False
        return other.when is None or may_be_for(other.when, self.kind, self.name)


def starters(
    files: Mapping[str, PolicyFile], journeys: Mapping[str, JourneyFile]
) -> Iterator[Starter]:
    """All policies and journeys, in the order of their names."""
    for name, file in sorted(files.items()):
        policy, at = file.policy, place(file.root, "trigger")
        yield Starter(name, "policy", policy.event, policy.when, at)
    for name, one in sorted(journeys.items()):
        journey, at = one.journey, place(one.root, "enter")
        steps = [step for _, step in walk(journey.steps)]
        published = frozenset(step.type for step in steps if isinstance(step, PublishStep))
        enter = journey.enter
        yield Starter(name, "journey", enter.event, enter.when, at, journey.sends, published)


def lint_circles(
    files: Mapping[str, PolicyFile], journeys: Mapping[str, JourneyFile], report: Report
) -> None:
    """
    Warn of policies and journeys that may start each other for ever: once for each circle, at what
    starts the first of it.
    """
    known = list(starters(files, journeys))
    reported: set[frozenset[Starter]] = set()
    for one in known:
        circle = circle_of(one, known)
        if not circle or frozenset(circle) in reported:
            continue
        reported.add(frozenset(circle))
        if len(circle) == 1:
            own = "what becomes of its own messages" if one.kind == "policy" else "its own end"
            own = "what it publishes" if one.event in one.publishes else own
            what = f"{one.name} may be started by {own}"
        else:
            names = [two.name for two in (*circle, one)]
            what = f"{' starts '.join(names)}, in a circle"
        what += f"; the chain is cut after {HOPS_MAX} hops"
        fix = "let `when` name the policies that are meant: \"event.policy == '…'\""
        report.warn(one.position, what, fix)


def circle_of(one: Starter, known: Sequence[Starter]) -> list[Starter]:
    """The shortest circle of those that start each other and that one is in, from it on."""
    ways: list[list[Starter]] = [[one]]
    seen: set[Starter] = set()
    for way in ways:
        for other in known:
            if not way[-1].may_start(other):
                continue
            if other is one:
                return way
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []


def may_be_for(when: str, kind: str, name: str) -> bool:
    """
    Whether `event.policy` (or `event.journey`) may have this name for a condition to be true. It is
    only sure about conditions that compare it with text, and join that by `and` or `or`.
    """
    try:
        expression = SafeEnvironment().parse("{{ " + when + " }}").find(nodes.Output)
    except (TemplateSyntaxError, RecursionError, MemoryError, ValueError):  # reported elsewhere
        return True
    return expression is None or may_hold(expression.nodes[0], kind, name)


def may_hold(node: nodes.Node, kind: str, name: str) -> bool:
    match node:
        case nodes.And():
            return may_hold(node.left, kind, name) and may_hold(node.right, kind, name)
        case nodes.Or():
            return may_hold(node.left, kind, name) or may_hold(node.right, kind, name)
        case nodes.Compare() if is_name_of(node.expr, kind) and len(node.ops) == 1:
            return compared(node.ops[0], name)
    return True


def is_name_of(node: nodes.Node, kind: str) -> bool:
    """Whether this is `event.policy`, or `event.journey`."""
    match node:
        case nodes.Getattr(node=nodes.Name(name="event"), attr=attribute):
            return bool(attribute == kind)
        case nodes.Getitem(node=nodes.Name(name="event"), arg=nodes.Const(value=key)):
            return bool(key == kind)
    return False


def compared(operand: nodes.Operand, name: str) -> bool:
    """Whether a comparison with a constant may hold for a name."""
    try:
        value = operand.expr.as_const()
    except nodes.Impossible:
        return True
    match operand.op:
        case "eq":
            return bool(value == name)
        case "ne":
            return bool(value != name)
        case "in" | "notin" if isinstance(value, list | tuple | str):
            return (name in value) is (operand.op == "in")
    return True
