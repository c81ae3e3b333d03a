"""
Policies and governance as the core sees them: plain, frozen data.

The YAML is read and checked in ``orchestrator/configuration`` (keys: ``policy_keys.py``), so
nothing in these values can be wrong. Durations are milliseconds, times of day are minutes from
local midnight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from orchestrator.core.values import Value, field, replace

MessageClass = Literal["otp", "conversational", "transactional", "service", "promotional"]
OTP: Literal["otp"] = "otp"
CONVERSATIONAL: Literal["conversational"] = "conversational"
TRANSACTIONAL: Literal["transactional"] = "transactional"
SERVICE: Literal["service"] = "service"
PROMOTIONAL: Literal["promotional"] = "promotional"
CLASSES: tuple[MessageClass, ...] = (OTP, CONVERSATIONAL, TRANSACTIONAL, SERVICE, PROMOTIONAL)
"""
In order of priority: a one-time code never waits behind a promotion. A conversational message only
leaves within the session that its recipient has opened by writing.
"""

CONVERSATION = "conversation"
"""The policy that answers within a session; every installation has it."""
EXEMPT_CLASSES: tuple[MessageClass, ...] = (OTP, CONVERSATIONAL)
"""
What somebody waits for at this moment, a code or an answer: a rule must name these to hold them.
"""

Order = Literal["fixed", "cheapest", "most_engaged"]
Late = Literal["close", "ignore"]
OnUnknown = Literal["wait", "resend", "advance"]
OnHit = Literal["defer", "skip_step", "drop"]
BudgetOnHit = Literal["hold", "skip_step", "drop"]
ConsentDefault = Literal["opt_in", "opt_out", "bypass"]
Metric = Literal["goal", "clicked", "replied"]
Allocate = Literal["fixed", "thompson"]
CalendarKind = Literal["day", "week", "month"]

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Retry(Value):
    """
    How often a step is tried again on one provider after NOT_SENT, and within how long of its first
    try there.
    """

    max: int = 3
    within_ms: int = MINUTE_MS


class Step(Value):
    """
    One step of a cascade, or a companion of it.

    ``wait`` is in the order of the states (``(("delivered", 120000), ("clicked", 600000))``), each
    counted from hand-off. Empty ``providers``: the channel's own, in its order. ``ttl_ms`` None:
    the longest wait. ``max_cost`` is a decimal string in the installation's currency.
    """

    channel: str
    wait: tuple[tuple[str, int], ...] = ()
    when: str | None = None
    providers: tuple[str, ...] = ()
    ttl_ms: int | None = None
    on_unknown: OnUnknown = "wait"
    retry: Retry = Retry()
    max_cost: str | None = None
    max_parts: int | None = None

    @property
    def longest_wait_ms(self) -> int | None:
        """The longest of the step's waits, None if it has none."""
        return max((wait_ms for _, wait_ms in self.wait), default=None)


class Dedupe(Value):
    """``key`` is an expression. The window starts with the first message and is not extended."""

    key: str
    window_ms: int


class Digest(Value):
    """
    What comes for one person and key makes one message. ``key`` is an expression, None: everything
    of the policy is one key. It gathers for ``window_ms``, or until the clock of the recipient
    shows ``at``. ``max`` is how many events it keeps; those beyond are counted.
    """

    key: str | None = None
    window_ms: int | None = None
    at: int | None = None
    max: int = 50


class SendAt(Value):
    """
    The cascade starts within the hours ``between``, by the recipient's clock (None: at any hour);
    with ``best_hour`` at the hour at which they answer most, at most ``within_ms`` later.
    """

    between: Window | None = None
    best_hour: bool = False
    within_ms: int = DAY_MS


class Goal(Value):
    """The event that makes a message pointless; ``match`` is over ``goal`` and ``event``."""

    event: str
    match: str | None = None


class Convert(Value):
    """
    What counts as converted after a success. Without ``event``, it is the policy's goal.
    """

    event: str = ""
    match: str | None = None
    within_ms: int = 3 * DAY_MS


class Arm(Value):
    """
    One arm of an experiment, and what it changes of the policy: "" and () are as the policy has it.
    ``waits`` replace those of the steps on a channel. ``hold_out``: its people get nothing.
    """

    name: str
    weight: int
    hold_out: bool = False
    template: str = ""
    cascade: tuple[Step, ...] = ()
    waits: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)


class Experiment(Value):
    """
    Arms that people get by chance. ``metric`` is what an arm succeeds by with a person, within
    ``within_ms`` of the person's first message.
    """

    name: str
    arms: tuple[Arm, ...]
    metric: Metric = "goal"
    within_ms: int = 3 * DAY_MS
    allocate: Allocate = "fixed"


