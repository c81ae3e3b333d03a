"""Several devices, late facts, how a message ends, companions and gates."""

from __future__ import annotations

import pytest

from orchestrator.core.effects import RecordOptOut, ReleaseCap
from orchestrator.core.facts import Answered, Cancelled, Due, Prepared, Unpreparable
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.policy import Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address, AddressState, Consent, Suppression
from tests.core.tale import CHANNELS, EMAIL, LAPTOP, PHONE, PROVIDERS, START, TABLET, Tale, seconds

PUSH = Step("web_push", wait=(("delivered", seconds(120)), ("clicked", seconds(600))))
VIBER = Step("viber", wait=(("delivered", seconds(600)),))
EMAIL_STEP = Step("email", wait=(("read", seconds(3600)),))
SMS = Step("sms")


# ---- several devices


def both_devices() -> Inputs:
    return Inputs(addresses=(LAPTOP, TABLET, PHONE), providers=PROVIDERS, channels=CHANNELS)


def test_every_device_is_tried_and_one_that_took_it_is_enough() -> None:
    tale = Tale(PUSH, SMS, inputs=both_devices())
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Refused(Reason.REFUSED_ADDRESS, "410")))
    tale.apply(3, Answered(1, Accepted("m1")))
    assert tale.ready == []
    tale.receive(4, 1, "clicked")
    assert tale.status == "succeeded"


def test_all_devices_refusing_moves_the_cascade_on() -> None:
    tale = Tale(PUSH, SMS, inputs=both_devices())
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Refused(Reason.REFUSED_ADDRESS, "410")))
    tale.apply(3, Answered(1, Refused(Reason.REFUSED_ADDRESS, "410")))
    assert tale.ready == [(1, "texts")]


def test_a_device_that_was_throttled_is_tried_again_while_the_other_one_waits_for_its_click() -> (
    None
):
    tale = Tale(PUSH, SMS, inputs=both_devices())
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, NotSent(Reason.THROTTLED, 5_000)))
    tale.apply(3, Answered(1, Accepted("m1")))
    tale.due()
    assert tale.ready == [(0, "push")]
    tale.apply(9, Prepared(0, "push", (LAPTOP, TABLET)))
    assert [call.target for call in tale.calls] == [LAPTOP]


GOOGLE = Address("fcm_device", "g", "hash-google")
APPLE = Address("apns_device", "a", "hash-apple")
IN_THE_APP = Step("mobile_push", wait=(("clicked", seconds(600)),))


def two_platforms(*addresses: Address) -> Inputs:
    """One provider reaches Google's devices, the other one Apple's."""
    google = Provider("google", "mobile_push", ("fcm_device",), fan_out=True)
    apple = Provider("apple", "mobile_push", ("apns_device",), fan_out=True)
    return Inputs(
        addresses=(*addresses, PHONE),
        providers={**PROVIDERS, "google": google, "apple": apple},
        channels={**CHANNELS, "mobile_push": ("google", "apple")},
    )


@pytest.mark.parametrize(
    "first",
    [Accepted("g1"), Unknown(Reason.TIMED_OUT), Refused(Reason.REFUSED_ADDRESS, "UNREGISTERED")],
)
def test_each_provider_of_a_step_sends_to_the_devices_that_it_reaches(first: Outcome) -> None:
    tale = Tale(IN_THE_APP, SMS, inputs=two_platforms(GOOGLE, APPLE))
    assert tale.ready == [(0, "google")]
    tale.apply(1, Prepared(0, "google", (GOOGLE,)))
    assert [call.target for call in tale.calls] == [GOOGLE]
    tale.apply(2, Answered(0, first))
    assert tale.ready == [(0, "apple")]
    tale.apply(3, Prepared(0, "apple", (APPLE,)))
    assert [call.target for call in tale.calls] == [APPLE]
    tale.apply(4, Answered(1, Accepted("a1")))
    assert tale.ready == []
    tale.receive(5, 1, "clicked")
    assert tale.status == "succeeded"


