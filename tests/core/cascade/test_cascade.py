"""The cascade: what moves it on, what ends it, and what late facts do to it."""

from __future__ import annotations

from orchestrator.core.effects import BounceRecorded, ShutProvider
from orchestrator.core.facts import Answered, GoalReached, Prepared, Shut
from orchestrator.core.outcomes import Accepted, NotSent, Refused, Unknown
from orchestrator.core.policy import Retry, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from tests.core.tale import PHONE, PROVIDERS, START, Tale, seconds

PUSH = Step("web_push", wait=(("delivered", seconds(120)), ("clicked", seconds(600))))
VIBER = Step("viber", wait=(("delivered", seconds(600)),))
EMAIL_STEP = Step("email", wait=(("read", seconds(3600)),))
SMS = Step("sms")


def test_a_step_without_a_wait_succeeds_when_the_provider_has_accepted_it() -> None:
    tale = Tale(SMS)
    tale.send(1)
    assert (tale.status, tale.message.succeeded_by) == ("succeeded", "sms")
    assert tale.message.due_at is None


def test_a_message_succeeds_when_every_waited_for_state_was_reached() -> None:
    tale = Tale(PUSH, SMS)
    attempt = tale.send(1)
    tale.receive(5, attempt, "delivered")
    assert tale.status == "running"
    tale.receive(30, attempt, "clicked")
    assert (tale.status, tale.message.succeeded_by) == ("succeeded", "web_push")


def test_a_click_implies_the_delivery_that_nobody_reported() -> None:
    tale = Tale(PUSH, SMS)
    tale.receive(30, tale.send(1), "clicked")
    assert tale.status == "succeeded"


def test_not_delivered_in_time_moves_the_cascade_on() -> None:
    tale = Tale(PUSH, VIBER)
    tale.send(1, answer=0.5)
    assert tale.waits_until == 121.5
    tale.due()
    assert tale.ready == [(1, "viber_a")]
    assert tale.message.runs[0].ended is Reason.NOT_DELIVERED_IN_TIME


def test_delivered_but_not_clicked_in_time_moves_the_cascade_on() -> None:
    tale = Tale(PUSH, VIBER)
    tale.receive(10, tale.send(1), "delivered")
    tale.due()
    assert tale.message.runs[0].ended is Reason.NOT_CLICKED_IN_TIME


def test_a_refusal_moves_the_cascade_on_at_once() -> None:
    tale = Tale(PUSH, VIBER)
    tale.send(1, Refused(Reason.REFUSED_ADDRESS, "410"))
    assert tale.ready == [(1, "viber_a")]
    assert any(isinstance(effect, BounceRecorded) for effect in tale.last.effects)


def test_a_failure_receipt_moves_the_cascade_on_and_never_to_another_provider_of_the_step() -> None:
    tale = Tale(VIBER, SMS)
    tale.receive(20, tale.send(1), "failed", failure=Refused(Reason.REFUSED_RECIPIENT, "7201"))
    assert tale.ready == [(1, "texts")]
    assert tale.message.runs[0].ended is Reason.FAILURE_RECEIPT


def test_a_goal_ends_the_cascade_wherever_it_stands() -> None:
    tale = Tale(PUSH, SMS)
    tale.send(1)
    tale.apply(60, GoalReached("shop", "order-1"))
    assert (tale.status, tale.message.reason, tale.message.due_at) == (
        "cancelled",
        Reason.GOAL_MET,
        None,
    )


def test_the_last_step_whose_wait_runs_out_exhausts_the_message() -> None:
    tale = Tale(VIBER)
    tale.send(1)
    tale.due()
    assert (tale.status, tale.message.reason) == ("exhausted", Reason.NOT_DELIVERED_IN_TIME)


def test_a_failure_after_a_success_by_acceptance_is_emitted_as_undelivered() -> None:
    tale = Tale(SMS)
    attempt = tale.send(1)
    tale.statuses.clear()
    tale.receive(9, attempt, "failed", failure=Refused(Reason.REFUSED_RECIPIENT, "30003"))
    assert (tale.status, tale.message.flags) == ("succeeded", ["undelivered"])
    assert "message.succeeded" in tale.statuses


# ---- unknown outcomes


def test_an_unknown_outcome_is_never_repeated_but_waits_for_a_receipt() -> None:
    tale = Tale(VIBER, SMS)
    attempt = tale.send(1, Unknown(Reason.TIMED_OUT), answer=10)
    assert tale.ready == []
    tale.receive(30, attempt, "delivered")
    assert (tale.status, tale.message.attempts[0].outcome.value) == ("succeeded", "accepted")


def test_an_unknown_outcome_falls_through_when_its_wait_runs_out() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1, Unknown(Reason.TIMED_OUT), answer=10)
    assert tale.waits_until == 611  # hand-off is the intent's time plus the provider's timeout
    tale.due()
    assert tale.ready == [(1, "texts")]


def test_an_unknown_last_step_ends_unconfirmed() -> None:
    tale = Tale(SMS)
    tale.send(1, Unknown(Reason.CONNECTION_LOST))
    assert tale.status == "running"
    tale.due()
    assert (tale.status, tale.message.reason) == ("exhausted", Reason.UNKNOWN_OUTCOME)
    assert tale.message.flags == ["unconfirmed"]


def test_resend_repeats_an_unknown_outcome_once_with_the_same_try() -> None:
    tale = Tale(Step("sms", on_unknown="resend"))
    tale.send(1, Unknown(Reason.TIMED_OUT), answer=10)
    assert tale.ready == [(0, "texts")]
    tale.send(12, Unknown(Reason.TIMED_OUT), answer=10)
    assert tale.ready == []
    assert [attempt.try_number for attempt in tale.message.attempts] == [0, 0]


