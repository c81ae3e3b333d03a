"""
One run from its seed to its table: load, faults, quiet, a rolling restart, the end of every
message, the checker.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from tests.support.postgres import Server
from tests.verify.chaos.checker import TERMINAL, Report, check
from tests.verify.chaos.counts import counted
from tests.verify.chaos.faults import Fault, Faults, Journal, drawn, rolling_restart
from tests.verify.chaos.known import Known
from tests.verify.chaos.ledger import Ledger
from tests.verify.chaos.load import Load
from tests.verify.chaos.stack import Stack
from tests.verify.chaos.stored import Stored, of_postgres, of_sqlite
from tests.verify.chaos.tours_checker import ENDS, check_tours
from tests.verify.chaos.witnesses import Witnesses, witnesses
from tests.verify.kafka_broker import Broker

SETTLE_SECONDS = 240.0
QUIET_SECONDS = 5.0
LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``rate`` is events a second; ``workers`` more than one needs PostgreSQL."""

    seed: int
    kills: int
    workers: int
    postgres: bool
    kafka: bool
    rate: float

    def __str__(self) -> str:
        store = "PostgreSQL" if self.postgres else "SQLite"
        kafka = "HTTP and a real Kafka broker" if self.kafka else "HTTP only"
        return (
            f"seed {self.seed}: {self.kills} kills, {self.workers} workers on {store}, {kafka},"
            f" {self.rate:g} events/s"
        )

    def faults(self) -> list[Fault]:
        return drawn(
            self.seed, self.kills, workers=self.workers, postgres=self.postgres, broker=self.kafka
        )


@asynccontextmanager
async def installation(folder: Path, plan: Plan) -> AsyncIterator[Stack]:
    """The real parts that a plan asks for, all of them gone afterwards."""
    server: Server | None = None
    broker: Broker | None = None
    try:
        if plan.postgres:
            server = Server(durable=True)
            await asyncio.to_thread(server.__enter__)
        if plan.kafka:
            (folder / "broker").mkdir()
            broker = Broker(folder / "broker")
            await asyncio.to_thread(broker.prepare)
            await broker.start()
        async with Stack(folder, workers=plan.workers, postgres=server, broker=broker) as place:
            yield place
    finally:
        if broker is not None:
            broker.stop()
        if server is not None:
            await asyncio.to_thread(server.close)


async def run(folder: Path, plan: Plan) -> tuple[Report, Witnesses]:
    """Everything that a plan says, and what the checker says of it."""
    ledger, journal = Ledger(), Journal()
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # a broker that is killed on purpose is expected
    async with installation(folder, plan) as place:
        load = Load(place, ledger, plan.seed, plan.rate)
        await load.start()
        began = time.monotonic()
        faults = Faults(place, journal)
        await faults.run(plan.faults(), plan.kills)
        await faults.over()
        hurt = time.monotonic() - began
        await asyncio.sleep(QUIET_SECONDS)
        restarted_at = time.time()
        await rolling_restart(place, journal, 1.0)
        await asyncio.sleep(1.0)
        await load.stop()
        began = time.monotonic()
        await settled(place, ledger)
        settling = time.monotonic() - began
        messages = [message async for message in place.messages()]
        seen = witnesses(ledger, place.accepted(), messages, journal)
        report = check(seen)
        report.add("a rolling restart left something unknown", unknown_since(seen, restarted_at))
        ends = await ends_on_topic(place.broker.address) if place.broker is not None else None
        if ends is not None:
            missing = [
                id
                for id, message in seen.messages.items()
                if message["status"] in TERMINAL and not ends.get(id)
            ]
            report.add("P1 an end that no status event reported", missing)
        runs, accepted = [run async for run in place.journeys()], place.accepted()
        known = Known(seen, accepted, runs, await stored_in(place), ends)
        check_tours(known, await counted(place.workers[0].config, place.get), report)
        summarise(report, seen, place)
        report.figures["seconds under faults, and to settle"] = f"{hurt:.0f}, {settling:.0f}"
        keep(folder, seen, table(plan, report))
    return report, seen


