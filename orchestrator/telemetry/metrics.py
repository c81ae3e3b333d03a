"""
Prometheus metrics. Labels are closed words and configured names, never anything about a person.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from orchestrator import __version__
from orchestrator.core.facts import Answered, Due, ReceiptReceived
from orchestrator.core.gates import Verdict
from orchestrator.core.message import TERMINAL, Message
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown, kind_of
from orchestrator.core.policy import CLASSES
from orchestrator.engine.batch import Decided

SEND_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LATE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300)
REACH_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400)
CODE_LENGTH_MAX = 32
CODES_MAX = 200
CHILDREN_MAX = 4_096
M = TypeVar("M", Counter, Histogram)


def remembering(metric: M) -> M:
    """
    A metric that finds its children by their labels at once; for those whose children are never
    removed.
    """
    metric.labels = functools.lru_cache(maxsize=CHILDREN_MAX)(metric.labels)  # type: ignore[method-assign]
    return metric


class Tally(dict[tuple[Counter, tuple[str, ...]], int]):
    """
    How often each thing was seen: to be added to its counter at once, for every addition has to
    lock it.
    """

    def add(self, counter: Counter, labels: tuple[str, ...]) -> None:
        key = (counter, labels)
        self[key] = self.get(key, 0) + 1

    def count(self) -> None:
        for (counter, labels), times in self.items():
            (counter.labels(*labels) if labels else counter).inc(times)


class Metrics:
    """Every metric of one process, in a registry of its own. Names begin with ``kaskad_``."""

    def __init__(self, version: str = __version__) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="kaskad", registry=self.registry)
        self.events = self._counter("events", "Events by what became of them", "source", "status")
        self.accepted = self._counter(
            "messages_accepted", "Messages that were begun", "policy", "class"
        )
        self.finished = self._counter(
            "messages_finished", "Messages by how they ended", "class", "status", "reason"
        )
        self.attempts = self._counter(
            "send_attempts", "Provider calls by outcome", "channel", "provider", "outcome"
        )
        self.errors = self._counter(
            "provider_errors", "Providers' own error codes", "channel", "provider", "code"
        )
        self.refusals = self._counter(
            "refusals", "Refusals by whose fault it is", "channel", "provider", "reason"
        )
        self.cost = self._counter(
            "cost", "What providers took, or may have taken, in money", "channel", "currency"
        )
        self.receipts = self._counter(
            "receipts", "Receipts that said something new", "channel", "provider", "state"
        )
        self.fallbacks = self._counter(
            "fallbacks", "Steps left for the next one", "from_channel", "reason"
        )
        self.held = self._counter(
            "held", "Steps that were held, once for each time", "channel", "reason"
        )
        self.skipped = self._counter(
            "skipped", "Checks that did not let a step pass", "gate", "verdict", "reason"
        )
        self.forged = self._counter(
            "webhook_signature_failures", "Webhooks that are not the provider's", "provider"
        )
        self.dead = self._counter("dead_letters", "Events that could not be processed", "reason")
        self.opt_outs = self._counter(
            "optouts", "Opt-outs by where they came from", "channel", "source"
        )
        self.duplicates = self._counter(
            "duplicate_deliveries", "Messages delivered on two channels"
        )
        self.unknown = self._counter(
            "unknown_outcomes", "Sends of which nobody knows whether they left", "provider"
        )
        self.resends = self._counter(
            "resends", "Unknown sends that a policy had repeated", "provider"
        )
        self.condition_errors = self._counter(
            "condition_errors", "Conditions that could not be evaluated"
        )
        self.sending = self._histogram(
            "send_duration_seconds", "Provider calls", SEND_BUCKETS, "channel", "provider"
        )
        self.receipt_lag = self._histogram(
            "receipt_lag_seconds",
            "From intent to receipt",
            (1, 5, 30, 60, 300, 1800, 7200, 86400),
            "channel",
            "state",
        )
        self.reach = self._histogram(
            "reach_seconds", "From acceptance to success", REACH_BUCKETS, "class", "channel"
        )
        self.timer_lateness = self._histogram(
            "timer_lateness_seconds", "How late timers fired", LATE_BUCKETS
        )
        self.batch = self._histogram(
            "engine_batch_size", "Commands in a transaction", (1, 2, 5, 10, 25, 50, 100, 256)
        )
        self.commit = self._histogram("engine_commit_seconds", "Commits", LATE_BUCKETS)
        self.queue = self._gauge(
            "queue_depth", "What waits for a provider (counted up to 10000)", "provider", "class"
        )
        self.inflight = self._gauge("inflight_requests", "Sends under way", "provider")
        self.open = self._gauge("circuit_open", "1 while a provider is left alone", "provider")
        self.store_up = self._gauge("store_up", "1 while the store can be reached")
        self.store_up.set(1)
        self.kafka_lag = self._gauge(
            "kafka_consumer_lag",
            "Records that this process has still to take, of its partitions",
            "topic",
            "partition",
        )
        self.kafka_connected = self._gauge(
            "kafka_connected", "1 while this process is in its consumer group"
        )
        self.kafka_errors = self._counter(
            "kafka_errors", "What went wrong between us and Kafka", "error"
        )
        self.reload_ok = self._gauge(
            "config_last_reload_successful", "1 where the last reload was good"
        )
        self.reload_at = self._gauge("config_last_reload_success_timestamp_seconds", "When it was")
        self._gauge("build_info", "The release", "version").labels(version).set(1)
        self.reload_ok.set(1)
        self._codes: set[str] = set()
        for message_class in CLASSES:
            for status in TERMINAL:
                self.finished.labels(message_class, status.value, "")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return remembering(Counter(f"kaskad_{name}", text, labels, registry=self.registry))

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"kaskad_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return remembering(
            Histogram(f"kaskad_{name}", text, labels, registry=self.registry, buckets=buckets)
        )

    def decided(self, decided: Sequence[Decided], condition_errors: int) -> None:
        """Count what a committed batch has decided: all that is counted alike at once."""
        if condition_errors:
            self.condition_errors.inc(condition_errors)
        tally = Tally()
        for one in decided:
            before, message = one.before, one.decision.message
            if before is None:
                tally.add(self.accepted, (message.policy, message.message_class))
            if message.terminal and (before is None or before.status is not message.status):
                reason = message.reason.value if message.reason is not None else ""
                tally.add(self.finished, (message.message_class, message.status.value, reason))
                self._reached(message)
            if "duplicate_delivery" in message.flags and (
                before is None or "duplicate_delivery" not in before.flags
            ):
                tally.add(self.duplicates, ())
            for check in one.decision.checks:
                if check.reason is not None and check.verdict is not Verdict.GO:
                    tally.add(self.skipped, (check.gate, check.verdict.value, check.reason.value))
            self._runs(before, message, tally)
            if isinstance(one.fact, ReceiptReceived):
                self._heard(message, one.fact, tally)
            elif message.currency is not None and isinstance(one.fact, Answered | Due):
                self._paid(before, message)
        tally.count()

    def _reached(self, message: Message) -> None:
        if message.succeeded_by is not None and message.finished_at is not None:
            seconds = (message.finished_at - message.created_at) / 1000
            self.reach.labels(message.message_class, message.succeeded_by).observe(
                max(0.0, seconds)
            )

    def _paid(self, before: Message | None, message: Message) -> None:
        """
        Add what has just been taken; a provider that dies with the answer is found out about by a
        timer.
        """
        taken = (
            {attempt.number for attempt in before.attempts if attempt.took}
            if before is not None
            else set()
        )
        for attempt in message.attempts:
            if attempt.cost is not None and attempt.took and attempt.number not in taken:
                self.cost.labels(attempt.channel, message.currency).inc(float(attempt.cost))

    def _runs(self, before: Message | None, message: Message, tally: Tally) -> None:
        """What has become of steps: each change once."""
        for run in message.runs:
            if run.ended is None and run.held_for is None and not run.resent:
                continue
            earlier = (
                [one for one in before.runs if one.step == run.step] if before is not None else []
            )
            if run.resent and not any(one.resent for one in earlier):
                tally.add(self.resends, (run.provider or "",))
            if run.held_for is not None and not any(
                one.held_for and one.until == run.until for one in earlier
            ):
                tally.add(self.held, (run.channel, run.held_for.value))
            if (
                run.ended is not None
                and not run.companion
                and all(one.ended is None for one in earlier)
            ):
                tally.add(self.fallbacks, (run.channel, run.ended.value))

    def _heard(self, message: Message, fact: ReceiptReceived, tally: Tally) -> None:
        attempt = message.attempts[fact.attempt]
        tally.add(self.receipts, (attempt.channel, attempt.provider, fact.state))
        lag = (fact.at - attempt.intent_at) / 1000
        self.receipt_lag.labels(attempt.channel, fact.state).observe(max(0.0, lag))

    def answered(self, channel: str, provider: str, outcome: Outcome, seconds: float) -> None:
        """Count one provider call."""
        self.attempts.labels(channel, provider, kind_of(outcome).value).inc()
        self.sending.labels(channel, provider).observe(seconds)
        match outcome:
            case Accepted():
                pass
            case Unknown():
                self.unknown.labels(provider).inc()
                self.errors.labels(
                    channel, provider, self._code(outcome.code or outcome.reason.value)
                ).inc()
            case Refused():
                self.refusals.labels(channel, provider, outcome.reason.value).inc()
                self.errors.labels(
                    channel, provider, self._code(outcome.code or outcome.reason.value)
                ).inc()
            case NotSent():
                self.errors.labels(
                    channel, provider, self._code(outcome.code or outcome.reason.value)
                ).inc()

    def _code(self, code: str) -> str:
        """A provider's code as a label; "other" once there are too many of them."""
        if code not in self._codes and (
            len(self._codes) >= CODES_MAX or len(code) > CODE_LENGTH_MAX
        ):
            return "other"
        self._codes.add(code)
        return code

    def timer_fired(self, late_ms: int) -> None:
        self.timer_lateness.observe(max(0, late_ms) / 1000)

    def batch_committed(self, size: int, seconds: float) -> None:
        self.batch.observe(size)
        self.commit.observe(seconds)

    def kafka(self, connected: bool, lag: Mapping[tuple[str, int], int]) -> None:
        """The state of the Kafka intake; partitions that are no longer ours go."""
        self.kafka_connected.set(1 if connected else 0)
        self.kafka_lag.clear()
        for (topic, partition), records in lag.items():
            self.kafka_lag.labels(topic, str(partition)).set(records)

    def reloaded(self, good: bool, now_ms: int) -> None:
        self.reload_ok.set(1 if good else 0)
        if good:
            self.reload_at.set(now_ms / 1000)

    def backlog(
        self,
        depths: Mapping[tuple[str, int], int],
        shut: Mapping[str, int],
        in_flight: Mapping[str, int],
    ) -> None:
        """What waits, who is shut, and how much is under way, as it is now."""
        self.queue.clear()
        for (queue, lane), count in depths.items():
            self.queue.labels(queue, CLASSES[lane]).set(count)
        for provider, count in in_flight.items():
            self.inflight.labels(provider).set(count)
            self.open.labels(provider).set(1 if provider in shut else 0)
