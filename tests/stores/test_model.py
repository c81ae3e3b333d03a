"""
Both stores, given the same drawn sequence of commands, answer the same and hold the same documents.

SQLite and PostgreSQL share almost no SQL, so that each is the other's oracle: a column that an
``on conflict`` leaves out, a missing ``and``, an order, a key of an index shows as a difference.
The keys are few, so that most commands meet rows of commands before them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestrator.core.message import Message, Status
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from orchestrator.stores.named import Named
from orchestrator.stores.port import Store
from orchestrator.stores.postgres.store import PostgresStore
from orchestrator.stores.rows import (
    ApiKeyRow,
    ChangedMessage,
    Changes,
    ContactRow,
    CreatedMessage,
    DeadLetterRow,
    NewEventRow,
    NewStatusEvent,
    OrphanRow,
    ReadyRow,
    ReferenceRow,
    TimerRow,
    Wanted,
    WantedAddresses,
)
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.stores.window_rows import DedupeRow

NOW = 1_795_000_000_000
DAY_MS = 86_400_000
PEOPLE, HASHES, CHANNELS = ("ann", "bob"), ("h1", "h2"), ("sms", "email")
PROVIDERS, KEYS, QUEUES = ("texts", "mail"), ("k1", "k2"), ("texts", "mail", "")
IDS = tuple(f"01KTESTS{n:018d}" for n in range(4))
SINKS = ("one", "two")
EVENTS = tuple((source, id) for source in ("shop", "till") for id in ("1", "2"))
REFERENCES = tuple((provider, key) for provider in PROVIDERS for key in KEYS)
CONTACTS = tuple((hash, channel) for hash in HASHES for channel in CHANNELS)
WINDOWS = tuple((policy, who, key) for policy in ("p", "q") for who in PEOPLE for key in KEYS)
REASONS = (Reason.TEMPLATE_ERROR, Reason.NO_ADDRESS)
EXAMPLES = 60
GROWN = (
    *("events", "messages", "finished", "message_events", "history", "provider_references"),
    *("ready", "timers", "outbox", "recipients", "addresses", "contacts"),
    *("orphans", "dedupes", "dead_letters", "versions", "secrets", "api_keys", "spending"),
    *("receipt_counts",),
)

number = st.integers(0, 3)
instants = number.map(lambda n: NOW + n * 1_000)
small = st.binary(max_size=4)


def documents(**fields: Any) -> st.SearchStrategy[bytes]:
    return st.integers(0, 9).map(lambda n: b'{"n":%d}' % n)


def message(n: int, status: Status, due_at: int | None, tag: int) -> Message:
    """A message whose recipient and policy follow from its number, as they never change."""
    finished = status not in (Status.RUNNING, Status.ACCEPTED)
    return Message(
        id=IDS[n],
        event_source="shop",
        event_id=str(n),
        event_type="t",
        recipient=PEOPLE[n % 2],
        policy=("p", "q")[n // 2],
        policy_version=f"v{tag}",
        message_class="service",
        topic="t",
        created_at=NOW + n,
        deadline_at=NOW + DAY_MS,
        currency=None,
        status=status,
        due_at=due_at,
        finished_at=NOW + tag if finished else None,
        reason=(None, *REASONS)[tag % 3] if finished else None,
    )


def joined(kind: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a row of a key, which fills its first columns, and of the others."""
    return lambda key, *others: kind(*key, *others)


def rows_of(kind: Callable[..., Any], *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, *parts)


