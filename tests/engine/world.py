"""
The real engine on a real SQLite store, with a clock that the test moves and provider answers that
the test gives.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.configuration.loading import PolicyVersion
from orchestrator.core.facts import Answered, Prepared
from orchestrator.core.inputs import Provider
from orchestrator.core.journey.journey import Journey
from orchestrator.core.message import Message
from orchestrator.core.outcomes import Accepted, Outcome
from orchestrator.core.policy import Governance, Policy
from orchestrator.dispatch.outgoing import PublicUrls
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.engine.commands import ApplyFact, FactApplied, Publish, Published
from orchestrator.engine.rules import Rules
from orchestrator.engine.timers import timer_command
from orchestrator.events.event import Event
from orchestrator.explain.views import message_view
from orchestrator.primitives.tokens import SigningKeys
from orchestrator.recipients.document import Person
from orchestrator.render import TemplateSet
from orchestrator.render.evaluator import Evaluator
from orchestrator.runtime.runtime import Edges, Runtime
from orchestrator.stores.port import Store
from orchestrator.stores.postgres.store import PostgresStore
from orchestrator.stores.rows import StoredMessage, Wanted
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.telemetry.metrics import Metrics

START = 1_795_000_000_000
PROVIDERS = {
    "viber_a": Provider("viber_a", "viber", ("phone",)),
    "mail": Provider("mail", "email", ("email",)),
    "inbox": Provider("inbox", "in_app", ("recipient_id",)),
    "texts": Provider("texts", "sms", ("phone",), cost="1.20", country_rule=True, otp_limits=True),
}
CHANNELS = {
    "viber": ("viber_a",),
    "email": ("mail",),
    "sms": ("texts",),
    "in_app": ("inbox",),
}


def address_hash(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()[:32]


@cache
def shared_metrics() -> Metrics:
    return Metrics()


class World:
    """
    A runtime whose clock the test moves. ``path`` None keeps the store in memory; with ``url`` set
    it is PostgreSQL instead. ``providers`` work only once the test starts the dispatcher;
    ``seconds`` set stands in for the monotonic clock.
    """

    default_url: str | None = None

    def __init__(
        self,
        *policies: Policy,
        governance: Governance | None = None,
        path: Path | None = None,
        url: str | None = None,
        emits_statuses: bool = False,
        providers: Mapping[str, ActiveProvider] | None = None,
        templates: TemplateSet | None = None,
        journeys: Sequence[Journey] = (),
    ):
        self.sinks = ("statuses",) if emits_statuses else ()
        self.now = START
        self.seconds: float | None = None
        self.path, self.url = path, url or self.default_url
        self.rules = Rules(
            policies={policy.name: policy for policy in policies},
            governance=governance or Governance(),
            providers=PROVIDERS,
            channels=CHANNELS,
            currency="UAH",
            emits_statuses=emits_statuses,
            journeys={journey.name: journey for journey in journeys},
        )
        self.journey_versions = {(one.name, one.version): one for one in journeys}
        self._providers = providers
        self._templates = templates or TemplateSet.from_sources({})
        numbers = itertools.count(1)
        self.new_id: Callable[[], str] = lambda: f"01K{next(numbers):023d}"

    @property
    def open_store(self) -> Any:
        """The store, for tests that replace a method of it or look behind its port."""
        return self.store

    async def __aenter__(self) -> World:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self, *, join: bool = True) -> None:
        self.store: Store = self.new_store()
        await self.store.open()
        if join:
            await self.store.join()
        self.runtime = Runtime(self._edges(), self.rules, self._providers)
        self.engine = self.runtime.engine
        await self.runtime.start(works=False)

    async def close(self) -> None:
        await self.engine.stop()
        await self.store.close()

    def new_store(self) -> Store:
        if self.url is None:
            path = self.path or ":memory:"
            return SqliteStore(path, sinks=self.sinks, inline=self.path is None)
        return PostgresStore(self.url, member="test", now=lambda: self.now, sinks=self.sinks)

    def _edges(self) -> Edges:
        return Edges(
            clock=WorldClock(self),
            store=self.store,
            metrics=shared_metrics(),
            policy_version=self._policy_version,
            journey_version=self._journey_version,
            address_hash=address_hash,
            urls=PublicUrls("https://shop.example", SigningKeys([(1, b"k" * 32, START)])),
            evaluate=Evaluator(),
            view=message_view,
            new_id=self.new_id,
        )

    async def _policy_version(self, name: str, version: str) -> PolicyVersion:
        return self.rules.policies[name], self._templates

    async def _journey_version(self, name: str, version: str) -> Journey:
        return self.journey_versions[name, version]

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
        """Publish an event for Olena, changed by ``person``."""
        profile = {"id": "olena", "phone": "+380501234567", "email": "olena@example.com", **person}
        published: Published = await self.engine.submit(
            Publish(event(event_id, data or {}, type, time, [profile]))
        )
        return published

    async def send(self, message: str, outcome: Outcome | None = None) -> FactApplied:
        """Do what the dispatcher does for the first step that is ready."""
        loaded = await self.store.load(Wanted(messages={message}))
        row = loaded.messages[message]
        people = await self.store.load(Wanted(recipients={row.message.recipient}))
        run = row.message.ready()[0]
        person = Person(
            row.message.recipient, people.recipients.get(row.message.recipient), address_hash
        )
        provider = PROVIDERS[run.provider or ""]
        targets = person.usable_addresses(provider.kinds)
        prepared = Prepared(run.step, provider.name, targets, "c", 1, provider.cost)
        applied: FactApplied = await self.engine.submit(ApplyFact(message, prepared))
        for call in applied.calls:
            applied = await self.engine.submit(
                ApplyFact(message, Answered(call.attempt, outcome or Accepted(f"id-{message}")))
            )
        return applied

    async def fire(self) -> int:
        """Fire every timer that is due now, and return how many there were."""
        rows = await self.store.due(self.now, 1000)
        await self.engine.submit_many([timer_command(row) for row in rows])
        return len(rows)

    async def message(self, id: str) -> Message:
        return (await self.stored(id)).message

    async def stored(self, id: str) -> StoredMessage:
        found = await self.store.message(id)
        assert found is not None
        return found


class WorldClock:
    """The ``Clock`` port: it stands where the test has set it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> int:
        return self._world.now

    def monotonic(self) -> float:
        return time.monotonic() if self._world.seconds is None else self._world.seconds

    def real_seconds(self, ms: int) -> float:
        return ms / 1000


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
