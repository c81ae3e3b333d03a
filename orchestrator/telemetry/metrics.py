"""
Prometheus metrics. Labels are closed words and configured names, never anything about a person.

``Metrics`` declares each metric in one line: its attribute is its name without ``kaskad_``, so
``metrics.refusals`` is ``kaskad_refusals_total``. The table in docs/operations.md is checked
against these lines.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from orchestrator import __version__
from orchestrator.core.effects import ShutProvider
from orchestrator.core.facts import Answered, Due, IntakeWarning, ReceiptReceived, Unpreparable
from orchestrator.core.gates import Verdict
from orchestrator.core.journey.facts import Entered
from orchestrator.core.message import TERMINAL, Message
from orchestrator.core.outcomes import Accepted, Outcome, kind_of
from orchestrator.core.policy import CLASSES
from orchestrator.core.reasons import Reason
from orchestrator.engine.batch import Decided, JourneyDecided
from orchestrator.recipients.fields import check_of

SEND_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LATE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300)
REACH_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400)
RECEIPT_BUCKETS = (1, 5, 30, 60, 300, 1800, 7200, 86400)
BATCH_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 256)
FIELD_WORD = re.compile(r"[a-z_]+")
CODE_LENGTH_MAX = 32
CODES_MAX = 200
CHILDREN_MAX = 4_096

TraceId = Callable[[Message, Mapping[str, Any]], str | None]
Exemplar = dict[str, str] | None


class Declaration(NamedTuple):
    """A metric before a process registers it."""

    type: type[Counter | Gauge | Histogram]
    text: str
    labels: tuple[str, ...]
    options: dict[str, Any]


def counter(text: str, *labels: str) -> Counter:
    return cast(Counter, Declaration(Counter, text, labels, {}))


def gauge(text: str, *labels: str) -> Gauge:
    return cast(Gauge, Declaration(Gauge, text, labels, {}))


def histogram(text: str, buckets: Sequence[float], *labels: str) -> Histogram:
    return cast(Histogram, Declaration(Histogram, text, labels, {"buckets": buckets}))


def known_field(place: str) -> str:
    """The recipient's field in a place such as ``data.recipients[3].phone``, else ``other``."""
    words = FIELD_WORD.findall(place)
    return next((word for word in words if word == "id" or check_of(word) is not None), "other")


def exemplar(trace_id: str | None) -> Exemplar:
    """What links a value of a histogram to a trace."""
    return {"trace_id": trace_id} if trace_id is not None else None


class BatchCounts(dict[tuple[Counter, tuple[str, ...]], int]):
    """Counts of one batch, added to each counter once: every addition takes a lock."""

    def add(self, metric: Counter, *labels: str) -> None:
        key = (metric, labels)
        self[key] = self.get(key, 0) + 1

    def count(self) -> None:
        for (metric, labels), times in self.items():
            (metric.labels(*labels) if labels else metric).inc(times)


