"""The stand-in for an SMSC, with the product's own adapter as its counterpart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from adapters.smpp.smpp import Smpp, SmppSettings
from kaskad_testing import outgoing
from orchestrator import channels as ch
from tests.sandbox.sandbox_kit import ACCOUNTS, OTHER, WAIT_SECONDS, Bench, benched


@asynccontextmanager
async def bound(bench: Bench) -> AsyncIterator[tuple[Smpp, asyncio.Queue[Any]]]:
    own = {
        "host": "127.0.0.1",
        "port": bench.sandbox.center.port,
        "system_id": ACCOUNTS.smpp_system_id,
        "password": ACCOUNTS.smpp_password,
        "from": "Shop",
        "receipt_ids": "decimal",
    }
    adapter = Smpp(SmppSettings.model_validate(own), "smsc")
    reports: asyncio.Queue[Any] = asyncio.Queue()

    async def record(said: Sequence[ch.Report]) -> None:
        for one in said:
            reports.put_nowait(one)

    adapter.record = record
    await adapter.open()
    try:
        yield adapter, reports
    finally:
        await adapter.close()


async def test_a_message_is_taken_and_its_receipt_and_reply_come_over_the_bind() -> None:
    receipts = [["delivered", 0], ["replied", 0.05]]
    async with benched(script={"default": {"receipts": receipts}}) as bench:
        async with bound(bench) as (adapter, reports):
            taken = await adapter.send(outgoing())
            assert isinstance(taken, ch.Accepted)
            receipt = await asyncio.wait_for(reports.get(), WAIT_SECONDS)
            assert (receipt.state, receipt.provider_id) == (
                ch.Delivery.DELIVERED,
                taken.provider_id,
            )
            assert (await asyncio.wait_for(reports.get(), WAIT_SECONDS)).text == "OK"
        (entry,) = await bench.accepted("smsc")
        assert entry["content"]["text"] == "Ваш кошик чекає"


async def test_a_scripted_status_and_a_cut_are_what_the_sender_sees() -> None:
    script = {
        "providers": {"smsc": {"answer": {"throttle": 1}}},
        "addresses": {OTHER: {"answer": "cut_after_accept"}},
    }
    async with benched(script=script) as bench, bound(bench) as (adapter, _):
        assert isinstance(await adapter.send(outgoing()), ch.NotSent)
        assert isinstance(await adapter.send(outgoing("phone", OTHER)), ch.Unknown)
        assert len(await bench.accepted("smsc")) == 1
