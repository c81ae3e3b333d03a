"""
From hand-off to the end, to the letter: receipts, waits, the next look, and how a message ends.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.effects import BounceRecorded, EmitStatus, RecordOptOut, ShutProvider
from orchestrator.core.facts import Cancelled, Prepared, ReceiptReceived
from orchestrator.core.message import Sending
from orchestrator.core.outcomes import Accepted, Refused, Unknown
from orchestrator.core.policy import Step
from orchestrator.core.reasons import Reason
from tests.core.tale import LAPTOP, PHONE, START, TABLET, Tale, due, seconds

VIBER = Step("viber", wait=(("delivered", seconds(600)), ("read", seconds(3600))))
PUSH = Step("web_push", wait=(("clicked", seconds(600)),))
SMS = Step("sms")


def emitted(tale: Tale) -> list[EmitStatus]:
    return [effect for effect in tale.last.effects if isinstance(effect, EmitStatus)]


# ---- receipts


def test_a_receipt_is_written_down_with_its_own_time_and_emitted_once() -> None:
    tale = Tale(VIBER)
    number = tale.send(1, Accepted(None))
    tale.apply(9, ReceiptReceived(number, "delivered", START + 7_000, provider_id="late-id"))
    attempt = tale.message.attempts[number]
    assert (attempt.state, attempt.times["delivered"], attempt.provider_id) == (
        "delivered",
        START + 7_000,
        "late-id",
    )
    assert emitted(tale) == [EmitStatus("attempt.delivered", 0)]
    tale.apply(12, ReceiptReceived(number, "delivered", START + 3_000, provider_id="other"))
    attempt = tale.message.attempts[number]
    assert (attempt.times["delivered"], attempt.provider_id, emitted(tale)) == (
        START + 3_000,
        "late-id",
        [],
    )
    assert tale.last.said == ("nothing new",)


def test_an_engagement_is_new_once_and_keeps_its_first_time() -> None:
    tale = Tale(VIBER)
    number = tale.send(1)
    for at, words in ((9, [EmitStatus("attempt.complained", 0)]), (5, [])):
        tale.apply(10, ReceiptReceived(number, "complained", START + seconds(at)))
        assert emitted(tale) == words
    attempt = tale.message.attempts[number]
    assert (attempt.engagement, attempt.state) == ({"complained": START + 5_000}, "delivered")


def test_a_failure_receipt_says_why_and_keeps_the_first_reason() -> None:
    tale = Tale(VIBER, SMS)
    number = tale.send(1)
    tale.receive(5, number, "rejected", failure=Refused(Reason.REFUSED_RECIPIENT, "1", "gone"))
    tale.receive(6, number, "failed", failure=Refused(Reason.REFUSED_ADDRESS, "2", "dead"))
    attempt = tale.message.attempts[number]
    assert (attempt.reason, attempt.code, attempt.detail) == (Reason.REFUSED_RECIPIENT, "2", "dead")
    assert BounceRecorded("hash-phone", "viber", "viber_a", "2", 1) in tale.last.effects
    assert (tale.message.runs[0].ended, tale.message.runs[0].rule) == (Reason.FAILURE_RECEIPT, "1")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(Reason.REFUSED_OPTED_OUT, RecordOptOut), (Reason.REFUSED_CONFIGURATION, ShutProvider)],
)
def test_a_failure_receipt_accuses_as_a_refusal_does(failure: Any, kind: Any) -> None:
    tale = Tale(VIBER, SMS)
    tale.receive(5, tale.send(1), "failed", failure=Refused(failure, "9"))
    assert any(isinstance(effect, kind) for effect in tale.last.effects)


def test_a_failure_after_a_delivery_accuses_nobody_and_moves_nothing() -> None:
    tale = Tale(VIBER, SMS)
    number = tale.send(1)
    tale.receive(4, number, "delivered")
    tale.receive(5, number, "failed", failure=Refused(Reason.REFUSED_ADDRESS, "9"))
    assert tale.last.effects == ()
    assert tale.message.attempts[number].code is None
    assert tale.message.runs[0].ended is None


def test_a_failure_without_words_still_moves_on() -> None:
    tale = Tale(VIBER, SMS)
    tale.receive(5, tale.send(1), "failed")
    assert (tale.message.runs[0].ended, tale.message.runs[0].rule) == (Reason.FAILURE_RECEIPT, "")


def test_a_receipt_says_what_an_unknown_answer_did_not() -> None:
    tale = Tale(VIBER)
    number = tale.send(1, Unknown(Reason.TIMED_OUT))
    tale.receive(9, number, "sent")
    attempt = tale.message.attempts[number]
    assert (attempt.outcome, attempt.answered_at) == ("accepted", START + 1_200)


def test_one_device_that_failed_leaves_the_other_waiting() -> None:
    tale = Tale(PUSH, SMS)
    tale.given(addresses=(LAPTOP, TABLET, PHONE))
    tale.send(1)
    tale.receive(5, 0, "failed")
    assert tale.ready == []
    tale.receive(6, 1, "expired")
    assert tale.ready == [(1, "texts")]


def test_a_failure_with_an_engagement_is_no_failure() -> None:
    tale = Tale(PUSH, SMS)
    number = tale.send(1)
    tale.receive(5, number, "dismissed")
    tale.receive(6, number, "failed")
    assert (tale.ready, tale.message.runs[0].ended) == ([], None)


def test_devices_prove_together_what_the_step_waits_for() -> None:
    tale = Tale(Step("web_push", wait=(("delivered", 60_000), ("clicked", 600_000))), SMS)
    tale.given(addresses=(LAPTOP, TABLET, PHONE))
    tale.send(1)
    tale.receive(5, 0, "delivered")
    assert tale.status == "running"
    tale.receive(6, 1, "clicked")
    assert tale.status == "succeeded"


# ---- waits and looks


def test_each_state_has_its_time_from_the_hand_off_and_the_next_one_missing_is_looked_at() -> None:
    tale = Tale(VIBER, SMS)
    number = tale.send(1)
    assert tale.waits_until == 601.2
    tale.receive(5, number, "delivered")
    assert tale.waits_until == 3601.2
    tale.receive(6, number, "read")
    assert tale.status == "succeeded"
    assert tale.message.due_at is None


def test_a_wait_is_over_at_its_instant_and_not_before() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1)
    at = tale.message.due_at
    tale.apply(601.199, due(at))
    assert tale.ready == []
    tale.apply(601.2, due(at))
    assert tale.ready == [(1, "texts")]


def test_the_state_whose_time_was_over_first_is_the_reason() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1)
    tale.apply(7200, due(tale.message.due_at))
    assert tale.message.runs[0].ended is Reason.NOT_DELIVERED_IN_TIME


@pytest.mark.parametrize("state", ["sent", "delivered", "read", "clicked", "replied"])
def test_every_state_that_can_be_waited_for_has_its_reason(state: Any) -> None:
    tale = Tale(Step("viber", wait=((state, 1_000),)), SMS)
    tale.send(1)
    tale.due()
    assert tale.message.runs[0].ended == f"not_{state}_in_time"


def test_an_unknown_step_without_a_wait_waits_for_the_default_and_is_settled_by_a_failure() -> None:
    tale = Tale(SMS, Step("email"), default_wait_ms=30_000)
    number = tale.send(1, Unknown(Reason.TIMED_OUT))
    assert tale.waits_until == 31.2
    tale.receive(5, number, "failed")
    assert tale.ready == [(1, "mail")]


def test_any_receipt_for_an_unknown_last_step_without_a_wait_is_its_success() -> None:
    tale = Tale(SMS)
    number = tale.send(1, Unknown(Reason.TIMED_OUT))
    tale.receive(5, number, "sent")
    assert (tale.status, tale.message.succeeded_by, tale.message.flags) == ("succeeded", "sms", [])


def test_an_open_intent_is_looked_at_after_its_timeout_and_a_grace_or_at_the_deadline() -> None:
    tale = Tale(SMS)
    tale.apply(1, Prepared(0, "texts", (PHONE,)))
    assert tale.waits_until == 16
    tale = Tale(SMS, deadline_ms=8_000)
    tale.apply(1, Prepared(0, "texts", (PHONE,)))
    assert tale.waits_until == 8
    tale.due()
    assert (tale.status, tale.waits_until) == ("running", 16)
    tale.due()
    assert (tale.status, tale.message.flags) == ("expired", ["unconfirmed"])


def test_nobody_is_presumed_dead_before_the_grace_is_over() -> None:
    tale = Tale(SMS, deadline_ms=10_000)
    tale.apply(1, Prepared(0, "texts", (PHONE,)))
    tale.apply(10, due(tale.message.due_at))
    assert tale.message.attempts[0].outcome == "pending"


def test_a_ready_step_is_looked_at_at_the_deadline_and_so_is_a_companion() -> None:
    tale = Tale(SMS, also=(Step("email"),))
    assert tale.waits_until == 86_400
    tale.send(1, step=0)
    assert (tale.status, tale.waits_until) == ("succeeded", 86_400)
    tale.send(2, step=1)
    assert tale.waits_until is None


# ---- late


def test_a_late_delivery_after_a_failure_corrects_reason_and_flags() -> None:
    tale = Tale(SMS)
    number = tale.send(1, Unknown(Reason.TIMED_OUT))
    tale.due()
    assert (tale.status, tale.message.reason, tale.message.flags) == (
        "exhausted",
        Reason.UNKNOWN_OUTCOME,
        ["unconfirmed"],
    )
    tale.receive(9_000, number, "delivered")
    message = tale.message
    assert (tale.status, message.succeeded_by, message.reason, message.reason_detail) == (
        "succeeded",
        "sms",
        None,
        "",
    )
    assert message.flags == ["late"]
    assert EmitStatus("message.succeeded") in tale.last.effects


def test_a_late_delivery_while_the_next_step_waits_ends_it_there() -> None:
    tale = Tale(Step("viber", wait=(("delivered", 60_000),)), VIBER)
    number = tale.send(1)
    tale.due()
    tale.receive(100, number, "delivered")
    assert (tale.status, tale.message.flags, tale.ready) == ("succeeded", ["late"], [])
    assert tale.message.runs[1].sending is Sending.IDLE


def test_a_delivery_in_time_is_not_late() -> None:
    tale = Tale(VIBER, SMS)
    tale.receive(9, tale.send(1), "read")
    assert tale.message.flags == []


def test_a_late_delivery_of_a_cancelled_message_changes_nothing() -> None:
    tale = Tale(VIBER)
    number = tale.send(1)
    tale.apply(5, Cancelled())
    tale.receive(9, number, "delivered")
    assert (tale.status, tale.message.flags, tale.message.succeeded_by) == ("cancelled", [], None)


def test_late_ignore_leaves_an_exhausted_message_as_it_is() -> None:
    tale = Tale(Step("viber", wait=(("delivered", 60_000),)), late="ignore")
    number = tale.send(1)
    tale.due()
    tale.receive(100, number, "delivered")
    assert (tale.status, tale.message.flags) == ("exhausted", [])


def test_a_companion_s_receipts_say_nothing_of_the_cascade() -> None:
    tale = Tale(VIBER, also=(Step("email"),))
    number = tale.send(1, step=1)
    tale.receive(9, number, "read")
    assert (tale.status, tale.message.flags) == ("running", [])
    other = tale.send(10, step=0)
    tale.receive(12, other, "delivered")
    assert tale.message.flags == [], "only two channels of the cascade are a double delivery"


def test_undelivered_is_flagged_once_and_only_where_acceptance_was_all_there_was() -> None:
    tale = Tale(PUSH, Step("web_push"))
    tale.given(addresses=(LAPTOP, TABLET))
    tale = Tale(Step("web_push"), inputs=tale.inputs)
    tale.send(1)
    tale.receive(5, 0, "failed")
    assert (tale.message.flags, emitted(tale)) == ([], [EmitStatus("attempt.failed", 0)])
    tale.receive(6, 1, "failed")
    assert tale.message.flags == ["undelivered"]
    assert emitted(tale) == [EmitStatus("attempt.failed", 1), EmitStatus("message.succeeded")]
    tale.receive(7, 1, "expired")
    assert EmitStatus("message.succeeded") not in emitted(tale)
    waited = Tale(Step("viber", wait=(("sent", 60_000),)))
    number = waited.send(1)
    waited.receive(2, number, "sent")
    waited.receive(3, number, "failed")
    assert (waited.status, waited.message.flags) == ("succeeded", [])
