"""What is wrong with policies that start from what happens inside: unknown types, and circles."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import Report, clip, find, place
from orchestrator.configuration.scalars import meant
from orchestrator.core.hops import HOPS_MAX
from orchestrator.core.inside import PREFIX, TYPES, WHATS, is_inside
from orchestrator.core.policy import Policy
from orchestrator.render.environment import SafeEnvironment

OTHERWISE = "docs/status-events.md lists them"
CAUSED = (f"{PREFIX}message.", f"{PREFIX}attempt.")
"""Types of what messages do; what a person says or wants is no circle of ours."""


def lint_types(file: PolicyFile, report: Report) -> None:
    """Report types that begin like those of inside events, and are none."""
    for key in ("trigger", "goal"):
        node = find(file.root, key, "event")
        if node is None or node.kind != "str" or not is_inside(node.value) or node.value in TYPES:
            continue
        what = f"nothing that happens inside is called {clip(node.value)!r}"
        near = meant(node.value.removeprefix(PREFIX), WHATS)
        fix = f"did you mean {PREFIX + near!r}?" if near is not None else OTHERWISE
        report.error(node.position, what, fix)


def lint_circles(files: Mapping[str, PolicyFile], report: Report) -> None:
    """
    Warn of policies that may start each other for ever: once for each circle, at the trigger of the
    first policy of it.
    """
    policies = {name: file.policy for name, file in files.items()}
    reported: set[frozenset[str]] = set()
    for name in sorted(policies):
        circle = circle_of(name, policies)
        if not circle or frozenset(circle) in reported:
            continue
        reported.add(frozenset(circle))
        if len(circle) == 1:
            what = f"{name} may be started by what becomes of its own messages"
        else:
            what = f"{' starts '.join([*circle, circle[0]])}, in a circle"
        what += f"; the chain is cut after {HOPS_MAX} hops"
        fix = "let `when` name the policies that are meant: \"event.policy == '…'\""
        report.warn(place(files[name].root, "trigger"), what, fix)


def circle_of(name: str, policies: Mapping[str, Policy]) -> list[str]:
    """The shortest circle of policies that start each other and that one is in, from it on."""
    ways: list[list[str]] = [[name]]
    seen: set[str] = set()
    for way in ways:
        for other in sorted(policies):
            if not may_start(way[-1], policies[other]):
                continue
            if other == name:
                return way
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []


def may_start(name: str, policy: Policy) -> bool:
    """Whether what becomes of a policy's messages may trigger another policy, or itself."""
    if not policy.event.startswith(CAUSED):
        return False
    return policy.when is None or name in named_by(policy.when, {name})


def named_by(when: str, names: Collection[str]) -> set[str]:
    """
    Those of some names that `event.policy` may have for a condition to be true. It is only sure
    about conditions that compare it with text, and join that by `and` or `or`.
    """
    try:
        expression = SafeEnvironment().parse("{{ " + when + " }}").find(nodes.Output)
    except (TemplateSyntaxError, RecursionError, MemoryError, ValueError):  # reported elsewhere
        return set(names)
    if expression is None:
        return set(names)
    return {name for name in names if may_hold(expression.nodes[0], name)}


def may_hold(node: nodes.Node, name: str) -> bool:
    match node:
        case nodes.And():
            return may_hold(node.left, name) and may_hold(node.right, name)
        case nodes.Or():
            return may_hold(node.left, name) or may_hold(node.right, name)
        case nodes.Compare() if is_policy(node.expr) and len(node.ops) == 1:
            return compared(node.ops[0], name)
    return True


def is_policy(node: nodes.Node) -> bool:
    """Whether this is `event.policy`."""
    match node:
        case nodes.Getattr(node=nodes.Name(name="event"), attr="policy"):
            return True
        case nodes.Getitem(node=nodes.Name(name="event"), arg=nodes.Const(value="policy")):
            return True
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
