"""The planted bugs themselves: for each, what is replaced by what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator import codec
from orchestrator.core import caps, decide, gates, sending, status, waiting
from orchestrator.core import facts as core_facts
from orchestrator.core.effects import GiveBack
from orchestrator.core.gates import Check
from orchestrator.core.outcomes import Accepted, NotSent, OutcomeKind
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery, Engagement
from orchestrator.dispatch import sendonce
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.engine import hearing, publish, telling
from orchestrator.engine.commands import Publish, Published, Tell
from orchestrator.engine.engine import Engine
from orchestrator.engine.people import Person
from orchestrator.stores.port import Changes
from orchestrator.stores.sqlite import SqliteStore

Replacement = tuple[Any, str, Any]
BUGS: dict[str, Callable[[], Sequence[Replacement]]] = {}


def bug(make: Callable[[], Sequence[Replacement]]) -> Callable[[], Sequence[Replacement]]:
    BUGS[make.__name__] = make
    return make


# ---- durability


@bug
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


@bug
def send_before_intent() -> Sequence[Replacement]:
    """The call is released first, and its intent is written a moment later."""
    original = Engine._work

    class Later:
        def __init__(self, store: Any) -> None:
            self._store, self.held = store, []

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def commit(self, changes: Changes) -> None:
            self.held.append(changes)

    async def work(self: Engine, batch: list[Any]) -> None:
        if not any(isinstance(one.command, Tell) and isinstance(one.command.fact, core_facts.Prepared) for one in batch):
            return await original(self, batch)
        store, later = self.store, Later(self.store)
        self.store = later
        try:
            await original(self, batch)
        finally:
            self.store = store
        await asyncio.sleep(0.1)
        for changes in later.held:
            await store.commit(changes)

    return [(Engine, "_work", work)]


@bug
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


@bug
def redelivered_event_counts_as_new() -> Sequence[Replacement]:
    """A repeat of an event makes its messages once more."""
    original = publish.publish

    def again(desk: Any, command: Publish) -> Any:
        seen = desk.book.events.pop((command.event.source, command.event.id), None)
        before = len(desk.book.changes.events)
        published = original(desk, command)
        if seen is not None:
            del desk.book.changes.events[before:]
        return published

    return [(publish, "publish", again)]


@bug
def orphan_receipt_dropped() -> Sequence[Replacement]:
    """A receipt that comes before its message's id is known is thrown away."""
    original = hearing.hear_receipt

    def hear(desk: Any, command: Any) -> Any:
        orphans, known = len(desk.book.changes.orphans), dict(desk.book.orphans)
        told = original(desk, command)
        del desk.book.changes.orphans[orphans:]
        desk.book.orphans = known
        return told

    return [(hearing, "hear_receipt", hear)]


# ---- the attempt protocol


@bug
def unknown_retried() -> Sequence[Replacement]:
    """What may have been sent is sent again, whatever the policy says."""

    def resolve(draft: Any, run: Any) -> None:
        if not run.resent:
            run.resent = True
            sending.seek(draft, run)

    return [(sending, "resolve_unknown", resolve)]


@bug
def unknown_fails_over() -> Sequence[Replacement]:
    """After an unknown outcome the step's next provider gets its turn."""
    original = sending.resolve_unknown

    def resolve(draft: Any, run: Any) -> None:
        run.given_up.append(run.provider)
        scene = draft.scene(run)
        others = [p for p in gates.providers_of(scene) if p.name not in run.given_up and gates.targets_for(scene, p)]
        if others:
            sending.take_turn(draft, run, others[0])
        else:
            original(draft, run)

    def targets(draft: Any, run: Any, provider: Any) -> Any:
        return list(gates.targets_for(draft.scene(run), provider))

    return [(sending, "resolve_unknown", resolve), (sending, "open_targets", targets)]


@bug
def timeout_counts_as_not_sent() -> Sequence[Replacement]:
    """No answer in time is taken for "nothing was taken"."""

    def timed_out(timeout_ms: int, wrote: bool) -> Any:
        return NotSent(Reason.CONNECT_FAILED)

    return [(sendonce, "timed_out", timed_out)]


@bug
def dead_process_sent_nothing() -> Sequence[Replacement]:
    """An intent whose process died is taken for not sent."""

    def presume(draft: Any) -> None:
        for attempt in draft.message.attempts:
            overdue = draft.now >= attempt.intent_at + attempt.timeout_ms + decide.ANSWER_GRACE_MS
            if attempt.outcome is OutcomeKind.PENDING and overdue:
                decide.answered(draft, attempt, NotSent(Reason.NOT_TAKEN))

    return [(decide, "presume_dead", presume)]


