"""
The real engine on a real SQLite store, with a clock that the test moves and provider answers that
the test gives.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from orchestrator.core.facts import Answered, Due, Prepared
from orchestrator.core.inputs import Provider
from orchestrator.core.message import Message
from orchestrator.core.outcomes import Accepted, Outcome
from orchestrator.core.policy import Governance, Policy
from orchestrator.core.recipient import Address
from orchestrator.engine.commands import ApplyFact, FactApplied, Publish, Published
from orchestrator.engine.engine import Engine, Ports
from orchestrator.engine.rules import Rules
from orchestrator.events.event import Event
from orchestrator.recipients.document import Person
from orchestrator.render import Conditions
from orchestrator.stores.port import Store
from orchestrator.stores.postgres.store import PostgresStore
from orchestrator.stores.rows import StoredMessage, Wanted
from orchestrator.stores.sqlite.store import SqliteStore

START = 1_795_000_000_000
PROVIDERS = {
    "viber_a": Provider("viber_a", "viber", ("phone",)),
    "mail": Provider("mail", "email", ("email",)),
    "texts": Provider("texts", "sms", ("phone",), cost="1.20"),
}
CHANNELS = {"viber": ("viber_a",), "email": ("mail",), "sms": ("texts",)}


def address_hash(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()[:32]


class Evaluator:
    """Expressions as the service evaluates them, each compiled once."""

    def __init__(self) -> None:
        self._conditions = Conditions()
        self._compiled: dict[str, Any] = {}

    def __call__(self, expression: str, scope: Mapping[str, Any]) -> Any:
        if expression not in self._compiled:
            self._compiled[expression] = self._conditions.compile(expression)
        return self._compiled[expression].evaluate(scope)


class World:
    """
    ``path`` None keeps the store in memory; ``url`` is set where the world stands on PostgreSQL
    instead.
    """

    url: ClassVar[str | None] = None

    def __init__(
        self,
        *policies: Policy,
        governance: Governance | None = None,
        path: Path | None = None,
        emits_statuses: bool = False,
    ):
        self.sinks = ("told",) if emits_statuses else ()
        self.now = START
        self.path = path
        self.rules = Rules(
            policies={policy.name: policy for policy in policies},
            governance=governance or Governance(),
            providers=PROVIDERS,
            channels=CHANNELS,
            currency="UAH",
            emits_statuses=emits_statuses,
        )
        self._ids = (f"01K{number:023d}" for number in itertools.count(1))
        self.condition_errors = 0

    @property
    def open_store(self) -> Any:
        """The store, for tests that replace a method of it or look behind its port."""
        return self.store

    async def __aenter__(self) -> World:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        self.store: Store = SqliteStore(self.path or ":memory:", inline=self.path is None)
        if self.url is not None:
            self.store = PostgresStore(
                self.url, member="test", now=lambda: self.now, sinks=self.sinks
            )
        await self.store.open()
        await self.store.join()
        self.engine = Engine(self.store, self.rules, self._ports())
        await self.engine.start()

    async def close(self) -> None:
        await self.engine.stop()
        await self.store.close()

    def _ports(self) -> Ports:
        return Ports(
            now=lambda: self.now,
            new_id=lambda: next(self._ids),
            evaluate=Evaluator(),
            address_hash=address_hash,
            view=lambda message, event: {"id": message.id, "status": message.status.value},
            policy=self._policy,
            observe=self._observe,
        )

    async def _policy(self, name: str, version: str) -> Policy:
        return self.rules.policies[name]

    def _observe(self, decided: Any, condition_errors: int) -> None:
        self.condition_errors += condition_errors

    def at(self, seconds: float) -> None:
        """Move the clock to ``seconds`` after the start."""
        self.now = START + int(seconds * 1000)

    async def publish(
        self,
        event_id: str = "1",
        data: Mapping[str, Any] | None = None,
        /,
        *,
        type: str = "shop.event",
        time: int | None = None,
        **person: Any,
    ) -> Published:
        """Publish an event for Olena, or whoever ``person`` is."""
        profile = {"id": "olena", "phone": "+380501234567", "email": "olena@example.com", **person}
        published: Published = await self.engine.submit(
            Publish(event(event_id, data or {}, type, time, [profile]))
        )
        return published

    async def send(self, message: str, outcome: Outcome | None = None) -> FactApplied:
        """What dispatch does for the first step that is ready."""
        loaded = await self.store.load(Wanted(messages={message}))
        row = loaded.messages[message]
        people = await self.store.load(Wanted(recipients={row.message.recipient}))
        run = row.message.ready()[0]
        person = Person(
            row.message.recipient, people.recipients.get(row.message.recipient), address_hash
        )
        provider = PROVIDERS[run.provider or ""]
        targets: tuple[Address, ...] = tuple(
            a for a in person.addresses if a.kind in provider.kinds
        )
        prepared = Prepared(run.step, provider.name, targets, "c", 1, provider.cost)
        told: FactApplied = await self.engine.submit(ApplyFact(message, prepared))
        for call in told.calls:
            told = await self.engine.submit(
                ApplyFact(message, Answered(call.attempt, outcome or Accepted(f"id-{message}")))
            )
        return told

    async def fire(self) -> int:
        """Fire every timer that is due now; how many there were."""
        rows = await self.store.due(self.now, 1000)
        await self.engine.submit_many([ApplyFact(message, Due(due_at)) for due_at, message in rows])
        return len(rows)

    async def message(self, id: str) -> Message:
        return (await self.stored(id)).message

    async def stored(self, id: str) -> StoredMessage:
        found = await self.store.message(id)
        assert found is not None
        return found


def event(
    id: str,
    data: Mapping[str, Any],
    type: str,
    time: int | None,
    recipients: Sequence[Mapping[str, Any]],
) -> Event:
    digest = hashlib.sha256(
        repr((id, sorted(data.items()), type, time, recipients)).encode()
    ).digest()
    return Event(
        id, "shop", type, time, {"id": id, "source": "shop", "type": type}, data, recipients, digest
    )
