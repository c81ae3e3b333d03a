"""
The words and defaults in databases, metrics, documents and code: changing one breaks users.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core import message as messages
from orchestrator.core import policy as policies
from orchestrator.core.cascade.decide import ANSWER_GRACE_MS, OUTAGE_LOOK_MS
from orchestrator.core.facts import Cancelled, Prepared, ReceiptReceived, Triggered, Unpreparable
from orchestrator.core.gates import ON_HIT, SEVERITY, Verdict
from orchestrator.core.inputs import OPEN_FOR_MS, Inputs, Provider
from orchestrator.core.message import FLAGS, Message, Sending, Status
from orchestrator.core.outcomes import (
    Accepted,
    NotSent,
    Outcome,
    OutcomeKind,
    Refused,
    Unknown,
    kind_of,
)
from orchestrator.core.policy import (
    Budget,
    Cap,
    Dedupe,
    Gap,
    Goal,
    Governance,
    Policy,
    QuietHours,
    Retry,
    Step,
    covers,
)
from orchestrator.core.reasons import REFUSALS, Reason
from orchestrator.core.recipient import Address, AddressState, Consent
from orchestrator.core.status import Delivery, Engagement

REASONS = """
deadline_passed goal_met address_suppressed opted_out no_consent no_address condition_false
condition_error quiet_hours frequency_cap min_gap over_budget country_not_allowed velocity_limit
receipt_outage no_session paused missing_variable template_missing template_error too_long
too_expensive deduplicated too_many_hops no_code held_out cancelled erased unknown_outcome
connect_failed throttled breaker_open not_taken
start_too_late refused_address refused_recipient refused_opted_out refused_content
refused_configuration timed_out connection_lost server_error response_unreadable process_died
failure_receipt not_sent_in_time not_delivered_in_time not_read_in_time not_clicked_in_time
not_replied_in_time
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (Reason, REASONS),
        (Status, "accepted running succeeded exhausted suppressed expired cancelled"),
        (Sending, "idle held ready open"),
        (
            Delivery,
            "created queued submitted accepted sent cancelled rejected failed expired delivered",
        ),
        (Engagement, "read clicked replied unsubscribed complained dismissed"),
        (OutcomeKind, "pending accepted not_sent refused unknown"),
        (Verdict, "go hold skip drop"),
        (FLAGS, "unconfirmed late duplicate_delivery undelivered"),
        (policies.CLASSES, "otp conversational transactional service promotional"),
    ],
)
def test_the_closed_lists_are_spelled_as_they_always_were(words: object, expected: str) -> None:
    assert [str(word) for word in words] == expected.split()  # type: ignore[attr-defined]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_can_be_told_to_people(reason: Reason) -> None:
    assert reason.describe().endswith(".")


def test_refusals_are_the_five_reasons_that_say_so_and_nothing_else_is_one() -> None:
    assert {reason for reason in Reason if reason.value.startswith("refused_")} == REFUSALS
    with pytest.raises(ValueError, match="takes a refused_… reason, not <Reason"):
        Refused(Reason.THROTTLED)


def test_each_outcome_has_its_word() -> None:
    outcomes: list[Outcome] = [
        Accepted(),
        NotSent(Reason.THROTTLED),
        Refused(Reason.REFUSED_CONTENT),
        Unknown(Reason.TIMED_OUT),
    ]
    assert [kind_of(outcome).value for outcome in outcomes] == [
        "accepted",
        "not_sent",
        "refused",
        "unknown",
    ]


def test_the_severest_verdict_counts_and_every_on_hit_has_one() -> None:
    assert sorted(SEVERITY, key=SEVERITY.__getitem__) == [
        Verdict.GO,
        Verdict.HOLD,
        Verdict.SKIP,
        Verdict.DROP,
    ]
    assert ON_HIT == {"defer": "hold", "hold": "hold", "skip_step": "skip", "drop": "drop"}


def test_what_a_policy_does_not_say_is_as_documented() -> None:
    policy = Policy("p", "v", "e", ())
    assert (policy.message_class, policy.topic, policy.template, policy.order, policy.late) == (
        "transactional",
        "",
        "",
        "fixed",
        "close",
    )
    assert (policy.deadline_ms, policy.default_wait_ms) == (86_400_000, 600_000)
    assert (policy.when, policy.dedupe, policy.goal, policy.also) == (None, None, None, ())
    step = Step("sms")
    assert (step.on_unknown, step.retry, step.wait, step.longest_wait_ms) == (
        "wait",
        Retry(3, 60_000),
        (),
        None,
    )
    assert Step("sms", wait=(("sent", 5), ("delivered", 3))).longest_wait_ms == 5
    assert (Goal("e").match, Dedupe("k", 1).window_ms) == (None, 1)


def test_what_governance_does_not_say_is_as_documented() -> None:
    governance = Governance()
    assert dict(governance.consent) == {
        "otp": "bypass",
        "conversational": "opt_out",
        "transactional": "opt_out",
        "service": "opt_out",
        "promotional": "opt_in",
    }
    assert (governance.version, governance.time_zone, governance.sms_countries) == (
        "none",
        "UTC",
        (),
    )
    assert (QuietHours("n", ()).zone, QuietHours("n", ()).on_hit) == ("recipient", "defer")
    assert (Cap("c", 1).on_hit, Gap("g", 1).on_hit, Budget("sms", "1", "UAH").on_hit) == (
        "defer",
        "defer",
        "hold",
    )


