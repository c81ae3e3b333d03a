"""
What each answer of a provider does, in one table.

An adapter turns a reply into an outcome (a 429 becomes ``NotSent(THROTTLED)``). ``rule_for`` finds
the outcome's row in ``ANSWERS``: what the answer does to the provider's token bucket and breaker,
what is counted, and which alert looks at it. ``attempt`` is what the core then does to the message:
the code is in ``core/cascade/sending.py``, and a test holds this column against it.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.outcomes import OutcomeKind as Kind
from orchestrator.core.reasons import Reason


class OnAttempt(Enum):
    """What the core does after the answer; the value is the text in the documentation."""

    TAKEN = "taken: receipts decide"
    DOUBT = "may have been sent: `on_unknown` decides"
    RETRY = "tried again, then the step's next provider"
    AT_ONCE = "tried again at once, not counted as a try"
    LEAVE = "next step"
    BOUNCE = "next step; the address gets a bounce"
    OPT_OUT = "next step; the opt-out is recorded"
    SWITCH = "the step's next provider, else the next step"


class OnBucket(Enum):
    """What it does to the provider's rate. The token is spent in every case."""

    NOTHING = "–"
    RESET = "ends a row of throttled answers"
    THROTTLED = "the third in a row pauses the provider"


class OnBreaker(Enum):
    """What it does to the provider's circuit breaker."""

    SUCCESS = "counts as a success"
    FAILURE = "counts as a failure"
    IGNORED = "–"
    OPENS = "opens at once"


class AnswerRule(NamedTuple):
    """
    One row. ``reason`` None stands for every reason of the kind that has no row. ``counters`` are
    attributes of ``Metrics`` that count the answer besides ``send_attempts``.
    """

    kind: Kind
    reason: Reason | None
    attempt: OnAttempt
    bucket: OnBucket
    breaker: OnBreaker
    counters: tuple[str, ...]
    alert: str


THROTTLES_IN_A_ROW = 3
PAUSE_MAX_SECONDS = 60.0

R, A, B, C, row = Reason, OnAttempt, OnBucket, OnBreaker, AnswerRule
ERROR, REFUSAL = ("provider_errors",), ("provider_errors", "refusals")
DOUBT = ("provider_errors", "unknown_outcomes")
BREAKER, CONFIG = "KaskadBreakerOpen", "KaskadConfigurationRefused"
LOST = "KaskadUnknownOutcomes"

# fmt: off
ANSWERS: tuple[AnswerRule, ...] = (
    # kind           reason                   attempt    bucket       breaker    counters alert
    row(Kind.ACCEPTED, None,                  A.TAKEN,   B.RESET,     C.SUCCESS, (),      ""),
    row(Kind.NOT_SENT, R.CONNECT_FAILED,      A.RETRY,   B.NOTHING,   C.FAILURE, ERROR,   BREAKER),
    row(Kind.NOT_SENT, R.THROTTLED,           A.RETRY,   B.THROTTLED, C.IGNORED, ERROR,   ""),
    row(Kind.NOT_SENT, R.START_TOO_LATE,      A.AT_ONCE, B.NOTHING,   C.IGNORED, ERROR,   ""),
    row(Kind.NOT_SENT, None,                  A.RETRY,   B.NOTHING,   C.IGNORED, ERROR,   ""),
    row(Kind.REFUSED, R.REFUSED_ADDRESS,      A.BOUNCE,  B.NOTHING,   C.SUCCESS, REFUSAL, ""),
    row(Kind.REFUSED, R.REFUSED_RECIPIENT,    A.LEAVE,   B.NOTHING,   C.SUCCESS, REFUSAL, ""),
    row(Kind.REFUSED, R.REFUSED_OPTED_OUT,    A.OPT_OUT, B.NOTHING,   C.SUCCESS, REFUSAL, ""),
    row(Kind.REFUSED, R.REFUSED_CONTENT,      A.LEAVE,   B.NOTHING,   C.SUCCESS, REFUSAL, ""),
    row(Kind.REFUSED, R.REFUSED_CONFIGURATION, A.SWITCH, B.NOTHING,   C.OPENS,   REFUSAL, CONFIG),
    row(Kind.UNKNOWN, R.TIMED_OUT,            A.DOUBT,   B.NOTHING,   C.FAILURE, DOUBT,   LOST),
    row(Kind.UNKNOWN, R.CONNECTION_LOST,      A.DOUBT,   B.NOTHING,   C.FAILURE, DOUBT,   LOST),
    row(Kind.UNKNOWN, R.SERVER_ERROR,         A.DOUBT,   B.NOTHING,   C.FAILURE, DOUBT,   LOST),
    row(Kind.UNKNOWN, R.PROCESS_DIED,         A.DOUBT,   B.NOTHING,   C.IGNORED, DOUBT,   LOST),
    row(Kind.UNKNOWN, None,                   A.DOUBT,   B.NOTHING,   C.SUCCESS, DOUBT,   LOST),
)
# fmt: on

TYPES = {
    Kind.ACCEPTED: Accepted,
    Kind.NOT_SENT: NotSent,
    Kind.REFUSED: Refused,
    Kind.UNKNOWN: Unknown,
}
RULES = {(TYPES[rule.kind], rule.reason): rule for rule in ANSWERS}


def rule_for(outcome: Outcome) -> AnswerRule:
    """The row of an outcome."""
    kind, reason = type(outcome), None if isinstance(outcome, Accepted) else outcome.reason
    return RULES.get((kind, reason)) or RULES[kind, None]