async def settled(place: Stack, ledger: Ledger) -> None:
    """
    Return when every accepted event has its message or its journey and all of these have ended, or
    when that takes too long.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        # journeys first: when none runs any more, none sends another message
        if await place.running_journeys() == 0 and await place.open_messages() == 0:
            messages = [message async for message in place.messages()]
            events = {message["event"]["id"] for message in messages}
            began = {run["key"] async for run in place.journeys()}
            gathered = sum(one["digest"]["events"] for one in messages if one["digest"])
            known = ledger.events.keys() <= events and ledger.tours.keys() <= began
            if known and len(ledger.triggers) <= gathered:
                return
        await asyncio.sleep(LOOK_SECONDS)


def unknown_since(seen: Witnesses, since: float) -> list[str]:
    """
    Attempts that lost their process after an instant since which processes only got a stop signal
    in order.
    """
    found = []
    for message, attempt in seen.attempts():
        died = (attempt["error"] or {}).get("reason") == "process_died"
        if died and attempt["times"]["intent"] > stamp(since):
            found.append(f"{message['id']}: {attempt['times']}")
    return found


def keep(folder: Path, seen: Witnesses, text: str) -> None:
    """
    Write the evidence beside the logs and the record: each fault with its time, and every message
    as the API showed it.
    """
    (folder / "journal.json").write_text(
        json.dumps([asdict(fault) for fault in seen.journal.faults], indent=1)
    )
    (folder / "ledger.json").write_text(json.dumps(seen.ledger.document(), default=sorted))
    (folder / "table.txt").write_text(text)
    (folder / "messages.json").write_text(
        "\n".join(json.dumps(one) for one in seen.messages.values())
    )


def stamp(at: float) -> str:
    """UTC seconds as the API writes them."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"


async def ends_on_topic(address: str) -> dict[str, set[str]]:
    """The ends that were published to the topic of status events, by message and journey."""
    consumer = AIOKafkaConsumer(
        "kaskad.statuses", bootstrap_servers=address, auto_offset_reset="earliest"
    )
    await consumer.start()
    ended: dict[str, set[str]] = {}
    while records := await consumer.getmany(timeout_ms=4_000):
        for record in (one for found in records.values() for one in found):
            body = json.loads(record.value or b"{}")
            if (status := str(body["type"]).rpartition(".")[2]) in TERMINAL | ENDS:
                ended.setdefault(body["subject"], set()).add(status)
    await consumer.stop()
    return ended


async def stored_in(place: Stack) -> Stored:
    """The rows of an installation's store."""
    if place.postgres is not None:
        return await of_postgres(place.store)
    return of_sqlite(place.folder / "kaskad.db")


def summarise(report: Report, seen: Witnesses, place: Stack) -> None:
    """The notes of the table beside the promises."""
    figures = report.figures
    counts = seen.journal.counts()
    figures["faults"] = dict(counts)
    figures["SIGKILLs of a worker"] = seen.journal.kills
    ways = Counter(way for event in seen.ledger.events.values() for way in event.by)
    figures["events accepted (by way, repeats among them)"] = (
        f"{len(seen.ledger.events)} {dict(ways)}"
    )
    figures["answers to publishers"] = dict(seen.ledger.answers)
    figures["messages by status"] = dict(
        Counter(message["status"] for message in seen.messages.values())
    )
    reasons = Counter(message["reason"] for message in seen.messages.values() if message["reason"])
    figures["messages by reason"] = dict(reasons)
    figures["attempts by outcome"] = dict(
        Counter(attempt["outcome"] for _, attempt in seen.attempts())
    )
    figures["taken by providers"] = dict(Counter(record.provider for record in seen.records))
    figures["workers that ended by themselves"] = len(place.exits)
    for code, words in Counter((one.code, one.words[:160]) for one in place.exits).most_common(5):
        figures[f"  {code[0]}: {code[1]}"] = words
    lags = sorted(seconds for _, seconds in seen.ledger.lags)
    if lags:
        figures["stand-ins' own lag, p99 and longest"] = (
            f"{lags[len(lags) * 99 // 100]:.3f} s, {lags[-1]:.3f} s"
        )


def table(plan: Plan, report: Report) -> str:
    """
    The figures for people: what was done and seen, then each promise with what speaks against it.
    """
    lines = [f"chaos, {plan}"]
    promises = {name for name in report.figures if name[:1] == "P" and name[1:2].isdigit()}
    for name, value in report.figures.items():
        if name not in promises:
            shown = (
                ", ".join(f"{key} {count}" for key, count in value.items())
                if isinstance(value, dict)
                else value
            )
            lines.append(f"  {name:<58} {shown}")
    for name in sorted(promises):
        lines.append(f"  {name:<58} {report.figures[name]}")
    return "\n".join(lines)
