"""The callers that wait for the engine's answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.commands import Command

OnResult = Callable[[Any], None]
"""Called with the answer to a command, or with the exception; it neither waits nor raises."""


@dataclass(slots=True)
class Waiting:
    """A command that has not been decided yet."""

    command: Command
    on_result: OnResult


class Waiter:
    """Waits for one answer."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def on_result(self, result: Any) -> None:
        settle(self.future, result)


class Waiters:
    """Waits for the answers to several commands, each at its own place."""

    __slots__ = ("future", "results", "waited_for")

    def __init__(self, count: int) -> None:
        self.future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.results: list[Any] = [None] * count
        self.waited_for = count

    def on_result(self, place: int, result: Any) -> None:
        self.results[place] = result
        self.waited_for -= 1
        if not self.waited_for:
            settle(self.future, self.results)


def settle(answer: asyncio.Future[Any], result: Any) -> None:
    """Set a future's result or exception, unless its owner has gone."""
    if answer.done():
        return
    if isinstance(result, BaseException):
        answer.set_exception(result)
        answer.exception()  # a submitter that went away must not leave a warning behind
    else:
        answer.set_result(result)
