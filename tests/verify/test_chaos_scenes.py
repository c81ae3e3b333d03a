"""
Scenes with several processes, each set up on purpose: a request to one process binds all of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Sequence, Set
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import postgres
from tests.verify.chaos import settings
from tests.verify.chaos.checker import Report, check, died
from tests.verify.chaos.faults import KILL, PAUSE, Journal
from tests.verify.chaos.ledger import Ledger, Stop
from tests.verify.chaos.load import FRESH_FROM
from tests.verify.chaos.processes import Worker
from tests.verify.chaos.run import Plan, installation
from tests.verify.chaos.stack import Stack
from tests.verify.chaos.tours import event
from tests.verify.chaos.witnesses import Witnesses, seconds, witnesses

pytestmark = [
    pytest.mark.verify,
    pytest.mark.skipif(
        postgres.missing() is not None, reason=f"NO POSTGRESQL IN THIS RUN: {postgres.missing()}"
    ),
]

BLAST = int(os.environ.get("BLAST", "20000"))
BATCH = 500
BATCH_TYPE = "application/cloudevents-batch+json"
SLOW = {"providers": {"infobip": {"answer": {"late": 1.5}}, "bulk_sms": {"receipts": "never"}}}
ENDED_SECONDS = 150.0
ASLEEP_SECONDS = 30.0
LOOK_SECONDS = 1.0
TAKEN_SECONDS = 60.0


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Stack]:
    plan = Plan(seed=1, kills=0, workers=3, postgres=True, kafka=False, rate=0)
    async with installation(tmp_path, plan) as found:
        yield found


async def publish(
    place: Stack, worker: Worker, given: Sequence[dict[str, Any]], policy: str, ledger: Ledger
) -> None:
    """A batch of events to one worker, accepted."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with place.session.post(
        f"{worker.url}/v1/events",
        data=json.dumps(given),
        headers={"content-type": BATCH_TYPE},
        timeout=timeout,
    ) as answer:
        body = await answer.json()
        assert answer.status == 202, body
    for sent, result in zip(given, body["results"], strict=True):
        who = sent["data"]["recipient"]["id"]
        ledger.took(sent["id"], policy, who, time.time(), "http", result["messages"][0])


def orders(count: int, kind: str = "order") -> list[dict[str, Any]]:
    return [
        event(f"e-{number}", f"chaos.{kind}", FRESH_FROM + number, number)
        for number in range(count)
    ]


async def ended(place: Stack, ledger: Ledger, journal: Journal) -> tuple[Report, Witnesses]:
    """The checker's report once every message has ended."""
    for _ in range(int(ENDED_SECONDS / LOOK_SECONDS)):
        if not await place.open_messages():
            break
        await asyncio.sleep(LOOK_SECONDS)
    messages = [message async for message in place.messages()]
    seen = witnesses(ledger, place.accepted(), messages, journal)
    report = check(seen)
    report.add("a worker ended by itself", [str(one) for one in place.exits])
    return report, seen


async def test_an_opt_out_taken_by_one_process_stops_what_another_is_about_to_send(
    place: Stack,
) -> None:
    ledger = Ledger()
    first, second = place.workers[:2]
    given = orders(6 * settings.BULK_RATE, "promo")
    await publish(place, second, given, "promo", ledger)
    await asyncio.sleep(1.5)
    people = [one["data"]["recipient"]["id"] for one in given]
    body = {"opt_outs": [{"recipient": id} for id in people]}
    async with place.session.post(f"{first.url}/v1/opt-outs", json=body) as answer:
        assert answer.status == 200, await answer.text()
    ledger.stops.extend(Stop("opt_out", time.time(), recipient=id) for id in people)
    report, seen = await ended(place, ledger, Journal())
    stopped = [message for message in seen.messages.values() if message["reason"] == "opted_out"]
    print(
        f"\n{len(seen.records)} had left before the opt-out was recorded, {len(stopped)} were"
        " stopped by it"
    )
    assert seen.records, "nothing was being sent: this proves nothing"
    assert stopped, "nothing was left to stop: this proves nothing"
    assert len(stopped) + len(seen.records) == len(given)
    assert not report.broken, "\n".join(report.broken)


async def test_a_process_that_wakes_late_does_not_send_what_another_has_taken_over(
    place: Stack,
) -> None:
    ledger, journal = Ledger(), Journal()
    await place.script(SLOW)
    sleeper, awake = place.workers[0], place.workers[1:]
    await publish(place, sleeper, orders(400), "order", ledger)
    await asyncio.sleep(1.0)
    happened = journal.begin(PAUSE, sleeper.name)
    sleeper.pause()
    asked = [f"{worker.url}/v1/messages?limit=1" for worker in awake]
    await asyncio.sleep(ASLEEP_SECONDS)
    for url in asked:
        async with place.session.get(url) as answer:
            assert answer.status == 200, "the others stand still because one does"
    sleeper.resume()
    happened.until = time.time()
    report, seen = await ended(place, ledger, journal)
    taken_over = list(died(seen))
    late = report.figures["sends after their takeover (counted, documented)"]
    print(
        f"\nasleep for {ASLEEP_SECONDS:.0f} s: {len(taken_over)} intents taken over, {late} sent"
        " late, none twice"
    )
    assert taken_over, "the sleeper had nothing in hand: this proves nothing"
    assert not report.broken, "\n".join(report.broken)


