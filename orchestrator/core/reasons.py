"""
Every "no" is one word from this list.

The same word stands in the trace, the log, the metric label, the database and the documentation. A
reason says why a step did not start, why it did not count, or why a message ended as it did; the
names of rules and the provider's own codes stand beside it as detail, never inside it.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The closed list. ``describe`` gives the sentence shown to people."""

    # gates: why a step may not start now, or at all
    DEADLINE_PASSED = "deadline_passed"
    GOAL_MET = "goal_met"
    ADDRESS_SUPPRESSED = "address_suppressed"
    OPTED_OUT = "opted_out"
    NO_CONSENT = "no_consent"
    NO_ADDRESS = "no_address"
    CONDITION_FALSE = "condition_false"
    CONDITION_ERROR = "condition_error"
    QUIET_HOURS = "quiet_hours"
    FREQUENCY_CAP = "frequency_cap"
    MIN_GAP = "min_gap"
    OVER_BUDGET = "over_budget"
    COUNTRY_NOT_ALLOWED = "country_not_allowed"
    VELOCITY_LIMIT = "velocity_limit"
    RECEIPT_OUTAGE = "receipt_outage"
    NO_SESSION = "no_session"
    PAUSED = "paused"

    # content: why a step cannot be rendered
    MISSING_VARIABLE = "missing_variable"
    TEMPLATE_MISSING = "template_missing"
    TEMPLATE_ERROR = "template_error"
    TOO_LONG = "too_long"
    TOO_EXPENSIVE = "too_expensive"

    # the message as a whole
    DEDUPLICATED = "deduplicated"
    TOO_MANY_HOPS = "too_many_hops"
    NO_CODE = "no_code"
    HELD_OUT = "held_out"
    CANCELLED = "cancelled"
    ERASED = "erased"
    UNKNOWN_OUTCOME = "unknown_outcome"

    # not sent: provably nothing left
    CONNECT_FAILED = "connect_failed"
    THROTTLED = "throttled"
    BREAKER_OPEN = "breaker_open"
    NOT_TAKEN = "not_taken"
    START_TOO_LATE = "start_too_late"

    # refused: the provider, or a failure receipt, said no
    REFUSED_ADDRESS = "refused_address"
    REFUSED_RECIPIENT = "refused_recipient"
    REFUSED_OPTED_OUT = "refused_opted_out"
    REFUSED_CONTENT = "refused_content"
    REFUSED_CONFIGURATION = "refused_configuration"

    # unknown: it may have been sent
    TIMED_OUT = "timed_out"
    CONNECTION_LOST = "connection_lost"
    SERVER_ERROR = "server_error"
    RESPONSE_UNREADABLE = "response_unreadable"
    PROCESS_DIED = "process_died"

    # later: why a handed-off step was left behind
    FAILURE_RECEIPT = "failure_receipt"
    NOT_SENT_IN_TIME = "not_sent_in_time"
    NOT_DELIVERED_IN_TIME = "not_delivered_in_time"
    NOT_READ_IN_TIME = "not_read_in_time"
    NOT_CLICKED_IN_TIME = "not_clicked_in_time"
    NOT_REPLIED_IN_TIME = "not_replied_in_time"

    def describe(self) -> str:
        """One sentence for people."""
        return SENTENCES[self]


