"""
Policies and governance as the core sees them: plain, frozen data.

The YAML is read, checked and given positions in ``orchestrator/configuration/policy_file.py``; by
the time a policy is one of these, nothing in it can be wrong. Durations are milliseconds. Times of
day are minutes from local midnight.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.values import Value, field

OTP, TRANSACTIONAL, SERVICE, PROMOTIONAL = "otp", "transactional", "service", "promotional"
CLASSES = (OTP, TRANSACTIONAL, SERVICE, PROMOTIONAL)
"""In order of priority: a one-time code never waits behind a promotion."""

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Retry(Value):
    """
    How often, and within how long of the first try, a step is tried again on one provider after
    NOT_SENT.
    """

    max: int = 3
    within_ms: int = MINUTE_MS


class Step(Value):
    """
    One step of a cascade, or a companion of it.

    ``wait`` is in the order of the states (``(("delivered", 120000), ("clicked", 600000))``), each
    counted from hand-off. ``providers`` is empty where the channel's own order counts. ``ttl_ms``
    None means the longest wait. ``max_cost`` is a decimal string in the installation's currency.
    """

    channel: str
    wait: tuple[tuple[str, int], ...] = ()
    when: str | None = None
    providers: tuple[str, ...] = ()
    ttl_ms: int | None = None
    on_unknown: str = "wait"  # wait | resend | advance
    retry: Retry = Retry()
    max_cost: str | None = None
    max_parts: int | None = None

    @property
    def longest_wait_ms(self) -> int | None:
        """The longest of the step's waits, None where it has none."""
        return max((wait_ms for _, wait_ms in self.wait), default=None)


class Dedupe(Value):
    """
    ``key`` is an expression; the window runs from the first message with the key and is not
    extended.
    """

    key: str
    window_ms: int


class Goal(Value):
    """
    The later event that makes a message pointless; ``match`` is an expression over ``goal`` and
    ``event``.
    """

    event: str
    match: str | None = None


class Policy(Value):
    """One cascade. ``version`` is the content hash of the policy and its templates."""

    name: str
    version: str
    event: str
    cascade: tuple[Step, ...]
    when: str | None = None
    message_class: str = TRANSACTIONAL
    topic: str = ""
    template: str = ""
    deadline_ms: int = DAY_MS
    dedupe: Dedupe | None = None
    goal: Goal | None = None
    also: tuple[Step, ...] = ()
    order: str = "fixed"  # fixed | cheapest
    late: str = "close"  # close | ignore
    default_wait_ms: int = 10 * MINUTE_MS

    @property
    def plan(self) -> tuple[Step, ...]:
        """
        Cascade steps first, companions after them; a step's position here is its number everywhere.
        """
        return self.cascade + self.also


class Window(Value):
    """
    Quiet from ``start`` to ``end`` minutes of the local day (start inclusive, end exclusive).

    Where ``end`` ≤ ``start`` it runs over midnight and belongs to the day on which it begins; 0 to
    1440 is a whole day.
    """

    start: int
    end: int


class QuietHours(Value):
    """
    ``windows`` has one entry a weekday (0 is Monday), None where that day has no window beginning
    on it.
    """

    name: str
    windows: tuple[Window | None, ...]
    zone: str = "recipient"  # or an IANA name
    fallback_zone: str | None = None
    classes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    on_hit: str = "defer"  # defer | skip_step | drop
    max_defer_ms: int | None = None


class Cap(Value):
    """
    At most ``limit`` in a window: ``window_ms`` rolling, or, where that is None, the calendar
    ``calendar`` (day, week, month) in the recipient's zone. Empty ``classes``: every class but otp.
    Empty ``channels``: counts messages.
    """

    name: str
    limit: int
    window_ms: int | None = None
    calendar: str | None = None
    classes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    on_hit: str = "defer"


class Gap(Value):
    """
    At least ``gap_ms`` between two messages (or, with ``channels``, two steps on those channels).
    """

    name: str
    gap_ms: int
    classes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    on_hit: str = "defer"


class Budget(Value):
    """What a channel may cost per calendar day in ``zone``; amounts are decimal strings."""

    channel: str
    per_day: str
    currency: str
    on_hit: str = "hold"  # hold | skip_step | drop


class Governance(Value):
    """
    Always the current one, whatever policy version a message keeps. ``version`` is its content
    hash.
    """

    version: str = "none"
    quiet_hours: tuple[QuietHours, ...] = ()
    caps: tuple[Cap, ...] = ()
    gaps: tuple[Gap, ...] = ()
    budgets: tuple[Budget, ...] = ()
    consent: Mapping[str, str] = field(
        default_factory=lambda: {
            OTP: "bypass",
            TRANSACTIONAL: "opt_out",
            SERVICE: "opt_out",
            PROMOTIONAL: "opt_in",
        }
    )
    time_zone: str = "UTC"
    sms_countries: tuple[str, ...] = ()


def covers(classes: tuple[str, ...], message_class: str) -> bool:
    """
    Whether a rule's ``classes`` include ``message_class``: a rule that names none covers every class but
    otp.
    """
    return message_class in classes if classes else message_class != OTP
