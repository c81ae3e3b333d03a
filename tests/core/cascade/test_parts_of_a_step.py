"""
A step of which one part is with a provider and another is still to be sent: what ends the one
leaves the other be.
"""

from __future__ import annotations

import pytest

from orchestrator.core.effects import Call
from orchestrator.core.facts import Answered, Prepared, Shut, Unpreparable
from orchestrator.core.message import Sending
from orchestrator.core.outcomes import Accepted, NotSent, Refused, Unknown
from orchestrator.core.policy import HOUR_MS, Cap, Governance, Retry, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Consent
from orchestrator.core.values import replace
from tests.core.tale import LAPTOP, PHONE, PROVIDERS, START, TABLET, Tale, seconds

PUSH = Step("web_push", wait=(("clicked", seconds(600)),))
VIBER = Step("viber", wait=(("delivered", seconds(600)),))
SMS = Step("sms")


def half_sent(step: Step = PUSH, unsent: NotSent | None = None) -> Tale:
    """The laptop has it, the tablet is to be tried again."""
    tale = Tale(step, SMS)
    tale.given(addresses=(LAPTOP, TABLET, PHONE))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Accepted("a")))
    tale.apply(2, Answered(1, unsent or NotSent(Reason.THROTTLED, 3_000)))
    return tale


def waits_on(tale: Tale) -> bool:
    """Nothing more is sent of the first step, and its wait for the click goes on."""
    run = tale.message.runs[0]
    assert (run.sending, run.over, run.ended) == (Sending.IDLE, False, None)
    return tale.ready == [] and tale.waits_until == 602 and tale.status == "running"


def test_an_opt_out_before_the_retry_ends_only_the_sending() -> None:
    tale = half_sent()
    tale.given(consents=(Consent("web_push", "*", "out", START),))
    tale.given(addresses=(LAPTOP, TABLET, PHONE))
    tale.due()
    assert waits_on(tale)


def test_a_cap_that_skips_at_the_last_look_ends_only_the_sending() -> None:
    tale = half_sent()
    tale.due()
    assert tale.ready == [(0, "push")]
    tale.given(consents=(Consent("*", "*", "out", START),))
    tale.apply(6, Prepared(0, "push", (LAPTOP, TABLET)))
    assert waits_on(tale)


def test_a_cap_that_drops_at_the_last_look_does_not_end_the_message_that_is_half_sent() -> None:
    tale = half_sent()
    tale.due()
    tale.given(
        governance=Governance(
            caps=(Cap("cap", 0, HOUR_MS, channels=("web_push",), on_hit="drop"),)
        ),
        cap_usages=(),
    )
    tale.apply(6, Prepared(0, "push", (LAPTOP, TABLET)))
    assert waits_on(tale)


def test_content_that_cannot_be_made_again_ends_only_the_sending() -> None:
    tale = half_sent()
    tale.due()
    tale.apply(6, Unpreparable(0, Reason.TEMPLATE_ERROR, "x"))
    assert waits_on(tale)
    assert tale.message.runs[0].until is None


def test_a_provider_that_stays_shut_longer_than_the_step_waits_ends_only_the_sending() -> None:
    tale = half_sent()
    tale.due()
    tale.apply(601.5, Shut(0, "push", Reason.BREAKER_OPEN, START + 900_000))
    assert waits_on(tale)


def test_retries_that_are_over_end_only_the_sending() -> None:
    tale = half_sent(replace(PUSH, retry=Retry(0, 0)))
    assert waits_on(tale)


def test_retries_that_are_over_by_a_definite_no_end_only_the_sending() -> None:
    tale = half_sent(replace(PUSH, retry=Retry(0, 0)), NotSent(Reason.CONNECT_FAILED))
    assert waits_on(tale)


# ---- what is kept of a try


def test_a_send_forgets_why_it_was_held() -> None:
    tale = Tale(SMS)
    tale.send(1, NotSent(Reason.THROTTLED, 1_000))
    assert tale.message.runs[0].held_for is Reason.THROTTLED
    tale.due()
    tale.apply(3, Prepared(0, "texts", (PHONE,)))
    assert tale.message.runs[0].held_for is None


def test_a_shut_provider_is_why_the_step_is_left_when_nobody_else_can_send() -> None:
    tale = Tale(VIBER, SMS)
    tale.apply(1, Shut(0, "viber_a", Reason.BREAKER_OPEN, START + 9_000))
    run = tale.message.runs[0]
    assert (run.provider, run.held_for) == ("viber_b", Reason.BREAKER_OPEN)


def test_a_word_about_a_shut_provider_changes_nothing_while_another_s_turn_it_is() -> None:
    tale = Tale(VIBER)
    decision = tale.apply(1, Shut(0, "viber_b", Reason.BREAKER_OPEN, START + 9_000))
    assert decision.said == ("void: it is another provider's turn",)
    assert tale.message.runs[0].held_for is None


