"""Bugs in what is durable when, and in the protocol of an attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from orchestrator.core import facts as core_facts
from orchestrator.core.cascade import answers, decide, sending
from orchestrator.core.gates.context import targets_for
from orchestrator.core.outcomes import NotSent, OutcomeKind
from orchestrator.core.reasons import Reason
from orchestrator.dispatch import send_once as sendonce
from orchestrator.engine.commands import ApplyFact, Publish, Published
from orchestrator.engine.engine import Engine
from orchestrator.engine.handlers.events import PublishHandler
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.stores.rows import Changes, MessageRow
from orchestrator.stores.sqlite.cache import RowCache
from orchestrator.stores.sqlite.store import SqliteStore
from tests.simulation.mutations.registry import Replacement, bug

STALE_SECONDS = 0.5


@bug()
def offset_committed_before_insert() -> Sequence[Replacement]:
    """An event is acknowledged when it is taken, not when it is durable."""
    original = Engine.submit

    def submit(self: Engine, command: Any) -> Any:
        answer = original(self, command)
        if not isinstance(command, Publish):
            return answer
        at_once = asyncio.get_running_loop().create_future()
        at_once.set_result(Published("accepted", ()))
        return at_once

    return [(Engine, "submit", submit)]


@bug(seed=2)
def send_before_intent() -> Sequence[Replacement]:
    """The call is released first, and its intent is written a moment later."""
    original = Engine._work

    class Later:
        """A store whose units keep what they should commit."""

        def __init__(self, store: Any) -> None:
            self._store = store
            self.held: list[Any] = []

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        @asynccontextmanager
        async def unit(self) -> AsyncIterator[Any]:
            yield self

        async def commit(self, changes: Changes) -> None:
            self.held.append(changes)

    async def work(self: Engine, batch: list[Any]) -> list[Any]:
        if not any(
            isinstance(one.command, ApplyFact) and isinstance(one.command.fact, core_facts.Prepared)
            for one in batch
        ):
            return await original(self, batch)
        store, later = self.store, Later(self.store)
        self.store = later
        try:
            rest = await original(self, batch)
        finally:
            self.store = store
        await asyncio.sleep(0.1)
        for changes in later.held:
            await cast(Any, store).commit(changes)
        return rest

    return [(Engine, "_work", work)]


@bug()
def new_message_beside_old_person() -> Sequence[Replacement]:
    """The embedded store caches rows for a moment longer than their commit is visible."""

    def withdraw(memory: RowCache, changes: Changes) -> dict[str, MessageRow]:
        people = {id: memory.recipients.get(id) for id in changes.recipients}
        found = ((message.id, memory.messages.get(message.id)) for message, _ in changes.changed)
        rows = {id: row for id, row in found if row is not None}

        def drop() -> None:
            for id, document in people.items():
                if memory.recipients.get(id) is document:
                    memory.recipients.pop(id, None)
            for id, row in rows.items():
                if memory.messages.get(id) is row:
                    memory.messages.pop(id, None)

        # what ended, or whose commit failed, is not cached anew: it would stay stale for good
        asyncio.get_running_loop().call_later(STALE_SECONDS, drop)
        return rows

    return [(RowCache, "withdraw", withdraw)]


@bug()
def event_and_messages_in_two_transactions() -> Sequence[Replacement]:
    """That an event was seen is committed before what it made."""
    original = SqliteStore.commit

    async def commit(self: Any, changes: Changes) -> None:
        if changes.events:
            await original(self, Changes(events=changes.events))
            changes.events = []
            await self._gate.step("before_commit")
        await original(self, changes)

    return [(SqliteStore, "commit", commit)]


@bug()
def redelivered_event_counts_as_new() -> Sequence[Replacement]:
    """A repeat of an event makes its messages once more."""
    original = PublishHandler.handle_in_parts

    def again(self: PublishHandler, context: Any, command: Publish) -> Any:
        seen = context.work.events.rows.pop((command.event.source, command.event.id), None)
        before = len(context.work.changes.events)
        published = yield from original(self, context, command)
        if seen is not None:
            del context.work.changes.events[before:]
        return published

    return [(PublishHandler, "handle_in_parts", again)]


@bug(seed=192)
def orphan_receipt_dropped() -> Sequence[Replacement]:
    """A receipt that comes before its message's id is known is thrown away."""

    def add_orphan(self: UnitOfWork, provider: str, reference: str, receipt: bytes) -> None:
        return None

    return [(UnitOfWork, "add_orphan", add_orphan)]


@bug()
def unknown_retried() -> Sequence[Replacement]:
    """A send with an unknown outcome is repeated, even if the policy forbids it."""

    def resolve(builder: Any, run: Any) -> None:
        if not run.resent:
            run.resent = True
            sending.seek(builder, run)

    return [(answers, "resolve_unknown", resolve)]


@bug()
def unknown_fails_over() -> Sequence[Replacement]:
    """After an unknown outcome the step's next provider gets its turn."""
    original = answers.resolve_unknown

    def resolve(builder: Any, run: Any) -> None:
        run.given_up.append(run.provider)
        context = builder.context(run.step)
        others = [
            p for p in context.providers if p.name not in run.given_up and targets_for(context, p)
        ]
        if others:
            sending.take_turn(builder, run, others[0])
        else:
            original(builder, run)

    def targets(builder: Any, run: Any, provider: Any) -> Any:
        return list(targets_for(builder.context(run.step), provider))

    return [(answers, "resolve_unknown", resolve), (sending, "open_targets", targets)]


@bug()
def timeout_counts_as_not_sent() -> Sequence[Replacement]:
    """No answer in time is taken for "nothing was taken"."""

    def timed_out(timeout_ms: int, wrote: bool) -> Any:
        return NotSent(Reason.CONNECT_FAILED)

    return [(sendonce, "timed_out", timed_out)]


@bug()
def dead_process_sent_nothing() -> Sequence[Replacement]:
    """An intent whose process died is taken for not sent."""

    def presume(builder: Any) -> None:
        for attempt in builder.message.attempts:
            overdue = builder.now >= attempt.intent_at + attempt.timeout_ms + decide.ANSWER_GRACE_MS
            if attempt.outcome is OutcomeKind.PENDING and overdue:
                answers.answered(builder, attempt, NotSent(Reason.NOT_TAKEN))

    return [(decide, "presume_dead", presume)]


@bug()
def stale_owner_writes() -> Sequence[Replacement]:
    """A process that was frozen between its intent and the write sends when it wakes up."""

    def look(self: sendonce.Trace) -> None:
        return None

    return [(sendonce.Trace, "look", look)]


@bug()
def clock_read_before_loading() -> Sequence[Replacement]:
    """Decisions are made by a time that was read before a slow load."""
    original_load, original_context = Engine._load, Engine._context
    read_at: dict[int, int] = {}

    async def load(self: Engine, unit: Any, rules: Any, commands: Any, pace: Any) -> Any:
        now = self._ports.now()
        work, loaded = await original_load(self, unit, rules, commands, pace)
        read_at[id(work)] = now
        return work, loaded

    async def make(self: Engine, work: Any, rules: Any) -> Any:
        context = await original_context(self, work, rules)
        context.now = work.changes.at = read_at.pop(id(work))
        return context

    return [(Engine, "_load", load), (Engine, "_context", make)]


@bug(seed=97)
def overdue_intent_forgotten() -> Sequence[Replacement]:
    """An open intent that nobody looked at in time is never looked at again."""
    original = decide.wake_at

    def wake_at(builder: Any) -> int | None:
        found = original(builder)
        return found if found != builder.now + 1 else None

    return [(decide, "wake_at", wake_at)]