class Metrics:
    """Every metric of one process, in a registry of its own."""

    events = counter("Events by result", "source", "status")
    event_warnings = counter("Parts of recipients that could not be used", "source", "field")
    messages_accepted = counter("Messages that were started", "policy", "class")
    messages_finished = counter("Messages by how they ended", "class", "status", "reason")
    send_attempts = counter("Provider calls by outcome", "channel", "provider", "outcome")
    provider_errors = counter("Providers' own error codes", "channel", "provider", "code")
    refusals = counter("Refusals by reason", "channel", "provider", "reason")
    cost = counter("Price of the messages that providers took", "channel", "currency")
    receipts = counter("Receipts that reported something new", "channel", "provider", "state")
    fallbacks = counter("Steps that were left for the next one", "from_channel", "reason")
    held = counter("Steps that were held, once for each hold", "channel", "reason")
    skipped = counter("Gates that did not let a step pass", "gate", "verdict", "reason")
    webhook_signature_failures = counter("Webhooks with a wrong signature", "provider")
    connections_cut = counter(
        "Connections that were silent, stalled or too many", "listener", "cause"
    )
    dead_letters = counter("Events that could not be processed", "reason")
    optouts = counter("Opt-outs by source", "channel", "source")
    journeys_entered = counter("Journeys that began", "journey")
    journeys_ended = counter("Journeys by how they ended", "journey", "status", "reason")
    journeys_running = gauge(
        "Journeys that run, of all processes (counted up to 100000)", "journey"
    )
    duplicate_deliveries = counter("Messages delivered on two channels")
    unknown_outcomes = counter("Provider calls that may or may not have sent", "provider")
    resends = counter("Unknown sends that a policy had repeated", "provider")
    content_failures = counter(
        "Steps whose content could not be made", "policy", "channel", "reason"
    )
    condition_errors = counter("Conditions that could not be evaluated", "policy")
    send_duration_seconds = histogram(
        "Duration of provider calls", SEND_BUCKETS, "channel", "provider"
    )
    receipt_lag_seconds = histogram(
        "Time from intent to receipt", RECEIPT_BUCKETS, "channel", "state"
    )
    reach_seconds = histogram("Time from acceptance to success", REACH_BUCKETS, "class", "channel")
    timer_lateness_seconds = histogram("How late timers fired", LATE_BUCKETS)
    engine_batch_size = histogram("Commands in a transaction", BATCH_BUCKETS)
    engine_commit_seconds = histogram("Duration of commits", LATE_BUCKETS)
    queue_depth = gauge("Rows waiting for a provider (counted up to 10000)", "provider", "class")
    inflight_requests = gauge("Sends that are running", "provider")
    circuit_open = gauge("1 while a provider's breaker is open", "provider")
    paused = gauge("1 while somebody has paused it", "kind", "name")
    codes_free = gauge("Codes of a pool that no message has", "pool")
    codes_imported = gauge("Codes that were ever imported into a pool", "pool")
    messages_without_timer = gauge("Unfinished messages that no timer looks after, of this process")
    status_sink_up = gauge("1 if a sink took the last status events, else 0", "sink")
    status_failures = counter("Tries in which a sink took no status event", "sink")
    status_backlog = gauge("Status events that wait for a sink (counted up to 10000)", "sink")
    unknown_unresolved = gauge("Sends under way with an unknown outcome and no receipt")
    store_up = gauge("1 while the store is reachable, else 0")
    kafka_consumer_lag = gauge(
        "Records still to read of this process's partitions", "topic", "partition"
    )
    kafka_connected = gauge("1 while this process is in its consumer group")
    kafka_errors = counter("Kafka errors by kind", "error")
    config_last_reload_successful = gauge("1 if the last reload succeeded, else 0")
    config_last_reload_success_timestamp_seconds = gauge("Time of the last successful reload")
    trace_spans = counter("Spans of traces that a collector took")
    trace_spans_dropped = counter("Spans of traces that no collector will see", "cause")
    build_info = gauge("The release, as a label", "version")

    def __init__(self, version: str = __version__) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="kaskad", registry=self.registry)
        for name, one in DECLARED.items():
            metric = one.type(
                f"kaskad_{name}", one.text, one.labels, registry=self.registry, **one.options
            )
            if one.type is not Gauge:  # a gauge's children are removed, the others are cached
                cached = functools.lru_cache(maxsize=CHILDREN_MAX)(metric.labels)
                metric.labels = cached  # type: ignore[assignment, method-assign]
            setattr(self, name, metric)
        self.store_up.set(1)
        self.config_last_reload_successful.set(1)
        self.build_info.labels(version).set(1)
        self._codes: set[str] = set()
        self.trace_id: TraceId | None = None
        for message_class in CLASSES:
            for status in TERMINAL:
                self.messages_finished.labels(message_class, status.value, "")

    def published(self, source: str, status: str, *warnings: IntakeWarning) -> None:
        """Count the result of one event; ``source`` is http or kafka."""
        self.events.labels(source, status).inc()
        for one in warnings if status != "duplicate" else ():
            self.event_warnings.labels(source, known_field(one.field)).inc()

    def decided(self, decided: Sequence[Decided], condition_errors: Mapping[str, int]) -> None:
        """Count the decisions of a committed batch."""
        for policy, count in condition_errors.items():
            self.condition_errors.labels(policy).inc(count)
        counts = BatchCounts()
        for one in decided:
            before, message = one.before, one.decision.message
            if before is None:
                counts.add(self.messages_accepted, message.policy, message.message_class)
            if message.terminal and (before is None or before.status is not message.status):
                reason = message.reason.value if message.reason is not None else ""
                counts.add(
                    self.messages_finished, message.message_class, message.status.value, reason
                )
                self._reached(message, self._exemplar(one))
            if "duplicate_delivery" in message.flags and (
                before is None or "duplicate_delivery" not in before.flags
            ):
                counts.add(self.duplicate_deliveries)
            for check in one.decision.checks:
                if check.reason is not None and check.verdict is not Verdict.GO:
                    counts.add(self.skipped, check.gate, check.verdict.value, check.reason.value)
            self._runs(before, message, counts)
            if isinstance(one.fact, Unpreparable):
                self._unpreparable(message, one.fact, counts)
            elif isinstance(one.fact, ReceiptReceived):
                self._receipt(message, one.fact, counts, self._exemplar(one))
                for effect in one.decision.effects:
                    if isinstance(effect, ShutProvider):
                        channel = message.attempts[one.fact.attempt].channel
                        reason = Reason.REFUSED_CONFIGURATION.value
                        counts.add(self.refusals, channel, effect.provider, reason)
            elif message.currency is not None and isinstance(one.fact, Answered | Due):
                self._cost(before, message)
        counts.count()

    def _exemplar(self, one: Decided) -> Exemplar:
        """The trace of a message whose duration is observed, if it has one."""
        if self.trace_id is None:
            return None
        return exemplar(self.trace_id(one.decision.message, one.event))

    def _reached(self, message: Message, example: Exemplar) -> None:
        if message.succeeded_by is not None and message.finished_at is not None:
            seconds = max(0, message.finished_at - message.starts_at) / 1000
            reached = self.reach_seconds.labels(message.message_class, message.succeeded_by)
            reached.observe(seconds, example)

    def _cost(self, before: Message | None, message: Message) -> None:
        """Add attempts that were taken now; a timer finds those of a process that died."""
        earlier = before.attempts if before is not None else []
        counted = {attempt.number for attempt in earlier if attempt.took}
        for attempt in message.attempts:
            if attempt.cost is not None and attempt.took and attempt.number not in counted:
                self.cost.labels(attempt.channel, message.currency).inc(float(attempt.cost))

    def _unpreparable(self, message: Message, fact: Unpreparable, counts: BatchCounts) -> None:
        run = message.run_of(fact.step)
        if run is not None and fact.reason is not Reason.ERASED:
            counts.add(self.content_failures, message.policy, run.channel, fact.reason.value)

    def _runs(self, before: Message | None, message: Message, counts: BatchCounts) -> None:
        """Count what happened to steps, each change once."""
        runs = before.runs if before is not None else []
        for run in message.runs:
            if run.ended is None and run.held_for is None and not run.resent:
                continue
            earlier = [one for one in runs if one.step == run.step]
            if run.resent and not any(one.resent for one in earlier):
                counts.add(self.resends, run.provider or "")
            if run.held_for is not None and not any(
                one.held_for and one.until == run.until for one in earlier
            ):
                counts.add(self.held, run.channel, run.held_for.value)
            was_open = all(one.ended is None for one in earlier)
            if run.ended is not None and not run.companion and was_open:
                counts.add(self.fallbacks, run.channel, run.ended.value)

    def _receipt(
        self, message: Message, fact: ReceiptReceived, counts: BatchCounts, example: Exemplar
    ) -> None:
        attempt = message.attempts[fact.attempt]
        counts.add(self.receipts, attempt.channel, attempt.provider, fact.state)
        seconds = max(0, fact.at - attempt.intent_at) / 1000
        self.receipt_lag_seconds.labels(attempt.channel, fact.state).observe(seconds, example)

    def answered(
        self,
        channel: str,
        provider: str,
        outcome: Outcome,
        counters: Sequence[str],
        seconds: float,
        trace_id: str | None = None,
    ) -> None:
        """Count one provider call; ``counters`` are those of its row of ``dispatch.answers``."""
        self.send_attempts.labels(channel, provider, kind_of(outcome).value).inc()
        self.send_duration_seconds.labels(channel, provider).observe(seconds, exemplar(trace_id))
        if isinstance(outcome, Accepted):
            return
        reason = outcome.reason.value
        values = {
            "channel": channel,
            "provider": provider,
            "reason": reason,
            "code": self._code(outcome.code or reason),
        }
        for name in counters:
            labels = [values[label] for label in DECLARED[name].labels]
            getattr(self, name).labels(*labels).inc()

    def _code(self, code: str) -> str:
        """A provider's code as a label; "other" once there are too many of them."""
        if code not in self._codes and (
            len(self._codes) >= CODES_MAX or len(code) > CODE_LENGTH_MAX
        ):
            return "other"
        self._codes.add(code)
        return code

    def timer_fired(self, late_ms: int) -> None:
        self.timer_lateness_seconds.observe(max(0, late_ms) / 1000)

    def journeys_decided(self, decided: Sequence[JourneyDecided]) -> None:
        """Count journeys that have begun and ended."""
        for one in decided:
            run = one.decision.run
            if isinstance(one.fact, Entered):
                self.journeys_entered.labels(run.journey).inc()
            if run.terminal and not one.before.terminal:
                reason = str(run.reason) if run.reason is not None else ""
                self.journeys_ended.labels(run.journey, str(run.status), reason).inc()

    def batch_committed(self, size: int, seconds: float) -> None:
        self.engine_batch_size.observe(size)
        self.engine_commit_seconds.observe(seconds)

    def kafka(self, connected: bool, lag: Mapping[tuple[str, int], int]) -> None:
        """The state of the Kafka intake; partitions of other processes are removed."""
        self.kafka_connected.set(1 if connected else 0)
        self.kafka_consumer_lag.clear()
        for (topic, partition), records in lag.items():
            self.kafka_consumer_lag.labels(topic, str(partition)).set(records)

    def reloaded(self, good: bool, now_ms: int) -> None:
        self.config_last_reload_successful.set(1 if good else 0)
        if good:
            self.config_last_reload_success_timestamp_seconds.set(now_ms / 1000)

    def status_sink(self, sink: str, up: bool) -> None:
        """Whether a sink took what it was handed last."""
        self.status_sink_up.labels(sink).set(up)
        if not up:
            self.status_failures.labels(sink).inc()

    def pauses(self, paused: Iterable[tuple[str, str]]) -> None:
        """What is paused now, by kind and name."""
        self.paused.clear()
        for kind, name in paused:
            self.paused.labels(kind, name).set(1)

    def code_pools(self, pools: Iterable[tuple[str, int, int]]) -> None:
        """The pools of codes: how many were imported, and how many are free."""
        self.codes_free.clear()
        self.codes_imported.clear()
        for pool, imported, free in pools:
            self.codes_imported.labels(pool).set(imported)
            self.codes_free.labels(pool).set(free)

    def backlog(
        self,
        depths: Mapping[tuple[str, int], int],
        shut: Mapping[str, int],
        in_flight: Mapping[str, int],
    ) -> None:
        """The backlog by provider and lane, the open breakers, and the running sends."""
        self.queue_depth.clear()
        for (queue, lane), count in depths.items():
            self.queue_depth.labels(queue, CLASSES[lane]).set(count)
        for provider, count in in_flight.items():
            self.inflight_requests.labels(provider).set(count)
            self.circuit_open.labels(provider).set(1 if provider in shut else 0)


DECLARED = {
    name: declared for name, declared in vars(Metrics).items() if isinstance(declared, Declaration)
}