def test_a_step_without_a_wait_goes_to_the_devices_of_both_platforms() -> None:
    tale = Tale(Step("mobile_push"), inputs=two_platforms(GOOGLE, APPLE))
    tale.apply(1, Prepared(0, "google", (GOOGLE,)))
    tale.apply(2, Answered(0, Accepted("g1")))
    assert (tale.status, tale.ready) == ("running", [(0, "apple")])
    tale.apply(3, Prepared(0, "apple", (APPLE,)))
    tale.apply(4, Answered(1, Refused(Reason.REFUSED_ADDRESS, "Unregistered")))
    assert tale.status == "succeeded"


def test_a_platform_whose_account_is_refused_leaves_the_other_one_be() -> None:
    tale = Tale(IN_THE_APP, SMS, inputs=two_platforms(GOOGLE, APPLE))
    tale.apply(1, Prepared(0, "google", (GOOGLE,)))
    tale.apply(2, Answered(0, Refused(Reason.REFUSED_CONFIGURATION, "SENDER_ID_MISMATCH")))
    tale.apply(3, Prepared(0, "apple", (APPLE,)))
    tale.apply(4, Answered(1, Refused(Reason.REFUSED_CONFIGURATION, "BadTopic")))
    assert tale.ready == [(1, "texts")]


def test_a_person_with_one_platform_is_left_to_its_provider() -> None:
    tale = Tale(IN_THE_APP, SMS, inputs=two_platforms(APPLE))
    assert tale.ready == [(0, "apple")]
    tale.apply(1, Prepared(0, "apple", (APPLE,)))
    tale.apply(2, Answered(0, Refused(Reason.REFUSED_ADDRESS, "Unregistered")))
    assert tale.ready == [(1, "texts")]


# ---- late facts


def test_a_late_delivery_closes_the_message_and_cancels_what_is_unsent() -> None:
    tale = Tale(VIBER, SMS)
    attempt = tale.send(1)
    tale.due()
    assert tale.ready == [(1, "texts")]
    tale.receive(700, attempt, "delivered")
    assert (tale.status, tale.message.succeeded_by, tale.message.flags) == (
        "succeeded",
        "viber",
        ["late"],
    )
    assert tale.ready == []


def test_a_late_sent_receipt_closes_nothing() -> None:
    tale = Tale(VIBER, SMS)
    attempt = tale.send(1)
    tale.due()
    tale.receive(700, attempt, "sent")
    assert tale.ready == [(1, "texts")]


def test_late_ignore_only_records_it() -> None:
    tale = Tale(VIBER, SMS, late="ignore")
    attempt = tale.send(1)
    tale.due()
    tale.receive(700, attempt, "delivered")
    assert tale.status == "running"
    assert tale.message.attempts[0].state.value == "delivered"


def test_a_late_delivery_corrects_an_exhausted_message_once() -> None:
    tale = Tale(VIBER)
    attempt = tale.send(1)
    tale.due()
    tale.statuses.clear()
    tale.receive(4000, attempt, "delivered")
    tale.receive(4001, attempt, "read")
    assert (tale.status, tale.message.flags) == ("succeeded", ["late"])
    assert tale.statuses.count("message.succeeded") == 1


def test_two_channels_that_delivered_are_flagged_whichever_came_first() -> None:
    tale = Tale(VIBER, Step("sms", wait=(("delivered", seconds(60)),)))
    first = tale.send(1)
    tale.due()
    second = tale.send(605)
    tale.receive(610, second, "delivered")
    tale.receive(620, first, "delivered")
    assert "duplicate_delivery" in tale.message.flags
    assert tale.message.succeeded_by == "sms"


def test_delivered_after_failed_is_delivered() -> None:
    tale = Tale(VIBER)
    attempt = tale.send(1)
    tale.receive(5, attempt, "failed")
    tale.receive(6, attempt, "delivered")
    assert tale.status == "succeeded"


def test_a_receipt_before_the_answer_counts_when_the_answer_is_lost() -> None:
    tale = Tale(SMS)
    tale.apply(1, Prepared(0, "texts", (PHONE,)))
    tale.receive(2, 0, "sent")
    tale.apply(11, Answered(0, Unknown(Reason.TIMED_OUT)))
    assert (tale.status, tale.message.attempts[0].outcome.value) == ("succeeded", "accepted")