SENTENCES: dict[Reason, str] = {
    Reason.DEADLINE_PASSED: "The policy's deadline has passed.",
    Reason.GOAL_MET: "The goal event arrived, so the message became pointless.",
    Reason.ADDRESS_SUPPRESSED: "Every address for this step is marked invalid.",
    Reason.OPTED_OUT: "The recipient has opted out of this channel or topic.",
    Reason.NO_CONSENT: "This class needs a yes, and there is none.",
    Reason.NO_ADDRESS: "The recipient has no address that a provider of this step can use.",
    Reason.CONDITION_FALSE: "The step's `when` is false.",
    Reason.CONDITION_ERROR: "The condition could not be evaluated, so it counts as false.",
    Reason.QUIET_HOURS: "It is a quiet hour where the recipient is.",
    Reason.FREQUENCY_CAP: "The recipient has had as many messages as a cap allows.",
    Reason.MIN_GAP: "The last message to the recipient is too recent.",
    Reason.OVER_BUDGET: "The channel's budget for the day is spent.",
    Reason.COUNTRY_NOT_ALLOWED: "The number's country is not in `sms_countries`.",
    Reason.VELOCITY_LIMIT: "Too many codes went to this number or its neighbours.",
    Reason.RECEIPT_OUTAGE: (
        "The previous channel's receipts have stopped, so nothing falls through to a paid one."
    ),
    Reason.NO_SESSION: "The recipient has not written on this channel within 24 hours.",
    Reason.PAUSED: "Somebody has paused the provider, the channel or the policy.",
    Reason.MISSING_VARIABLE: "The template uses a variable that is absent.",
    Reason.TEMPLATE_MISSING: "There is no template for this channel and locale.",
    Reason.TEMPLATE_ERROR: "The template failed, or its result is not well-formed.",
    Reason.TOO_LONG: "The text is longer than the step or the provider allows.",
    Reason.TOO_EXPENSIVE: "The step would cost more than `max_cost`.",
    Reason.DEDUPLICATED: "The same key was already used within the dedupe window.",
    Reason.TOO_MANY_HOPS: "Too many messages had started each other before this one.",
    Reason.NO_CODE: "The policy's pool of codes is empty.",
    Reason.HELD_OUT: "The recipient is in an arm of the experiment that gets nothing.",
    Reason.CANCELLED: "Somebody cancelled the message.",
    Reason.ERASED: "The recipient was erased.",
    Reason.UNKNOWN_OUTCOME: "It may have been sent, but nothing ever confirmed it.",
    Reason.CONNECT_FAILED: "No connection to the provider could be made; nothing left.",
    Reason.THROTTLED: "The provider asked to slow down and took nothing.",
    Reason.BREAKER_OPEN: "The provider fails too often right now, so it is left alone.",
    Reason.NOT_TAKEN: "The provider said that it did not take the message.",
    Reason.START_TOO_LATE: (
        "The send could not start within a second of its decision and was withdrawn."
    ),
    Reason.REFUSED_ADDRESS: "The provider says the address is dead.",
    Reason.REFUSED_RECIPIENT: "The provider cannot reach this recipient on this channel.",
    Reason.REFUSED_OPTED_OUT: "The provider says the recipient has opted out.",
    Reason.REFUSED_CONTENT: "The provider refuses the content.",
    Reason.REFUSED_CONFIGURATION: "The provider refuses our account, sender or credentials.",
    Reason.TIMED_OUT: "No answer came in time; it may have been sent.",
    Reason.CONNECTION_LOST: "The connection broke after bytes had left; it may have been sent.",
    Reason.SERVER_ERROR: "The provider failed in a way that does not tell whether it was sent.",
    Reason.RESPONSE_UNREADABLE: "The answer could not be read; it may have been sent.",
    Reason.PROCESS_DIED: "The process that was sending stopped before it could record the answer.",
    Reason.FAILURE_RECEIPT: "A receipt says that it was not delivered.",
    Reason.NOT_SENT_IN_TIME: "No `sent` receipt came in time.",
    Reason.NOT_DELIVERED_IN_TIME: "It was not delivered in time.",
    Reason.NOT_READ_IN_TIME: "It was not read in time.",
    Reason.NOT_CLICKED_IN_TIME: "It was not clicked in time.",
    Reason.NOT_REPLIED_IN_TIME: "It was not answered in time.",
}

NOT_APPLICABLE = frozenset({Reason.NO_ADDRESS, Reason.CONDITION_FALSE})
ADDRESS_UNUSABLE = frozenset({Reason.ADDRESS_SUPPRESSED, Reason.COUNTRY_NOT_ALLOWED})
RECIPIENTS_NO = frozenset({Reason.OPTED_OUT, Reason.NO_CONSENT, Reason.REFUSED_OPTED_OUT})

REFUSALS = frozenset(
    {
        Reason.REFUSED_ADDRESS,
        Reason.REFUSED_RECIPIENT,
        Reason.REFUSED_OPTED_OUT,
        Reason.REFUSED_CONTENT,
        Reason.REFUSED_CONFIGURATION,
    }
)
