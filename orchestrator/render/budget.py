"""
The allowance of one evaluation: a small template or condition cannot take much time or memory,
whatever the data is.

Everything is paid for, and before it is done: each round of a loop, all that an operator, a test or
a filter reads, each text or list that is made. What one call in C reads is bounded by what was paid
for it, so the clock can be looked at between two payments: past ``CPU_SECONDS`` an evaluation ends,
whatever is left of its allowance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from time import thread_time
from typing import Any

from jinja2 import TemplateRuntimeError
from jinja2.exceptions import SecurityError

from orchestrator.render.problems import NullValue

ROUNDS_MAX = 20_000
"""A round is about a microsecond of work on a slow machine."""
CPU_SECONDS = 0.1
"""Of this thread's own time: a machine that was busy with something else ends nothing."""
ROUNDS_A_LOOK = 512
TREE_MAX = 20_000
TEXT_A_ROUND = 256
ITEMS_A_ROUND = 16
ITEMS_MADE_A_ROUND = 4
NEEDLE_MAX = 100
SHORT_TEXT = 30_000
"""
How CPython finds a text in another: letter by letter up to these lengths, in linear time past them.
"""


class Allowance:
    """What is left for one evaluation."""

    __slots__ = ("_ends_at", "_look_at", "left")

    def __init__(self) -> None:
        self.left = ROUNDS_MAX
        self._look_at = ROUNDS_MAX - ROUNDS_A_LOOK
        self._ends_at = 0.0

    def spend(self, rounds: int) -> None:
        """Raises ``SecurityError`` when there is nothing left."""
        self.left -= rounds
        if self.left < self._look_at:
            self._look()

    def _look(self) -> None:
        if self.left < 0:
            raise SecurityError(
                f"more than {ROUNDS_MAX} rounds of loops, or as much other work, are not allowed"
            )
        now = thread_time()
        # what ran before the first look is too little to be counted
        self._ends_at = self._ends_at or now + CPU_SECONDS
        if now > self._ends_at:
            raise SecurityError(f"it takes more than {CPU_SECONDS * 1000:.0f} ms")
        self._look_at = self.left - ROUNDS_A_LOOK


_allowance: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


def begin() -> None:
    """Give what is evaluated from now on in this context a full allowance."""
    _allowance.set(Allowance())


def spend(rounds: int) -> None:
    """Pay for work. Raises ``SecurityError`` when there is nothing left."""
    allowance = _allowance.get()
    if allowance is not None:
        allowance.spend(rounds)


def weight(value: Any) -> int:
    """What it costs in rounds to read a value whole, all that is inside it included."""
    if isinstance(value, str):
        return len(value) // TEXT_A_ROUND
    if isinstance(value, list | tuple | dict):
        return tree_size(value) // ITEMS_A_ROUND
    return len(value) // ITEMS_A_ROUND if isinstance(value, range) else 0


def tree_size(value: Any) -> int:
    """
    The values inside a list or mapping, long texts as several. Counting ends where the allowance
    would.
    """
    allowance = _allowance.get()
    enough = (allowance.left if allowance is not None else ROUNDS_MAX) * ITEMS_A_ROUND
    size, stack = 0, [value]
    while stack and size <= enough:
        current = stack.pop()
        if isinstance(current, dict):
            size += len(current)  # its keys
            current = current.values()
        size += len(current) + 2
        for one in current:
            if isinstance(one, str):
                size += len(one) // ITEMS_A_ROUND
            elif isinstance(one, list | tuple | dict):
                stack.append(one)
    return size


def read(value: Any) -> Any:
    """A value that an operator is about to read whole, paid for."""
    kind = type(value)
    if kind is str:
        if len(value) >= TEXT_A_ROUND:
            spend(len(value) // TEXT_A_ROUND)
    elif kind is list or kind is dict or isinstance(value, str | tuple | range):
        spend(1 + weight(value))
    return value


def found_in(value: Any, where: Any) -> bool:
    """``value in where``, paid for."""
    if isinstance(where, str) and isinstance(value, str):
        seek(value, where)
    elif not isinstance(where, Mapping):
        read(where)
    return value in where


def seek(needle: str, text: str) -> None:
    """Pay for finding a text in another."""
    if len(text) >= TEXT_A_ROUND:
        letters = min(len(needle), NEEDLE_MAX) if len(text) < SHORT_TEXT else 1
        spend(len(text) * max(letters // 8, 1) // TEXT_A_ROUND)


def paid(value: Any) -> Any:
    """
    A text or list that was just made, paid for: all that one render makes fits into a few
    megabytes.
    """
    if isinstance(value, str):
        if len(value) >= TEXT_A_ROUND:
            spend(len(value) // TEXT_A_ROUND)
    elif isinstance(value, list | tuple):
        spend(len(value) // ITEMS_MADE_A_ROUND)
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
    spend(size // ITEMS_MADE_A_ROUND)
    return value


def counted(values: Iterable[Any], rounds: int) -> Iterator[Any]:
    """The values of a loop, each of whose rounds costs so much."""
    if values is None:
        raise NullValue("a value is null")
    if not isinstance(values, Iterable):
        raise TemplateRuntimeError("only a list can be looped over")
    allowance = _allowance.get()
    for value in values:
        if allowance is not None:
            allowance.spend(rounds)
        yield value
