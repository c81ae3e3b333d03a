"""Several processes on one PostgreSQL: who looks after what, and what none of them can do twice."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from orchestrator.channels import Delivery, Receipt
from orchestrator.core.message import Status
from orchestrator.core.outcomes import Accepted
from orchestrator.core.policy import Cap, Governance, Policy, Step
from orchestrator.dispatch.rates import Rate
from orchestrator.engine.commands import ApplyFact, OptOut, RecordReceipt, UnknownMessage
from orchestrator.stores.audit import AuditNote
from orchestrator.stores.code_rows import FreeCode, TakenCode
from orchestrator.stores.port import Moved, StoreBusy
from orchestrator.stores.postgres.members import share_of
from orchestrator.stores.postgres.schema import migrate
from orchestrator.stores.postgres.store import PostgresStore
from orchestrator.stores.rows import (
    BUCKETS,
    ChangedMessage,
    Changes,
    NewEventRow,
    Wanted,
    WantedAddresses,
    bucket_of,
)
from tests.engine.world import START, World

SMS = Policy("texts", "v1", "shop.event", (Step("sms", wait=(("delivered", 600_000),)),))
CAPPED = Governance(caps=(Cap("three", 3, 86_400_000),), version="g1")


class Process(World):
    """One of several processes on the same store."""

    def __init__(
        self, name: str, url: str, *policies: Policy, governance: Governance | None = None
    ) -> None:
        super().__init__(*policies, governance=governance, emits_statuses=True)
        self.name = name
        self.database = url
        self._ids = (f"01K{name}{number:022d}" for number in itertools.count(1))

    def new_store(self) -> PostgresStore:
        return PostgresStore(
            self.database, member=self.name, now=lambda: self.now, sinks=self.sinks
        )


@asynccontextmanager
async def processes(
    url: str, count: int, policy: Policy = SMS, governance: Governance | None = None
) -> AsyncIterator[list[Process]]:
    opened = [Process(name, url, policy, governance=governance) for name in "ABCDEFGH"[:count]]
    for process in opened:
        await process.open()
    for process in opened:
        # those who came first learn of the others at once
        await process.store._beat()  # type: ignore[attr-defined]
    try:
        yield opened
    finally:
        for process in opened:
            await process.close()


def recipient_with(test: Callable[[int], bool]) -> str:
    """A recipient whose bucket passes a test."""
    return next(
        f"user-{number}" for number in itertools.count() if test(bucket_of(f"user-{number}"))
    )


# ---- who looks after what


def test_every_bucket_falls_to_exactly_one_and_each_gets_about_its_part() -> None:
    members = ("a", "b", "c", "d")
    shares = [share_of(member, members) or () for member in members]
    assert sorted(bucket for share in shares for bucket in share) == list(range(BUCKETS))
    assert all(BUCKETS / 4 * 0.7 < len(share) < BUCKETS / 4 * 1.3 for share in shares)


def test_when_one_leaves_nothing_moves_but_its_own_share() -> None:
    before = {member: set(share_of(member, ("a", "b", "c")) or ()) for member in ("a", "b", "c")}
    after = {member: set(share_of(member, ("a", "b")) or ()) for member in ("a", "b")}
    assert before["a"] < after["a"]
    assert before["b"] < after["b"]


async def test_what_waits_is_seen_by_the_one_it_falls_to_and_by_nobody_else(
    postgres_url: str,
) -> None:
    async with processes(postgres_url, 2) as (a, b):
        for number in range(40):
            await a.publish(str(number), id=f"user-{number}")
        mine = {row.message for row in await a.store.claim("texts", 100, ())}
        theirs = {row.message for row in await b.store.claim("texts", 100, ())}
        assert len(mine) + len(theirs) == 40
        assert mine
        assert theirs
        assert not mine & theirs


async def test_the_work_of_one_that_leaves_falls_to_the_others_at_once(postgres_url: str) -> None:
    async with processes(postgres_url, 1) as (a,):
        b = Process("B", postgres_url, SMS)
        await b.open()
        for number in range(40):
            await b.publish(str(number), id=f"user-{number}")
        await b.close()
        await asyncio.sleep(0.2)
        assert len(await a.store.claim("texts", 100, ())) == 40


async def test_the_work_of_one_that_is_silent_falls_to_the_others(postgres_url: str) -> None:
    async with processes(postgres_url, 2) as (a, b):
        for number in range(40):
            await a.publish(str(number), id=f"user-{number}")
        for task in (b.store._beating,):  # type: ignore[attr-defined]
            task.cancel()
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            "update members set seen_at = seen_at - interval '16 seconds' where id = 'B'"
        )
        await connection.close()
        await a.store._beat()  # type: ignore[attr-defined]
        assert len(await a.store.claim("texts", 100, ())) == 40


async def test_what_one_leaves_for_another_wakes_it(postgres_url: str) -> None:
    async with processes(postgres_url, 2) as (a, b):
        woken: asyncio.Queue[str] = asyncio.Queue()
        b.store.on_wake(woken.put_nowait)
        theirs = recipient_with(lambda bucket: bucket in (share_of("B", ("A", "B")) or ()))
        await a.publish("1", id=theirs)
        assert await asyncio.wait_for(woken.get(), 5) == "texts"


async def test_a_code_that_one_only_takes_in_wakes_another_as_what_it_is(postgres_url: str) -> None:
    otp = Policy("otp", "v1", "shop.event", (Step("sms"),), message_class="otp")
    acceptor = Process("D", postgres_url, otp)
    async with processes(postgres_url, 1) as (worker,):
        woken: asyncio.Queue[str] = asyncio.Queue()
        worker.store.on_wake(woken.put_nowait)
        await acceptor.open(join=False)
        await acceptor.publish("1")
        assert await asyncio.wait_for(woken.get(), 5) == "urgent texts"
        await acceptor.close()


# ---- what none of them can do twice


async def test_a_cap_is_exact_however_many_race_for_it(postgres_url: str) -> None:
    async with processes(postgres_url, 4, SMS, CAPPED) as workers:
        ids = [(await workers[number % 4].publish(str(number))).messages[0] for number in range(12)]
        sends = [workers[number % 4].send(id) for number, id in enumerate(ids)]
        results = await asyncio.gather(*sends)
        assert sum(bool(one.decision.message.attempts) for one in results) == 3


async def test_the_same_event_at_two_processes_makes_one_message(postgres_url: str) -> None:
    async with processes(postgres_url, 4) as workers:
        published = await asyncio.gather(*(process.publish("same") for process in workers))
        assert sorted(one.status for one in published) == [
            "accepted",
            "duplicate",
            "duplicate",
            "duplicate",
        ]
        assert len({one.messages for one in published}) == 1


async def test_two_processes_that_prepare_the_same_step_make_one_intent(postgres_url: str) -> None:
    async with processes(postgres_url, 4) as workers:
        (id,) = (await workers[0].publish("1")).messages
        results = await asyncio.gather(
            *(process.send(id) for process in workers), return_exceptions=True
        )
        assert len((await workers[0].message(id)).attempts) == 1
        assert any(not isinstance(one, BaseException) for one in results)


async def test_an_opt_out_at_one_process_stops_what_another_is_about_to_send(
    postgres_url: str,
) -> None:
    async with processes(postgres_url, 2) as (a, b):
        (id,) = (await a.publish("1")).messages
        assert (await a.message(id)).ready()
        await b.engine.submit(OptOut(None, "+380501234567", None, "sms", "*", source="api"))
        await a.send(id)
        message = await a.message(id)
        assert message.status is Status.SUPPRESSED
        assert not message.attempts


async def test_nobody_else_sees_a_recipient_between_a_unit_s_load_and_its_end(
    postgres_url: str,
) -> None:
    async with processes(postgres_url, 2) as (a, b):
        await a.publish("1")
        async with a.store.unit() as unit:
            await unit.load(Wanted(recipients={"olena"}))
            other = asyncio.create_task(b.publish("2"))
            await asyncio.sleep(0.2)
            assert not other.done()
        assert (await other).status == "accepted"


async def test_a_receipt_that_races_with_its_own_answer_is_recorded(postgres_url: str) -> None:
    async with processes(postgres_url, 2) as (a, b):
        ids = [
            (await a.publish(str(number), id=f"user-{number}")).messages[0] for number in range(20)
        ]
        for number, id in enumerate(ids):
            receipt = Receipt(state=Delivery.DELIVERED, provider_id=f"ref-{number}")
            await asyncio.gather(
                a.send(id, Accepted(f"ref-{number}")),
                b.engine.submit(RecordReceipt("texts", receipt, None, None)),
            )
        for id in ids:
            assert (await b.message(id)).status is Status.SUCCEEDED


async def test_a_reference_that_became_known_meanwhile_sends_the_batch_back(
    postgres_url: str,
) -> None:
    async with processes(postgres_url, 1) as (a,):
        (id,) = (await a.publish("1")).messages
        async with a.store.unit() as unit:
            found = await unit.load(Wanted(references={("texts", "ref")}))
            assert not found.references
            await a.send(id, Accepted("ref"))
            with pytest.raises(Moved):
                await unit.load_addresses(WantedAddresses(unknown={("texts", "ref")}))


async def test_status_events_of_all_are_handed_out_once_by_the_processes_they_fall_to(
    postgres_url: str,
) -> None:
    async with processes(postgres_url, 2) as (a, b):
        for number in range(20):
            await (a, b)[number % 2].publish(str(number), id=f"user-{number}")
        mine, theirs = await a.store.outbox("statuses", 100), await b.store.outbox("statuses", 100)
        assert len({row[1] for row in (*mine, *theirs)}) == len(mine) + len(theirs) == 20
        await a.store.delivered("statuses", [row[0] for row in mine])
        assert await a.store.outbox("statuses", 100) == []
        assert len(await b.store.outbox("statuses", 100)) == len(theirs)


async def test_a_rate_is_one_bucket_for_all(postgres_url: str) -> None:
    async with processes(postgres_url, 3) as workers:
        buckets = [
            process.store.bucket("texts", 20.0, asyncio.get_running_loop().time)
            for process in workers
        ]
        started = asyncio.get_running_loop().time()
        granted = sum(await asyncio.gather(*(bucket.take(50) for bucket in buckets)))
        passed = asyncio.get_running_loop().time() - started
        assert 10 <= granted <= 10 + 20 * passed
        assert buckets[2].next_in() <= 0.05
        await buckets[0].pause(30)
        assert await buckets[1].take(1) == 0
        assert 29 < buckets[1].paused_for() <= 30


async def test_an_otp_that_waits_for_a_token_goes_before_everything_else_everywhere(
    postgres_url: str,
) -> None:
    async with processes(postgres_url, 2) as workers:
        here, there = (
            process.store.bucket("slow", 2.0, asyncio.get_running_loop().time)
            for process in workers
        )
        assert await here.take(1) == 1
        assert await there.take(1, urgent=True) == 0
        async with asyncio.timeout(10):
            while not await there.take(1, urgent=True):
                assert await here.take(1) == 0, "it has overtaken the OTP"
                await asyncio.sleep(0.05)
            await Rate(here, asyncio.get_running_loop().time).take_all(1, urgent=False)


async def test_no_session_starts_helpers_for_a_look(postgres_url: str) -> None:
    async with processes(postgres_url, 1) as (a,):
        assert isinstance(a.store, PostgresStore)
        (row,) = await a.store.fetch_text("show max_parallel_workers_per_gather")
        assert row[0] == "0"


# ---- starting together


async def test_processes_that_start_at_the_same_moment_migrate_once(
    empty_postgres_url: str,
) -> None:
    connections = [await asyncpg.connect(empty_postgres_url) for _ in range(4)]
    done = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(map(len, done))[:3] == [0, 0, 0]
    for connection in connections:
        await connection.close()


async def test_they_agree_on_the_first_secret(postgres_url: str) -> None:
    async with processes(postgres_url, 4) as workers:
        await asyncio.gather(
            *(
                process.store.add_secret("pepper", process.name.encode(), START, unless_since=0)
                for process in workers
            )
        )
        stored = [await process.store.secrets("pepper") for process in workers]
        assert len(stored[0]) == 1
        assert all(secrets == stored[0] for secrets in stored)


async def test_a_message_that_nobody_has_is_said_to_be_unknown(postgres_url: str) -> None:
    async with processes(postgres_url, 1) as (a,):
        with pytest.raises(UnknownMessage):
            await a.engine.submit(ApplyFact("01KNOBODY", None))  # type: ignore[arg-type]


# ---- the cache of a process


async def test_what_another_process_has_written_counts_though_this_one_has_the_message_in_its_cache(
    postgres_url: str,
) -> None:
    async with processes(postgres_url, 2) as (a, b):
        (message,) = (await a.publish()).messages
        await b.send(message)
        result = await a.engine.submit(
            RecordReceipt("texts", Receipt(state=Delivery.DELIVERED, provider_id=f"id-{message}"))
        )
        assert result.decision.message.attempts[0].state is Delivery.DELIVERED
        assert (await b.message(message)).status is Status.SUCCEEDED


async def test_a_row_that_was_changed_by_hand_is_read_again(postgres_url: str) -> None:
    async with processes(postgres_url, 1) as (a,):
        (message,) = (await a.publish()).messages
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            "update messages set state = convert_to(replace(convert_from(state, 'UTF8'),"
            ' \'"topic":""\', \'"topic":"news"\'), \'UTF8\')'
        )
        await connection.close()
        loaded = await a.store.load(Wanted(messages={message}))
        assert loaded.messages[message].message.topic == "news"


async def test_a_message_whose_commit_failed_is_read_as_it_was_before(postgres_url: str) -> None:
    async with processes(postgres_url, 1) as (a,):
        (message,) = (await a.publish()).messages
        async with a.store.unit() as unit:
            row = (await unit.load(Wanted(messages={message}))).messages[message]
            changed = row.message.copy()
            changed.topic = "never"
            with pytest.raises(StoreBusy):
                await unit.commit(
                    Changes(
                        changed=[ChangedMessage(changed, b"{}\n")],
                        events=[NewEventRow("s", "1", b"", "accepted", (), 0)] * 2,
                    )
                )
        assert (await a.store.load(Wanted(messages={message}))).messages[
            message
        ].message.topic == ""


async def test_the_last_codes_are_found_behind_those_that_another_process_takes(
    postgres_url: str,
) -> None:
    """It waits for what the other has locked, and must not take that for all there is."""
    async with processes(postgres_url, 2) as (one, other):
        codes = [FreeCode(f"h{n:02}", f"C{n}") for n in range(20)]
        note = AuditNote(one.new_id(), one.now, "test", "codes.imported", "spring")
        await one.store.import_codes("spring", "f", codes, one.now, note)
        async with one.store.unit() as first, other.store.unit() as second:
            mine = (await first.load_codes({"spring": 10}))["spring"]
            waiting = asyncio.create_task(second.load_codes({"spring": 15}))
            await until_one_waits(postgres_url)
            taken = [TakenCode("spring", code.hash, "m", one.now) for code in mine]
            await first.commit(Changes(at=one.now, codes_taken=taken))
            theirs = (await waiting)["spring"]
        assert mine + theirs == codes


async def until_one_waits(url: str) -> None:
    """Until a session waits for a lock of another one."""
    watcher = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(10):
            while not await watcher.fetchval(  # noqa: ASYNC110 - it is asked of a server
                "select count(*) from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
    finally:
        await watcher.close()
