"""Bugs in what policies, consents, caps and nights say."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any
from unittest.mock import patch

from orchestrator.core import caps, quiet_hours
from orchestrator.core.cascade import answers, decide, sending
from orchestrator.core.effects import ReleaseCap
from orchestrator.core.gates import Check, context
from orchestrator.core.message import Message
from orchestrator.core.outcomes import Accepted
from orchestrator.core.values import replace
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.outgoing import ReadyStep
from orchestrator.engine import applying as applying_module
from orchestrator.engine.engine import Engine
from orchestrator.engine.goals import reach_goals
from orchestrator.engine.handlers import events as publish
from orchestrator.engine.handlers import pauses
from orchestrator.history import codec
from orchestrator.recipients.document import Person
from tests.simulation.mutations.registry import Replacement, bug


@bug(seed=1626)
def opt_out_read_outside_the_transaction() -> Sequence[Replacement]:
    """Consents are those that were read when the step was prepared."""
    original_gather, original_inputs = Dispatcher._gather, applying_module.inputs_for
    seen: dict[tuple[str, int], tuple[Any, Any]] = {}

    async def gather(self: Dispatcher, provider: Any, rows: Any) -> Any:
        gathered = await original_gather(self, provider, rows)
        for row, ready in gathered:
            if isinstance(ready, ReadyStep):
                documents = await self.store.addresses([a.hash for a in ready.targets])
                seen[row.message, row.step] = (ready.person.consents, documents)
        return gathered

    def inputs_for(context: Any, policy: Any, entry: Any, person: Person, **more: Any) -> Any:
        inputs = original_inputs(context, policy, entry, person, **more)
        ready = entry.message.ready()
        old = seen.get((entry.message.id, ready[0].step)) if ready else None
        if old is None:
            return inputs
        states = {
            hash: replace(state, consents=telling_state(old[1].get(hash)))
            for hash, state in inputs.address_states.items()
        }
        return replace(inputs, consents=old[0], address_states=states)

    def telling_state(document: Any) -> Any:
        from orchestrator.recipients.document import address_state

        return address_state("", document or {}).consents

    return [(Dispatcher, "_gather", gather), (applying_module, "inputs_for", inputs_for)]


@bug()
def gates_asked_only_once() -> Sequence[Replacement]:
    """Gates that passed when the step was chosen are not asked again when it is sent."""
    original = sending.depart

    def depart(builder: Any, run: Any, fact: Any) -> None:
        builder_type = type(builder)
        with_ask = builder_type.ask
        builder_type.ask = lambda self, run: Check("budget")
        try:
            original(builder, run, fact)
        finally:
            builder_type.ask = with_ask

    return [(sending, "depart", depart), (decide, "depart", depart)]


@bug(seed=71)
def pauses_hold_only_what_comes() -> Sequence[Replacement]:
    """A step that was ready before the pause is not asked about it again."""
    original = sending.depart

    def depart(builder: Any, run: Any, fact: Any) -> None:
        inputs = replace(builder.inputs, pauses=())
        with patch.object(type(builder), "inputs", property(lambda self: inputs)):
            original(builder, run, fact)

    return [(sending, "depart", depart), (decide, "depart", depart)]


@bug(seed=858)
def shortened_pauses_not_asked_again() -> Sequence[Replacement]:
    """What is held waits for the end that a pause had at first."""
    original = pauses.StartPauseHandler.handle

    def handle(self: Any, context: Any, command: Any) -> Any:
        row = original(self, context, command)
        as_before = row._replace(eased_at=None)
        context.work.put_pause(as_before)
        return as_before

    return [(pauses.StartPauseHandler, "handle", handle)]


@bug(seed=4)
def paused_providers_chosen() -> Sequence[Replacement]:
    """Of a step's providers, a paused one has its turn like any other."""

    def shut_until(builder: Any, provider: Any) -> Any:
        return provider.shut_until

    return [(sending, "shut_until", shut_until)]


@bug(seed=95)
def pauses_known_by_the_next_batch_alone() -> Sequence[Replacement]:
    """Pauses are those of the batch before: read outside the transaction."""
    original, seen = Engine._load, list[Any]()

    async def load(self: Engine, *given: Any) -> Any:
        work, loaded = await original(self, *given)
        seen.append(work.pauses)
        if len(seen) > 1:
            work.pauses = seen[-2]
        del seen[:-2]
        return work, loaded

    return [(Engine, "_load", load)]


