"""
The budget of one render: every round of a loop, and every text or list that is made, costs some of
it, so that a small template cannot take much time or memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from jinja2 import TemplateRuntimeError
from jinja2.exceptions import SecurityError

from orchestrator.render.problems import NullValue

ROUNDS_MAX = 20_000
TREE_MAX = 20_000
TEXT_A_ROUND = 256
ITEMS_A_ROUND = 16
rounds: ContextVar[list[int]] = ContextVar("rounds")


def spend(units: int) -> None:
    """
    Pay for work out of the rounds of this render. Raises ``SecurityError`` when there are none
    left.
    """
    budget = rounds.get(None)
    if budget is not None:
        draw(budget, units)


def draw(budget: list[int], units: int) -> None:
    """Take from a budget. Raises ``SecurityError`` when there is nothing left."""
    budget[0] -= units
    if budget[0] < 0:
        raise SecurityError(
            f"more than {ROUNDS_MAX} rounds of loops, or as much other work, are not allowed"
        )


def paid(value: Any) -> Any:
    """
    A text or list that was just made, paid for: all that one render makes fits into a few
    megabytes.
    """
    if isinstance(value, str):
        if len(value) >= TEXT_A_ROUND:
            spend(len(value) // TEXT_A_ROUND)
    elif isinstance(value, list | tuple):
        spend(len(value) // ITEMS_A_ROUND)
    return value


def built(value: Any) -> Any:
    """
    A list or mapping that a template put together, of no more than ``TREE_MAX`` values, however
    often one is shared.
    """
    size, stack = 0, [value]
    while stack:
        current = stack.pop()
        size += 1 + (len(current) // ITEMS_A_ROUND if isinstance(current, str) else 0)
        if isinstance(current, Mapping):
            stack.extend(current.values())
        elif isinstance(current, list | tuple):
            stack.extend(current)
        if size + len(stack) > TREE_MAX:
            raise SecurityError("a list or mapping that large is not allowed")
    spend(size // ITEMS_A_ROUND)
    return value


def counted(values: Iterable[Any], weight: int) -> Iterator[Any]:
    """
    The values of a loop, as long as all loops of this render together have not gone round too
    often; a round of much counts as several.
    """
    if values is None:
        raise NullValue("a value is null")
    if not isinstance(values, Iterable):
        raise TemplateRuntimeError("only a list can be looped over")
    budget = rounds.get(None)
    for value in values:
        if budget is not None:
            draw(budget, weight)
        yield value
