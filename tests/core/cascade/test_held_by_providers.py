"""How long a provider's trouble may hold a step, and what a message that never left ends with."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from orchestrator.core.cascade.decide import decisive_end
from orchestrator.core.facts import Unpreparable
from orchestrator.core.message import Run
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.policy import Retry, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Consent
from orchestrator.core.values import replace
from tests.core.tale import EMAIL, PHONE, PROVIDERS, START, Tale, seconds

QUICK = Step("viber", wait=(("delivered", seconds(4)),))
SLOW = Step("viber", wait=(("delivered", seconds(600)),))
SMS = Step("sms")
CONFIGURATION = Refused(Reason.REFUSED_CONFIGURATION, "401")
OPT_OUT_OF_VIBER = Consent("viber", "*", "out", START, "STOP")


def one_provider(**changes: Any) -> dict[str, Any]:
    """Inputs with one Viber account; ``changes`` are its and the SMS account's fields."""
    names = ("viber_a", "texts", "mail")
    changed = {name: replace(PROVIDERS[name], **changes) for name in names}
    channels = {"viber": ("viber_a",), "sms": ("texts",), "email": ("mail",)}
    return {"providers": changed, "channels": channels}


# ---- retries


@pytest.mark.parametrize(
    "outcome",
    [
        NotSent(Reason.THROTTLED, 1_000),
        NotSent(Reason.THROTTLED, 120_000),
        NotSent(Reason.BREAKER_OPEN),
        CONFIGURATION,
    ],
)
def test_a_provider_that_is_waited_for_in_vain_is_tried_ever_less_often(outcome: Outcome) -> None:
    tale = Tale(Step("sms"), deadline_ms=seconds(3 * 86_400))
    tale.given(**one_provider())
    tries = []
    while not tale.message.terminal:
        at = (tale.now - START) / 1000
        if tale.ready:
            tries.append(at)
            tale.send(at, outcome)
        else:
            tale.due()
    assert len([at for at in tries if at < 600]) >= 5
    assert len(tries) < 220
    assert all(then - at <= 1 + max(121, at / 8) for at, then in pairwise(tries))


@pytest.mark.parametrize(
    ("asked_ms", "wait_seconds", "held"),
    [
        (30_000, 4, False),
        (4_100, 4, False),
        (2_000, 4, True),
        (30_000, 31, True),
        (59_000, 600, True),
    ],
)
@pytest.mark.parametrize("reason", [Reason.NOT_TAKEN, Reason.CONNECT_FAILED])
def test_a_step_is_not_held_for_a_retry_beyond_its_own_longest_wait(
    reason: Reason, asked_ms: int, wait_seconds: int, held: bool
) -> None:
    tale = Tale(Step("viber", wait=(("delivered", seconds(wait_seconds)),)), SMS)
    tale.given(**one_provider())
    tale.send(1, NotSent(reason, asked_ms))
    run = tale.message.runs[0]
    assert (run.until if held else run.ended) == (START + 1_200 + asked_ms if held else reason)
    assert tale.ready == ([] if held else [(1, "texts")])


def test_its_longest_wait_counts_from_the_first_try_over_all_retries_and_providers() -> None:
    tale = Tale(Step("viber", wait=(("delivered", seconds(10)),), retry=Retry(9, 60_000)), SMS)
    tries = 0
    while not tale.message.runs[0].over:
        if tale.ready:
            tale.send((tale.now - START) / 1000 + 0.1, NotSent(Reason.CONNECT_FAILED))
            tries += 1
        else:
            tale.due()
    assert tale.message.runs[0].first_try_at == START + 100
    assert tale.now - START <= seconds(10.5)
    assert tries > 2


def test_the_last_step_is_retried_within_its_retry_whatever_its_wait() -> None:
    tale = Tale(QUICK)
    tale.given(**one_provider())
    tale.send(1, NotSent(Reason.NOT_TAKEN, 30_000))
    assert tale.message.runs[0].until == START + 31_200