@bug(seed=19)
def opt_outs_of_addresses_ignored() -> Sequence[Replacement]:
    """Only what a recipient said themselves counts, not what was said from their phone."""
    original = context.consents_to
    return [(context, "consents_to", lambda asked, address: original(asked, None))]


@bug()
def quiet_hours_in_the_servers_zone() -> Sequence[Replacement]:
    """Nights are kept by the server's clock."""
    return [(quiet_hours, "zone_for", lambda rule, recipient_zone, default_zone: "UTC")]


@bug(seed=676)
def quiet_hours_by_todays_offset() -> Sequence[Replacement]:
    """
    The end of a night is worked out with the offset of its beginning, as if clocks were never set.
    """
    original = quiet_hours.quiet_until

    def quiet_until(rule: Any, now: int, zone: str) -> int | None:
        original(rule, now, zone)
        place = quiet_hours._place(zone)
        from datetime import datetime

        offset = quiet_hours._offset(datetime.fromtimestamp(now // 1000, place))
        minute = (now // 1000 + offset) % 86_400 // 60
        day = ((now // 1000 + offset) // 86_400 + 3) % 7
        for back in (0, 1):
            window = rule.windows[(day - back) % 7]
            length = quiet_hours._minutes(window) if window is not None else 0
            since = minute + back * 1_440 - (window.start if window is not None else 0)
            if window is not None and 0 <= since < length:
                return now - now % 60_000 + (length - since) * 60_000
        return None

    return [(quiet_hours, "quiet_until", quiet_until)]


@bug(seed=24)
def refund_on_unknown() -> Sequence[Replacement]:
    """A send with an unknown outcome is released from the cap."""
    original = answers.resolve_unknown

    def resolve(builder: Any, run: Any) -> None:
        builder.effects.append(ReleaseCap(run.step))
        original(builder, run)

    return [(answers, "resolve_unknown", resolve)]


@bug()
def cap_checked_without_reserve() -> Sequence[Replacement]:
    """A cap counts a send when the provider has answered, not when the send is decided."""
    reserve, record = sending.reserve, answers.record

    def later(builder: Any, attempt: Any, outcome: Any) -> None:
        record(builder, attempt, outcome)
        run = builder.message.run_of(attempt.step)
        if run is not None and isinstance(outcome, Accepted):
            reserve(builder, run)

    return [(sending, "reserve", lambda builder, run: None), (answers, "record", later)]


@bug(seed=6)
def cap_of_one_more() -> Sequence[Replacement]:
    """A rolling cap lets one more through than it says."""
    original = caps._rolling
    return [(caps, "_rolling", lambda limit, *rest: original(limit + 1, *rest))]


@bug(seed=497)
def goal_before_its_trigger_forgotten() -> Sequence[Replacement]:
    """A goal that was accepted before its trigger does not end it."""
    return [(publish, "goal_before", lambda *given: False)]


@bug(seed=149)
def goal_ends_only_what_waits() -> Sequence[Replacement]:
    """A goal reaches only messages that have not been sent yet."""
    original = reach_goals

    def reach(context: Any, event: Any, document: Any, person: Person) -> list[str]:
        work = context.work
        waiting = [
            id
            for id in work.live_of.rows.get(person.id, [])
            if id in work.messages.rows and not work.messages.rows[id].message.attempts
        ]
        with patch.dict(work.live_of.rows, {person.id: waiting}):
            return original(context, event, document, person)

    return [(publish, "reach_goals", reach)]


@bug(seed=12)
def dedupe_window_never_opened() -> Sequence[Replacement]:
    """The same key makes a message each time."""
    return [(publish, "deduplicate", lambda *given: None)]


@bug(seed=5)
def reload_changes_what_is_in_flight() -> Sequence[Replacement]:
    """A message is decided by the policy as it is now, not by the version that it started with."""
    original = Engine._context

    async def context(self: Engine, work: Any, rules: Any) -> Any:
        made = await original(self, work, rules)
        policy_versions = {
            key: self.rules.policies.get(key[0], policy) for key, policy in made.policies.items()
        }
        made.policies = policy_versions
        return made

    return [(Engine, "_context", context)]


@bug()
def history_without_charges() -> Sequence[Replacement]:
    """A history does not keep what the caps were decided by."""
    fields = tuple(name for name in codec.INPUT_FIELDS if name != "cap_usages")
    return [(codec, "INPUT_FIELDS", fields), (codec, "values_of", attrgetter(*fields))]


@bug()
def schedule_is_not_heeded() -> Sequence[Replacement]:
    """A message starts at once, whatever its event says."""
    return [(Message, "is_scheduled", lambda self, now: False)]