def test_the_same_receipt_twice_changes_nothing() -> None:
    tale = Tale(PUSH, SMS)
    attempt = tale.send(1)
    tale.receive(5, attempt, "delivered")
    before = tale.message
    tale.receive(5, attempt, "delivered")
    assert tale.message == before


def test_a_timer_for_a_time_that_is_no_longer_asked_for_is_void() -> None:
    tale = Tale(PUSH, SMS)
    attempt = tale.send(1)
    old = tale.message.due_at
    tale.receive(5, attempt, "delivered")
    assert tale.message.due_at != old
    tale.apply(125, Due(old or 0))
    assert tale.ready == []


# ---- how it ends


def test_a_message_that_no_step_could_attempt_is_suppressed_with_the_last_gate_s_reason() -> None:
    tale = Tale(PUSH, SMS, inputs=Inputs(providers=PROVIDERS, channels=CHANNELS))
    assert (tale.status, tale.message.reason) == ("suppressed", Reason.NO_ADDRESS)


def test_a_message_that_is_already_past_its_deadline_expires_at_once() -> None:
    tale = Tale(SMS, deadline_ms=0)
    assert (tale.status, tale.message.reason) == ("expired", Reason.DEADLINE_PASSED)


def test_nothing_leaves_after_the_deadline() -> None:
    tale = Tale(SMS, deadline_ms=seconds(60))
    tale.apply(60, Prepared(0, "texts", (PHONE,)))
    assert (tale.status, tale.calls) == ("expired", [])


def test_what_left_before_the_deadline_may_be_answered_after_it() -> None:
    tale = Tale(SMS, deadline_ms=seconds(60))
    tale.apply(59, Prepared(0, "texts", (PHONE,)))
    tale.apply(61, Answered(0, Accepted("SM1")))
    assert tale.status == "succeeded"


def test_a_cancelled_message_sends_nothing_more() -> None:
    tale = Tale(PUSH, SMS)
    tale.apply(1, Cancelled())
    tale.apply(2, Prepared(0, "push", (LAPTOP,)))
    assert (tale.status, tale.message.reason, tale.calls) == ("cancelled", Reason.CANCELLED, [])


def test_a_repeat_within_the_dedupe_window_is_suppressed() -> None:
    tale = Tale(
        SMS,
        inputs=Inputs(
            addresses=(PHONE,), providers=PROVIDERS, channels=CHANNELS, duplicate_of="01K"
        ),
    )
    assert (tale.status, tale.message.reason) == ("suppressed", Reason.DEDUPLICATED)


def test_a_goal_that_was_reached_before_its_trigger_was_accepted_counts() -> None:
    tale = Tale(
        SMS,
        inputs=Inputs(
            addresses=(PHONE,), providers=PROVIDERS, channels=CHANNELS, goal_reached=True
        ),
    )
    assert (tale.status, tale.message.reason) == ("cancelled", Reason.GOAL_MET)


# ---- companions, order, content, gates


def test_a_companion_leaves_beside_the_first_step_and_never_counts() -> None:
    tale = Tale(VIBER, also=(Step("email"),))
    assert sorted(tale.ready) == [(0, "viber_a"), (1, "mail")]
    tale.send(1, step=1)
    assert tale.status == "running"
    tale.receive(2, 0, "delivered")
    assert tale.status == "running"


def test_a_companion_still_leaves_when_the_cascade_was_quicker() -> None:
    tale = Tale(SMS, also=(Step("email"),))
    tale.send(1, step=0)
    assert tale.status == "succeeded"
    tale.send(2, step=1)
    assert tale.message.attempts[1].outcome.value == "accepted"


def test_cheapest_tries_the_cheapest_step_and_the_cheapest_provider_first() -> None:
    tale = Tale(SMS, VIBER, Step("email"), order="cheapest")
    assert tale.message.sequence == (2, 1, 0)


def test_a_step_that_cannot_be_rendered_is_skipped_with_its_reason() -> None:
    tale = Tale(VIBER, SMS)
    tale.apply(1, Unpreparable(0, Reason.MISSING_VARIABLE, "event.total"))
    assert tale.message.runs[0].ended is Reason.MISSING_VARIABLE
    assert tale.ready == [(1, "texts")]