def test_a_try_is_counted_for_its_own_address_and_provider() -> None:
    tale = Tale(replace(VIBER, retry=Retry(0, 60_000)))
    tale.send(1, NotSent(Reason.CONNECT_FAILED))
    tale.send(2, Accepted("x"))
    assert [(a.provider, a.try_number) for a in tale.message.attempts] == [
        ("viber_a", 0),
        ("viber_b", 0),
    ]
    devices = half_sent()
    devices.due()
    devices.apply(6, Prepared(0, "push", (LAPTOP, TABLET)))
    assert [(a.address_hash, a.try_number) for a in devices.message.attempts] == [
        (LAPTOP.hash, 0),
        (TABLET.hash, 0),
        (TABLET.hash, 1),
    ]


def test_an_earlier_step_waits_for_a_shut_provider_from_its_first_try_on() -> None:
    tale = Tale(Step("sms", wait=(("delivered", 60_000),)), Step("email"))
    tale.apply(1, Shut(0, "texts", Reason.BREAKER_OPEN, START + 100_000))
    run = tale.message.runs[0]
    assert (run.first_try_at, run.until) == (START + 1_000, START + 61_000)
    unwaited = Tale(SMS, Step("email"))
    unwaited.apply(1, Shut(0, "texts", Reason.BREAKER_OPEN, START + 100_000))
    assert (unwaited.message.runs[0].ended, unwaited.message.runs[0].rule) == (
        Reason.BREAKER_OPEN,
        "",
    )


def test_one_refusal_of_our_configuration_among_devices_gives_the_next_provider_its_turn() -> None:
    second = {**PROVIDERS, "push_b": replace(PROVIDERS["push"], name="push_b")}
    tale = Tale(replace(PUSH, providers=("push", "push_b")), SMS)
    tale.given(addresses=(LAPTOP, TABLET, PHONE), providers=second)
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Refused(Reason.REFUSED_ADDRESS, "410")))
    tale.apply(2, Answered(1, Refused(Reason.REFUSED_CONFIGURATION, "401")))
    assert tale.ready == [(0, "push_b")]
    tale.apply(3, Prepared(0, "push_b", (LAPTOP, TABLET)))
    assert tale.calls == [Call(2, TABLET)], (
        "the dead one stays dead, the other was never really asked"
    )


def test_our_own_mistake_on_the_last_step_is_looked_at_again_after_half_a_minute() -> None:
    tale = Tale(SMS)
    tale.send(1, Refused(Reason.REFUSED_CONFIGURATION, "401"))
    assert (tale.message.runs[0].until, tale.message.runs[0].held_for) == (
        START + 31_200,
        Reason.REFUSED_CONFIGURATION,
    )


def test_a_resend_that_stays_unknown_is_the_last() -> None:
    tale = Tale(replace(VIBER, on_unknown="resend"), SMS)
    tale.send(1, Unknown(Reason.TIMED_OUT))
    tale.send(2, Unknown(Reason.TIMED_OUT))
    assert (tale.ready, len(tale.message.attempts)) == ([], 2)


# ---- receipts


def test_a_receipt_that_overtakes_its_answer_does_not_answer_it() -> None:
    tale = Tale(VIBER)
    tale.apply(1, Prepared(0, "viber_a", (PHONE,)))
    tale.receive(2, 0, "sent")
    attempt = tale.message.attempts[0]
    assert (attempt.outcome, attempt.answered_at, attempt.state) == ("pending", None, "sent")


def test_a_late_success_takes_back_what_the_end_had_said() -> None:
    tale = Tale(Step("viber", wait=(("delivered", 60_000),)), SMS)
    number = tale.send(1)
    tale.due()
    tale.send(70, Refused(Reason.REFUSED_RECIPIENT, "21"))
    assert (tale.status, tale.message.reason_detail) == ("exhausted", "21")
    tale.receive(99, number, "delivered")
    assert (tale.status, tale.message.reason, tale.message.reason_detail) == ("succeeded", None, "")


@pytest.mark.parametrize("state", ["failed", "rejected"])
def test_a_companion_that_fails_says_nothing_of_a_success(state: str) -> None:
    tale = Tale(SMS, also=(SMS,))
    tale.send(1, step=0)
    number = tale.send(2, step=1)
    tale.receive(3, number, state)
    assert tale.message.flags == []


def test_of_three_devices_only_the_one_that_took_nothing_is_tried_again() -> None:
    phone = replace(TABLET, value="https://push.example/c", hash="hash-push-c")
    tale = Tale(PUSH, SMS)
    tale.given(addresses=(LAPTOP, TABLET, phone, PHONE))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET, phone)))
    tale.apply(2, Answered(0, Accepted("a")))
    tale.apply(2, Answered(1, Unknown(Reason.TIMED_OUT)))
    tale.apply(2, Answered(2, NotSent(Reason.THROTTLED, 3_000)))
    tale.due()
    tale.apply(6, Prepared(0, "push", (LAPTOP, TABLET, phone)))
    assert tale.calls == [Call(3, phone)]


def test_a_gate_that_drops_when_the_hold_is_over_leaves_no_time_behind() -> None:
    tale = half_sent()
    tale.given(
        governance=Governance(
            caps=(Cap("cap", 0, HOUR_MS, channels=("web_push",), on_hit="drop"),)
        ),
        cap_usages=(),
    )
    tale.due()
    assert waits_on(tale)
    assert tale.message.runs[0].until is None