@bug
def stale_owner_writes() -> Sequence[Replacement]:
    """A process that was frozen between its intent and the write sends when it wakes up."""

    def look(self: sendonce.Trace) -> None:
        return None

    return [(sendonce.Trace, "look", look)]


@bug
def clock_read_before_loading() -> Sequence[Replacement]:
    """Decisions are made by a time that was read before a slow load."""
    original = Engine._load

    async def load(self: Engine, commands: Any, now: int) -> Any:
        book = await original(self, commands, now)
        self._stale = now
        return book

    original_desk = Engine._desk

    async def make(self: Engine, book: Any, now: int) -> Any:
        desk = await original_desk(self, book, now)
        desk.now = book.now = now
        return desk

    return [(Engine, "_load", load), (Engine, "_desk", make)]


@bug
def overdue_intent_forgotten() -> Sequence[Replacement]:
    """An open intent that nobody looked at in time is never looked at again."""
    original = decide.wake_at

    def wake_at(draft: Any) -> int | None:
        found = original(draft)
        return found if found != draft.now + 1 else None

    return [(decide, "wake_at", wake_at)]


# ---- waiting and receipts


@bug
def timer_without_generation_check() -> Sequence[Replacement]:
    """Any timer that fires is taken for the end of the current step's wait."""
    original = decide.apply

    def apply(draft: Any, fact: Any) -> None:
        original(draft, fact)
        run = draft.message.current
        if isinstance(fact, core_facts.Due) and run is not None and run.handed_off_at is not None:
            draft.leave(run, Reason.NOT_DELIVERED_IN_TIME)

    return [(decide, "apply", apply)]


@bug
def receipt_overwrites() -> Sequence[Replacement]:
    """The last receipt wins, instead of the highest."""

    def merge(known: Delivery, heard: Delivery) -> Delivery:
        return heard

    return [(waiting, "merge_delivery", merge), (sending, "merge_delivery", merge), (status, "merge_delivery", merge)]


@bug
def late_wait_after_read() -> Sequence[Replacement]:
    """A message that was read is waited for all the same, because nobody said that it was delivered."""
    words = {word.value for word in Engagement}

    def reached(delivery: Delivery, engagement: Mapping[str, int]) -> frozenset[str]:
        said = {delivery.value} if not engagement else set()
        return frozenset(said | (engagement.keys() & words))

    return [(waiting, "reached", reached)]


@bug
def late_receipt_does_not_close() -> Sequence[Replacement]:
    """A step that was left behind reaches its person, and the cascade goes on."""
    return [(waiting, "close_late", lambda draft, run: None)]


@bug
def not_ended_at_its_deadline() -> Sequence[Replacement]:
    """A message that waits goes on waiting."""
    return [(decide, "expire", lambda draft, run: False)]


@bug
def resend_refused_leaves_the_step() -> Sequence[Replacement]:
    """A gate that forbids a second try ends a step that may have been sent."""

    def refuse(draft: Any, run: Any, check: Check) -> None:
        draft.refuse(run, check)

    def give_up(draft: Any, run: Any, reason: Reason, detail: str = "") -> None:
        draft.leave(run, reason, detail)

    return [(sending, "refuse", refuse), (sending, "give_up", give_up), (decide, "give_up", give_up)]


# ---- policy


@bug
def opt_out_read_outside_the_transaction() -> Sequence[Replacement]:
    """Consents are those that were read when the step was prepared."""
    original_gather, original_inputs = Dispatcher._gather, telling.inputs_for
    seen: dict[tuple[str, int], tuple[Any, Any]] = {}

    async def gather(self: Dispatcher, provider: Any, rows: Any) -> Any:
        gathered = await original_gather(self, provider, rows)
        for row, ready in gathered:
            if ready is not None:
                documents = {a.hash: await self.store.address(a.hash) for a in ready.targets}
                seen[row.message, row.step] = (ready.person.consents, documents)
        return gathered

    def inputs_for(desk: Any, policy: Any, entry: Any, person: Person, **more: Any) -> Any:
        inputs = original_inputs(desk, policy, entry, person, **more)
        ready = entry.message.ready()
        old = seen.get((entry.message.id, ready[0].step)) if ready else None
        if old is None:
            return inputs
        states = {
            hash: replace(state, consents=telling_state(old[1].get(hash))) for hash, state in inputs.address_states.items()
        }
        return replace(inputs, consents=old[0], address_states=states)

    def telling_state(document: Any) -> Any:
        from orchestrator.engine.people import address_state

        return address_state("", document or {}).consents

    return [(Dispatcher, "_gather", gather), (telling, "inputs_for", inputs_for)]


