"""
Waits that the installation's own receipts suggest: how long to wait for a state before the cascade
moves on.

A shorter wait moves on while some receipts are still under way: those people get the message twice,
and the next step is paid for them. A longer one makes everybody wait whom the step does not reach.
Delays run from the answer of the provider to the receipt, by our clock as waits do, and those that
came after the cascade had moved on are in them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.configuration.loading import Configuration
from orchestrator.core.gates import price
from orchestrator.core.message import Message
from orchestrator.core.policy import Policy, Step
from orchestrator.primitives.durations import duration
from orchestrator.reports.document import Cell, Chart, ReportTable, ReportView, column, table
from orchestrator.simulate.counting import arrival, states_of

RECEIPTS_MIN = 200
TWICE_MAX = 0.01
"""The proposed wait is the shortest with which at most so many of the messages come twice."""
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995)
FINE = 1_000


@dataclass(slots=True)
class Delays:
    """What a channel took, and after how long each state was reported (ms)."""

    taken: int = 0
    reported: dict[str, list[int]] = field(default_factory=dict)

    def within(self, state: str, wait_ms: int) -> float:
        """The share of what was taken that has reached a state within a time."""
        found = self.reported.get(state, ())
        return bisect_right(found, wait_ms) / self.taken if self.taken else 0.0

    def ever(self, state: str) -> float:
        return len(self.reported.get(state, ())) / self.taken if self.taken else 0.0


@dataclass(frozen=True, slots=True)
class Trade:
    """
    One wait: of all messages, the share that comes twice, the share that moves on after it, and
    what the next step costs for a thousand messages (None if its price is not known).
    """

    wait_ms: int
    twice: float
    moves_on: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class TunedWait:
    """
    One wait of one step. ``proposed`` is None, and ``why`` says so, if there is too little data.
    """

    policy: str
    step: int
    channel: str
    next_channel: str
    state: str
    receipts: int
    current: Trade
    proposed: Trade | None = None
    trades: tuple[Trade, ...] = ()
    why: str = ""


def delays_of(messages: Iterable[Message]) -> dict[str, Delays]:
    """The delays of each channel, of messages that have ended."""
    found: dict[str, Delays] = {}
    for message in messages:
        for attempt in message.attempts if message.terminal else ():
            if not attempt.took:
                continue
            delays = found.setdefault(attempt.channel, Delays())
            delays.taken += 1
            since = attempt.answered_at or attempt.intent_at
            for state in states_of(attempt):
                at = arrival(attempt, state)
                if at is not None:
                    delays.reported.setdefault(state, []).append(max(0, at - since))
    for delays in found.values():
        for times in delays.reported.values():
            times.sort()
    return found


def tune(
    configuration: Configuration, names: Iterable[str], delays: Mapping[str, Delays]
) -> list[TunedWait]:
    """Every wait after which another step comes, of these policies."""
    found = []
    for name in sorted(names):
        policy = configuration.rules.policies[name]
        for number, step in enumerate(policy.cascade[:-1]):
            for state, wait_ms in step.wait:
                found.append(tuned(configuration, policy, number, state, wait_ms, delays))
    return found


def tuned(
    configuration: Configuration,
    policy: Policy,
    number: int,
    state: str,
    wait_ms: int,
    delays: Mapping[str, Delays],
) -> TunedWait:
    """One wait, with what it trades for what."""
    step, following = policy.cascade[number], policy.cascade[number + 1]
    seen = delays.get(step.channel, Delays())
    later = delays.get(following.channel, Delays())
    arrives = later.ever("delivered") if later.taken >= RECEIPTS_MIN else 1.0
    cost = cost_of(configuration, following)
    times = seen.reported.get(state, [])

    def trade(ms: int) -> Trade:
        in_time = seen.within(state, ms)
        late = seen.ever(state) - in_time
        moves_on = 1 - in_time
        return Trade(
            ms, late * arrives, moves_on, None if cost is None else moves_on * cost * 1_000
        )

    place = (policy.name, number, step.channel, following.channel, state, len(times))
    if len(times) < RECEIPTS_MIN:
        why = (
            f"the store has {len(times)} {state} receipts of {step.channel}, and {RECEIPTS_MIN} are"
            " needed"
        )
        return TunedWait(*place, trade(wait_ms), why=why)
    fine = sorted({rounded(quantile(times, n / FINE)) for n in range(FINE // 2, FINE + 1)})
    proposed = next((one for ms in fine if (one := trade(ms)).twice <= TWICE_MAX), trade(fine[-1]))
    waits = {rounded(quantile(times, share)) for share in QUANTILES}
    waits |= {wait_ms, proposed.wait_ms}
    trades = tuple(trade(ms) for ms in sorted(waits))
    return TunedWait(*place, trade(wait_ms), proposed, trades)


def quantile(times: list[int], share: float) -> int:
    return times[min(len(times) - 1, int(share * len(times)))]


def rounded(ms: int) -> int:
    """Up to a time that people would write: 10 s, a minute from 10 minutes on, 5 from 2 hours."""
    size = 10_000 if ms < 600_000 else 60_000 if ms < 7_200_000 else 300_000
    return max(size, -(-ms // size) * size)


def cost_of(configuration: Configuration, step: Step) -> float | None:
    """The price of a message at the first provider of a step; None if it names none."""
    rules = configuration.rules
    names = step.providers or tuple(rules.channels.get(step.channel, ()))
    provider = rules.providers.get(names[0]) if names else None
    return float(price(provider.cost)) if provider is not None and provider.cost else None


def as_view(found: list[TunedWait], currency: str, messages: int) -> ReportView:
    """The proposals, and for each wait what it trades, as tables and charts."""
    rows: list[list[Cell]] = [
        [
            f"{one.policy}, step {one.step + 1}",
            one.channel,
            one.state,
            duration(one.current.wait_ms),
            duration(one.proposed.wait_ms) if one.proposed else None,
            round(one.current.twice, 4) if one.proposed else None,
            round(one.proposed.twice, 4) if one.proposed else None,
        ]
        for one in found
    ]
    heads = [
        column("step", "text"),
        column("channel", "text"),
        column("state", "text"),
        column("wait", "text"),
        column("proposed", "text"),
        column("twice_now", "share", "twice now"),
        column("twice_then", "share", "then"),
    ]
    tables: list[ReportTable] = [table("waits", heads, rows)]
    charts: list[Chart] = []
    for one in found:
        if one.proposed is not None:
            title = f"{one.policy}, step {one.step + 1}: {one.channel} {one.state}"
            tables.append(trades_table(title, one, currency))
            charts.append(trades_chart(title, one))
    notes = [
        f"{one.policy}, step {one.step + 1} ({one.channel}): {one.why}" for one in found if one.why
    ]
    if not found:
        notes.append("no step of these policies waits for anything before another one")
    notes += [
        f"learnt from {messages} finished messages; proposed is the shortest wait with which"
        f" {TWICE_MAX:.0%} of the messages at most come twice, because the next step was sent"
        " while a receipt was still under way"
    ]
    return {
        "report": "waits",
        "name": None,
        "title": "Waits",
        "since": "",
        "until": "",
        "by": None,
        "time_zone": "",
        "tables": tables,
        "charts": charts,
        "notes": notes,
    }


def trades_table(title: str, one: TunedWait, currency: str) -> ReportTable:
    """A row for each wait: who comes twice, who moves on, what the next step costs."""
    marks = {one.current.wait_ms: "now"}
    if one.proposed is not None:
        marks[one.proposed.wait_ms] = "proposed"
    rows: list[list[Cell]] = [
        [
            duration(trade.wait_ms),
            round(trade.twice, 4),
            round(trade.moves_on, 4),
            None if trade.cost is None else f"{trade.cost:.2f}",
            marks.get(trade.wait_ms, ""),
        ]
        for trade in one.trades
    ]
    heads = [
        column("wait", "text"),
        column("twice", "share"),
        column("moves_on", "share", f"on to {one.next_channel}"),
        column("cost", "money", f"{currency} a 1000".strip()),
        column("mark", "text", " "),
    ]
    return table(title, heads, rows)


def trades_chart(title: str, one: TunedWait) -> Chart:
    return {
        "title": title,
        "kind": "lines",
        "unit": "share",
        "labels": [duration(trade.wait_ms) for trade in one.trades],
        "series": [
            {"name": "comes twice", "values": [trade.twice for trade in one.trades]},
            {"name": f"on to {one.next_channel}", "values": [t.moves_on for t in one.trades]},
        ],
    }
