"""
The options of one run, drawn from its seed.

Each fault is on in some runs and off in others, and differently strong: a run in which everything
goes wrong at once hides what only shows when one thing does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from random import Random

EDGES = (
    "2026-11-21T10:00",
    "2026-03-29T01:00",  # Kyiv and Warsaw set their clocks forward
    "2026-10-25T01:00",  # and back
    "2026-03-08T07:00",  # New York forward
    "2026-11-01T06:00",  # and back
    "2026-04-04T15:00",  # Lord Howe back by half an hour
    "2026-12-31T22:00",
)
"""Instants (UTC) around which runs take place."""
ZONES = (
    "Europe/Kyiv",
    "Europe/Warsaw",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
)
OUTAGE_SPAN_SECONDS = 3_600.0
"""A channel's baseline is older than its last 15 minutes, so a short run has none."""


@dataclass(frozen=True, slots=True)
class Options:
    """
    ``start`` is UTC milliseconds; ``span_seconds`` how long faults and events go on. Everything
    named ``…_rate`` is a share from 0 to 1; a rate of 0 means that this fault is off.
    ``receipt_outage`` is how many sends without receipts count as one; with 0 none is looked for.
    """

    seed: int
    start: int
    span_seconds: float
    recipients: int
    events: int
    policies: int
    shared_phones: bool
    second_providers: bool
    bot: bool
    rates_on: bool
    governed: bool
    # the provider's side
    slow: bool
    connect_rate: float
    throttle_rate: float
    refuse_rate: float
    silent_take_rate: float
    silent_loss_rate: float
    unreadable_rate: float
    receipts_rate: float
    early_rate: float
    late_rate: float
    double_rate: float
    failed_receipt_rate: float
    outages: int
    silent_spells: int
    receipt_outage: int
    # our own side
    store_seconds: float
    crash_rate: float
    crashes: int
    commit_fails_rate: float
    commit_lies_rate: float
    pauses: int
    jumps: int
    redeliver_rate: float
    # what people do meanwhile
    fan_outs: bool
    opt_outs: int
    replies: int
    goals: int
    cancels: int
    erasures: int
    reloads: int
    operator_pauses: int

    def summary(self) -> str:
        """One line of what is on, for people."""
        shown = []
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in ("seed", "start") or not value:
                continue
            shown.append(one.name if value is True else f"{one.name}={value:.3g}")
        moment = datetime.fromtimestamp(self.start / 1000, UTC).isoformat(timespec="minutes")
        return f"seed {self.seed}: from {moment}, {', '.join(shown)}"


def draw(seed: int) -> Options:
    """The options of a seed."""
    rng = Random(f"options {seed}")

    def sometimes(share: float, low: float, high: float) -> float:
        return round(rng.uniform(low, high), 3) if rng.random() < share else 0.0

    def count(share: float, most: int) -> int:
        return rng.randint(1, most) if rng.random() < share else 0

    edge = datetime.fromisoformat(rng.choice(EDGES)).replace(tzinfo=UTC)
    span = rng.choice((900.0, 3_600.0, 10_800.0, 28_800.0))
    start = int(edge.timestamp() * 1000) - int(rng.uniform(-0.5, 1.2) * span * 1000)
    calm = rng.random() < 0.15
    own = Random(f"receipt outage {seed}")  # so that the seed keeps all its other options
    outage = own.randint(1, 2) if span >= OUTAGE_SPAN_SECONDS and own.random() < 0.4 else 0
    own = Random(f"operator pauses {seed}")
    operator_pauses = own.randint(1, 3) if own.random() < 0.25 else 0
    return Options(
        seed=seed,
        start=start,
        span_seconds=span,
        recipients=rng.randint(1, 6),
        events=rng.randint(4, 18),
        policies=rng.randint(1, 3),
        shared_phones=rng.random() < 0.3,
        second_providers=rng.random() < 0.5,
        bot=rng.random() < 0.3,
        rates_on=rng.random() < 0.3,
        governed=rng.random() < 0.7,
        slow=rng.random() < 0.4,
        connect_rate=sometimes(0.3, 0.05, 0.5),
        throttle_rate=sometimes(0.3, 0.05, 0.5),
        refuse_rate=sometimes(0.4, 0.05, 0.4),
        silent_take_rate=sometimes(0.5, 0.05, 0.6),
        silent_loss_rate=sometimes(0.3, 0.05, 0.4),
        unreadable_rate=sometimes(0.3, 0.05, 0.4),
        receipts_rate=rng.choice((0.0, 0.3, 0.7, 0.9, 1.0)),
        early_rate=sometimes(0.4, 0.1, 0.9),
        late_rate=sometimes(0.4, 0.1, 0.7),
        double_rate=sometimes(0.4, 0.1, 0.6),
        failed_receipt_rate=sometimes(0.4, 0.05, 0.4),
        outages=count(0.25, 2),
        silent_spells=count(0.2, 2),
        receipt_outage=outage,
        store_seconds=0.0 if calm else sometimes(0.5, 0.001, 0.3),
        crash_rate=0.0 if calm else sometimes(0.4, 0.003, 0.06),
        crashes=0 if calm else count(0.3, 3),
        commit_fails_rate=0.0 if calm else sometimes(0.25, 0.01, 0.15),
        commit_lies_rate=0.0 if calm else sometimes(0.25, 0.01, 0.15),
        pauses=0 if calm else count(0.3, 3),
        jumps=0 if calm else count(0.2, 3),
        redeliver_rate=sometimes(0.5, 0.1, 0.6),
        fan_outs=rng.random() < 0.25,
        opt_outs=count(0.5, 5),
        replies=count(0.4, 5),
        goals=count(0.4, 4),
        cancels=count(0.3, 3),
        erasures=count(0.15, 1),
        reloads=count(0.25, 2),
        operator_pauses=operator_pauses,
    )
