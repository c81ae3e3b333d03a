"""The callers that wait for the engine's answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from orchestrator.engine.commands import Command

log = structlog.get_logger()

T = TypeVar("T")

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


def settle(future: asyncio.Future[Any], result: Any) -> None:
    """Set a future's result or exception, unless its owner has gone."""
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
        future.exception()  # a submitter that went away must not leave a warning behind
    else:
        future.set_result(result)


class Callers:
    """Those who wait for answers, and learn soon that the store is away."""

    WAIT_SECONDS = 3.0
    """Their commands are kept and decided in the end; they may submit them again."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[Any]] = set()

    async def wait(self, answers: asyncio.Future[T]) -> T:
        """The answers, or the error of ``give_up``."""
        self._waiting.add(answers)
        try:
            return await answers
        finally:
            self._waiting.discard(answers)

    def give_up(self, away_seconds: float, error: Exception) -> None:
        """The store has been away for so long."""
        if away_seconds >= self.WAIT_SECONDS:
            for answers in tuple(self._waiting):
                settle(answers, error)


def answer(waiting: Waiting, result: Any) -> None:
    """Give a command its answer; a caller that fails on it takes nobody's answer with it."""
    try:
        waiting.on_result(result)
    except Exception:
        log.exception("engine.caller_failed", command=type(waiting.command).__name__)
