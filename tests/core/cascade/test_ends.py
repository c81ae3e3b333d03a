"""Ends of messages, facts from outside the cascade, and the next time a message is looked at."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from orchestrator.core.effects import EmitStatus
from orchestrator.core.facts import (
    Answered,
    Cancelled,
    GoalReached,
    Prepared,
    Shut,
    Triggered,
    Unpreparable,
)
from orchestrator.core.message import Sending
from orchestrator.core.outcomes import Accepted, NotSent
from orchestrator.core.policy import HOUR_MS, Cap, Governance, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address
from orchestrator.core.values import replace
from tests.core.tale import (
    EMAIL,
    LAPTOP,
    PHONE,
    PROVIDERS,
    START,
    TABLET,
    Tale,
    due,
    seconds,
    usage,
)

VIBER = Step("viber", wait=(("delivered", seconds(600)), ("read", seconds(3600))))
PUSH = Step("web_push", wait=(("clicked", seconds(600)),))
SMS = Step("sms")


def emitted(tale: Tale) -> list[EmitStatus]:
    return [effect for effect in tale.last.effects if isinstance(effect, EmitStatus)]


# ---- ends


def test_an_end_is_written_down_whole() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1)
    tale.apply(30, GoalReached("shop", "o-1"))
    message = tale.message
    assert (message.reason, message.reason_detail, message.finished_at) == (
        Reason.GOAL_MET,
        "shop o-1",
        START + 30_000,
    )
    assert (message.runs[0].over, message.runs[0].until, message.due_at) == (True, None, None)
    assert emitted(tale) == [EmitStatus("message.cancelled")]


def test_a_terminal_message_is_not_ended_again() -> None:
    tale = Tale(SMS)
    tale.send(1)
    for fact in (GoalReached("s", "1"), Cancelled(Reason.ERASED)):
        assert tale.apply(5, fact).effects == ()
    assert (tale.status, tale.message.reason, tale.message.finished_at) == (
        "succeeded",
        None,
        START + 1_200,
    )


def test_a_cancel_takes_companions_and_holds_along_but_not_what_is_open() -> None:
    tale = Tale(VIBER, also=(Step("email"),))
    tale.apply(1, Prepared(0, "viber_a", (PHONE,)))
    tale.apply(2, Cancelled(Reason.ERASED))
    assert (tale.message.reason, tale.ready) == (Reason.ERASED, [])
    assert [run.sending for run in tale.message.runs] == [Sending.IDLE, Sending.OPEN]
    assert tale.waits_until == 16, "its answer is still waited for"
    tale.apply(3, Answered(0, Accepted("x")))
    assert tale.message.attempts[0].outcome == "accepted"
    assert tale.message.due_at is None


def test_a_success_leaves_companions_be() -> None:
    tale = Tale(SMS, also=(Step("email"),))
    tale.send(1, step=0)
    assert (tale.status, tale.ready) == ("succeeded", [(1, "mail")])


def test_the_first_status_is_emitted_and_a_message_that_ends_at_once_says_both() -> None:
    tale = Tale(SMS)
    assert tale.last.effects == (EmitStatus("message.accepted"),)
    late = Tale(SMS, inputs=replace(tale.inputs, duplicate_of="01KOLD"))
    assert (late.message.reason, late.message.reason_detail) == (Reason.DEDUPLICATED, "01KOLD")
    assert late.last.effects == (EmitStatus("message.accepted"), EmitStatus("message.suppressed"))
    assert late.message.sequence == ()


def test_a_step_s_gate_that_drops_ends_the_message_with_its_rule() -> None:
    cap = Governance(caps=(Cap("cap", 1, HOUR_MS, on_hit="drop"),))
    base = replace(Tale(SMS).inputs, governance=cap, cap_usages=(usage(-60),))
    tale = Tale(SMS, Step("email"), inputs=base)
    assert (tale.status, tale.message.reason, tale.message.reason_detail) == (
        "suppressed",
        Reason.FREQUENCY_CAP,
        "cap",
    )
    assert len(tale.message.runs) == 1


def test_a_drop_after_an_attempt_exhausts() -> None:
    tale = Tale(Step("viber", wait=(("delivered", 60_000),)), SMS)
    tale.send(1)
    cap = Cap("cap", 0, HOUR_MS, channels=("sms",), on_hit="drop")
    tale.given(governance=Governance(caps=(cap,)))
    tale.due()
    assert (tale.status, tale.message.reason) == ("exhausted", Reason.FREQUENCY_CAP)


def test_a_drop_that_only_concerns_a_companion_leaves_the_cascade() -> None:
    cap = Cap("cap", 0, HOUR_MS, channels=("email",), on_hit="drop")
    base = replace(Tale(SMS).inputs, governance=Governance(caps=(cap,)))
    tale = Tale(SMS, also=(Step("email"),), inputs=base)
    assert (tale.status, tale.ready) == ("accepted", [(0, "texts")])
    companion = tale.message.run_of(1)
    assert companion is not None
    assert (companion.ended, companion.rule, companion.over) == (Reason.FREQUENCY_CAP, "cap", True)


def test_a_message_that_was_held_past_its_deadline_says_what_held_it() -> None:
    cap = Governance(caps=(Cap("cap", 1, 48 * HOUR_MS),))
    base = replace(Tale(SMS).inputs, governance=cap, cap_usages=(usage(-60),))
    tale = Tale(SMS, inputs=base, deadline_ms=HOUR_MS)
    assert tale.waits_until == 3600
    tale.due()
    assert (tale.status, tale.message.reason, tale.message.reason_detail) == (
        "expired",
        Reason.FREQUENCY_CAP,
        "cap",
    )
    assert tale.message.flags == []


def test_a_message_whose_step_ends_at_the_deadline_expires_and_starts_nothing() -> None:
    tale = Tale(Step("viber", wait=(("delivered", 3_600_000),)), SMS, deadline_ms=HOUR_MS)
    tale.send(1)
    tale.apply(3700, due(tale.message.due_at))
    assert (tale.status, tale.message.reason, len(tale.message.runs)) == (
        "expired",
        Reason.DEADLINE_PASSED,
        1,
    )


def test_every_step_may_be_skipped_in_one_decision_and_the_last_reason_is_given() -> None:
    steps = [Step("fax") for _ in range(6)]
    tale = Tale(
        *steps,
        Step("sms", when="event.x"),
        inputs=replace(Tale(SMS).inputs, conditions={"step:6": False}),
    )
    assert (tale.status, tale.message.reason) == ("suppressed", Reason.CONDITION_FALSE)
    assert (tale.message.position, len(tale.message.runs)) == (6, 7)


def test_a_held_step_is_asked_again_when_its_hold_is_over_and_not_before() -> None:
    cap = Governance(caps=(Cap("cap", 1, HOUR_MS),))
    tale = Tale(SMS, inputs=replace(Tale(SMS).inputs, governance=cap, cap_usages=(usage(-60),)))
    until = tale.message.due_at
    assert until == START - 60_000 + HOUR_MS
    assert (
        tale.apply((until - START) / 1000 - 0.001, Shut(0, "texts", Reason.THROTTLED, until)).checks
        == ()
    )
    assert tale.ready == []
    tale.due()
    assert tale.ready == [(0, "texts")]
    run = tale.message.runs[0]
    assert (run.until, run.ready_since, run.provider) == (None, until, "texts")


def test_a_device_whose_retry_finds_nothing_left_to_try_is_let_be() -> None:
    tale = Tale(PUSH, SMS)
    tale.given(addresses=(LAPTOP, TABLET, PHONE))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Accepted("a")))
    tale.apply(2, Answered(1, NotSent(Reason.THROTTLED, 3_000)))
    tale.given(addresses=(LAPTOP, PHONE))
    tale.due()
    assert (tale.message.runs[0].sending, tale.ready, tale.last.checks) == (Sending.IDLE, [], ())
    assert tale.waits_until == 602, "it waits for its click"


def test_an_outage_holds_only_what_is_paid_and_only_after_silence() -> None:
    silent = Step("web_push", wait=(("delivered", 60_000),))
    tale = Tale(silent, SMS)
    tale.send(1)
    tale.given(outages=("web_push",))
    tale.due()
    run = tale.message.runs[1]
    assert (run.held_for, run.until, run.rule) == (
        Reason.RECEIPT_OUTAGE,
        tale.now + 60_000,
        "web_push",
    )
    tale.due()
    assert tale.ready == [], "it is asked again each minute and held for as long as it lasts"
    assert tale.message.runs[1].until == tale.now + 60_000
    tale.given(outages=())
    tale.due()
    assert tale.ready == [(1, "texts")]
    free = {**PROVIDERS, "texts": replace(PROVIDERS["texts"], cost="0")}
    for change in ({"outages": ("viber",)}, {"outages": ("web_push",), "providers": free}):
        tale = Tale(silent, SMS)
        tale.send(1)
        tale.given(**change)
        tale.due()
        assert tale.ready == [(1, "texts")]
    tale = Tale(silent, SMS)
    number = tale.send(1)
    tale.given(outages=("web_push",))
    tale.receive(5, number, "failed")
    assert tale.ready == [(1, "texts")], "a failure is no silence"


def test_cheapest_puts_unknown_prices_last_and_keeps_the_written_order_of_equals() -> None:
    prices = {
        name: replace(one, cost={"texts": None, "mail": "0.40"}.get(name, one.cost))
        for name, one in PROVIDERS.items()
    }
    base = replace(Tale(SMS).inputs, providers=prices)
    tale = Tale(SMS, Step("viber"), Step("email"), Step("fax"), order="cheapest", inputs=base)
    assert tale.message.sequence == (1, 2, 0, 3)
    assert Tale(SMS, Step("viber")).message.sequence == (0, 1)


def test_a_word_about_a_step_that_is_not_ready_is_void() -> None:
    tale = Tale(SMS, Step("email"))
    tale.apply(1, Prepared(0, "texts", (PHONE,)))
    for fact in (
        Prepared(0, "texts", (PHONE,)),
        Unpreparable(0, Reason.TEMPLATE_ERROR),
        Shut(0, "texts", Reason.THROTTLED, START + 9_000),
        Prepared(1, "mail", (EMAIL,)),
    ):
        decision = tale.apply(2, fact)
        assert decision.said == ("void: the step is not ready any more",)
        assert tale.message.runs[0].sending is Sending.OPEN


def test_a_replayed_trigger_is_a_trigger() -> None:
    tale = Tale(SMS)
    assert tale.apply(0, Triggered(replayed=True)).effects[0] == EmitStatus("message.accepted")


def test_addresses_are_found_for_what_they_are() -> None:
    other = Address("viber_bot_id", "b", "hash-bot")
    tale = Tale(SMS, inputs=replace(Tale(SMS).inputs, addresses=(other,)))
    assert (tale.status, tale.message.reason) == ("suppressed", Reason.NO_ADDRESS)


def test_an_open_message_past_its_deadline_that_hears_of_something_else_is_looked_at_at_once() -> (
    None
):
    tale = Tale(SMS, deadline_ms=8_000)
    tale.apply(1, Prepared(0, "texts", (PHONE,)))
    tale.receive(20, 0, "queued")
    assert (tale.status, tale.message.due_at) == ("running", START + 20_001)
    tale.due()
    assert (tale.message.attempts[0].outcome, tale.status) == ("accepted", "succeeded"), (
        "it was reported, so it was taken"
    )


def test_a_message_that_comes_exactly_at_its_deadline_starts_nothing() -> None:
    tale = Tale(SMS, also=(Step("email"),), deadline_ms=0)
    assert (tale.status, tale.message.reason) == ("expired", Reason.DEADLINE_PASSED)
    assert (tale.message.runs, tale.message.sequence, tale.last.checks) == ([], (), ())


def test_a_message_that_was_held_once_but_only_waited_for_a_slot_at_its_deadline_says_so() -> None:
    tale = Tale(SMS, deadline_ms=HOUR_MS)
    tale.send(1, NotSent(Reason.THROTTLED, 30_000))
    tale.due()
    assert tale.ready == [(0, "texts")]
    tale.apply(3600, due(tale.message.due_at))
    assert (tale.status, tale.message.reason) == ("expired", Reason.DEADLINE_PASSED)


def test_one_paid_provider_makes_a_channel_a_paid_one() -> None:
    prices = {**PROVIDERS, "viber_a": replace(PROVIDERS["viber_a"], cost="0")}
    tale = Tale(Step("web_push", wait=(("delivered", 60_000),)), Step("viber"))
    tale.given(providers=prices)
    tale.send(1)
    tale.given(outages=("web_push",))
    tale.due()
    assert tale.message.runs[1].held_for is Reason.RECEIPT_OUTAGE


@pytest.mark.parametrize("waits", ["ready", "held"])
def test_a_cancel_after_the_cascade_ended_stops_a_companion_that_still_waits(waits: Any) -> None:
    tale = Tale(SMS, also=(Step("email"), Step("viber")))
    tale.send(1, step=0)
    tale.send(2, step=2)
    if waits == "held":
        tale.apply(3, Shut(1, "mail", Reason.BREAKER_OPEN, START + 90_000))
    tale.apply(4, Cancelled())
    stopped, left = tale.message.run_of(1), tale.message.run_of(2)
    assert stopped is not None
    assert left is not None
    assert (stopped.over, stopped.ended, stopped.sending, stopped.until) == (
        True,
        Reason.CANCELLED,
        Sending.IDLE,
        None,
    )
    assert (left.over, left.ended) == (False, None), "what has left is not taken back"
    assert (tale.status, tale.ready, tale.waits_until) == ("succeeded", [], None)


def test_a_cancel_lets_an_open_companion_be_answered() -> None:
    tale = Tale(SMS, also=(Step("email"),))
    tale.send(1, step=0)
    tale.apply(2, Prepared(1, "mail", (EMAIL,)))
    tale.apply(3, Cancelled())
    companion = tale.message.run_of(1)
    assert companion is not None
    assert (companion.sending, companion.ended) == (Sending.OPEN, None)


def test_a_held_companion_is_asked_again_when_its_hold_is_over() -> None:
    tale = Tale(VIBER, also=(Step("email"),))
    tale.apply(1, Shut(1, "mail", Reason.BREAKER_OPEN, START + 9_000))
    assert tale.waits_until == 9
    tale.due()
    assert sorted(tale.ready) == [(0, "viber_a"), (1, "mail")]


def test_a_wait_that_ends_exactly_at_the_deadline_starts_nothing_more() -> None:
    tale = Tale(Step("viber", wait=(("delivered", 3_598_800),)), SMS, deadline_ms=HOUR_MS)
    tale.send(1)
    assert tale.waits_until == 3600
    tale.due()
    assert (tale.status, tale.message.reason, len(tale.message.runs)) == (
        "expired",
        Reason.DEADLINE_PASSED,
        1,
    )


def test_what_was_left_or_ended_keeps_no_time_and_no_detail_that_nobody_gave() -> None:
    tale = Tale(Step("viber", wait=(("delivered", 60_000),)), Step("fax"), SMS)
    tale.send(1)
    tale.due()
    assert [run.rule for run in tale.message.runs] == ["", "", ""]
    tale.send(100)
    assert (tale.status, tale.message.reason_detail) == ("succeeded", "")


def test_a_hold_that_ends_in_a_skip_or_a_cancel_has_no_time_left() -> None:
    cap = Cap("cap", 1, HOUR_MS)
    base = replace(Tale(SMS).inputs, governance=Governance(caps=(cap,)), cap_usages=(usage(-60),))
    tale = Tale(SMS, Step("email"), inputs=base)
    tale.given(addresses=(EMAIL,))
    tale.due()
    assert (tale.message.runs[0].ended, tale.message.runs[0].until) == (Reason.NO_ADDRESS, None)
    tale = Tale(SMS, inputs=base)
    assert tale.message.runs[0].until is not None
    tale.apply(1, Cancelled())
    ended = tale.message.runs[0]
    assert (ended.until, ended.over) == (None, True)


def test_a_message_has_cost_what_its_attempts_did_on_one_channel_or_all() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1)
    tale.due()
    tale.send(700)
    message = tale.message
    costs = {attempt.channel: Decimal(attempt.cost or 0) for attempt in message.attempts}
    assert set(costs) == {"viber", "sms"} and min(costs.values()) > 0
    assert message.spent() == sum(costs.values())
    assert message.spent("sms") == costs["sms"]
    assert message.spent("email") == 0
