"""The expressions of journeys: where they stand, and which names each may use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from jinja2 import nodes

from orchestrator.check.expressions import (
    Condition,
    ExpressionLint,
    condition_at,
    unknown_path,
)
from orchestrator.configuration.journey_file import JourneyFile
from orchestrator.configuration.reading import find
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.journey.journey import (
    ROUNDS,
    BranchStep,
    Journey,
    JourneyStep,
    RepeatStep,
    SplitStep,
    UntilEventStep,
    around,
    step_at,
    walk,
)
from orchestrator.render.conditions import JOURNEY_NAMES
from orchestrator.render.usage import uses

BASE = frozenset({"event", "ce", "recipient"})
WITHIN = BASE | {"journey", "last", "now"}

Keys = tuple[str | int, ...]


def keys_of(journey: Journey, path: str) -> Keys:
    """The keys of the file that lead to the step at a path."""
    outer, parts = around(path), path.rsplit(".", 2)
    if outer is None:
        return ("steps", int(path))
    block, number = parts[1], int(parts[2])
    return (*keys_of(journey, outer), *keys_of_block(step_at(journey, outer), block), number)


def keys_of_block(step: JourneyStep | None, block: str) -> Keys:
    """The keys that lead from a step to one of its blocks."""
    match step:
        case SplitStep():
            return ("split", block)
        case BranchStep():
            return ("branch", int(block), "steps")
        case RepeatStep():
            return ("repeat", ROUNDS)
    return (block,)


def sound(file: JourneyFile) -> bool:
    """
    Whether every step that is written could be read: only then do paths lead to what is written.
    """
    written = sum(1 for _ in written_steps(find(file.root, "steps")))
    return written == sum(1 for _ in walk(file.journey.steps))


def written_steps(steps: Node | None) -> Iterator[Node]:
    """Every step of a list, with those within them, as written."""
    for step in steps.value if steps is not None and steps.kind == "list" else ():
        yield step
        blocks = [find(step, "then"), find(step, "else"), find(step, "repeat", "steps")]
        split, branch = find(step, "split"), find(step, "branch")
        if split is not None and split.kind == "map":
            blocks += [arm for name, arm in split.value.items() if name != "weights"]
        if branch is not None and branch.kind == "list":
            blocks += [find(arm, "steps") for arm in branch.value]
        for block in blocks:
            yield from written_steps(block)


def expressions_of(file: JourneyFile) -> Iterator[Condition]:
    """Every expression in a journey."""
    root = file.root
    yield from condition_at(root, ("enter", "when"), BASE | {"now"})
    yield from condition_at(root, ("enter", "key"), BASE)
    yield from condition_at(root, ("goal", "match"), WITHIN | {"goal"})
    exits = find(root, "exit")
    for number in range(len(exits.value) if exits is not None and exits.kind == "list" else 0):
        yield from condition_at(root, ("exit", number, "match"), WITHIN | {"exit"}, "exit")
    for path, step in walk(file.journey.steps) if sound(file) else ():
        at = keys_of(file.journey, path)
        match step:
            case UntilEventStep():
                yield from condition_at(root, (*at, "until", "match"), WITHIN, "event")
            case BranchStep():
                for number in range(len(step.arms)):
                    yield from condition_at(root, (*at, "branch", number, "when"), WITHIN)
        for place in (("publish", "data"), ("set",)):
            values = find(root, *at, *place)
            for name in values.value if values is not None and values.kind == "map" else ():
                for one in condition_at(root, (*at, *place, name), WITHIN):
                    yield Condition(one.node, "value", one.names)


@dataclass
class JourneyExpressionLint(ExpressionLint):
    """Looks at the expressions of one journey."""

    file: JourneyFile

    compiled_names: ClassVar[tuple[str, ...]] = JOURNEY_NAMES

    def found(self) -> Iterator[Condition]:
        return expressions_of(self.file)

    def events(self, one: Condition) -> list[dict[str, Any]]:
        journey = self.file.journey
        # within a journey, `event` may be one that it waited for
        began = "journey" not in one.names
        return self.samples.of(journey.name, journey.enter.event) if began else []

    def constant_problem(self, one: Condition, value: Any) -> None:
        if one.key != "value":
            super().constant_problem(one, value)

    def look_for_unknown_paths(self, one: Condition, tree: nodes.Template) -> None:
        super().look_for_unknown_paths(one, tree)
        journey = self.file.journey
        began = self.samples.of(journey.name, journey.enter.event)
        found, guarded = uses(tree)
        for path, kind, line in found:
            if path[:2] != ("journey", "event") or path in guarded:
                continue
            use = (("event", *path[2:]), kind, line)
            problem = unknown_path(use, (), began, self.samples.people, ())
            if problem is not None:
                what, fix = (text.replace("event.", "journey.event.") for text in problem)
                self.report.warn(one.node.position, what, fix)
                return