BATCHES = st.fixed_dictionaries(
    {
        "at": instants,
        "events": st.lists(
            rows_of(
                joined(NewEventRow),
                *(st.sampled_from(EVENTS), small, st.sampled_from(("accepted", "unmatched"))),
                *(st.sampled_from(((), ("a",), ("a", "b"))), instants),
            ),
            max_size=1,
        ),
        "messages": st.lists(
            st.tuples(
                number,
                st.sampled_from((Status.RUNNING, Status.RUNNING, Status.SUCCEEDED)),
                st.one_of(st.none(), instants),
                st.integers(0, 9),
            ),
            max_size=2,
            unique_by=lambda one: one[0],
        ),
        "ready": st.lists(
            st.builds(
                ReadyRow, st.sampled_from(QUEUES), number, instants, st.sampled_from(IDS), number
            ),
            max_size=2,
        ),
        "unready": st.lists(
            st.builds(
                ReadyRow, st.sampled_from(QUEUES), number, instants, st.sampled_from(IDS), number
            ),
            max_size=2,
        ),
        "references": st.lists(
            rows_of(
                joined(ReferenceRow),
                *(st.sampled_from(REFERENCES), st.sampled_from(IDS), number),
            ),
            max_size=1,
        ),
        "contacts": st.lists(
            rows_of(
                joined(ContactRow),
                *(st.sampled_from(CONTACTS), st.sampled_from(IDS), number),
                *(st.sampled_from(("", "h1")), instants),
            ),
            max_size=2,
            unique_by=lambda row: row[:2],
        ),
        "orphans": st.lists(
            rows_of(
                joined(OrphanRow),
                *(st.sampled_from(REFERENCES), instants, small),
            ),
            max_size=2,
        ),
        "orphans_joined": st.lists(st.sampled_from(REFERENCES), max_size=1),
        "recipients": st.dictionaries(st.sampled_from(PEOPLE), documents(), max_size=2),
        "addresses": st.dictionaries(st.sampled_from(HASHES), documents(), max_size=2),
        "dedupes": st.lists(
            rows_of(
                joined(DedupeRow),
                *(st.sampled_from(WINDOWS), st.sampled_from(IDS), instants),
            ),
            max_size=2,
            unique_by=lambda row: row[:3],
        ),
        "outbox": st.lists(
            st.builds(
                NewStatusEvent, st.sampled_from(("s1", "s2")), st.sampled_from(PEOPLE), small
            ),
            max_size=2,
        ),
        "dead_letters": st.lists(
            st.builds(
                DeadLetterRow,
                *(st.sampled_from(("d1", "d2", "d3")), instants, st.just("kafka")),
                *(st.sampled_from(("bad_json", "conflict")), st.just("why")),
                *(st.just({"k": "v"}), st.sampled_from((b"{", b'{"subject": "ann"}'))),
            ),
            max_size=1,
        ),
        "erased": st.lists(st.sampled_from(PEOPLE), max_size=1),
        "spent": st.dictionaries(
            st.tuples(st.sampled_from(CHANNELS), st.sampled_from(("2026-01-01", "2026-01-02"))),
            st.integers(-5, 9),
            max_size=2,
        ),
    }
)
COMMANDS = st.one_of(
    BATCHES.map(lambda batch: ("commit", batch)),
    BATCHES.map(lambda batch: ("commit", {**batch, "erased": []})),
    st.tuples(st.just("delivered"), st.sampled_from(SINKS)),
    st.tuples(st.just("resolve"), st.sampled_from(("d1", "d2")), instants),
    st.tuples(st.just("keep"), st.sampled_from(KEYS), st.sampled_from(KEYS), number),
    st.tuples(st.just("secret"), st.sampled_from(("signing", "pepper")), st.booleans(), instants),
    st.tuples(st.just("api_key"), st.sampled_from(KEYS), instants),
    st.tuples(st.just("revoke"), st.sampled_from(KEYS), instants),
    st.tuples(st.just("count"), st.sampled_from(CHANNELS), number, number, number),
    st.tuples(st.just("purge"), st.sampled_from((0, 11 * DAY_MS, 31 * DAY_MS))),
)


class Known:
    """What a caller of the store must know to obey its contract: what exists already."""

    def __init__(self) -> None:
        self.events: set[tuple[str, str]] = set()
        self.messages: dict[str, Message] = {}
        self.api_keys: set[str] = set()

    def changes(self, batch: dict[str, Any]) -> Changes:
        """The batch as the engine would commit it: nothing is created twice, or ended twice."""
        at = batch["at"]
        changes = Changes(at=at)
        for row in batch["events"]:
            if row[:2] not in self.events:
                self.events.add(row[:2])
                changes.events.append(row)
        for n, status, due_at, tag in batch["messages"]:
            self._message(changes, message(n, status, due_at, tag))
        if changes.created or changes.changed:  # the backlog follows from messages
            changes.ready_in = batch["ready"]
            # a batch writes the difference of before and after: no row is in both
            changes.ready_out = [row for row in batch["unready"] if row not in batch["ready"]]
        changes.buckets.update({id: n % 2 for n, id in enumerate(IDS)})
        for name in (
            *("references", "contacts", "orphans", "orphans_joined", "recipients"),
            *("addresses", "dedupes", "outbox", "dead_letters", "erased", "spent"),
        ):
            setattr(changes, name, batch[name])
        for person in changes.erased:
            changes.recipients = {k: v for k, v in changes.recipients.items() if k != person}
            changes.unwanted.append(Named(person))
        return changes

    def _message(self, changes: Changes, made: Message) -> None:
        known = self.messages.get(made.id)
        if known is not None and known.finished_at is not None:
            made = replace(made, status=known.status, finished_at=made.finished_at or NOW)
        lines = b'{"at":%d,"fact":{"kind":"Due","due_at":1},"decision":[],"effects":[]}\n'
        line = lines % (changes.at + len(made.policy_version))
        if known is None:
            changes.created.append(
                CreatedMessage(made, {"ce": {"id": made.id}, "data": {"n": 1}}, line)
            )
        else:
            changes.changed.append(ChangedMessage(made, line))
            if known.due_at is not None and known.due_at != made.due_at:
                changes.timers_out.append(TimerRow(known.due_at, made.id))
        if made.due_at is not None and (known is None or known.due_at != made.due_at):
            changes.timers_in.append(TimerRow(made.due_at, made.id))
        self.messages[made.id] = made


