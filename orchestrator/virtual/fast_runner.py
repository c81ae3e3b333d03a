"""
The fast runner: the production's decisions without its machinery, for hundreds of thousands of
messages.

The engine's handlers for events, facts and receipts, the core below them and the templates are the
service's own. The store, the history, the batches and the network are left out. Everything waits in
one heap and happens exactly at its time. Policy tests and simulations run here; ``FullRunner`` runs
the same through the whole service, and tests compare the two.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from orchestrator.configuration.loading import Configuration
from orchestrator.core.effects import Call
from orchestrator.core.facts import Answered, Due, Fact, Shut, Unpreparable
from orchestrator.core.journey.journey import Journey
from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import Outcome, Unknown
from orchestrator.core.policy import Policy
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.answers import rule_for
from orchestrator.dispatch.outgoing import ReadyStep, render
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.engine.applying import apply_fact
from orchestrator.engine.batch import BatchContext, Decided, View
from orchestrator.engine.commands import Command, Publish, RecordReceipt
from orchestrator.engine.free_codes import InventedCodes
from orchestrator.engine.handlers import handle
from orchestrator.engine.handlers.inside import follow_in_memory
from orchestrator.engine.unit_of_work import UnitOfWork, WorkingMessage
from orchestrator.engine.velocity import Velocity
from orchestrator.events.event import Event
from orchestrator.primitives.durations import duration
from orchestrator.primitives.ids import encode
from orchestrator.recipients.document import Person
from orchestrator.render import Unrenderable
from orchestrator.runtime.providers import active_provider
from orchestrator.stores.rows import LANES, Changes, ContactPlace
from orchestrator.virtual.content import Content, Contents
from orchestrator.virtual.played_journeys import PlayedJourneys
from orchestrator.virtual.scripted_provider import Later, Reaction, scripted_type
from orchestrator.virtual.shared_tools import NO_JOURNEYS, SharedTools, no_view, rules_for

PROBE_LOOK_MS = 1_000

Respond = Callable[[str, Message, Attempt], Reaction]
"""How a provider, and the person behind it, take one attempt of a message."""


class FastRunner:
    """
    One installation. ``respond`` is how messages are taken, ``watch`` is called with every
    decision, several runs of one file may share ``contents``, and all runners of a process
    ``tools``. ``keep`` is for a few messages to look back at: they are never forgotten, replies
    find them, and every content is rendered at its time and stays in ``said`` by message and
    channel. ``last_receipt_at`` is when the last known receipt comes (UTC milliseconds). ``view``
    makes the data of inside events, ``codes`` are the limits of pools.
    """

    def __init__(
        self,
        configuration: Configuration,
        policies: Mapping[str, Policy],
        start: int,
        respond: Respond,
        watch: Callable[[Decided, int], None],
        contents: Contents,
        tools: SharedTools | None = None,
        keep: bool = False,
        view: View = no_view,
        journeys: Mapping[str, Journey] = NO_JOURNEYS,
        codes: Mapping[str, int] | None = None,
    ) -> None:
        self.said: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.last_receipt_at = start
        self._templates = configuration.templates
        self._tools = tools or SharedTools()
        self._keep = keep
        self._respond = respond
        self._watch = watch
        self._contents = contents
        self._heap: list[tuple[int, str, int, Callable[[], None]]] = []
        self._order = 0
        self._ready: list[tuple[str, int, int, str, int]] = []
        self._answers: list[Callable[[], None]] = []
        self._awaited: dict[str, int] = {}
        self._joined: dict[str, list[Any]] = {}
        settings = configuration.settings
        self._providers = {
            name: active_provider(
                one, settings, scripted_type(one.adapter_type)(one.adapter_settings, name)
            )
            for name, one in settings.providers.items()
        }
        rules = rules_for(configuration, policies, journeys)
        self._zone = ZoneInfo(rules.governance.time_zone)
        ids, address_hash = itertools.count(start << 80), self._tools.address_hash
        self._work = UnitOfWork.in_memory(address_hash)
        self._work.codes = InventedCodes(codes)
        self._context = BatchContext(
            work=self._work,
            rules=rules,
            now=start,
            policies={(policy.name, policy.version): policy for policy in policies.values()},
            evaluate=self._tools.evaluate,
            address_hash=address_hash,
            new_id=lambda: encode(next(ids)),
            view=view,
            shut={},
            outages=(),
            velocity=Velocity(self._work, address_hash, rules.limits),
            spent={},
            day="",
            day_ends=0,
            started_at=0.0,
            keeps_history=False,
            journeys={(one.name, one.version): one for one in journeys.values()},
        )
        self._played = PlayedJourneys(self._context, self._at, self._act_on_decisions)
        self.journeys, self.person = self._played, self._work.person

    def run(
        self,
        events: Iterable[tuple[int, Event]],
        advance: Callable[[int], None],
        until: Callable[[int], int],
    ) -> None:
        """
        Publish all events at their times and let what follows happen, up to ``until(last time)``.
        """
        last = self._context.now
        for at, event in events:
            self.run_until(at - 1)
            self.submit(at, Publish(event))
            last = at
            advance(1)
        self.run_until(until(last))

    def submit(self, at: int, command: Command) -> Any:
        """The engine's answer to a command at an instant (UTC milliseconds), never in the past."""
        self._turn(at)
        answer = handle(self._context, command)
        self._send_ready()
        return answer

    def add_recipient(self, document: dict[str, Any]) -> None:
        """Have a recipient's document, as if it had been stored before."""
        self._work.people[document["id"]] = Person(
            document["id"], document, self._tools.address_hash
        )

    # ---- time

    def run_until(self, limit: int) -> None:
        """
        Let everything up to ``limit`` happen. Within one instant the older message comes before the
        younger, and each leaves with the decision that made it ready; then providers answer.
        """
        heap = self._heap
        while heap and heap[0][0] <= limit:
            now = heap[0][0]
            self._turn(now)
            while heap and heap[0][0] == now:
                heapq.heappop(heap)[3]()
                self._leave()
            self._send_ready()

    def _turn(self, now: int) -> None:
        """Set the clock to ``now``; a new day starts with nothing spent."""
        context = self._context
        context.now = now
        if now >= context.day_ends:
            today = datetime.fromtimestamp(now / 1000, UTC).astimezone(self._zone).date()
            ends = datetime.combine(today + timedelta(days=1), time(), self._zone)
            context.day, context.spent = today.isoformat(), {}
            context.day_ends = int(ends.timestamp() * 1000)

    def _at(self, instant: int, id: str, action: Callable[[], None]) -> None:
        """Have something happen to a message at an instant."""
        self._order += 1
        heapq.heappush(self._heap, (max(instant, self._context.now), id, self._order, action))

    # ---- decisions

    def _apply(self, entry: WorkingMessage, fact: Fact) -> Any:
        applied = apply_fact(self._context, entry, fact)
        self._act_on_decisions()
        return applied

    def _send_ready(self) -> None:
        """Send what is ready, let providers answer, and send what becomes ready by that."""
        self._leave()
        while self._answers:
            answers, self._answers = self._answers, []
            for answer in answers:
                answer()
            self._leave()

    def _leave(self) -> None:
        """
        Send what is ready, and what becomes ready by that: provider by provider as they were woken,
        the most urgent first, then the oldest.
        """
        self._act_on_decisions()
        while self._ready:
            woken: dict[str, int] = {}
            for place, row in enumerate(self._ready):
                woken.setdefault(row[0], place)
            ready = sorted(set(self._ready), key=lambda row: (woken[row[0]], *row[1:]))
            self._ready = []
            for _, _, _, message, step in ready:
                entry = self._work.messages.get(message)
                if entry is not None:
                    self._send(entry, step)

    def _act_on_decisions(self) -> None:
        """Act on what was decided since the last call, and forget what a store would keep."""
        context, work = self._context, self._work
        follow_in_memory(context)
        self._played.act()
        decided, context.decided = context.decided, []
        for one in decided:
            self._watch(one, context.now)
            message = one.decision.message
            before_due = one.before.due_at if one.before is not None else None
            if message.due_at is not None and message.due_at != before_due:
                self._wake(message.id, message.due_at)
            self._enqueue(message)
            self._forget(message)
        if self._keep:
            work.contacts.rows.update(
                {row[:2]: ContactPlace(*row[2:5]) for row in work.changes.contacts}
            )
        for row in work.changes.joined:
            self._joined.setdefault(row.message, []).append(orjson.loads(row.data))
        work.changes = Changes()

    def _enqueue(self, message: Message) -> None:
        """Add the message's ready steps to the backlogs of their providers."""
        lane, id = LANES[message.message_class], message.id
        for run in message.ready():
            self._ready.append((run.provider or "", lane, run.ready_since or 0, id, run.step))

    def _wake(self, id: str, due_at: int) -> None:
        def wake() -> None:
            entry = self._work.messages.get(id)
            if entry is not None and entry.message.due_at == due_at:
                self._apply(entry, Due(due_at))

        self._at(due_at, id, wake)

    def _forget(self, message: Message) -> None:
        """Drop a message that has ended and of which nothing can be reported any more."""
        if not message.terminal:
            return
        live = self._work.live_of.get(message.recipient)
        if live is not None and message.id in live:
            live.remove(message.id)
        if self._keep or message.left_nothing:  # whose dedupe key is free: it may be asked about
            return
        if message.due_at is None and not self._awaited.get(message.id) and not message.ready():
            self._awaited.pop(message.id, None)
            del self._work.messages.rows[message.id]
            self._joined.pop(message.id, None)

    # ---- sending

    def _send(self, entry: WorkingMessage, step: int) -> None:
        """Do with one step of the backlog what the dispatcher does."""
        run = entry.message.run_of(step)
        if run is None or run not in entry.message.ready():
            return
        provider = self._providers[run.provider or ""]
        now = self._context.now
        until = provider.breaker.shut_until(now)
        if until is not None:
            self._apply(entry, Shut(step, provider.name, Reason.BREAKER_OPEN, until))
            return
        if provider.breaker.admits(now) == 0:
            id = entry.message.id
            self._at(now + PROBE_LOOK_MS, id, lambda: self._again(id))
            return
        provider.breaker.probing(now)
        self._prepare(entry, step, provider)

    def _again(self, id: str) -> None:
        entry = self._work.messages.get(id)
        if entry is not None:
            self._enqueue(entry.message)

    def _prepare(self, entry: WorkingMessage, step: int, provider: ActiveProvider) -> None:
        message = entry.message
        person = self._work.person(message.recipient)
        policy = self._context.policies[message.policy, message.policy_version]
        policy = policy.variant(message.arm)
        kinds = provider.definition.kinds
        targets = person.usable_addresses(kinds)
        templates = self._templates
        event = entry.event
        if message.joined:
            event = {**event, "joined": self._joined[message.id]}
        ready = ReadyStep(message, event, person, policy, templates, step, targets, None)
        content = self._render(ready, provider) if self._keep else self._content(ready, provider)
        if content.refused is not None:
            self._apply(entry, Unpreparable(step, *content.refused))
            return
        cost = provider.cost.of(content.parts) if provider.cost is not None else None
        fact = content.prepared(step, provider.name, targets, cost)
        calls = self._apply(entry, fact).calls
        if calls and content.words is not None:
            self.said[message.id, ready.channel] = content.words
        for call in calls:
            self._call(entry, provider, call)

    def _content(self, ready: ReadyStep, provider: ActiveProvider) -> Content:
        """The content of a step, rendered once for all runs."""
        message, template = ready.message, ready.policy.template
        event = (message.event_source, message.event_id)
        key = (template, *event, message.recipient, ready.channel, provider.name)
        if message.gathers:  # other policies may gather other events
            return self._render(ready, provider)
        found = self._contents.get(key)
        if found is None:
            found = self._contents[key] = self._render(ready, provider)
        return found

    def _render(self, ready: ReadyStep, provider: ActiveProvider) -> Content:
        try:
            rendered = render(
                ready, self._tools.urls, provider, len(ready.message.attempts), self._context.now
            )
        except Unrenderable as problem:
            return Content(refused=(problem.reason, problem.said))
        parts = rendered.count.parts if rendered.count is not None else None
        words = rendered.parts if self._keep else None
        return Content(rendered.content_hash, parts, words=words, choices=rendered.choices)

    def _call(self, entry: WorkingMessage, provider: ActiveProvider, call: Call) -> None:
        """Have the provider answer, within its timeout, and its receipts follow."""
        id, attempt = entry.message.id, call.attempt
        reaction = self._respond(provider.name, entry.message, entry.message.attempts[attempt])
        for later in reaction.receipts:
            self._schedule_receipt(id, provider.name, attempt, later, reaction.takes_ms)
        timeout_ms = provider.definition.timeout_ms
        in_time = reaction.takes_ms <= timeout_ms
        outcome = (
            reaction.outcome
            if in_time
            else Unknown(Reason.TIMED_OUT, detail=f"no answer within {duration(timeout_ms)}")
        )
        self._awaited[id] = self._awaited.get(id, 0) + 1

        def answer() -> None:
            self._awaited[id] -= 1
            self._answer(id, provider, attempt, outcome)

        if (
            not reaction.takes_ms
        ):  # the service, too, has prepared all that is ready before one answers
            self._answers.append(answer)
            return
        self._at(self._context.now + min(reaction.takes_ms, timeout_ms), id, answer)

    def _answer(self, id: str, provider: ActiveProvider, attempt: int, outcome: Outcome) -> None:
        self._record_outcome(provider, outcome)
        self._apply(self._work.messages.rows[id], Answered(attempt, outcome))

    def _schedule_receipt(
        self, id: str, provider: str, attempt: int, later: Later, takes_ms: int
    ) -> None:
        self._awaited[id] = self._awaited.get(id, 0) + 1
        due = self._context.now + takes_ms + later.after_ms
        receipt = later.receipt(due)
        self.last_receipt_at = max(self.last_receipt_at, due)

        def record() -> None:
            self._awaited[id] -= 1
            handle(self._context, RecordReceipt(provider, receipt, id, attempt))
            self._act_on_decisions()
            entry = self._work.messages.get(id)
            if entry is not None:
                self._forget(entry.message)

        self._at(due, id, record)

    def _record_outcome(self, provider: ActiveProvider, outcome: Outcome) -> None:
        """Let the breakers know, so that the next decision sees which are open."""
        now = self._context.now
        provider.breaker.record(rule_for(outcome).breaker, now)
        shut = {name: one.breaker.shut_until(now) for name, one in self._providers.items()}
        self._context.shut = {name: until for name, until in shut.items() if until is not None}
