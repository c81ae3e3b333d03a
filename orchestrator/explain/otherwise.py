"""
What would have had to be different: one sentence for every reason.

These hold without knowing the message; where its history says more (which charge, until when, how
much too dear), the explanation says that instead.
"""

from __future__ import annotations

from orchestrator.core.reasons import Reason

OTHERWISE: dict[Reason, str] = {
    Reason.DEADLINE_PASSED: (
        "It would have had to leave before the deadline; a longer `deadline` allows more."
    ),
    Reason.GOAL_MET: (
        "Without the goal event, or with a `match` that does not name it, the cascade would have"
        " gone on."
    ),
    Reason.ADDRESS_SUPPRESSED: (
        "Another address, or this one given again with PUT /v1/recipients/{id}, clears the mark."
    ),
    Reason.OPTED_OUT: (
        "A newer yes that is at least as specific as the opt-out would lift it, within its own"
        " scope."
    ),
    Reason.NO_CONSENT: (
        "A yes of the recipient for this channel, this topic, both, or everything would have let it"
        " pass."
    ),
    Reason.NO_ADDRESS: (
        "The recipient would have needed an address of a kind that a provider of this step can use."
    ),
    Reason.CONDITION_FALSE: (
        "The step's `when` would have had to be true for this event and recipient."
    ),
    Reason.CONDITION_ERROR: (
        "The `when` would have had to be one that this event and recipient give a value to."
    ),
    Reason.QUIET_HOURS: "Outside the quiet window it would have left at once.",
    Reason.FREQUENCY_CAP: (
        "With one message fewer in the cap's window, or a higher `limit`, it would have left."
    ),
    Reason.MIN_GAP: "Once the gap since the recipient's last message is over, it may leave.",
    Reason.OVER_BUDGET: (
        "A higher `per_day`, or the next day of the installation's zone, opens the budget again."
    ),
    Reason.COUNTRY_NOT_ALLOWED: "The number's country would have had to stand in `sms_countries`.",
    Reason.VELOCITY_LIMIT: (
        "Fewer codes to this number or its neighbours within a window of `limits` would have done."
    ),
    Reason.RECEIPT_OUTAGE: (
        "Receipts of the channel before coming in again, or `receipt_outage: {hold: false}`,"
        " end it."
    ),
    Reason.NO_SESSION: (
        "A message from the recipient on this channel would have opened a session of 24 hours."
    ),
    Reason.PAUSED: "Once the pause ends, or `kaskad resume` ends it, everything leaves.",
    Reason.MISSING_VARIABLE: (
        "The event or the profile would have had to bring the variable, or the template a default."
    ),
    Reason.TEMPLATE_MISSING: (
        "A template for this channel, in this locale or without one, would have had to be there."
    ),
    Reason.TEMPLATE_ERROR: (
        "The template would have had to give a well-formed result for this event: see the detail."
    ),
    Reason.TOO_LONG: (
        "A shorter text, `truncate_sms` in the template, or a higher `max_parts` would have let it"
        " leave."
    ),
    Reason.TOO_EXPENSIVE: (
        "A price of at most `max_cost`, by a cheaper provider or fewer parts, would have let it"
        " leave."
    ),
    Reason.DEDUPLICATED: (
        "Another dedupe key, or the same one after the `window` had ended, would have made a"
        " message."
    ),
    Reason.TOO_MANY_HOPS: (
        "A `when` that keeps policies from starting each other in a circle would have ended the"
        " chain sooner; `kaskad check` names circles."
    ),
    Reason.HELD_OUT: (
        "Another arm of the experiment would have let it start: the keyed hash of this recipient"
        " gives this one."
    ),
    Reason.NO_CODE: (
        "A free code in the pool would have let it start: `kaskad codes import`, then retry it."
    ),
    Reason.CANCELLED: "Had nobody cancelled it, the cascade would have gone on.",
    Reason.ERASED: "Had the recipient not been erased, the cascade would have gone on.",
    Reason.UNKNOWN_OUTCOME: (
        "Any receipt for the attempt, or a provider that answers repeats, would have settled it."
    ),
    Reason.CONNECT_FAILED: (
        "A connection to the provider within the step's `retry` would have let it leave."
    ),
    Reason.THROTTLED: (
        "Had the provider asked for a shorter pause than `retry` allows, it would have been tried"
        " there again."
    ),
    Reason.BREAKER_OPEN: (
        "The provider would have had to answer again, or another provider of the step to be open."
    ),
    Reason.NOT_TAKEN: "The provider would have had to take it within the step's `retry`.",
    Reason.START_TOO_LATE: (
        "The first byte would have had to leave within a second; it is decided anew at once, and"
        " from the fourth time in a row it counts as a try."
    ),
    Reason.REFUSED_ADDRESS: "Add another address: the provider says this one is dead.",
    Reason.REFUSED_RECIPIENT: (
        "A recipient whom the provider can reach on this channel: see its code."
    ),
    Reason.REFUSED_OPTED_OUT: (
        "The recipient would have to opt in again, at the provider's own word."
    ),
    Reason.REFUSED_CONTENT: (
        "Other content: the provider refuses this one, and another provider would hear the same."
    ),
    Reason.REFUSED_CONFIGURATION: (
        "Our account, sender or credentials would have to be right: see the provider's code."
    ),
    Reason.TIMED_OUT: (
        "An answer within the provider's `timeout` would have said what became of it."
    ),
    Reason.CONNECTION_LOST: (
        "A connection that holds until the answer would have said what became of it."
    ),
    Reason.SERVER_ERROR: "An answer that says whether it was taken would have decided it at once.",
    Reason.RESPONSE_UNREADABLE: "A readable answer would have said whether it was taken.",
    Reason.PROCESS_DIED: (
        "Had the process lived until the answer was recorded, its outcome would be known."
    ),
    Reason.FAILURE_RECEIPT: "Had no receipt said that it failed, its wait would have gone on.",
    Reason.NOT_SENT_IN_TIME: "A `sent` receipt within the step's `wait` would have kept it here.",
    Reason.NOT_DELIVERED_IN_TIME: (
        "A `delivered` receipt within the step's `wait` would have kept it here."
    ),
    Reason.NOT_READ_IN_TIME: (
        "A `read` receipt within the step's `wait` would have ended the cascade here."
    ),
    Reason.NOT_CLICKED_IN_TIME: (
        "A click within the step's `wait` would have ended the cascade here."
    ),
    Reason.NOT_REPLIED_IN_TIME: (
        "A reply within the step's `wait` would have ended the cascade here."
    ),
}