def test_a_provider_that_asks_for_more_than_the_step_has_is_not_tried_before_that() -> None:
    tale = Tale(QUICK, SMS)
    tale.given(**one_provider())
    tale.send(1, NotSent(Reason.THROTTLED, 30_000))
    assert tale.waits_until == 5
    tale.due()
    assert (tale.message.runs[0].ended, tale.ready) == (Reason.THROTTLED, [(1, "texts")])


# ---- refusals of our configuration


@pytest.mark.parametrize("open_for_ms", [1_000, 30_000, 3_600_000])
def test_the_last_step_waits_for_a_refused_provider_as_long_as_its_breaker_is_open(
    open_for_ms: int,
) -> None:
    tale = Tale(SMS)
    tale.given(**one_provider(open_for_ms=open_for_ms))
    tale.send(1, CONFIGURATION)
    assert tale.message.runs[0].until == START + 1_200 + open_for_ms
    tale.due()
    tale.send((tale.now - START) / 1000, Accepted("a"))
    assert tale.status == "succeeded"


@pytest.mark.parametrize("step", [QUICK, SLOW, Step("viber")])
def test_a_refused_message_moves_on_at_once(step: Step) -> None:
    tale = Tale(step, SMS)
    tale.given(**one_provider())
    tale.send(1, CONFIGURATION)
    assert tale.ready == [(1, "texts")]


def test_the_last_step_expires_at_its_deadline_if_nobody_fixes_the_configuration() -> None:
    tale = Tale(SMS, deadline_ms=seconds(100))
    tale.given(**one_provider(open_for_ms=seconds(40)))
    for at in (1, 50, 95):
        if tale.ready:
            tale.send(at, CONFIGURATION)
        if tale.message.due_at is not None and tale.status == "running":
            tale.due()
    assert (tale.status, tale.message.reason) == ("expired", Reason.REFUSED_CONFIGURATION)


# ---- the decisive reason


def test_no_address_on_the_last_step_hides_no_opt_out() -> None:
    tale = Tale(SLOW, Step("email"), inputs=replace(Tale(SMS).inputs, addresses=(PHONE,)))
    assert tale.ready == [(0, "viber_a")]
    opted_out = replace(tale.inputs, consents=(OPT_OUT_OF_VIBER,))
    tale = Tale(SLOW, Step("email"), inputs=opted_out)
    assert (tale.status, tale.message.reason) == ("suppressed", Reason.OPTED_OUT)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Refused(Reason.REFUSED_RECIPIENT, "7"), Reason.REFUSED_RECIPIENT),
        (Refused(Reason.REFUSED_OPTED_OUT, "7"), Reason.REFUSED_OPTED_OUT),
        (Refused(Reason.REFUSED_CONTENT, "7"), Reason.REFUSED_CONTENT),
    ],
)
def test_a_step_without_an_address_hides_no_answer_before_it(
    outcome: Outcome, reason: Reason
) -> None:
    tale = Tale(SLOW, Step("email"), inputs=replace(Tale(SMS).inputs, addresses=(PHONE,)))
    tale.send(1, outcome)
    assert (tale.status, tale.message.reason) == ("exhausted", reason)


def test_of_equal_reasons_the_last_step_counts() -> None:
    tale = Tale(SLOW, SMS, Step("email"))
    tale.apply(1, Unpreparable(0, Reason.TEMPLATE_ERROR))
    tale.apply(2, Unpreparable(1, Reason.TOO_LONG, "3 parts"))
    tale.given(addresses=(PHONE,))
    tale.apply(3, Unpreparable(2, Reason.MISSING_VARIABLE, "x"))
    assert tale.message.reason is Reason.MISSING_VARIABLE
    assert tale.message.reason_detail == "x"


