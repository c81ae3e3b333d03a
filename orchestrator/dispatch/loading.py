"""Loads what the sends of a claim need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from orchestrator.core.message import Message, Run
from orchestrator.core.policy import Policy
from orchestrator.dispatch.outgoing import ReadyStep
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.dispatch.recent_decisions import RecentDecisions
from orchestrator.engine.batch import Decided
from orchestrator.engine.failing import Failing
from orchestrator.recipients.document import AddressHash, Person
from orchestrator.render import TemplateSet
from orchestrator.stores.port import Store, StoreBusy
from orchestrator.stores.rows import LANES, ReadyRow, StepKey, Wanted

log = structlog.get_logger()


@dataclass(slots=True)
class LoadedMessage:
    """
    A message with its event (and those that have joined, as in ``ReadyStep``), its recipient and
    the documents of the recipient's addresses.
    """

    message: Message
    event: Mapping[str, Any]
    person: Person
    addresses: Mapping[str, Mapping[str, Any]]


def loaded(decided: Decided) -> LoadedMessage:
    """The message of a decision, as it was in its transaction."""
    return LoadedMessage(decided.decision.message, decided.event, decided.person, decided.addresses)


def row_of(message: Message, run: Run) -> ReadyRow:
    """The row of the backlog that a ready run has."""
    since, lane = run.ready_since or 0, LANES[message.message_class]
    return ReadyRow(run.provider or "", lane, since, message.id, run.step, message.recipient)


class Loader:
    """A row that cannot be read rests in ``failing``."""

    def __init__(
        self,
        store: Store,
        recent: RecentDecisions,
        address_hash: AddressHash,
        failing: Failing[StepKey],
    ) -> None:
        self._store = store
        self._recent = recent
        self._hash = address_hash
        self._failing = failing

    async def messages(self, rows: Sequence[ReadyRow]) -> dict[str, LoadedMessage]:
        """The messages of a claim: from recent decisions if possible, else from the store."""
        known: dict[str, LoadedMessage] = {}
        unknown: list[ReadyRow] = []
        for row in rows:
            decided = self._recent.find(row.message)
            if decided is None or decided.decision.message.joined:
                unknown.append(row)
            else:
                known[row.message] = loaded(decided)
        if unknown:
            known.update(await self._load_each(unknown))
        return known

    async def _load_each(self, rows: Sequence[ReadyRow]) -> dict[str, LoadedMessage]:
        """``_load``, but a row that cannot be read rests, and the others are loaded without it."""
        try:
            return await self._load(rows)
        except StoreBusy:
            raise
        except Exception:
            if len(rows) == 1:
                log.exception("dispatch.row_unreadable", message_id=rows[0].message)
                self._failing.failed((rows[0].message, rows[0].step))
                return {}
        found: dict[str, LoadedMessage] = {}
        for row in rows:
            found.update(await self._load_each([row]))
        return found

    async def _load(self, rows: Sequence[ReadyRow]) -> dict[str, LoadedMessage]:
        """Messages, their recipients and the recipients' addresses; three queries for digests."""
        known = {row.recipient for row in rows if row.recipient}
        loaded = await self._store.load(
            Wanted(messages={row.message for row in rows}, recipients=known)
        )
        people = {row.message.recipient for row in loaded.messages.values()}
        persons = {id: Person(id, loaded.recipients.get(id), self._hash) for id in people}
        hashes = {address.hash for person in persons.values() for address in person.addresses}
        addresses = await self._store.addresses(hashes)
        digests = [id for id, row in loaded.messages.items() if row.message.joined]
        joined = await self._store.joined_events(digests) if digests else {}
        return {
            id: LoadedMessage(
                row.message,
                {**row.event, "joined": joined[id]} if id in joined else row.event,
                persons[row.message.recipient],
                addresses,
            )
            for id, row in loaded.messages.items()
        }


def ready_step(
    provider: ActiveProvider,
    found: LoadedMessage,
    policy: Policy,
    templates: TemplateSet,
    step: int,
) -> ReadyStep:
    """A step with those addresses of its recipient that the provider can send to."""
    policy = policy.variant(found.message.arm)
    channel, kinds = policy.plan[step].channel, provider.definition.kinds
    targets = found.person.usable_addresses(kinds)
    inbound = [
        found.addresses.get(address.hash, {}).get("inbound", {}).get(channel) for address in targets
    ]
    inbound_at = max([at for at in inbound if at is not None], default=None)
    return ReadyStep(
        found.message, found.event, found.person, policy, templates, step, targets, inbound_at
    )
