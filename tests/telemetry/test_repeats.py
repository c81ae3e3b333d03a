"""A cause that repeats writes a few lines, and says how many it has left out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from orchestrator.telemetry import repeats
from orchestrator.telemetry.logging import StandardError
from orchestrator.telemetry.repeats import BURST, CAUSES_MAX, LINE_EVERY_SECONDS, Repeats


class Log:
    """A log whose clock the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[dict[str, Any]] = []
        self.repeats = Repeats(lambda: self.now)
        structlog.configure(processors=[self.repeats, self._keep])

    def _keep(self, logger: Any, method: str, event: Any) -> Any:
        self.lines.append(dict(event))
        raise structlog.DropEvent

    def write(self, times: int, **more: Any) -> None:
        for number in range(times):
            structlog.get_logger().error("x.failed", message_id=str(number), **more)


@pytest.fixture
def log() -> Iterator[Log]:
    structlog.reset_defaults()  # others may have set a level
    yield Log()
    structlog.reset_defaults()


def test_a_cause_writes_a_burst_and_then_one_line_in_some_seconds(log: Log) -> None:
    log.write(1_000)
    assert len(log.lines) == BURST
    for _ in range(40):
        log.now += LINE_EVERY_SECONDS / 4
        log.write(100)
    assert len(log.lines) == BURST + 10


def test_the_next_line_says_how_many_were_left_out(log: Log) -> None:
    log.write(BURST + 5)
    log.now += LINE_EVERY_SECONDS
    log.write(1)
    assert [line.get("held_back") for line in log.lines[-2:]] == [None, 5]


@pytest.mark.parametrize(
    "more",
    [{"provider": "b"}, {"topic": "b"}, {"exc_info": ValueError()}, {"reason": "login"}],
    ids=str,
)
def test_another_provider_topic_error_or_reason_is_another_cause(
    log: Log, more: dict[str, Any]
) -> None:
    log.write(100)
    log.write(1, **more)
    assert len(log.lines) == BURST + 1


def test_another_message_is_no_other_cause(log: Log) -> None:
    log.write(100)
    assert len(log.lines) == BURST


def test_one_type_of_error_is_one_cause_however_it_is_handed_in(log: Log) -> None:
    for text in ("a", "b", "c", "d", "e", "f", "g", "h", "i"):
        try:
            raise ValueError(text)
        except ValueError as error:
            log.write(1, exc_info=True)
            log.write(1, exc_info=error)
            log.write(1, exc_info=sys.exc_info())
    assert len(log.lines) == BURST


async def test_a_cause_that_is_quiet_again_is_summed_up(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "LINE_EVERY_SECONDS", 0.01)
    log.write(BURST + 7, provider="relay")
    log.now += 1
    async with asyncio.timeout(10):
        while log.lines[-1]["event"] != "log.held_back":  # noqa: ASYNC110 - a log sends no events
            await asyncio.sleep(0.01)
    assert log.lines[-1]["cause"] == "x.failed relay"
    assert log.lines[-1]["count"] == 7


def test_the_causes_that_are_remembered_are_bounded(log: Log) -> None:
    for number in range(CAUSES_MAX * 2):
        log.write(1, provider=str(number))
    assert len(log.lines) == CAUSES_MAX * 2
    assert len(log.repeats._known) == CAUSES_MAX


def test_a_log_that_cannot_be_written_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

        flush = None

    monkeypatch.setattr(sys, "stderr", Full())
    assert StandardError().write("x") == 0
