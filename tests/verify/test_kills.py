"""Kill -9 at any moment: nothing accepted is lost, nothing is sent twice."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.verify.chaos import settings, tours
from tests.verify.chaos.checker import Report
from tests.verify.chaos.counts import counted
from tests.verify.chaos.faults import Journal
from tests.verify.chaos.known import Known
from tests.verify.chaos.ledger import Ledger
from tests.verify.chaos.stored import of_sqlite
from tests.verify.chaos.tours_checker import check_tours
from tests.verify.chaos.witnesses import witnesses
from tests.verify.installation import Installation

pytestmark = pytest.mark.verify

KILLS = int(os.environ.get("KILLS", "40"))
SEED = int(os.environ.get("SEED", "20261125"))
TERMINAL = {"succeeded", "exhausted", "suppressed", "expired", "cancelled"}
POLICY = """\
policy: kills
trigger: {event: kills.event}
class: transactional
deadline: 2m
cascade:
  - channel: viber
    wait: {delivered: 3s}
  - channel: sms
    wait: {delivered: 8s}
"""
TEMPLATES = {
    "kills/viber.text.j2": f"{settings.TEXT}: привіт",
    "kills/sms.text.j2": f"{settings.TEXT}: код",
}
TOURS_RATE = 0.4
FRESH_FROM = 1_000_000
"""Recipients from this number on get one message each."""
SCRIPT = {
    "providers": {
        "infobip": {
            "random": {"refused": 0.1, "delivered": 0.5, "delays": {"delivered": [0.0, 2.0]}}
        },
        "twilio": {
            "random": {"refused": 0.05, "delivered": 0.9, "delays": {"delivered": [0.0, 2.0]}}
        },
    }
}


def event(number: int) -> dict[str, Any]:
    person = {"id": f"p-{number}", "phone": f"+38050{number:07d}", "locale": "uk"}
    return {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "kills",
        "type": "kills.event",
        "data": {"n": number, "recipient": person},
    }


class Publisher:
    """A backend that publishes until it is answered: the same event again, as every client must."""

    def __init__(self, place: Installation) -> None:
        self.place = place
        self.accepted: dict[str, set[str]] = {}
        self.stopping = False

    async def until_accepted(self, given: dict[str, Any]) -> dict[str, Any]:
        """The event's result."""
        while True:
            if (result := await self.place.accept(given)) is not None:
                return result
            await asyncio.sleep(0.05)

    async def run(self, worker: int, workers: int) -> None:
        number = FRESH_FROM + worker
        while not self.stopping:
            given = event(number)
            message = (await self.until_accepted(given))["messages"][0]
            self.accepted.setdefault(given["id"], set()).add(message)
            number += workers
            await asyncio.sleep(0.02)


async def test_kill_9_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    print(f"\nseed {SEED}, {KILLS} kills")
    ledger, stopping = Ledger(), asyncio.Event()
    async with Installation(tmp_path, {"kills": POLICY}, TEMPLATES) as place:
        tours.write(tmp_path)
        await place.script(SCRIPT)
        await place.start()
        publisher = Publisher(place)
        workers = [asyncio.create_task(publisher.run(number, 4)) for number in range(4)]
        lasting = tours.Tours(publisher.until_accepted, None, ledger, SEED, TOURS_RATE)
        workers.append(asyncio.create_task(lasting.run(stopping)))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.05, 1.5))
            place.kill()
            await place.start()
        publisher.stopping = True
        stopping.set()
        await asyncio.gather(*workers)
        messages = await settled(place, publisher)
        check(place, publisher, messages)
        await check_tours_and_digests(place, ledger)
        assert await place.drain() == 0


async def settled(place: Installation, publisher: Publisher) -> list[dict[str, Any]]:
    """Every message in its last state; they all have one by their deadline and a minute."""
    ids = [id for found in publisher.accepted.values() for id in found]
    for _ in range(200):
        messages = [await place.message(id) for id in ids]
        if all(message["status"] in TERMINAL for message in messages):
            return messages
        await asyncio.sleep(1)
    open_ones = [message["id"] for message in messages if message["status"] not in TERMINAL]
    raise AssertionError(f"{len(open_ones)} messages never ended: {open_ones[:5]}")


def check(place: Installation, publisher: Publisher, messages: list[dict[str, Any]]) -> None:
    """
    P1, P2 and P3 from the outside: what was published, what the stand-ins took, what the API says.
    """
    twice = {id for id, found in publisher.accepted.items() if len(found) != 1}
    assert not twice, f"events with more than one message: {twice}"
    # everybody gets one message of the policy; what lasts is for others, and judged apart
    mine = [one for one in place.accepted() if int(one["address"][-7:]) >= FRESH_FROM]
    taken = Counter((one["provider"], one["address"]) for one in mine)
    doubled = {key: count for key, count in taken.items() if count > 1}
    assert not doubled, f"taken more than once: {doubled}"
    assert taken, "the stand-ins took nothing: this run proves nothing"
    statuses = Counter(message["status"] for message in messages)
    unknown = sum(
        attempt["outcome"] == "unknown" for message in messages for attempt in message["attempts"]
    )
    print(
        f"{len(messages)} messages: {dict(statuses)}; {sum(taken.values())} taken, {unknown}"
        " outcomes unknown"
    )
    for message in messages:
        for attempt in message["attempts"]:
            assert attempt["outcome"] in ("accepted", "refused", "unknown", "not_sent"), message
        sent = [
            attempt
            for attempt in message["attempts"]
            if attempt["outcome"] in ("accepted", "unknown")
        ]
        assert len({attempt["step"] for attempt in sent}) == len(sent), (
            f"a step sent twice: {message}"
        )


async def check_tours_and_digests(place: Installation, ledger: Ledger) -> None:
    """
    Every promise about journeys, digests and the experiment, once all of them have ended, and that
    the reports count what the store has.
    """
    for _ in range(120):
        open_ones = [
            one
            for path in ("journeys?status=running", "messages?status=accepted")
            for one in (await place.get(f"/v1/{path}"))["items"]
        ]
        open_ones += (await place.get("/v1/messages?status=running"))["items"]
        if not open_ones:
            break
        await asyncio.sleep(1)
    messages = await place.pages("/v1/messages")
    seen = witnesses(ledger, place.accepted(), messages, Journal())
    runs = await place.pages("/v1/journeys")
    known = Known(seen, place.accepted(), runs, of_sqlite(place.folder / "kaskad.db"))
    report = Report()
    check_tours(known, await counted(place.config, place.get), report)
    print("\n".join(f"{name}: {found}" for name, found in report.figures.items()))
    assert ledger.tours, "no journey began: this run proves nothing"
    assert ledger.triggers, "no digest was triggered: this run proves nothing"
    assert not report.broken, "\n".join(report.broken)