@bug
def gates_asked_only_once() -> Sequence[Replacement]:
    """What was allowed when the step was chosen is not asked again when it leaves."""
    original = sending.depart

    def depart(draft: Any, run: Any, fact: Any) -> None:
        draft_type = type(draft)
        with_ask = draft_type.ask
        draft_type.ask = lambda self, run: Check("budget")
        try:
            original(draft, run, fact)
        finally:
            draft_type.ask = with_ask

    return [(sending, "depart", depart), (decide, "depart", depart)]


@bug
def opt_outs_of_addresses_ignored() -> Sequence[Replacement]:
    """Only what a recipient said themselves counts, not what was said from their phone."""
    original = gates.consents_to
    return [(gates, "consents_to", lambda scene, address: original(scene, None))]


@bug
def quiet_hours_in_the_servers_zone() -> Sequence[Replacement]:
    """Nights are kept by the server's clock."""
    return [(gates.quiet_hours, "zone_for", lambda rule, recipient_zone, default_zone: "UTC")]


@bug
def quiet_hours_by_todays_offset() -> Sequence[Replacement]:
    """The end of a night is worked out with the offset of its beginning, as if clocks were never set."""
    original = gates.quiet_hours.quiet_until

    def quiet_until(rule: Any, now: int, zone: str) -> int | None:
        original(rule, now, zone)
        place = gates.quiet_hours._place(zone)
        from datetime import datetime

        offset = gates.quiet_hours._offset(datetime.fromtimestamp(now // 1000, place))
        minute = (now // 1000 + offset) % 86_400 // 60
        day = ((now // 1000 + offset) // 86_400 + 3) % 7
        for back in (0, 1):
            window = rule.windows[(day - back) % 7]
            length = gates.quiet_hours._minutes(window) if window is not None else 0
            since = minute + back * 1_440 - (window.start if window is not None else 0)
            if window is not None and 0 <= since < length:
                return now - now % 60_000 + (length - since) * 60_000
        return None

    return [(gates.quiet_hours, "quiet_until", quiet_until)]


@bug
def refund_on_unknown() -> Sequence[Replacement]:
    """What may have been sent is given back to the cap."""
    original = sending.resolve_unknown

    def resolve(draft: Any, run: Any) -> None:
        draft.effects.append(GiveBack(run.step))
        original(draft, run)

    return [(sending, "resolve_unknown", resolve)]


@bug
def cap_checked_without_reserve() -> Sequence[Replacement]:
    """A cap is charged when the provider has answered, not when the send is decided."""
    reserve, record = sending.reserve, sending.record

    def later(draft: Any, attempt: Any, outcome: Any) -> None:
        record(draft, attempt, outcome)
        run = draft.message.run_of(attempt.step)
        if run is not None and isinstance(outcome, Accepted):
            reserve(draft, run)

    return [(sending, "reserve", lambda draft, run: None), (sending, "record", later)]


@bug
def cap_of_one_more() -> Sequence[Replacement]:
    """A rolling cap lets one more through than it says."""
    original = caps._rolling
    return [(caps, "_rolling", lambda limit, *rest: original(limit + 1, *rest))]


@bug
def goal_before_its_trigger_forgotten() -> Sequence[Replacement]:
    """A goal that was accepted before its trigger does not end it."""
    return [(publish, "goal_before", lambda *given: False)]


@bug
def goal_ends_only_what_waits() -> Sequence[Replacement]:
    """A goal reaches only messages that have not been sent yet."""
    original = publish.reach_goals

    def reach(desk: Any, event: Any, document: Any, person: Person) -> None:
        kept = desk.book.live_of.get(person.id, ())
        desk.book.live_of[person.id] = [id for id in kept if not desk.book.entries[id].message.attempts]
        original(desk, event, document, person)
        desk.book.live_of[person.id] = kept

    return [(publish, "reach_goals", reach)]


@bug
def dedupe_window_never_opened() -> Sequence[Replacement]:
    """The same key makes a message each time."""
    return [(publish, "deduplicate", lambda *given: None)]


@bug
def reload_changes_what_is_in_flight() -> Sequence[Replacement]:
    """A message is decided by the policy as it is now, not by the version that it started with."""
    original = Engine._desk

    async def desk(self: Engine, book: Any, now: int) -> Any:
        made = await original(self, book, now)
        shelf = {key: self.rules.policies.get(key[0], policy) for key, policy in made.shelf.items()}
        made.shelf = shelf
        return made

    return [(Engine, "_desk", desk)]


@bug
def history_without_charges() -> Sequence[Replacement]:
    """A history does not keep what the caps were decided by."""
    fields = tuple(name for name in codec.INPUT_FIELDS if name != "charges")
    return [(codec, "INPUT_FIELDS", fields)]
