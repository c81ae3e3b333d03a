"""Connections that are kept: what dies in the pool, what is cancelled, and what finds no place."""

from __future__ import annotations

import asyncio

import pytest

from adapters.email import smtp as smtps
from orchestrator import channels as ch
from tests.adapters.relay import CUT, SILENT, Relay, adapter, message


async def test_a_connection_that_died_in_the_pool_costs_nothing() -> None:
    async with Relay() as relay, adapter(relay.port, pool=3) as own:
        await asyncio.gather(*(own.send(message()) for _ in range(3)))
        opened = relay.connections
        relay.hang_up()
        assert await own.send(message()) == ch.Accepted("4F2A1B")
        assert (relay.connections, len(relay.taken)) == (opened + 1, 4)


@pytest.mark.parametrize(
    "reply", [CUT, "421 4.4.2 Idle for too long", "452 4.5.3 Too many mails", "550 5.7.0 Enough"]
)
async def test_a_pooled_connection_that_has_had_enough_is_replaced(reply: str) -> None:
    async with Relay() as relay, adapter(relay.port) as own:
        await own.send(message())
        relay.says["MAIL"] = [reply]
        assert await own.send(message()) == ch.Accepted("4F2A1B")
    assert (relay.connections, len(relay.taken)) == (2, 2)


async def test_a_pooled_connection_that_only_looks_alive_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(smtps, "STALE_SECONDS", 0.1)
    async with Relay() as relay, adapter(relay.port) as own:
        await own.send(message())
        relay.says["MAIL"] = [SILENT]
        assert await own.send(message()) == ch.Accepted("4F2A1B")
    assert (relay.connections, len(relay.taken)) == (2, 2)


@pytest.mark.parametrize("word", ["EHLO", "RCPT", "DATA"])
async def test_a_send_that_is_cancelled_before_its_dot_is_never_taken(word: str) -> None:
    async with Relay({word: [SILENT]}) as relay, adapter(relay.port, pool=1) as own:
        sending = asyncio.create_task(own.send(message()))
        await relay.until(word)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await own.send(message()) == ch.Accepted("4F2A1B")
        assert (relay.connections, len(relay.taken)) == (2, 1)


async def test_a_send_that_is_cancelled_after_its_dot_leaves_the_pool_sane() -> None:
    async with Relay({"DOT": [SILENT]}) as relay, adapter(relay.port, pool=1) as own:
        sending = asyncio.create_task(own.send(message()))
        await relay.until("DOT")
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await own.send(message("ivan@example.com")) == ch.Accepted("4F2A1B")
        assert (relay.connections, len(relay.taken)) == (2, 2)


async def test_a_mail_that_finds_all_connections_busy_is_withdrawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(smtps, "SLOT_SECONDS", 0.1)
    async with Relay({"DOT": [SILENT]}) as relay, adapter(relay.port, pool=1) as own:
        first = asyncio.create_task(own.send(message()))
        await relay.until("DOT")
        second = await own.send(message())
        assert isinstance(second, ch.NotSent) and second.reason is ch.Reason.START_TOO_LATE
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert len(relay.taken) == 1
