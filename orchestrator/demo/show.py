"""The demonstration's screen: a live view of the cascades, then a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.core.journey.state import JourneyStatus
from orchestrator.core.message import Message, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import CONVERSATIONAL
from orchestrator.core.status import Delivery
from orchestrator.primitives.durations import duration
from orchestrator.stores.journey_rows import JourneyRow

CHANNELS = ("in_app", "web_push", "mobile_push", "viber", "whatsapp", "telegram", "email", "sms")
ARCHETYPES = ("routine", "joyride", "trek", "odyssey", "")
MOVING_MAX = 12
REASONS_MAX = 8
OWN_CHANNEL = "in_app"
"""The inbox is the service's own: no stand-in takes its messages."""
WIDE_COLUMNS = 130
"""From this width on there is room for a column a channel."""
STYLES = {
    "succeeded": "green",
    "exhausted": "red",
    "suppressed": "yellow",
    "expired": "red",
    "cancelled": "blue",
    "completed": "green",
    "goal_met": "bold green",
    "exited": "yellow",
    "failed": "red",
}


@dataclass
class Summary:
    """
    Everything the show ends with; ``times_ms`` from acceptance to success. ``journeys`` has the
    statuses by journey; ``asked`` and ``answered`` are messages by policy, ``arms`` has them
    by policy and arm; ``gathered`` events are in ``digests``. ``taken`` is what the
    stand-ins say they took, ``accepted`` and ``unknown`` what the histories say of it.
    """

    events: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reached_by: Counter[str] = field(default_factory=Counter)
    advanced: Counter[str] = field(default_factory=Counter)
    not_sent: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    costs: Counter[str] = field(default_factory=Counter)
    times_ms: list[int] = field(default_factory=list)
    journeys: dict[str, Counter[str]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    arms: dict[str, Counter[str]] = field(default_factory=dict)
    digests: int = 0
    gathered: int = 0
    taken: int = 0
    accepted: int = 0
    unknown: int = 0
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
            "journeys": {name: dict(statuses) for name, statuses in self.journeys.items()},
            "asked": dict(self.asked),
            "answered": dict(self.answered),
            "arms": {policy: dict(arms) for policy, arms in self.arms.items()},
            "digests": {"messages": self.digests, "events": self.gathered},
            "accounting": {
                "taken": self.taken,
                "accepted": self.accepted,
                "unknown": self.unknown,
            },
        }

    @property
    def accounted_for(self) -> bool:
        """Whether the providers took what the histories say, and nothing else."""
        return self.accepted <= self.taken <= self.accepted + self.unknown

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


def summarise(
    messages: Iterable[Message], events: int, journeys: Iterable[JourneyRow] = (), taken: int = 0
) -> Summary:
    """Count what the states of messages and journeys say."""
    summary = Summary(events=events, taken=taken)
    for one in journeys:
        summary.journeys.setdefault(one.journey, Counter())[one.status] += 1
    for message in messages:
        count_sends(summary, message)
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


def count_sends(summary: Summary, message: Message) -> None:
    """Count what providers were handed, and what people were asked and answered."""
    if message.message_class == CONVERSATIONAL or any(one.choices for one in message.attempts):
        summary.asked[message.policy] += 1
        summary.answered[message.policy] += any(attempt.replies for attempt in message.attempts)
    if message.arm:
        summary.arms.setdefault(message.policy, Counter())[message.arm] += 1
    if message.joined:
        summary.digests += 1
        summary.gathered += 1 + message.joined + message.left_out
    for attempt in message.attempts:
        if attempt.channel != OWN_CHANNEL:
            summary.accepted += attempt.outcome is OutcomeKind.ACCEPTED
            summary.unknown += attempt.outcome in (OutcomeKind.UNKNOWN, OutcomeKind.PENDING)


