"""
The reports. Each reads a few sums of the period and makes tables and charts of them; none reads a
message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.counts import DELIVERED, MESSAGES, SENDS, UNSUBSCRIBED
from orchestrator.core.message import TERMINAL, Status
from orchestrator.core.policy import Policy
from orchestrator.core.reasons import Reason
from orchestrator.reports.document import (
    Cell,
    Chart,
    Column,
    ReportTable,
    ReportView,
    column,
    share,
    table,
)
from orchestrator.reports.period import Period, number_of
from orchestrator.reports.sums import cost_column, money, sent_columns, sum_of
from orchestrator.stores.counts import CountRow
from orchestrator.stores.port import Store

SUCCEEDED = Status.SUCCEEDED.value
ENDS = tuple(sorted(status.value for status in TERMINAL))
EVER = (0, 99_999_999)
FAILURES = tuple(status for status in ENDS if status != SUCCEEDED)
REASONS_MAX = 12
MOVED_NOTE = (
    "a run counts as entered in the version that it began with, and as ended in the one that it"
    " was moved to"
)
WHOLE = {"channel": ("",), "status": ("",), "reason": ("",)}
"""Rows of messages as a whole."""
ON_CHANNELS = {"status": ("",), "reason": ("",)}
Where = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Source:
    """
    Where a report comes from: the store, the days, the installation's zone and money, and its
    policies by name, with the names of its journeys.
    """

    store: Store
    period: Period
    time_zone: str
    currency: str
    policies: Mapping[str, Policy] = field(default_factory=dict)
    journey_names: Collection[str] = ()

    async def rows(self, by: Sequence[str], where: Where) -> list[CountRow]:
        """Sums of messages, without those of journeys."""
        since, until = number_of(self.period.since), number_of(self.period.until)
        return await self.store.counts(since, until, by, {"journey": ("",), **where})

    async def journeys(self, by: Sequence[str], where: Where) -> list[CountRow]:
        """Sums of journeys alone."""
        since, until = number_of(self.period.since), number_of(self.period.until)
        return await self.store.counts(since, until, by, {"policy": ("",), **where})

    def view(
        self,
        report: str,
        title: str,
        tables: list[ReportTable],
        charts: list[Chart],
        notes: Sequence[str] = (),
        name: str | None = None,
    ) -> ReportView:
        """The document; empty tables and charts are left out."""
        period = self.period
        return {
            "report": report,
            "name": name,
            "title": title,
            "since": period.since.isoformat(),
            "until": period.until.isoformat(),
            "by": period.by,
            "time_zone": self.time_zone,
            "tables": [one for one in tables if one["rows"]],
            "charts": [one for one in charts if one["labels"]],
            "notes": list(notes) if any(one["rows"] for one in tables) else ["nothing was counted"],
        }


async def policies(source: Source, where: Where | None = None) -> ReportView:
    """Every policy: its messages, how many reached somebody, what came of them, what they cost."""
    narrowed = where or {}
    found = await source.rows(("policy",), {**WHOLE, **narrowed})
    ends = await source.rows(("policy", "status"), {"status": (SUCCEEDED,), **narrowed})
    reached = {row.group[0]: row.numbers[MESSAGES] for row in ends}
    columns = sent_columns("read", "clicked", "converted", "unsubscribed")
    rows = [
        [
            row.group[0],
            row.numbers[MESSAGES],
            share(reached.get(row.group[0], 0), row.numbers[MESSAGES]),
            *(cell(row.numbers) for _, cell in columns),
            money(row.numbers),
        ]
        for row in sorted(found, key=lambda row: -row.numbers[MESSAGES])
    ]
    heads = [
        column("policy", "text"),
        column("messages"),
        column("reached", "share"),
        *(head for head, _ in columns),
        cost_column(source.currency),
    ]
    chart = bars("Messages by policy", rows, 1)
    over_time, lines = await by_period(source, narrowed)
    why = await reasons(source, narrowed)
    tables = [table("policies", heads, rows), *over_time, why]
    notes = [
        "reached: of messages; converted: of those sent; read, clicked and opt-out: of those"
        " delivered"
    ]
    return source.view("policies", "Policies", tables, [*lines, chart], notes)


async def channels(source: Source) -> ReportView:
    """Every channel: what was sent on it, what became of that, what it cost, why it was left."""
    found = await source.rows(("channel",), ON_CHANNELS)
    found = [row for row in found if row.group[0]]
    columns = sent_columns("sent", "delivered", "read", "clicked", "replied", "unsubscribed")
    ends = await source.rows(("channel",), {"status": (SUCCEEDED,)})
    reached = {row.group[0]: row.numbers[MESSAGES] for row in ends}
    rows = [
        [
            row.group[0],
            *(cell(row.numbers) for _, cell in columns),
            reached.get(row.group[0], 0),
            money(row.numbers),
        ]
        for row in sorted(found, key=lambda row: -row.numbers[SENDS])
    ]
    heads = [
        column("channel", "text"),
        *(head for head, _ in columns),
        column("decided"),
        cost_column(source.currency),
    ]
    left = await source.rows(("channel", "reason"), {"status": ("",)})
    why = sorted(
        (row for row in left if all(row.group)), key=lambda row: (row.group[0], -row.numbers[0])
    )
    tables = [
        table("channels", heads, rows),
        table(
            "why steps were left",
            [column("channel", "text"), column("reason", "text"), column("steps")],
            [[*row.group, row.numbers[MESSAGES]] for row in why],
        ),
    ]
    if source.period.by is not None:
        tables.insert(1, await sends_over_time(source))
    notes = [
        "sent: messages, however many attempts; decided: messages that succeeded by this channel;"
        " delivered: of those sent; the other rates: of those delivered"
    ]
    return source.view("channels", "Channels", tables, [bars("Sent by channel", rows, 1)], notes)


async def people(source: Source) -> ReportView:
    """What people got and what they did not, without naming anybody."""
    whole = sum_of(await source.rows((), WHOLE))
    ends = await source.rows(("status",), {"status": ENDS})
    by_status = {row.group[0]: row.numbers[MESSAGES] for row in ends}
    count = whole[MESSAGES]
    extra = (
        sum_of(row for row in await source.rows(("channel",), ON_CHANNELS) if row.group[0])[
            DELIVERED
        ]
        - whole[DELIVERED]
    )
    figures: list[tuple[str, int]] = [
        ("messages", count),
        ("reached somebody", by_status.get(SUCCEEDED, 0)),
        ("delivered on more than one channel", max(0, extra)),
        ("still under way", count - sum(by_status.values())),
        ("opted out after it", whole[UNSUBSCRIBED]),
    ]
    rows: list[list[Cell]] = [[name, number, share(number, count)] for name, number in figures]
    heads = [column("what", "text"), column("messages"), column("share", "share")]
    tables = [
        table("people", heads, rows if count else []),
        await grouped(source, "class", "message_class"),
        await grouped(source, "stage", "stage"),
        await reasons(source, {}),
    ]
    return source.view("people", "People", tables, [])


async def grouped(source: Source, title: str, field: str) -> ReportTable:
    """What became of messages by a field of what they are counted under, where it is not empty."""
    out = sent_columns("sent", "delivered", "unsubscribed", "complained")
    rows: list[list[Cell]] = [
        [row.group[0], row.numbers[MESSAGES], *(cell(row.numbers) for _, cell in out)]
        for row in await source.rows((field,), WHOLE)
        if row.group[0]
    ]
    heads = [column(title, "text"), column("messages"), *(head for head, _ in out)]
    return table(f"by {title}", heads, rows)


async def journey(source: Source, name: str) -> ReportView:
    """One journey: how many entered it, how they ended, by version and stage."""
    found = await source.journeys(("version", "stage", "status"), {"journey": (name,)})
    groups: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in found:
        version, stage, status = row.group
        known = groups[version, stage]
        known[status] = known.get(status, 0) + row.numbers[MESSAGES]
    statuses = sorted({status for one in groups.values() for status in one if status})
    heads = [
        column("version", "text"),
        column("stage", "text"),
        column("entered"),
        *(column(status) for status in statuses),
    ]
    rows: list[list[Cell]] = [
        [version, stage, one.get("", 0), *(one.get(status, 0) for status in statuses)]
        for (version, stage), one in sorted(groups.items())
    ]
    moved = any(sum(one.values()) > 2 * one.get("", 0) for one in groups.values())
    notes = [MOVED_NOTE] if moved else []
    tables = [table("journeys", heads, rows)]
    return source.view("journey", f"Journey {name}", tables, [], notes, name)


async def reasons(source: Source, where: Where) -> ReportTable:
    """Why messages reached nobody, the most frequent reasons first."""
    ended = await source.rows(("status", "reason"), {"status": FAILURES, **where})
    count = sum_of(ended)[MESSAGES]
    ordered = sorted(ended, key=lambda row: -row.numbers[MESSAGES])
    rows: list[list[Cell]] = [
        [*row.group, row.numbers[MESSAGES], share(row.numbers[MESSAGES], count), sentence(row)]
        for row in ordered[:REASONS_MAX]
    ]
    heads: list[Column] = [
        column("status", "text"),
        column("reason", "text"),
        column("messages"),
        column("share", "share"),
        column("meaning", "text"),
    ]
    return table("why not", heads, rows)


def sentence(row: CountRow) -> str:
    """What a reason means; one of another release has no words here."""
    reason = row.group[1]
    return Reason(reason).describe() if reason in set(Reason) else ""


async def by_period(source: Source, where: Where) -> tuple[list[ReportTable], list[Chart]]:
    """Messages and what reached somebody by day, week or month; nothing if none was asked for."""
    period = source.period
    if period.by is None:
        return [], []
    sums: dict[str, list[int]] = {label: [0, 0, 0, 0] for label in period.buckets()}
    for row in await source.rows(("day",), {**WHOLE, **where}):
        numbers = sums[period.bucket(row.group[0])]
        for place, measure in enumerate((MESSAGES, SENDS, DELIVERED)):
            numbers[place] += row.numbers[measure]
    for row in await source.rows(("day",), {"status": (SUCCEEDED,), **where}):
        sums[period.bucket(row.group[0])][3] += row.numbers[MESSAGES]
    if not any(count for count, *_ in sums.values()):
        return [], []
    rows: list[list[Cell]] = [
        [label, count, sent, share(delivered, sent), share(reached, count)]
        for label, (count, sent, delivered, reached) in sums.items()
    ]
    heads = [
        column(period.by, "text"),
        column("messages"),
        column("sent"),
        column("delivered", "share"),
        column("reached", "share"),
    ]
    labels = list(sums)
    chart: Chart = {
        "title": f"Messages by {period.by}",
        "kind": "lines",
        "unit": "count",
        "labels": labels,
        "series": [
            {"name": "messages", "values": [float(one[0]) for one in sums.values()]},
            {"name": "reached", "values": [float(one[3]) for one in sums.values()]},
        ],
    }
    return [table(f"by {period.by}", heads, rows)], [chart]


async def sends_over_time(source: Source) -> ReportTable:
    """What was sent on each channel by day, week or month."""
    period = source.period
    found = [row for row in await source.rows(("day", "channel"), ON_CHANNELS) if row.group[1]]
    names = sorted({row.group[1] for row in found})
    sums = {label: dict.fromkeys(names, 0) for label in period.buckets()}
    for row in found:
        sums[period.bucket(row.group[0])][row.group[1]] += row.numbers[SENDS]
    heads = [column(period.by or "day", "text"), *(column(name, title=name) for name in names)]
    rows: list[list[Cell]] = [[label, *one.values()] for label, one in sums.items()]
    return table(f"sent by {period.by}", heads, rows if names else [])


def bars(title: str, rows: Sequence[Sequence[Cell]], place: int) -> Chart:
    """A bar for each row: the first cell is its label, the one at ``place`` its length."""
    labels = [str(row[0]) for row in rows[:REASONS_MAX]]
    values = [float(row[place] or 0) for row in rows[:REASONS_MAX]]
    series = [{"name": title, "values": values}]
    return {"title": title, "kind": "bars", "unit": "count", "labels": labels, "series": series}  # type: ignore[typeddict-item]