async def test_what_a_killed_process_had_in_hand_is_taken_over(place: Stack) -> None:
    ledger, journal = Ledger(), Journal()
    await place.script(SLOW)
    victim = place.workers[0]
    await publish(place, victim, orders(400), "order", ledger)
    await asyncio.sleep(1.0)
    happened = journal.begin(KILL, victim.name)
    victim.kill()
    report, seen = await ended(place, ledger, journal)
    happened.until = time.time()
    took = sorted(answered - happened.at for _, _, answered in died(seen))
    assert took, "the victim had nothing in hand: this proves nothing"
    print(
        f"\n{len(took)} intents of a killed process taken over after {took[0]:.1f} to"
        f" {took[-1]:.1f} s"
    )
    assert not report.broken, "\n".join(report.broken)


async def test_a_code_does_not_wait_behind_a_blast(place: Stack) -> None:
    ledger = Ledger()
    idle = await codes(place, ledger, 0, 60)
    blasting = asyncio.create_task(blast(place, ledger))
    await asyncio.sleep(1.0)
    began = time.monotonic()
    busy = await codes(place, ledger, 60, 150)
    number = 210
    while not blasting.done():
        busy |= await codes(place, ledger, number, 20)
        number += 20
    took = await blasting
    records = await taken_at(place, idle.keys() | busy.keys())
    print(
        f"\n{BLAST} promotional messages accepted in {took:.0f} s, codes through the same provider"
        " meanwhile:"
    )
    for name, found in (("idle", idle), ("under the blast", busy)):
        assert found.keys() <= records.keys(), (
            f"codes never taken: {sorted(found.keys() - records.keys())[:5]}"
        )
        for stage, waits in (await stages(place, found, records)).items():
            spread = [waits[len(waits) * share // 100] for share in (50, 99)]
            print(
                f"  {name:<16} {len(waits)} codes, {stage:<22} median {spread[0]:.3f} s, p99"
                f" {spread[1]:.3f} s"
            )
    taken = [line["content"]["text"].rpartition("n=")[2] for line in place.accepted()]
    assert len(taken) == len(set(taken)), "something was taken twice"
    assert sum(entry.policy == "blast" for entry in ledger.events.values()) == BLAST
    print(f"  measured over {time.monotonic() - began:.0f} s; {len(taken)} messages taken by then")


async def stages(
    place: Stack, accepted: dict[str, str], records: dict[str, float]
) -> dict[str, list[float]]:
    """
    The latencies of each OTP: from acceptance to intent, from there to the provider, and in total;
    sorted.
    """
    found: dict[str, list[float]] = {
        "accepted to provider": [],
        "accepted to intent": [],
        "intent to provider": [],
    }
    for number, id in accepted.items():
        message = await place.get(f"/v1/messages/{id}")
        at, intent = (
            seconds(message["created_at"]),
            seconds(message["attempts"][-1]["times"]["intent"]),
        )
        for stage, took in zip(
            found, (records[number] - at, intent - at, records[number] - intent), strict=True
        ):
            found[stage].append(max(0.0, took))
    return {stage: sorted(took) for stage, took in found.items()}


async def taken_at(place: Stack, numbers: Set[str]) -> dict[str, float]:
    """
    The time each message was taken, by its number, once all of ``numbers`` have been or a minute
    has passed.
    """
    deadline = time.monotonic() + TAKEN_SECONDS
    while True:
        records = {
            line["content"]["text"].rpartition("n=")[2]: line["at"] for line in place.accepted()
        }
        if numbers <= records.keys() or time.monotonic() > deadline:
            return records
        await asyncio.sleep(LOOK_SECONDS)


async def codes(place: Stack, ledger: Ledger, first: int, count: int) -> dict[str, str]:
    """
    One-time codes, one after the other, each to another worker; their messages by their numbers.
    """
    accepted: dict[str, str] = {}
    for number in range(first, first + count):
        given = event(f"c-{number}", "chaos.blast_code", FRESH_FROM + number, -number - 1)
        worker = place.workers[number % len(place.workers)]
        await publish(place, worker, [given], "code_behind_blast", ledger)
        accepted[str(-number - 1)] = next(iter(ledger.events[given["id"]].messages))
        await asyncio.sleep(0.05)
    return accepted


async def blast(place: Stack, ledger: Ledger) -> float:
    """The blast, in batches to every worker; the seconds until all of it was accepted."""
    began = time.monotonic()
    starts = iter(range(0, BLAST, BATCH))

    async def one_after_another(worker: Worker) -> None:
        for start in starts:
            numbers = range(start, min(BLAST, start + BATCH))
            given = [event(f"b-{n}", "chaos.blast", 2 * FRESH_FROM + n, n) for n in numbers]
            await publish(place, worker, given, "blast", ledger)

    await asyncio.gather(*(one_after_another(worker) for worker in place.workers))
    return time.monotonic() - began