class Policy(Value):
    """
    One cascade. ``version`` is the content hash of the policy and its templates. ``event`` is the
    type that triggers it, "" if only something that names the policy starts it. ``codes`` has the
    pools that a message gets a code of, by the names of the codes in templates. ``arm`` and
    ``held_out`` are set in the variant that an arm of its experiment has.
    """

    name: str
    version: str
    event: str
    cascade: tuple[Step, ...]
    when: str | None = None
    message_class: MessageClass = TRANSACTIONAL
    topic: str = ""
    template: str = ""
    deadline_ms: int = DAY_MS
    dedupe: Dedupe | None = None
    goal: Goal | None = None
    also: tuple[Step, ...] = ()
    order: Order = "fixed"
    late: Late = "close"
    default_wait_ms: int = 10 * MINUTE_MS
    codes: Mapping[str, str] = field(default_factory=dict)
    digest: Digest | None = None
    send_at: SendAt | None = None
    convert: Convert | None = None
    experiment: Experiment | None = None
    arm: str = ""
    held_out: bool = False

    def variant(self, arm: str) -> Policy:
        """The policy as an arm of its experiment has it; itself where it has no such arm."""
        if not arm or self.experiment is None or self.arm:
            return self
        found = next((one for one in self.experiment.arms if one.name == arm), None)
        if found is None:
            return self
        cascade = found.cascade or self.cascade
        if found.waits:
            cascade = tuple(
                replace(step, wait=found.waits.get(step.channel, step.wait)) for step in cascade
            )
        template = found.template or self.template
        return replace(self, arm=arm, held_out=found.hold_out, cascade=cascade, template=template)

    @property
    def conversion(self) -> Convert | None:
        """What counts as converted: what `convert` says, else the goal; None without either."""
        own = self.convert
        if (own is not None and own.event) or self.goal is None:
            return own if own is not None and own.event else None
        within_ms = own.within_ms if own is not None else Convert().within_ms
        return Convert(self.goal.event, self.goal.match, within_ms)

    @property
    def templates(self) -> tuple[str, ...]:
        """Its template, and those that the arms of its experiment have in its place."""
        arms = self.experiment.arms if self.experiment is not None else ()
        return tuple(
            dict.fromkeys([self.template, *(one.template for one in arms if one.template)])
        )

    @property
    def plan(self) -> tuple[Step, ...]:
        """Cascade steps, then companions; a step's position here is its number everywhere."""
        return self.cascade + self.also


class Window(Value):
    """
    Quiet from ``start`` to ``end`` minutes of the local day (start inclusive, end exclusive).

    If ``end`` ≤ ``start``, it runs over midnight and belongs to the day on which it begins; 0 to
    1440 is a whole day.
    """

    start: int
    end: int


class QuietHours(Value):
    """``windows`` has one entry a weekday (0 is Monday): the window that begins on that day."""

    name: str
    windows: tuple[Window | None, ...]
    zone: str = "recipient"  # or an IANA name
    fallback_zone: str | None = None
    classes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    on_hit: OnHit = "defer"
    max_defer_ms: int | None = None


class Cap(Value):
    """
    At most ``limit`` in a window: rolling ``window_ms``, else ``calendar`` in the recipient's zone.

    Empty ``classes``: every class but ``EXEMPT_CLASSES``. Empty ``channels``: counts messages, not
    steps.
    """

    name: str
    limit: int
    window_ms: int | None = None
    calendar: CalendarKind | None = None
    classes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    on_hit: OnHit = "defer"


class Gap(Value):
    """At least ``gap_ms`` between two messages (with ``channels``: two steps on those channels)."""

    name: str
    gap_ms: int
    classes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    on_hit: OnHit = "defer"


class Budget(Value):
    """What a channel may cost per calendar day; amounts are decimal strings."""

    channel: str
    per_day: str
    currency: str
    on_hit: BudgetOnHit = "hold"


class WordAnswers(Value):
    """The policies, without a trigger, that answer HELP and confirm STOP; "" for none."""

    help: str = ""
    stop: str = ""


class Governance(Value):
    """
    The rules for all messages: always today's, even for a message under an older policy version.
    ``version`` is the content hash.
    """

    version: str = "none"
    quiet_hours: tuple[QuietHours, ...] = ()
    caps: tuple[Cap, ...] = ()
    gaps: tuple[Gap, ...] = ()
    budgets: tuple[Budget, ...] = ()
    consent: Mapping[str, ConsentDefault] = field(
        default_factory=lambda: {
            OTP: "bypass",
            CONVERSATIONAL: "opt_out",
            TRANSACTIONAL: "opt_out",
            SERVICE: "opt_out",
            PROMOTIONAL: "opt_in",
        }
    )
    replies: WordAnswers = WordAnswers()
    time_zone: str = "UTC"
    sms_countries: tuple[str, ...] = ()


def covers(classes: tuple[str, ...], message_class: str) -> bool:
    """
    Whether a rule with these ``classes`` applies; one that names none spares ``EXEMPT_CLASSES``.
    """
    return message_class in classes if classes else message_class not in EXEMPT_CLASSES
