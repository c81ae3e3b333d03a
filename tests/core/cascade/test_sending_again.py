"""Unknown outcomes, and the last look before a send."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.effects import ReleaseCap
from orchestrator.core.facts import Answered, Due, Prepared, Shut
from orchestrator.core.inputs import Provider
from orchestrator.core.message import Sending
from orchestrator.core.outcomes import Accepted, NotSent, Refused, Unknown
from orchestrator.core.policy import Governance, Retry, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address, Consent
from orchestrator.core.values import replace
from tests.core.tale import CHANNELS, LAPTOP, PHONE, PROVIDERS, START, TABLET, Tale, seconds

VIBER = Step("viber", wait=(("delivered", seconds(600)),))
PUSH = Step("web_push", wait=(("clicked", seconds(600)),))
SMS = Step("sms")


def prepared(step: int = 0, provider: str = "texts", **more: Any) -> Prepared:
    return Prepared(step, provider, (PHONE,), "hash", 2, "2.40", **more)


# ---- unknown outcomes


def test_a_provider_that_knows_repeats_is_asked_once_more_with_the_same_key() -> None:
    idempotent = {**PROVIDERS, "texts": replace(PROVIDERS["texts"], idempotent=True)}
    tale = Tale(SMS, inputs=replace(Tale(SMS).inputs, providers=idempotent))
    tale.send(1, Unknown(Reason.TIMED_OUT), answer=10)
    assert (tale.ready, tale.message.runs[0].resent) == ([(0, "texts")], True)
    tale.send(12, Accepted("x"))
    assert (tale.status, [a.try_number for a in tale.message.attempts]) == ("succeeded", [0, 0])


def test_nothing_is_resent_at_the_deadline() -> None:
    tale = Tale(Step("sms", on_unknown="resend"), deadline_ms=5_000)
    tale.send(1, Unknown(Reason.TIMED_OUT), answer=4)
    assert (tale.ready, tale.message.runs[0].resent) == ([], False)


def test_a_device_that_took_it_is_enough_and_the_unknown_other_is_left_alone() -> None:
    tale = Tale(Step("web_push", wait=PUSH.wait, on_unknown="resend"))
    tale.given(addresses=(LAPTOP, TABLET))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Accepted("a")))
    tale.apply(2, Answered(1, Unknown(Reason.TIMED_OUT)))
    assert (tale.ready, tale.message.runs[0].resent) == ([], False)


# ---- the last look


def test_a_hold_that_comes_between_rendering_and_the_send_holds_it() -> None:
    tale = Tale(
        SMS,
        message_class="promotional",
        inputs=replace(Tale(SMS).inputs, governance=Governance(consent={})),
    )
    tale.given(over_budget={"sms": START + 9_000}, governance=tale_with_budget())
    tale.apply(1, prepared())
    run = tale.message.runs[0]
    assert (tale.calls, run.sending, run.until, run.rule) == (
        [],
        Sending.HELD,
        START + 9_000,
        "sms",
    )


def tale_with_budget() -> Governance:
    from orchestrator.core.policy import Budget

    return Governance(consent={}, budgets=(Budget("sms", "1", "UAH"),))


def test_an_address_whose_owner_said_no_meanwhile_is_not_called_but_the_others_are() -> None:
    from orchestrator.core.recipient import AddressState

    tale = Tale(PUSH)
    tale.given(addresses=(LAPTOP, TABLET))
    state = AddressState(LAPTOP.hash, (Consent("web_push", "*", "out", START),))
    tale.given(address_states={LAPTOP.hash: state})
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    assert [call.target for call in tale.calls] == [TABLET]


def test_providers_have_an_address_to_send_to_or_no_turn() -> None:
    bots = Provider("bots", "viber", ("viber_bot_id",))
    channels = {**CHANNELS, "viber": ("bots", "viber_b")}
    base = replace(Tale(VIBER).inputs, providers={**PROVIDERS, "bots": bots}, channels=channels)
    assert Tale(VIBER, inputs=base).ready == [(0, "viber_b")]


def test_an_answer_after_its_process_was_presumed_dead_never_sends_anything_again() -> None:
    for late in (NotSent(Reason.CONNECT_FAILED), Refused(Reason.REFUSED_CONFIGURATION)):
        tale = Tale(VIBER, SMS)
        tale.apply(1, Prepared(0, "viber_a", (PHONE,)))
        tale.due()
        tale.apply(20, Answered(0, late))
        run = tale.message.runs[0]
        assert (tale.ready, run.sending, run.until, run.ended) == ([], Sending.IDLE, None, None)
        assert not any(isinstance(effect, ReleaseCap) for effect in tale.last.effects)


def test_a_provider_whose_address_went_away_after_rendering_gives_its_turn_away() -> None:
    bots = Provider("bots", "viber", ("viber_bot_id",))
    channels = {**CHANNELS, "viber": ("bots", "viber_b")}
    bot = Address("viber_bot_id", "b", "hash-bot")
    base = replace(
        Tale(VIBER).inputs,
        providers={**PROVIDERS, "bots": bots},
        channels=channels,
        addresses=(bot, PHONE),
    )
    tale = Tale(VIBER, inputs=base)
    assert tale.ready == [(0, "bots")]
    tale.given(addresses=(PHONE,))
    tale.apply(1, Prepared(0, "bots", (bot,)))
    assert (tale.calls, tale.ready) == ([], [(0, "viber_b")])


def test_a_throttled_provider_is_not_waited_for_longer_than_until_another_one_opens() -> None:
    shut = {**PROVIDERS, "viber_b": replace(PROVIDERS["viber_b"], shut_until=START + 20_000)}
    tale = Tale(
        Step("viber", retry=Retry(0, 0)), inputs=replace(Tale(VIBER).inputs, providers=shut)
    )
    tale.send(1, NotSent(Reason.THROTTLED, 100_000))
    run = tale.message.runs[0]
    assert (run.sending, run.until, run.held_for, run.tries, run.tried_since) == (
        Sending.HELD,
        START + 20_000,
        Reason.THROTTLED,
        0,
        None,
    )


def test_a_throttled_device_of_a_step_that_another_has_is_let_be_when_its_retries_are_over() -> (
    None
):
    tale = Tale(Step("web_push", wait=PUSH.wait, retry=Retry(0, 0)), SMS)
    tale.given(addresses=(LAPTOP, TABLET, PHONE))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Accepted("a")))
    tale.apply(2, Answered(1, NotSent(Reason.THROTTLED, 3_000)))
    run = tale.message.runs[0]
    assert (run.sending, run.ended, run.given_up) == (Sending.IDLE, None, [])


@pytest.mark.parametrize("settled", [Refused(Reason.REFUSED_ADDRESS), Accepted("a")])
def test_only_the_device_that_took_nothing_is_tried_again(settled: Any) -> None:
    tale = Tale(PUSH)
    tale.given(addresses=(LAPTOP, TABLET))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, settled))
    tale.apply(2, Answered(1, NotSent(Reason.THROTTLED, 1_000)))
    tale.due()
    tale.apply(5, Prepared(0, "push", (LAPTOP, TABLET)))
    assert [call.target for call in tale.calls] == [TABLET]


def test_an_unknown_device_beside_one_that_took_nothing_is_not_tried_again_without_leave() -> None:
    tale = Tale(PUSH)
    tale.given(addresses=(LAPTOP, TABLET))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Unknown(Reason.TIMED_OUT)))
    tale.apply(2, Answered(1, NotSent(Reason.THROTTLED, 1_000)))
    while not tale.ready and tale.message.due_at is not None and not tale.message.terminal:
        tale.due()
        for run in tale.message.ready():
            tale.apply(
                (tale.now - START) / 1000, Prepared(run.step, run.provider or "", (LAPTOP, TABLET))
            )
    assert [attempt.address_hash for attempt in tale.message.attempts].count(LAPTOP.hash) == 1


def test_a_provider_whose_breaker_closes_this_very_millisecond_has_its_turn() -> None:
    shut = {name: replace(PROVIDERS[name], shut_until=START) for name in ("viber_a", "viber_b")}
    assert Tale(
        VIBER, inputs=replace(Tale(VIBER).inputs, providers={**PROVIDERS, **shut})
    ).ready == [(0, "viber_a")]


@pytest.mark.parametrize(
    "cascade", [(SMS,), (Step("sms", wait=(("delivered", 60_000),)), Step("email"))]
)
def test_a_word_that_a_provider_is_shut_until_a_moment_ago_is_looked_at_a_millisecond_later(
    cascade: Any,
) -> None:
    tale = Tale(*cascade)
    tale.apply(1, Shut(0, "texts", Reason.THROTTLED, START))
    assert tale.message.runs[0].until == START + 1_001


def test_a_refusal_without_a_code_has_no_detail() -> None:
    tale = Tale(SMS, Step("email"))
    tale.send(1, Refused(Reason.REFUSED_RECIPIENT))
    assert (tale.message.runs[0].ended, tale.message.runs[0].rule) == (Reason.REFUSED_RECIPIENT, "")


def test_what_had_not_left_after_all_does_not_count_as_the_hand_off_of_its_repeat() -> None:
    step = Step("viber", wait=(("delivered", seconds(60)),), on_unknown="resend")
    tale = Tale(step, Step("sms"))
    tale.apply(1, Prepared(0, "viber_a", (PHONE,)))
    tale.apply(40, Due(tale.message.due_at or 0))  # its process counts as dead
    assert tale.ready == [(0, "viber_a")]
    tale.apply(41, Answered(0, NotSent(Reason.START_TOO_LATE)))
    assert tale.message.runs[0].handed_off_at is None
    tale.send(42, Accepted("a"))
    assert tale.message.runs[0].handed_off_at == START + 42_200
    assert tale.waits_until == 102.2