def test_advance_on_unknown_moves_on_at_once() -> None:
    tale = Tale(Step("viber", wait=VIBER.wait, on_unknown="advance"), SMS)
    tale.send(1, Unknown(Reason.TIMED_OUT))
    assert tale.ready == [(1, "texts")]


def test_an_intent_of_a_process_that_died_becomes_unknown_and_its_wait_runs_from_the_timeout() -> (
    None
):
    tale = Tale(VIBER, SMS)
    tale.apply(1, Prepared(0, "viber_a", (PHONE,)))
    assert tale.waits_until == 16
    tale.due()
    attempt = tale.message.attempts[0]
    assert (attempt.outcome.value, attempt.reason) == ("unknown", Reason.PROCESS_DIED)
    assert tale.waits_until == 611


def test_an_answer_that_comes_after_its_process_was_presumed_dead_still_counts() -> None:
    tale = Tale(SMS)
    tale.apply(1, Prepared(0, "texts", (PHONE,)))
    tale.due()
    tale.apply(20, Answered(0, Accepted("SM1")))
    assert tale.status == "succeeded"


def test_a_receipt_before_the_timer_of_an_overdue_answer_does_not_put_it_off_to_the_deadline() -> (
    None
):
    tale = Tale(VIBER, SMS)
    tale.apply(1, Prepared(0, "viber_a", (PHONE,)))
    assert tale.waits_until == 16
    tale.receive(17, 0, "sent")
    assert tale.waits_until == 17.001
    tale.due()
    assert tale.message.attempts[0].outcome.value == "accepted"  # the receipt proves it
    assert tale.waits_until == 617.001


# ---- retries, failover, breakers


def test_what_was_not_sent_is_tried_again_later_with_a_new_try_number() -> None:
    tale = Tale(SMS)
    tale.send(1, NotSent(Reason.CONNECT_FAILED))
    assert tale.ready == []
    tale.due()
    assert tale.ready == [(0, "texts")]
    tale.send(5)
    assert [attempt.try_number for attempt in tale.message.attempts] == [0, 1]
    assert tale.status == "succeeded"


def test_retry_after_is_honoured() -> None:
    tale = Tale(SMS)
    tale.send(1, NotSent(Reason.THROTTLED, 20_000), answer=0)
    assert tale.waits_until == 21


def test_a_retry_after_longer_than_the_retries_may_take_gives_the_next_provider_its_turn() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1, NotSent(Reason.THROTTLED, 120_000))
    assert tale.ready == [(0, "viber_b")]


def test_after_its_retries_the_next_provider_has_its_turn_and_then_the_next_step() -> None:
    tale = Tale(Step("viber", wait=VIBER.wait, retry=Retry(1, seconds(60))), SMS)
    for at in (1, 10, 20, 30):
        if not tale.message.ready():
            tale.due()
        tale.send(at, NotSent(Reason.CONNECT_FAILED))
    assert [attempt.provider for attempt in tale.message.attempts] == [
        "viber_a",
        "viber_a",
        "viber_b",
        "viber_b",
    ]
    assert tale.ready == [(1, "texts")]


def test_a_throttled_last_step_waits_durably_and_expires_at_the_deadline() -> None:
    tale = Tale(SMS, deadline_ms=seconds(600))
    tale.send(1, NotSent(Reason.THROTTLED, 3_600_000))
    assert tale.waits_until == 600
    tale.due()
    assert (tale.status, tale.message.reason) == ("expired", Reason.THROTTLED)


def test_an_open_breaker_gives_the_next_provider_its_turn() -> None:
    tale = Tale(VIBER, SMS)
    tale.apply(1, Shut(0, "viber_a", Reason.BREAKER_OPEN, START + seconds(31)))
    assert tale.ready == [(0, "viber_b")]


def test_while_all_providers_are_shut_an_earlier_step_waits_for_its_longest_wait() -> None:
    tale = Tale(VIBER, SMS)
    until = START + seconds(3600)
    shut = {name: replace(PROVIDERS[name], shut_until=until) for name in ("viber_a", "viber_b")}
    tale.given(providers={**PROVIDERS, **shut})
    tale.apply(1, Shut(0, "viber_a", Reason.BREAKER_OPEN, START + seconds(3600)))
    assert tale.waits_until == 601
    tale.due()
    assert tale.ready == [(1, "texts")]


def test_a_configuration_refusal_shuts_the_provider_and_moves_to_the_next_at_once() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1, Refused(Reason.REFUSED_CONFIGURATION, "401"))
    assert any(isinstance(effect, ShutProvider) for effect in tale.last.effects)
    assert tale.ready == [(0, "viber_b")]
    tale.send(2, Refused(Reason.REFUSED_CONFIGURATION, "401"))
    assert tale.ready == [(1, "texts")]


def test_a_configuration_refusal_on_the_last_step_waits_because_someone_may_fix_it() -> None:
    tale = Tale(SMS)
    tale.send(1, Refused(Reason.REFUSED_CONFIGURATION, "20003"))
    assert tale.status == "running"
    tale.due()
    tale.send(60)
    assert tale.status == "succeeded"


def test_a_content_refusal_never_goes_to_another_provider() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1, Refused(Reason.REFUSED_CONTENT, "400"))
    assert tale.ready == [(1, "texts")]


def test_a_send_that_started_too_late_is_decided_anew_at_once() -> None:
    tale = Tale(SMS)
    tale.send(1, NotSent(Reason.START_TOO_LATE))
    assert tale.ready == [(0, "texts")]
