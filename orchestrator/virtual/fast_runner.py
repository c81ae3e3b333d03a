"""
The quick stage: the production's decisions without its machinery, for hundreds of thousands of
messages.

What decides is the service's own code: the engine's handlers for events, facts and receipts, the
core below them, the templates. What is left out is what a rehearsal does not need and would spend
its time on: the store, the history, the batches, the network. Everything waits in one heap and
happens exactly at its time. Policy tests and simulations play here; ``world.py`` can play the same
through the whole service, and tests see to it that both tell the same story.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.channels import Receipt
from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.settings import ProviderSettings
from orchestrator.core.effects import Call
from orchestrator.core.facts import Answered, Due, Fact, Prepared, Shut, Unpreparable
from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import Outcome, Unknown
from orchestrator.core.policy import Policy
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.answers import rule_for
from orchestrator.dispatch.outgoing import ReadyStep, render
from orchestrator.dispatch.provider import ActiveProvider, Cost
from orchestrator.engine.applying import apply_fact
from orchestrator.engine.batch import BatchContext, Decided
from orchestrator.engine.commands import Command, Publish, RecordReceipt
from orchestrator.engine.handlers.handle import handle
from orchestrator.engine.unit_of_work import UnitOfWork, WorkingMessage
from orchestrator.engine.velocity import Velocity
from orchestrator.events.event import Event
from orchestrator.primitives.ids import encode
from orchestrator.recipients.document import Person
from orchestrator.render import Unrenderable
from orchestrator.stores.rows import LANES, AttemptPlace, Changes, Loaded
from orchestrator.virtual.full_runner import Props, breaker_of, rules_for
from orchestrator.virtual.scripted_provider import Later, Reaction, played_type

PROBE_LOOK_MS = 1_000

Meet = Callable[[str, Message, Attempt], Reaction]
"""How a provider, and the person behind it, take one attempt of a message."""


@dataclass(frozen=True, slots=True)
class Content:
    """All that a decision needs of rendered content; ``refused`` where it could not be rendered."""

    content_hash: str = ""
    parts: int | None = None
    refused: tuple[Reason, str] | None = None
    words: Mapping[str, Any] | None = None
    """What it says, by part; only where everything is kept."""


Contents = dict[tuple[str, ...], Content]
"""
What was rendered before from one set of templates: the same event says the same to the same person
in every run, and under every version of a policy.
"""


class FastRunner:
    """
    One installation. ``meet`` is how messages are taken, ``watch`` is told every decision,
    ``contents`` may be shared by several runs of one file, ``props`` by all stages of a process.
    ``keep`` is for a few messages to look back at: they are never forgotten, replies find them, and
    every content is rendered at its time and stays in ``said`` by message and channel.
    ``last_report`` is when the last receipt so far comes (UTC milliseconds).
    """

    def __init__(
        self,
        configuration: Configuration,
        policies: Mapping[str, Policy],
        start: int,
        meet: Meet,
        watch: Callable[[Decided, int], None],
        contents: Contents,
        props: Props | None = None,
        keep: bool = False,
    ) -> None:
        self.said: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.last_report = start
        self._configuration = configuration
        self._props = props or Props()
        self._keep = keep
        self._meet = meet
        self._watch = watch
        self._contents = contents
        self._ids = itertools.count(start << 80)
        self._heap: list[tuple[int, str, int, Callable[[], None]]] = []
        self._order = 0
        self._ready: list[tuple[str, int, int, str, int]] = []
        self._awaited: dict[str, int] = {}
        self._rules = rules_for(configuration, policies)
        self._providers = {
            name: self._at_work(one) for name, one in configuration.settings.providers.items()
        }
        self._zone = ZoneInfo(self._rules.governance.time_zone)
        self._book = UnitOfWork(Loaded(), self._props.address_hash)
        self._desk = BatchContext(
            work=self._book,
            rules=self._rules,
            now=start,
            policies={(policy.name, policy.version): policy for policy in policies.values()},
            evaluate=self._props.evaluate,
            address_hash=self._props.address_hash,
            new_id=self._new_id,
            view=lambda message, event: {},
            shut={},
            outages=(),
            velocity=Velocity(self._book, self._props.address_hash, self._rules.limits),
            spent={},
            day="",
            day_ends=0,
            started_at=0.0,
        )

    def play(
        self,
        events: Iterable[tuple[int, Event]],
        advance: Callable[[int], None],
        until: Callable[[int], int],
    ) -> None:
        """
        All events at their times, and all that follows from them; nothing that would happen after
        ``until(last time)``.
        """
        last = self._desk.now
        for at, event in events:
            self.run_until(at - 1)
            self.submit(at, Publish(event))
            last = at
            advance(1)
        self.run_until(until(last))

    def submit(self, at: int, command: Command) -> Any:
        """
        The engine's answer to a command at an instant (UTC milliseconds), which is not before any
        other.
        """
        self._turn(at)
        answer = handle(self._desk, command)
        self._settle()
        return answer

    def know(self, document: dict[str, Any]) -> None:
        """A recipient's document, as if it had been stored before."""
        self._book.people[document["id"]] = Person(
            document["id"], document, self._props.address_hash
        )

    # ---- time

    def run_until(self, limit: int) -> None:
        """
        All that happens up to ``limit``. Within one instant everything is decided first, the older
        message before the younger, and then sent: that is the order in which the service's timers
        and pumps come to it.
        """
        heap = self._heap
        while heap and heap[0][0] <= limit:
            now = heap[0][0]
            self._turn(now)
            while heap and heap[0][0] == now:
                heapq.heappop(heap)[3]()
            self._settle()

    def _turn(self, now: int) -> None:
        """It is ``now``: the clock, and where a day has ended its spending."""
        context = self._desk
        context.now = now
        if now >= context.day_ends:
            today = datetime.fromtimestamp(now / 1000, UTC).astimezone(self._zone).date()
            ends = datetime.combine(today + timedelta(days=1), time(), self._zone)
            context.day, context.day_ends, context.spent = (
                today.isoformat(),
                int(ends.timestamp() * 1000),
                {},
            )

    def _at(self, instant: int, id: str, act: Callable[[], None]) -> None:
        """Have something happen to a message at an instant."""
        self._order += 1
        heapq.heappush(self._heap, (max(instant, self._desk.now), id, self._order, act))

    def _new_id(self) -> str:
        return encode(next(self._ids))

    # ---- decisions

    def _tell(self, entry: WorkingMessage, fact: Fact) -> Any:
        told = apply_fact(self._desk, entry, fact)
        self._note()
        return told

    def _settle(self) -> None:
        """
        Send what is ready, and what becomes ready by that: provider by provider as they were woken,
        the most urgent and the oldest first.
        """
        self._note()
        while self._ready:
            woken = {
                provider: place
                for place, provider in reversed(list(enumerate(row[0] for row in self._ready)))
            }
            ready, self._ready = (
                sorted(set(self._ready), key=lambda row: (woken[row[0]], *row[1:])),
                [],
            )
            for _, _, _, message, step in ready:
                entry = self._book.entries.get(message)
                if entry is not None:
                    self._send(entry, step)

    def _note(self) -> None:
        """Act on what was decided since the last look, and forget what a store would keep."""
        context, work = self._desk, self._book
        decided, context.decided = context.decided, []
        for one in decided:
            self._watch(one, context.now)
            message = one.decision.message
            before_due = one.before.due_at if one.before is not None else None
            if message.due_at is not None and message.due_at != before_due:
                self._wake(message.id, message.due_at)
            self._line_up(message)
            work.entries[message.id].lines.clear()
            self._forget(message)
        if self._keep:
            work.contacts = {
                **work.contacts,
                **{
                    row[:2]: AttemptPlace(row.message, row.attempt) for row in work.changes.contacts
                },
            }
        work.changes = Changes()

    def _line_up(self, message: Message) -> None:
        """The message's rows in the backlogs of its providers."""
        for run in message.ready():
            self._ready.append(
                (
                    run.provider or "",
                    LANES[message.message_class],
                    run.ready_since or 0,
                    message.id,
                    run.step,
                )
            )

    def _wake(self, id: str, due_at: int) -> None:
        def wake() -> None:
            entry = self._book.entries.get(id)
            if entry is not None and entry.message.due_at == due_at:
                self._tell(entry, Due(due_at))

        self._at(due_at, id, wake)

    def _forget(self, message: Message) -> None:
        """A message that has ended, and of which no word can come any more."""
        if not message.terminal:
            return
        live = self._book.live_of.get(message.recipient)
        if live is not None and message.id in live:
            live.remove(message.id)
        if self._keep:
            return
        if message.due_at is None and not self._awaited.get(message.id) and not message.ready():
            self._awaited.pop(message.id, None)
            del self._book.entries[message.id]

    # ---- sending

    def _send(self, entry: WorkingMessage, step: int) -> None:
        """What the dispatcher does with one step of the backlog."""
        run = entry.message.run_of(step)
        if run is None or run not in entry.message.ready():
            return
        provider = self._providers[run.provider or ""]
        now = self._desk.now
        until = provider.breaker.shut_until(now)
        if until is not None:
            self._tell(entry, Shut(step, provider.name, Reason.BREAKER_OPEN, until))
            return
        if provider.breaker.admits(now) == 0:
            id = entry.message.id
            self._at(now + PROBE_LOOK_MS, id, lambda: self._again(id))
            return
        provider.breaker.probing(now)
        self._prepare(entry, step, provider)

    def _again(self, id: str) -> None:
        entry = self._book.entries.get(id)
        if entry is not None:
            self._line_up(entry.message)

    def _prepare(self, entry: WorkingMessage, step: int, provider: ActiveProvider) -> None:
        message = entry.message
        person = self._book.person(message.recipient)
        policy = self._desk.policies[message.policy, message.policy_version]
        kinds = provider.definition.kinds
        targets = tuple(address for address in person.addresses if address.kind in kinds)
        templates = self._configuration.templates
        ready = ReadyStep(message, entry.event, person, policy, templates, step, targets, None)
        content = self._render(ready, provider) if self._keep else self._content(ready, provider)
        if content.refused is not None:
            self._tell(entry, Unpreparable(step, *content.refused))
            return
        cost = provider.cost.of(content.parts) if provider.cost is not None else None
        fact = Prepared(step, provider.name, targets, content.content_hash, content.parts, cost)
        calls = self._tell(entry, fact).calls
        if calls and content.words is not None:
            self.said[message.id, ready.channel] = content.words
        for call in calls:
            self._call(entry, provider, call)

    def _content(self, ready: ReadyStep, provider: ActiveProvider) -> Content:
        """The content of a step, rendered once for all runs."""
        message, template = ready.message, ready.policy.template
        event = (message.event_source, message.event_id)
        key = (template, *event, message.recipient, ready.channel, provider.name)
        found = self._contents.get(key)
        if found is None:
            found = self._contents[key] = self._render(ready, provider)
        return found

    def _render(self, ready: ReadyStep, provider: ActiveProvider) -> Content:
        try:
            rendered = render(
                ready, self._props.outside, provider, len(ready.message.attempts), self._desk.now
            )
        except Unrenderable as problem:
            return Content(refused=(problem.reason, f"{problem.detail} {problem.where}".strip()))
        parts = rendered.sms.parts if rendered.sms is not None else None
        return Content(rendered.content_hash, parts, words=rendered.parts if self._keep else None)

    def _call(self, entry: WorkingMessage, provider: ActiveProvider, call: Call) -> None:
        """
        The provider's answer, which may take its time but never more than its timeout, and the
        receipts that follow.
        """
        id, attempt = entry.message.id, call.attempt
        reaction = self._meet(provider.name, entry.message, entry.message.attempts[attempt])
        for later in reaction.receipts:
            self._expect(id, provider.name, attempt, later, reaction.takes_ms)
        timeout_ms = provider.definition.timeout_ms
        in_time = reaction.takes_ms <= timeout_ms
        outcome = (
            reaction.outcome
            if in_time
            else Unknown(Reason.TIMED_OUT, detail=f"no answer within {timeout_ms} ms")
        )
        if not reaction.takes_ms:
            self._answer(id, provider, attempt, outcome)
            return
        self._awaited[id] = self._awaited.get(id, 0) + 1

        def answer() -> None:
            self._awaited[id] -= 1
            self._answer(id, provider, attempt, outcome)

        self._at(self._desk.now + min(reaction.takes_ms, timeout_ms), id, answer)

    def _answer(self, id: str, provider: ActiveProvider, attempt: int, outcome: Outcome) -> None:
        self._learn(provider, outcome)
        self._tell(self._book.entries[id], Answered(attempt, outcome))

    def _expect(self, id: str, provider: str, attempt: int, later: Later, takes_ms: int) -> None:
        self._awaited[id] = self._awaited.get(id, 0) + 1
        receipt = Receipt(state=later.state, failure=later.failure)
        due = self._desk.now + takes_ms + later.after_ms
        self.last_report = max(self.last_report, due)

        def hear() -> None:
            self._awaited[id] -= 1
            handle(self._desk, RecordReceipt(provider, receipt, id, attempt))
            self._note()
            entry = self._book.entries.get(id)
            if entry is not None:
                self._forget(entry.message)

        self._at(due, id, hear)

    def _learn(self, provider: ActiveProvider, outcome: Outcome) -> None:
        """What an answer says about the provider itself."""
        now = self._desk.now
        provider.breaker.record(rule_for(outcome).breaker, now)
        shut = {name: one.breaker.shut_until(now) for name, one in self._providers.items()}
        self._desk.shut = {name: until for name, until in shut.items() if until is not None}

    def _at_work(self, one: ProviderSettings) -> ActiveProvider:
        settings = self._configuration.settings
        cost = Cost(one.cost.amount, one.cost.per) if one.cost is not None else None
        adapter = played_type(one.adapter_type)(one.adapter_settings, one.provider)
        return ActiveProvider(
            self._rules.providers[one.provider], adapter, None, breaker_of(settings), 1, cost
        )