async def play(store: Store, commands: list[tuple[Any, ...]], known: Known) -> list[Any]:
    """The store's answers to the commands and, at the end, to every question there is."""
    answers: list[Any] = []
    for command in commands:
        match command:
            case ("commit", batch):
                async with store.unit() as unit:
                    await unit.commit(known.changes(batch))
            case ("delivered", sink):
                if events := await store.outbox(sink, 2):
                    await store.delivered(sink, [event.sequence for event in events])
            case ("resolve", id, at):
                await store.resolve_dead_letter(id, at)
            case ("keep", name, version, n):
                await store.keep_version("policy", name, version, {"n": n})
            case ("secret", purpose, first, at):
                await store.add_secret(
                    purpose, str(at).encode(), at, unless_since=0 if first else None
                )
            case ("api_key", id, at):
                if id not in known.api_keys:
                    known.api_keys.add(id)
                    await store.add_api_key(
                        ApiKeyRow(id, f"hash-{id}", ("events", "messages"), at, None)
                    )
            case ("revoke", id, at):
                answers.append(await store.revoke_api_key(id, at))
            case ("count", channel, minute, sent, delivered):
                await store.count_receipts([(channel, minute, sent, delivered)])
            case ("purge", later):
                answers.append(await store.purge(NOW + later))
    found = await everything(store)
    if any(command[0] == "purge" and command[1] for command in commands):
        del found["outbox"]  # PostgreSQL measures the age of these by its own clock
    answers.append(found)
    return answers


async def everything(store: Store) -> dict[str, Any]:
    """The answer to every question of the port, in one document that can be compared."""
    wanted = Wanted(
        *(set(EVENTS), set(IDS), set(REFERENCES), set(CONTACTS), set(PEOPLE), set(PEOPLE))
    )
    loaded = await store.load(wanted)
    async with store.unit() as unit:
        locked = await unit.load(wanted)
        addresses = await unit.load_addresses(
            WantedAddresses(set(HASHES), set(REFERENCES), set(), set(WINDOWS))
        )
    outboxes = {sink: await store.outbox(sink, 50) for sink in SINKS}
    return {
        "loaded": loaded,
        "locked": locked,
        "addresses": addresses,
        "queues": await store.queues(),
        "claimed": [
            await store.claim(queue, limit, (), lanes)
            for queue in QUEUES
            for limit, lanes in ((50, (0, 3)), (1, (0, 3)), (50, (1, 2)))
        ],
        "depths": {key: count for key, count in (await store.depths()).items() if count},
        "due": [await store.due(NOW + 1_000, limit, otp) for limit in (1, 50) for otp in (False,)],
        "next": [await store.next_due(), await store.next_due(otp=True)],
        "messages": [await store.message(id) for id in IDS],
        "lists": [
            await store.messages(**given)
            for given in (
                *({}, {"recipients": ["ann", "bob"]}, {"policy": "p", "status": "running"}),
                *({"recipients": ["bob"], "before": IDS[3], "limit": 1}, {"status": "succeeded"}),
                {"reason": "template_error"},
                {"reason": "no_address", "since": IDS[1], "before": IDS[3]},
            )
        ],
        "people": [await store.recipient(id) for id in PEOPLE],
        "outbox": {sink: [event[1:] for event in events] for sink, events in outboxes.items()},
        "letters": [await store.dead_letters(before, 2) for before in (None, "d3", "d2")],
        "versions": [await store.version("policy", a, b) for a in KEYS for b in KEYS],
        "secrets": [
            [row[1:] for row in await store.secrets(purpose)] for purpose in ("signing", "pepper")
        ],
        "api_keys": [await store.api_key(f"hash-{key}") for key in KEYS],
        "spent": [await store.spent(day) for day in ("2026-01-01", "2026-01-02")],
        "receipts": [sorted(await store.receipt_counts(minute)) for minute in (0, 2)],
    }


async def compare(shared: PostgresStore, commands: list[tuple[Any, ...]]) -> None:
    """Play the commands on an empty embedded store and on the shared one, emptied."""
    embedded = SqliteStore(":memory:", sinks=SINKS, inline=True)
    await embedded.open()
    try:
        async with shared.connection() as connection:
            await connection.execute("; ".join(f"delete from {table}" for table in GROWN))
        shared.cache.clear()
        ours, theirs = [await play(store, commands, Known()) for store in (embedded, shared)]
        for left, right in zip(ours, theirs, strict=True):
            assert left == right
    finally:
        await embedded.close()


def test_both_stores_answer_the_same_to_any_sequence_of_commands(postgres_url: str) -> None:
    with asyncio.Runner() as runner:
        shared = PostgresStore(postgres_url, member="model", now=lambda: NOW, sinks=SINKS)
        runner.run(shared.open())

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.explicit, Phase.generate],  # to shrink takes longer than to read
        )
        @given(st.lists(COMMANDS, min_size=4, max_size=10))
        def played(commands: list[tuple[Any, ...]]) -> None:
            runner.run(compare(shared, commands))

        try:
            played()
        finally:
            runner.run(shared.close())