@pytest.mark.parametrize("unusable", [Reason.ADDRESS_SUPPRESSED, Reason.COUNTRY_NOT_ALLOWED])
@pytest.mark.parametrize("no", [Reason.OPTED_OUT, Reason.NO_CONSENT, Reason.REFUSED_OPTED_OUT])
@pytest.mark.parametrize("between", [None, Reason.NO_ADDRESS, Reason.CONDITION_FALSE])
def test_a_useless_address_on_the_last_step_hides_no_no_of_the_recipient(
    unusable: Reason, no: Reason, between: Reason | None
) -> None:
    assert decisive((no, between, unusable)) is no


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ((Reason.REFUSED_RECIPIENT, Reason.COUNTRY_NOT_ALLOWED), Reason.COUNTRY_NOT_ALLOWED),
        ((Reason.OPTED_OUT, Reason.NOT_DELIVERED_IN_TIME), Reason.NOT_DELIVERED_IN_TIME),
        ((Reason.NO_CONSENT, Reason.OPTED_OUT, Reason.ADDRESS_SUPPRESSED), Reason.OPTED_OUT),
        ((Reason.ADDRESS_SUPPRESSED, Reason.NO_ADDRESS), Reason.ADDRESS_SUPPRESSED),
        ((Reason.CONDITION_FALSE, Reason.NO_ADDRESS), Reason.NO_ADDRESS),
        ((Reason.NO_ADDRESS, Reason.CONDITION_FALSE), Reason.CONDITION_FALSE),
    ],
)
def test_else_the_last_step_that_applied_decides(ends: tuple[Reason, ...], reason: Reason) -> None:
    assert decisive(ends) is reason


def decisive(ends: tuple[Reason | None, ...]) -> Reason:
    """The reason of a message whose steps ended like this."""
    message = Tale(SMS).message.copy()
    message.runs = [Run(n, "sms", over=True, ended=one) for n, one in enumerate(ends) if one]
    return decisive_end(message)[0]


def test_without_any_address_the_reason_is_that() -> None:
    tale = Tale(SLOW, SMS, inputs=replace(Tale(SMS).inputs, addresses=(EMAIL,)))
    assert (tale.status, tale.message.reason) == ("suppressed", Reason.NO_ADDRESS)


# ---- when it reached the recipient


def test_a_message_that_succeeded_was_reached_when_it_ended() -> None:
    tale = Tale(SMS)
    tale.send(3, Accepted("a"))
    assert tale.message.reached_at == tale.message.finished_at == START + 3_200


def test_a_late_receipt_says_when_it_was_reached_and_leaves_the_first_end() -> None:
    tale = Tale(Step("sms", wait=(("delivered", seconds(60)),)))
    number = tale.send(1, Unknown(Reason.TIMED_OUT))
    tale.due()
    assert (tale.status, tale.message.reached_at) == ("exhausted", None)
    ended = tale.message.finished_at
    tale.receive(500, number, "delivered")
    assert (tale.status, tale.message.finished_at) == ("succeeded", ended)
    assert tale.message.reached_at == START + seconds(500)


# ---- the hold for a receipt outage


def test_a_day_of_outage_leaves_a_line_now_and_then_and_not_one_a_minute() -> None:
    tale = Tale(QUICK, SMS)
    tale.send(1, Accepted("a"))
    tale.given(outages=("viber",))
    looks = 0
    while tale.status == "running":
        tale.due()
        looks += 1
    assert (tale.status, tale.message.reason) == ("expired", Reason.RECEIPT_OUTAGE)
    assert looks < 120


def test_an_outage_that_ends_soon_holds_nothing_for_long() -> None:
    tale = Tale(QUICK, SMS)
    tale.send(1, Accepted("a"))
    tale.given(outages=("viber",))
    tale.due()
    assert tale.message.runs[1].until == tale.now + 60_000
    tale.due()
    tale.given(outages=())
    tale.due()
    assert tale.ready == [(1, "texts")]
