"""
From "may it start?" to the answer, to the letter: what is written down, what is asked of the shell,
and when.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.effects import (
    Call,
    EmitStatus,
    ReleaseCap,
    ReserveCap,
)
from orchestrator.core.facts import Answered, Due, Prepared, Shut
from orchestrator.core.message import Sending
from orchestrator.core.outcomes import Accepted, NotSent
from orchestrator.core.policy import HOUR_MS, Retry, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import CapUsage
from orchestrator.core.values import replace
from tests.core.tale import LAPTOP, PHONE, PROVIDERS, START, TABLET, Tale, seconds

VIBER = Step("viber", wait=(("delivered", seconds(600)),))
PUSH = Step("web_push", wait=(("clicked", seconds(600)),))
SMS = Step("sms")


def prepared(step: int = 0, provider: str = "texts", **more: Any) -> Prepared:
    return Prepared(step, provider, (PHONE,), "hash", 2, "2.40", **more)


def test_an_intent_says_everything_that_a_call_needs_and_is_charged_once() -> None:
    tale = Tale(SMS)
    decision = tale.apply(1, prepared())
    attempt = tale.message.attempts[0]
    assert (attempt.number, attempt.step, attempt.channel, attempt.provider, attempt.kind) == (
        0,
        0,
        "sms",
        "texts",
        "phone",
    )
    assert (attempt.address, attempt.address_hash, attempt.try_number) == (
        "+380…67",
        "hash-phone",
        0,
    )
    assert (attempt.intent_at, attempt.timeout_ms, attempt.content_hash) == (
        START + 1000,
        10_000,
        "hash",
    )
    assert (attempt.parts, attempt.cost) == (2, "2.40")
    assert decision.effects == (
        Call(0, PHONE),
        EmitStatus("attempt.created", 0),
        ReserveCap(CapUsage("01KTALE", "transactional", "sms", 0, START + 1000, True)),
        EmitStatus("message.running"),
    )
    run = tale.message.runs[0]
    assert (run.sending, run.tries, run.tried_since, run.first_try_at) == (
        Sending.OPEN,
        1,
        START + 1000,
        START + 1000,
    )


def test_a_later_step_of_a_charged_message_is_charged_as_one_that_is_not_the_first() -> None:
    tale = Tale(VIBER, SMS)
    tale.send(1)
    tale.due()
    tale.apply(700, prepared(1))
    reserve = next(effect for effect in tale.last.effects if isinstance(effect, ReserveCap))
    assert (reserve.usage.step, reserve.usage.first) == (1, False)


def test_a_retry_of_a_step_that_is_still_charged_is_not_charged_again() -> None:
    tale = Tale(PUSH)
    tale.given(addresses=(LAPTOP, TABLET))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Accepted("a")))
    tale.apply(2, Answered(1, NotSent(Reason.THROTTLED, 1_000)))
    assert not any(isinstance(effect, ReleaseCap) for effect in tale.last.effects)
    tale.due()
    decision = tale.apply(5, Prepared(0, "push", (LAPTOP, TABLET)))
    assert [call.target for call in tale.calls] == [TABLET]
    assert not any(isinstance(effect, ReserveCap) for effect in decision.effects)


@pytest.mark.parametrize("known", [(), (TABLET,)])
def test_what_was_rendered_for_other_addresses_is_prepared_again(known: Any) -> None:
    tale = Tale(PUSH)
    tale.given(addresses=(LAPTOP, TABLET))
    tale.apply(1, Prepared(0, "push", known))
    assert (tale.calls, tale.ready) == ([], [(0, "push")])


def test_what_was_prepared_for_another_provider_is_void() -> None:
    tale = Tale(VIBER)
    decision = tale.apply(1, Prepared(0, "viber_b", (PHONE,)))
    assert (tale.calls, tale.ready, decision.checks) == ([], [(0, "viber_a")], ())


def test_a_provider_that_was_shut_or_taken_away_after_rendering_gives_its_turn_away() -> None:
    shut = {**PROVIDERS, "viber_a": replace(PROVIDERS["viber_a"], shut_until=START + 99_000)}
    gone = {name: one for name, one in PROVIDERS.items() if name != "viber_a"}
    for providers in (shut, gone):
        tale = Tale(VIBER)
        tale.given(providers=providers)
        tale.apply(1, Prepared(0, "viber_a", (PHONE,)))
        assert (tale.calls, tale.ready) == ([], [(0, "viber_b")])


def test_a_breaker_is_open_until_its_instant_and_not_at_it() -> None:
    tale = Tale(VIBER)
    tale.given(
        providers={**PROVIDERS, "viber_a": replace(PROVIDERS["viber_a"], shut_until=START + 1000)}
    )
    tale.apply(1, Prepared(0, "viber_a", (PHONE,)))
    assert len(tale.calls) == 1


# ---- price and length


@pytest.mark.parametrize(("parts", "left"), [(2, 1), (3, 0), (None, 1)])
def test_as_many_parts_as_are_allowed_may_leave_and_not_one_more(parts: Any, left: Any) -> None:
    tale = Tale(Step("sms", max_parts=2))
    tale.apply(1, Prepared(0, "texts", (PHONE,), "", parts, "1.20"))
    assert len(tale.calls) == left
    if not left:
        assert (tale.message.reason, tale.message.reason_detail) == (
            Reason.TOO_LONG,
            "3 parts, at most 2",
        )


@pytest.mark.parametrize(("cost", "left"), [("1.20", 1), ("1.21", 0), (None, 0)])
def test_as_dear_as_it_may_be_it_leaves_and_an_unknown_price_is_too_dear(
    cost: Any, left: Any
) -> None:
    tale = Tale(Step("sms", max_cost="1.20"))
    tale.apply(1, Prepared(0, "texts", (PHONE,), "", 1, cost))
    assert len(tale.calls) == left
    if not left:
        assert tale.message.reason is Reason.TOO_EXPENSIVE
        assert tale.message.runs[0].given_up == ["texts"]


# ---- retries


def test_a_step_is_tried_again_as_often_as_it_may_and_no_longer_than_it_may() -> None:
    tale = Tale(Step("sms", retry=Retry(1, 60_000)), Step("email"))
    tale.send(1, NotSent(Reason.CONNECT_FAILED))
    tale.due()
    tale.send(3, NotSent(Reason.CONNECT_FAILED))
    assert [run.ended for run in tale.message.runs] == [Reason.CONNECT_FAILED, None]
    assert [attempt.try_number for attempt in tale.message.attempts] == [0, 1]


@pytest.mark.parametrize(("within_ms", "held"), [(5_200, True), (5_199, False)])
def test_a_pause_that_ends_exactly_when_the_retries_do_is_still_taken(
    within_ms: Any, held: Any
) -> None:
    tale = Tale(Step("sms", retry=Retry(3, within_ms)), Step("email"))
    tale.send(1, NotSent(Reason.NOT_TAKEN, 5_000))
    assert (tale.message.runs[0].sending is Sending.HELD) is held


def test_the_longest_pause_that_any_device_was_asked_for_is_kept() -> None:
    tale = Tale(PUSH)
    tale.given(addresses=(LAPTOP, TABLET))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, NotSent(Reason.THROTTLED, 9_000)))
    tale.apply(2, Answered(1, NotSent(Reason.THROTTLED, 3_000)))
    assert tale.message.runs[0].until == START + 11_000


def test_a_send_that_started_too_late_is_no_try() -> None:
    tale = Tale(Step("sms", retry=Retry(0, 0)))
    for at in (1, 2, 3):
        tale.send(at, NotSent(Reason.START_TOO_LATE))
        assert (tale.message.runs[0].tries, tale.ready) == (0, [(0, "texts")])


def test_a_provider_that_never_starts_in_time_runs_out_of_tries() -> None:
    tale = Tale(Step("sms", retry=Retry(0, 0)))
    for at in (1, 2, 3, 4):
        tale.send(at, NotSent(Reason.START_TOO_LATE))
    assert (tale.status, tale.message.reason) == ("exhausted", "start_too_late")


def test_the_next_provider_has_tries_of_its_own() -> None:
    tale = Tale(Step("viber", retry=Retry(0, 60_000)))
    tale.send(1, NotSent(Reason.CONNECT_FAILED))
    run = tale.message.runs[0]
    assert (run.provider, run.tries, run.tried_since, run.given_up) == (
        "viber_b",
        0,
        None,
        ["viber_a"],
    )
    assert run.first_try_at == START + 1_000


def test_a_throttled_earlier_step_waits_as_long_as_its_longest_wait_and_then_moves_on() -> None:
    tale = Tale(Step("sms", wait=(("delivered", seconds(60)),), retry=Retry(0, 0)), Step("email"))
    tale.send(1, NotSent(Reason.THROTTLED, seconds(100)))
    run = tale.message.runs[0]
    assert (run.sending, run.until) == (Sending.HELD, START + 61_000)
    tale.apply(61, Due(tale.message.due_at or 0))
    assert tale.ready == [(1, "mail")], "another try would come before the provider wants one"


def test_a_throttled_earlier_step_without_a_wait_moves_on_at_once() -> None:
    tale = Tale(Step("sms", retry=Retry(0, 0)), Step("email"))
    tale.send(1, NotSent(Reason.THROTTLED, seconds(100)))
    assert (tale.message.runs[0].ended, tale.ready) == (Reason.THROTTLED, [(1, "mail")])


def test_all_shut_the_last_step_waits_until_the_first_of_them_opens() -> None:
    shut = {
        name: replace(PROVIDERS[name], shut_until=START + ms)
        for name, ms in (("viber_a", 50_000), ("viber_b", 20_000))
    }
    tale = Tale(VIBER, inputs=replace(Tale(VIBER).inputs, providers={**PROVIDERS, **shut}))
    run = tale.message.runs[0]
    assert (run.sending, run.until, run.held_for, run.first_try_at) == (
        Sending.HELD,
        START + 20_000,
        Reason.BREAKER_OPEN,
        START,
    )


def test_a_shut_provider_is_passed_over_and_a_word_about_another_is_void() -> None:
    tale = Tale(VIBER)
    tale.apply(1, Shut(0, "viber_b", Reason.BREAKER_OPEN, START + 9_000))
    assert tale.ready == [(0, "viber_a")]
    tale.apply(1, Shut(0, "viber_a", Reason.BREAKER_OPEN, START + 9_000))
    assert tale.ready == [(0, "viber_b")]


def test_when_the_other_is_shut_too_it_waits() -> None:
    tale = Tale(VIBER)
    tale.given(
        providers={**PROVIDERS, "viber_b": replace(PROVIDERS["viber_b"], shut_until=START + 50_000)}
    )
    tale.apply(1, Shut(0, "viber_a", Reason.THROTTLED, START + 9_000))
    run = tale.message.runs[0]
    assert (run.sending, run.until, run.held_for) == (Sending.HELD, START + 9_000, Reason.THROTTLED)


def test_a_companion_without_a_wait_may_wait_until_the_deadline() -> None:
    tale = Tale(VIBER, also=(Step("sms"),))
    tale.apply(1, Shut(1, "texts", Reason.BREAKER_OPEN, START + 9_000))
    run = tale.message.run_of(1)
    assert run is not None
    assert (run.sending, run.until) == (Sending.HELD, START + 9_000)


def test_a_hold_is_never_longer_than_the_deadline() -> None:
    tale = Tale(SMS, deadline_ms=HOUR_MS)
    tale.send(1, NotSent(Reason.THROTTLED, 30_000))
    tale.apply(40, Due(tale.message.due_at or 0))
    tale.apply(41, Shut(0, "texts", Reason.THROTTLED, START + 9 * HOUR_MS))
    assert tale.message.runs[0].until == START + HOUR_MS
