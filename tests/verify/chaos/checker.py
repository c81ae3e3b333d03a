"""
The promises, checked from the outside.

If the witnesses of a run contradict each other, a promise is broken. Nothing of the service's
code is used here, and no table of its database is read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.verify.chaos import settings
from tests.verify.chaos.faults import ABRUPT, DRAIN, OF_DATABASE
from tests.verify.chaos.ledger import Stop
from tests.verify.chaos.witnesses import (
    CLOCK_SLACK_SECONDS,
    START_WITHIN_SECONDS,
    TAKEN,
    Key,
    Record,
    Witnesses,
    covered,
    seconds,
)

TERMINAL = frozenset({"succeeded", "exhausted", "suppressed", "expired", "cancelled"})
DEADLINE_GRACE_SECONDS = 60.0
TAKEOVER_SECONDS = 45.0
ANSWERED_SECONDS = settings.TIMEOUT_SECONDS + 3.0
DRAIN_SECONDS = 25.0
RATE_WINDOWS_SECONDS = (1, 10)
WORDS_MAX = 12


@dataclass(slots=True)
class Report:
    """
    ``broken`` are promises that were broken, each with its evidence; ``figures`` what was counted
    and measured.
    """

    broken: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, promise: str, found: Iterable[str]) -> None:
        """One promise and what speaks against it; only the first few are spelt out."""
        words = list(found)
        self.figures[promise] = len(words)
        self.broken.extend(f"{promise}: {word}" for word in words[:WORDS_MAX])


def check(seen: Witnesses) -> Report:
    """Every promise, and the figures."""
    report = Report()
    report.add("P1 accepted and not there", lost(seen))
    report.add("P1 not ended by its deadline and 60 s", unended(seen))
    report.add("P1 taken twice over as an event", split_events(seen))
    report.add("P2 taken twice by a provider", doubled(seen))
    report.add("P2 a taken or unknown step sent again", resent(seen))
    report.add("P2 taken without an intent, or an answer without a taking", unmatched(seen))
    report.add("P3 overtaken", overtaken(seen))
    report.add("P4 sent after a no", sent_after_stop(seen, report.figures))
    report.add("P4 over a cap", over_cap(seen))
    report.add("P4 after the deadline", after_deadline(seen))
    report.add("P4 faster than the rate", over_rate(seen, report.figures))
    report.add("P5 unknown without a cause", causeless(seen))
    report.add("P5 taken over too late", late_takeovers(seen, report.figures))
    report.add("P5 a drain that went wrong", bad_drains(seen, report.figures))
    report.add("P6 ended without a reason", unexplained(seen))
    report.add("P5 sent after its takeover", late_sends(seen, report.figures))
    report.add("answers that should never be", seen.ledger.wrong)
    return report


# -- P1


def lost(seen: Witnesses) -> Iterator[str]:
    for event in seen.ledger.events.values():
        if event.id not in seen.by_event:
            yield f"{event.id} ({event.policy}, by {event.by}) was accepted and has no message"


def unended(seen: Witnesses) -> Iterator[str]:
    for message in seen.messages.values():
        named = f"{message['id']} ({message['policy']})"
        if message["status"] not in TERMINAL:
            yield f"{named} is still {message['status']}"
            continue
        deadline, finished = seconds(message["deadline_at"]), seconds(message["finished_at"])
        if finished - deadline - seen.dark(deadline, finished) > DEADLINE_GRACE_SECONDS:
            yield f"{named} ended {message['finished_at']}, deadline {message['deadline_at']}"


def split_events(seen: Witnesses) -> Iterator[str]:
    for event in seen.ledger.events.values():
        ids = {message["id"] for message in seen.by_event.get(event.id, ())}
        if len(ids | event.messages) > 1:
            yield (
                f"{event.id} by {event.by}: messages {sorted(ids)}, answers"
                f" {sorted(event.messages)}"
            )


# -- P2


def doubled(seen: Witnesses) -> Iterator[str]:
    counts: dict[Key, list[Record]] = defaultdict(list)
    for record in seen.records:
        counts[record.key].append(record)
    for key, records in counts.items():
        if len(records) > 1:
            received = [
                (attempt["outcome"], attempt["times"])
                for attempt in seen.messages.get(key[0], {}).get("attempts", ())
            ]
            sent = [(record.provider, record.at) for record in records]
            yield f"{key}: {sent}; attempts {received}"


def resent(seen: Witnesses) -> Iterator[str]:
    for key, attempts in seen.taken().items():
        if len(attempts) > 1:
            fields = ("number", "outcome", "error", "times")
            yield f"{key}: {[tuple(one[field] for field in fields) for one in attempts]}"


def unmatched(seen: Witnesses) -> Iterator[str]:
    taken, records = seen.taken(), {record.key for record in seen.records}
    for key in records - taken.keys():
        attempts = seen.messages.get(key[0], {}).get("attempts", "no such message")
        yield f"{key} was taken by a provider; the API says {attempts}"
    for key, attempts in taken.items():
        if key not in records and any(one["outcome"] == "accepted" for one in attempts):
            yield f"{key} is accepted by the API's word, and no provider took it"


# -- P3, P4


def overtaken(seen: Witnesses) -> Iterator[str]:
    """
    The SMS of an order comes when the wait of its Viber message has run out: there are no failure
    receipts here.
    """
    at = {record.key: record.at for record in seen.records}
    for (message, step), second in at.items():
        first = at.get((message, step - 1))
        if first is None:
            continue
        if second < first + settings.VIBER_WAIT_SECONDS - seen.late_allowance(first):
            yield f"{message}: step {step - 1} taken at {first}, step {step} at {second}"


def sent_after_stop(seen: Witnesses, figures: dict[str, Any]) -> Iterator[str]:
    """
    Nothing starts after a committed opt-out, cancel or goal; what started before may still arrive
    for a second.
    """
    records: dict[str, list[Record]] = defaultdict(list)
    for record in seen.records:
        records[record.message].append(record)
    frozen: list[Record] = []
    broken: list[str] = []
    for stop in seen.ledger.stops:
        for message in stopped(seen, stop):
            for attempt in message["attempts"]:
                if attempt["outcome"] in TAKEN and seconds(attempt["times"]["intent"]) > stop.at:
                    broken.append(
                        f"{_said(stop)}: {message['id']} has an intent of"
                        f" {attempt['times']['intent']}"
                    )
            for record in records.get(message["id"], ()):
                if record.at <= stop.at + seen.late_allowance(record.at):
                    continue
                if seen.woken(stop.at + START_WITHIN_SECONDS, record.at):
                    frozen.append(record)
                else:
                    broken.append(f"{_said(stop)}: {record}")
    figures["wishes to stop"] = dict(Counter(stop.kind for stop in seen.ledger.stops))
    figures["sends of a frozen process after a no (counted, documented)"] = len(frozen)
    return iter(broken)


def stopped(seen: Witnesses, stop: Stop) -> list[dict[str, Any]]:
    """The messages that a wish to stop is about."""
    if stop.recipient is not None:
        return seen.by_recipient.get(stop.recipient, [])
    return seen.by_event.get(stop.event or "", [])


def _said(stop: Stop) -> str:
    return f"{stop.kind} answered at {stop.at:.3f}"


def over_cap(seen: Witnesses) -> Iterator[str]:
    """
    By the API's intents exactly, and by the stand-ins' record as exactly as their clock allows.
    """
    intents: dict[str, list[float]] = defaultdict(list)
    records: dict[str, list[float]] = defaultdict(list)
    for message, attempt in seen.attempts():
        if message["class"] == "promotional" and attempt["outcome"] in TAKEN:
            intents[message["recipient"]].append(seconds(attempt["times"]["intent"]))
    for record in seen.records:
        message = seen.messages.get(record.message, {"class": ""})
        if message["class"] == "promotional" and not seen.woken(record.at, record.at):
            records[message["recipient"]].append(record.at)
    for recipient, times in intents.items():
        yield from (
            f"{recipient}: intents {few}"
            for few in crowded(times, settings.CAP_LIMIT, settings.CAP_SECONDS)
        )
    for recipient, times in records.items():
        window = settings.CAP_SECONDS - max(seen.late_allowance(at) for at in times)
        yield from (
            f"{recipient}: taken {few}" for few in crowded(times, settings.CAP_LIMIT, window)
        )


def crowded(times: Iterable[float], limit: int, window: float) -> Iterator[list[float]]:
    """Every ``limit + 1`` of the times that lie within less than ``window``."""
    ordered = sorted(times)
    for index in range(len(ordered) - limit):
        few = ordered[index : index + limit + 1]
        if few[-1] - few[0] < window:
            yield few


def after_deadline(seen: Witnesses) -> Iterator[str]:
    for message, attempt in seen.attempts():
        if attempt["outcome"] in TAKEN and attempt["times"]["intent"] > message["deadline_at"]:
            yield (
                f"{message['id']}: deadline {message['deadline_at']}, intent"
                f" {attempt['times']['intent']}"
            )
    for record in seen.records:
        known = seen.messages.get(record.message)
        if known is None:
            continue
        deadline = seconds(known["deadline_at"])
        in_time = record.at <= deadline + seen.late_allowance(record.at)
        if not in_time and not seen.woken(deadline + START_WITHIN_SECONDS, record.at):
            yield f"{known['id']}: deadline {known['deadline_at']}, taken at {record.at}"


def over_rate(seen: Witnesses, figures: dict[str, Any]) -> Iterator[str]:
    """
    At most the rate and one second's worth more, however many processes send, in any second and in
    any ten.

    Half of that second's worth is the burst, half is how long a token may be in hand before the
    first byte leaves. Nothing else is forgiven than how late the stand-ins' own clock may have
    been: what waited for their process is noted at once.
    """
    sends = sorted(one.at for one in seen.records if one.provider == "bulk")
    for window in RATE_WINDOWS_SECONDS:
        most, first = 0, 0
        for last, at in enumerate(sends):
            while sends[first] <= at - window:
                first += 1
            count = last - first + 1
            most = max(most, count)
            if count > settings.BULK_RATE * (window + 1 + seen.lag(at)):
                yield (
                    f"{count} in the {window} s before {at:.3f}, rate {settings.BULK_RATE}/s, lag"
                    f" {seen.lag(at):.3f} s"
                )
        figures[f"most in {window} s at a provider with a rate of {settings.BULK_RATE}/s"] = most


# -- P5, P6


def died(seen: Witnesses) -> Iterator[tuple[Key, float, float]]:
    """
    Attempts whose process died or lost them: their step, their intent and when they were taken
    over.
    """
    for message, attempt in seen.attempts():
        if (attempt["error"] or {}).get("reason") == "process_died":
            yield (
                (message["id"], attempt["step"]),
                seconds(attempt["times"]["intent"]),
                seconds(attempt["times"]["answered"]),
            )


def causeless(seen: Witnesses) -> Iterator[str]:
    """
    An intent is only ever left without an answer where a process was killed or stopped, or its
    database was hurt, before the answer was recorded: soon after the intent, for no call takes
    longer than its timeout.
    """
    causes = seen.journal.of((*ABRUPT, *OF_DATABASE))
    for key, intent, answered in died(seen):
        if not covered(
            causes, intent - CLOCK_SLACK_SECONDS, min(answered, intent + ANSWERED_SECONDS)
        ):
            drains = [
                fault
                for fault in seen.journal.of((DRAIN,))
                if covered([fault], intent - 1, answered)
            ]
            yield f"{key}: intent {intent:.3f}, unknown {answered:.3f}; drains {drains}"


def late_takeovers(seen: Witnesses, figures: dict[str, Any]) -> Iterator[str]:
    """
    From an intent, so even before the death of its process, to the moment when it is known to be
    unknown: without the time in which nobody was there to take anything over, and whatever else
    happened meanwhile.
    """
    took: list[float] = []
    for key, intent, answered in died(seen):
        took.append(answered - intent - seen.dark(intent, answered))
        if took[-1] > TAKEOVER_SECONDS:
            yield (
                f"{key}: intent {intent:.3f}, taken over {answered:.3f}, {took[-1]:.1f} s of it"
                " with a process ready"
            )
    took.sort()
    figures["intents taken over from the dead"] = len(took)
    if took:
        figures["  from intent to takeover, median and longest"] = (
            f"{took[len(took) // 2]:.1f} s, {took[-1]:.1f} s"
        )


def bad_drains(seen: Witnesses, figures: dict[str, Any]) -> Iterator[str]:
    drains = [fault for fault in seen.journal.of((DRAIN,)) if fault.code is not None]
    for fault in drains:
        if fault.code != 0 or (fault.took or 0) > DRAIN_SECONDS:
            yield (
                f"{fault.worker} at {fault.at:.3f}: exit code {fault.code} after {fault.took:.1f} s"
            )
    longest = max((fault.took or 0.0 for fault in drains), default=0.0)
    figures["SIGTERM drains, longest"] = f"{len(drains)}, {longest:.1f} s"


def late_sends(seen: Witnesses, figures: dict[str, Any]) -> Iterator[str]:
    """
    Sends of a process that had been given up for dead: it was stopped between its last look and
    the write, and woke.
    """
    given_up = {key: (intent, answered) for key, intent, answered in died(seen)}
    counted = 0
    for record in seen.records:
        intent, answered = given_up.get(record.key, (record.at, record.at))
        if record.at <= answered + 0.05:
            continue
        counted += 1
        if not seen.woken(intent + seen.late_allowance(intent), record.at):
            yield (
                f"{record.key}: intent {intent:.3f}, taken over {answered:.3f}, taken by its"
                f" provider {record.at:.3f}"
            )
    figures["sends after their takeover (counted, documented)"] = counted


def unexplained(seen: Witnesses) -> Iterator[str]:
    for message in seen.messages.values():
        if (
            message["status"] in TERMINAL
            and message["status"] != "succeeded"
            and message["reason"] is None
        ):
            yield f"{message['id']} ended {message['status']}"