def test_units_are_what_they_are_called() -> None:
    assert (policies.SECOND_MS, policies.MINUTE_MS, policies.HOUR_MS, policies.DAY_MS) == (
        1_000,
        60_000,
        3_600_000,
        86_400_000,
    )
    assert (ANSWER_GRACE_MS, OUTAGE_LOOK_MS, OPEN_FOR_MS) == (5_000, 60_000, 30_000)


def test_a_rule_without_classes_covers_all_but_codes_and_answers() -> None:
    assert {one: covers((), one) for one in policies.CLASSES} == {
        "otp": False,
        "conversational": False,
        "transactional": True,
        "service": True,
        "promotional": True,
    }
    assert [one for one in policies.CLASSES if covers(("otp",), one)] == ["otp"]


def test_facts_outcomes_and_inputs_say_nothing_that_nobody_said() -> None:
    assert Triggered().replayed is False
    assert Cancelled().reason is Reason.CANCELLED
    assert Prepared(0, "p", ()) == Prepared(0, "p", (), "", None, None)
    assert Unpreparable(0, Reason.TOO_LONG).detail == ""
    assert ReceiptReceived(0, "sent", 1) == ReceiptReceived(0, "sent", 1, None, "", None)
    assert Accepted() == Accepted(None, False)
    assert Refused(Reason.REFUSED_CONTENT) == Refused(Reason.REFUSED_CONTENT, None, "", 1, ())
    assert NotSent(Reason.THROTTLED) == NotSent(Reason.THROTTLED, None, None, "")
    assert Unknown(Reason.TIMED_OUT) == Unknown(Reason.TIMED_OUT, None, "")
    assert (Inputs().goal_reached, Inputs().duplicate_of, Inputs().zone) == (False, None, None)
    assert Provider("p", "sms", ()) == Provider(
        "p", "sms", (), 10_000, None, None, False, False, False, False, 30_000
    )
    assert Consent("*", "*", "in", 0) == Consent("*", "*", "in", 0, "", ())
    assert AddressState("h").sessions == {}


def test_addresses_are_shown_so_that_people_know_them_and_nobody_can_use_them() -> None:
    assert Address("phone", "+380501234567", "h", shown="+380…67").masked() == "+380…67"
    assert (
        Address("web_push", "https://push.example/a", "0123456789").masked() == "web_push:01234567"
    )
    assert Address("phone", "+380501234567", "h").country == ""


def new(**values: object) -> Message:
    given: Any = values
    return Message("m", "s", "e", "t", "r", "p", "v", "otp", "topic", 1, 2, **given)


def test_a_new_message_has_had_nothing_happen_to_it() -> None:
    message = new()
    assert (message.status, message.reason_detail, message.position, message.sequence) == (
        Status.ACCEPTED,
        "",
        -1,
        (),
    )
    assert (
        message.terminal,
        message.current,
        message.ready(),
        message.run_of(0),
        message.attempts_of(0),
    ) == (
        False,
        None,
        [],
        None,
        [],
    )
    run = messages.Run(0, "sms")
    assert (run.companion, run.sending, run.rule, run.tries, run.resent, run.over) == (
        False,
        Sending.IDLE,
        "",
        0,
        False,
        False,
    )
    attempt = messages.Attempt(0, 0, "sms", "p", "phone", "a", "h", 0, 1, 2)
    assert (attempt.outcome, attempt.state, attempt.content_hash, attempt.detail) == (
        "pending",
        "created",
        "",
        "",
    )
    assert attempt.took is False


def test_the_current_run_is_the_last_of_the_cascade_while_it_is_not_over() -> None:
    first, second = messages.Run(0, "sms", over=True), messages.Run(1, "email")
    companion = messages.Run(2, "viber", companion=True, sending=Sending.READY)
    message = new(runs=[first, second, companion])
    assert message.current is second
    assert message.ready() == [companion]
    assert message.run_of(2) is companion
    second.over = True
    assert message.current is None


@pytest.mark.parametrize(
    ("outcome", "took"),
    [("accepted", True), ("unknown", True), ("refused", False), ("not_sent", False)],
)
def test_the_provider_has_a_message_that_it_took_or_may_have_taken(
    outcome: str, took: bool
) -> None:
    attempt = messages.Attempt(
        0, 0, "sms", "p", "phone", "a", "h", 0, 1, 2, outcome=OutcomeKind(outcome)
    )
    assert attempt.took is took


def test_a_copy_shares_nothing_that_can_change() -> None:
    run = messages.Run(0, "sms", given_up=["a"])
    attempt = messages.Attempt(
        0, 0, "sms", "p", "phone", "a", "h", 0, 1, 2, engagement={"read": 1}, times={"sent": 1}
    )
    message = new(runs=[run], attempts=[attempt], flags=["late"])
    copy = message.copy()
    assert copy == message
    copy.flags.append("x")
    copy.runs[0].given_up.append("b")
    copy.runs[0].over = True
    copy.attempts[0].engagement["clicked"] = 2
    copy.attempts[0].times["read"] = 2
    copy.attempts.append(attempt)
    assert message == new(runs=[run], attempts=[attempt], flags=["late"])
    assert (run.given_up, run.over, attempt.engagement, attempt.times) == (
        ["a"],
        False,
        {"read": 1},
        {"sent": 1},
    )