def live(
    messages: Sequence[Message],
    journeys: Iterable[JourneyRow],
    events: int,
    clock: str,
    columns: int,
) -> Group:
    """
    One frame: totals, and the cascades that moved last. ``clock`` says what time it is and how fast
    it runs, ``columns`` is the width of the screen.
    """
    summary = summarise(messages, events, journeys)
    head = Text.assemble(
        ("Kaskad ", "bold"),
        f"{clock}   ",
        (f"{events} events  {len(messages)} messages", "bold"),
    )
    ways = sum(summary.journeys.values(), Counter[str]())
    totals = Text("\n").join(
        counts(title, counter)
        for title, counter in (("messages", summary.statuses), ("journeys", ways))
        if counter
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


def counts(title: str, counter: Counter[str]) -> Text:
    """A line of statuses with their numbers."""
    found = [
        Text(f"{name} {count}", STYLES.get(name, "cyan")) for name, count in sorted(counter.items())
    ]
    return Text("  ").join((Text(title, "dim"), *found))


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


def ending(summary: Summary, archetypes: Mapping[str, str]) -> Group:
    """The summary, for people. ``archetypes`` are those of the journeys by their names."""
    table = plain_table()
    total = max(1, sum(summary.statuses.values()))
    for name, count in summary.statuses.most_common():
        share = Text(f"{100 * count / total:.0f} %", STYLES.get(name, "cyan"))
        table.add_row(name, str(count), share)
    parts: list[RenderableType] = [heading("What became of the messages"), table]
    for title, counter in (
        ("Reached by", summary.reached_by),
        ("Moved on because", summary.advanced),
        ("Not sent, or called off, because", summary.not_sent),
    ):
        if counter:
            parts += [heading(f"\n{title}"), counted(counter)]
    if summary.journeys:
        parts += [heading("\nJourneys"), ways(summary.journeys, archetypes)]
    return Group(*parts, Text("\n" + "\n".join(figures(summary, total))))


def heading(title: str) -> Text:
    """A line of its own: a table's title is folded where the table is narrow."""
    return Text(title, "bold")


def plain_table() -> Table:
    """Two columns and perhaps a third, without any lines."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    return table


def figures(summary: Summary, total: int) -> Iterator[str]:
    """The last lines: answers, money, time, and whether all of it adds up."""
    answers = ", ".join(
        f"{summary.answered[policy]} of {asked} asked by {policy}"
        for policy, asked in summary.asked.most_common()
    )
    if answers:
        yield f"Answers        {answers}"
    for policy, arms in summary.arms.items():
        dealt = ", ".join(f"{arm} {count}" for arm, count in sorted(arms.items()))
        yield f"Experiment     messages of {policy} by arm: {dealt}"
    if summary.digests:
        yield f"Digests        {summary.gathered} events in {summary.digests} messages"
    money = ", ".join(
        f"{channel} {cents / 100:.2f}" for channel, cents in summary.costs.most_common() if cents
    )
    yield f"Cost           {summary.cost:.2f} {summary.currency} ({money})"
    yield f"Provider calls {sum(summary.attempts.values())} for {total} messages"
    mid, late = summary.percentile(50), summary.percentile(95)
    if mid is not None and late is not None:
        yield f"Time to reach  median {duration(mid)}, 95 % within {duration(late)}"
    says = "as our histories say" if summary.accounted_for else "WHICH OUR HISTORIES DO NOT SAY"
    yield f"Checked        providers took {summary.taken} messages, {says}"


def ways(journeys: Mapping[str, Counter[str]], archetypes: Mapping[str, str]) -> Table:
    """How many people began each journey, and how it ended for them."""
    table = Table(box=None, pad_edge=False)
    shown = [
        status.value
        for status in JourneyStatus
        if any(statuses[status.value] for statuses in journeys.values())
    ]
    for name in ("", "", "entered", *(status.replace("_", " ") for status in shown)):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name in sorted(journeys, key=lambda one: ARCHETYPES.index(archetypes[one])):
        statuses = journeys[name]
        cells = [Text(str(statuses[one]), STYLES.get(one, "cyan")) for one in shown]
        table.add_row(archetypes[name], name, str(sum(statuses.values())), *cells)
    return table


def counted(counter: Counter[str]) -> Table:
    """The most frequent; the rest is one row."""
    table = plain_table()
    for name, count in counter.most_common(REASONS_MAX):
        table.add_row(name, str(count))
    if rest := counter.total() - sum(count for _, count in counter.most_common(REASONS_MAX)):
        table.add_row("others", str(rest))
    return table