def test_a_text_with_too_many_parts_is_not_sent() -> None:
    tale = Tale(Step("sms", max_parts=2))
    tale.apply(1, Prepared(0, "texts", (PHONE,), "c", 3, "3.60"))
    assert (tale.calls, tale.message.reason) == ([], Reason.TOO_LONG)


def test_a_step_that_costs_more_than_it_may_tries_the_next_provider_then_moves_on() -> None:
    tale = Tale(Step("viber", wait=VIBER.wait, max_cost="0.45"), SMS)
    tale.apply(1, Prepared(0, "viber_a", (PHONE,), "c", None, "0.50"))
    assert tale.ready == [(0, "viber_b")]
    tale.apply(2, Prepared(0, "viber_b", (PHONE,), "c", None, "0.50"))
    assert tale.message.runs[0].ended is Reason.TOO_EXPENSIVE


def test_an_opt_out_between_rendering_and_the_send_stops_it() -> None:
    tale = Tale(VIBER)
    tale.given(consents=(Consent("viber", "*", "out", START + 500, "api"),))
    tale.apply(1, Prepared(0, "viber_a", (PHONE,)))
    assert (tale.calls, tale.status, tale.message.reason) == ([], "suppressed", Reason.OPTED_OUT)


def test_a_marked_address_is_left_alone() -> None:
    mark = AddressState(
        PHONE.hash, suppressions={"sms": Suppression("refused_address", "texts", START)}
    )
    states = {PHONE.hash: mark}
    inputs = Inputs(
        addresses=(PHONE, EMAIL), address_states=states, providers=PROVIDERS, channels=CHANNELS
    )
    tale = Tale(SMS, Step("email"), inputs=inputs)
    assert tale.ready == [(1, "mail")]
    assert tale.message.runs[0].ended is Reason.ADDRESS_SUPPRESSED


@pytest.mark.parametrize(
    ("value", "reason"), [(False, Reason.CONDITION_FALSE), (None, Reason.CONDITION_ERROR)]
)
def test_a_condition_that_is_false_or_broken_skips_its_step(
    value: bool | None, reason: Reason
) -> None:
    inputs = Inputs(
        addresses=(PHONE, EMAIL),
        providers=PROVIDERS,
        channels=CHANNELS,
        conditions={"step:0": value},
    )
    tale = Tale(Step("sms", when="event.x"), Step("email"), inputs=inputs)
    assert tale.message.runs[0].ended is reason


def test_a_provider_s_opt_out_is_recorded_and_moves_on() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1, Refused(Reason.REFUSED_OPTED_OUT, "7003"))
    assert any(
        isinstance(effect, RecordOptOut) and effect.channel == "viber"
        for effect in tale.last.effects
    )
    assert tale.ready == [(1, "texts")]


def test_a_charge_is_given_back_when_nothing_was_sent_and_kept_when_it_may_have_been() -> None:
    refused = Tale(VIBER, SMS)
    refused.send(1, Refused(Reason.REFUSED_RECIPIENT, "x"))
    assert any(isinstance(effect, ReleaseCap) for effect in refused.last.effects)
    unknown = Tale(VIBER, SMS)
    unknown.send(1, Unknown(Reason.TIMED_OUT))
    assert not any(isinstance(effect, ReleaseCap) for effect in unknown.last.effects)


def test_silence_of_a_channel_whose_receipts_have_collapsed_does_not_open_a_paid_one() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1)
    tale.given(outages=("viber",))
    tale.due()
    assert tale.ready == []
    assert tale.message.runs[-1].held_for is Reason.RECEIPT_OUTAGE
    tale.given(outages=())
    tale.due()
    assert tale.ready == [(1, "texts")]


def test_a_companion_that_left_does_not_count_when_the_cascade_ends_without_an_attempt() -> None:
    tale = Tale(Step("viber"), SMS, also=(Step("email"),))
    tale.send(1, step=2)
    tale.given(addresses=(EMAIL,))
    tale.apply(2, Unpreparable(0, Reason.TEMPLATE_MISSING))
    assert (tale.status, tale.message.reason) == ("suppressed", Reason.TEMPLATE_MISSING)
