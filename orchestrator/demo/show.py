"""The demonstration's screen: a live view of the cascades, then a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from orchestrator.core.message import Message, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.status import Delivery
from orchestrator.primitives.durations import duration, rfc3339

CHANNELS = ("in_app", "web_push", "mobile_push", "viber", "whatsapp", "telegram", "email", "sms")
MOVING_MAX = 12
WIDE_COLUMNS = 130
"""From this width on there is room for a column a channel."""
STYLES = {
    "succeeded": "green",
    "exhausted": "red",
    "suppressed": "yellow",
    "expired": "red",
    "cancelled": "blue",
}


@dataclass
class Summary:
    """Everything the show ends with; ``times_ms`` from acceptance to success."""

    events: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reached_by: Counter[str] = field(default_factory=Counter)
    advanced: Counter[str] = field(default_factory=Counter)
    not_sent: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    costs: Counter[str] = field(default_factory=Counter)
    times_ms: list[int] = field(default_factory=list)
    currency: str = "UAH"

    def as_json(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "messages": sum(self.statuses.values()),
            "statuses": dict(self.statuses),
            "reached_by": dict(self.reached_by),
            "advanced": dict(self.advanced),
            "not_sent": dict(self.not_sent),
            "attempts": dict(self.attempts),
            "cost": {"amount": f"{self.cost:.2f}", "currency": self.currency},
            "time_to_reach_ms": {"median": self.percentile(50), "p95": self.percentile(95)},
        }

    @property
    def cost(self) -> float:
        return sum(self.costs.values()) / 100

    def percentile(self, share: int) -> int | None:
        if not self.times_ms:
            return None
        ordered = sorted(self.times_ms)
        return (
            int(median(ordered))
            if share == 50
            else ordered[min(len(ordered) - 1, len(ordered) * share // 100)]
        )


def summarise(messages: Iterable[Message], events: int) -> Summary:
    """Count what the messages' states say."""
    summary = Summary(events=events)
    for message in messages:
        summary.statuses[message.status.value] += 1
        if message.succeeded_by:
            summary.reached_by[message.succeeded_by] += 1
            summary.times_ms.append(
                (message.finished_at or message.created_at) - message.created_at
            )
        if (
            message.status in (Status.SUPPRESSED, Status.CANCELLED, Status.EXPIRED)
            and message.reason is not None
        ):
            summary.not_sent[f"{message.status.value}: {message.reason.value}"] += 1
        attempted = {attempt.step for attempt in message.attempts}
        for run in message.runs:
            if run.ended is not None and not run.companion and run.step in attempted:
                summary.advanced[f"{run.channel}: {run.ended.value}"] += 1
        for attempt in message.attempts:
            summary.attempts[attempt.channel] += 1
        for channel in {attempt.channel for attempt in message.attempts}:
            summary.costs[channel] += round(message.spent(channel) * 100)
    return summary


def live(messages: Sequence[Message], events: int, clock: int, speed: float, columns: int) -> Group:
    """
    One frame: totals, and the cascades that moved last. ``columns`` is the width of the screen.
    """
    summary = summarise(messages, events)
    head = Text.assemble(
        ("Kaskad ", "bold"),
        f"{rfc3339(clock)[11:16]} UTC, {speed:g}× our speed   ",
        (f"{events} events  {len(messages)} messages", "bold"),
    )
    totals = Text("  ").join(
        Text(f"{name} {count}", STYLES.get(name, "cyan"))
        for name, count in summary.statuses.items()
    )
    table = Table(box=None, pad_edge=False, show_edge=False)
    wide = columns >= WIDE_COLUMNS
    for column in ("message", "policy", *(CHANNELS if wide else ("channels so far",)), "status"):
        table.add_column(column, no_wrap=True)
    moving = [message for message in messages if message.attempts]
    moving.sort(
        key=lambda message: max(a.answered_at or a.intent_at for a in message.attempts),
        reverse=True,
    )
    for message in moving[:MOVING_MAX]:
        table.add_row(*(row(message) if wide else short_row(message)))
    return Group(head, totals, Text(""), table)


def row(message: Message) -> list[Text]:
    """A message's way down its channels."""
    cells = [Text("…" + message.id[-6:], "dim"), Text(message.policy)]
    for channel in CHANNELS:
        cells.append(cell(message, channel))
    status = message.status.value
    words = f"{status} by {message.succeeded_by}" if message.succeeded_by else status
    cells.append(Text(words, STYLES.get(status, "cyan")))
    return cells


def short_row(message: Message) -> list[Text]:
    """The same where there is little room: the channels so far, and how far the last one got."""
    cascade = {run.step for run in message.runs if not run.companion}
    tried = [a.channel for a in message.attempts if a.step in cascade]
    way = Text(" › ".join(dict.fromkeys(tried)))
    if tried:
        way = Text.assemble(way, " ", cell(message, tried[-1]))
    status = message.status.value
    number, policy = Text("…" + message.id[-6:], "dim"), Text(message.policy)
    return [number, policy, way, Text(status, STYLES.get(status, "cyan"))]


def cell(message: Message, channel: str) -> Text:
    """One channel of a message: the furthest that any of its attempts got."""
    cascade = {run.step for run in message.runs if not run.companion}
    attempts = [a for a in message.attempts if a.channel == channel and a.step in cascade]
    if not attempts:
        return Text("·", "dim")
    last = attempts[-1]
    if last.engagement:
        return Text("✓ " + list(last.engagement)[-1], "bold green")
    if last.state is Delivery.DELIVERED:
        return Text("✓ delivered", "green")
    if last.outcome is OutcomeKind.REFUSED:
        return Text("✗ refused", "red")
    if last.outcome is OutcomeKind.ACCEPTED:
        return Text(
            "✗ " + last.state.value if last.state.value in ("failed", "expired") else "→ sent",
            "yellow",
        )
    return Text("? unknown" if last.outcome is OutcomeKind.UNKNOWN else "→ sending", "magenta")


def ending(summary: Summary) -> Group:
    """The summary, for people."""
    table = Table(title="What became of it", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("")
    total = max(1, sum(summary.statuses.values()))
    for name, count in summary.statuses.most_common():
        table.add_row(
            name, str(count), Text(f"{100 * count / total:.0f} %", STYLES.get(name, "cyan"))
        )
    parts = [table]
    for title, counter in (
        ("Reached by", summary.reached_by),
        ("Moved on because", summary.advanced),
        ("Not sent, or called off, because", summary.not_sent),
    ):
        if counter:
            parts.append(counted(title, counter))
    money = ", ".join(
        f"{channel} {cents / 100:.2f}" for channel, cents in summary.costs.most_common() if cents
    )
    mid, late = summary.percentile(50), summary.percentile(95)
    lines = [
        f"Cost           {summary.cost:.2f} {summary.currency} ({money})",
        f"Provider calls {sum(summary.attempts.values())} for {total} messages",
    ]
    if mid is not None and late is not None:
        lines.append(f"Time to reach  median {duration(mid)}, 95 % within {duration(late)}")
    return Group(*parts, Text("\n".join(lines)))


def counted(title: str, counter: Counter[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    for name, count in counter.most_common():
        table.add_row(name, str(count))
    return table
