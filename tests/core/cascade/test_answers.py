"""An answer changes the attempt, the step, and the effects for the shell."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.effects import (
    BounceRecorded,
    EmitStatus,
    RecordOptOut,
    ReleaseCap,
    ShutProvider,
)
from orchestrator.core.facts import Answered, Prepared
from orchestrator.core.message import Sending
from orchestrator.core.outcomes import Accepted, NotSent, Refused, Unknown
from orchestrator.core.policy import Step
from orchestrator.core.reasons import Reason
from tests.core.cascade.test_sending import PUSH, SMS, VIBER
from tests.core.tale import LAPTOP, PHONE, START, TABLET, Tale

# ---- answers


def test_an_answer_is_written_down_as_it_was_given() -> None:
    tale = Tale(SMS)
    number = tale.send(1, NotSent(Reason.THROTTLED, 2_000, "429", "slow down"))
    attempt = tale.message.attempts[number]
    assert (attempt.outcome, attempt.reason, attempt.code, attempt.detail) == (
        "not_sent",
        "throttled",
        "429",
        "slow down",
    )
    assert (attempt.retry_after_ms, attempt.answered_at) == (2_000, START + 1_200)
    assert EmitStatus("attempt.not_sent", 0) in tale.last.effects
    assert ReleaseCap(0) in tale.last.effects
    run = tale.message.runs[0]
    assert (run.sending, run.held_for, run.until, run.rule) == (
        Sending.HELD,
        Reason.THROTTLED,
        START + 3_200,
        "",
    )


def test_an_unknown_answer_is_reported_as_that_and_keeps_its_cap_usage() -> None:
    tale = Tale(SMS)
    number = tale.send(1, Unknown(Reason.SERVER_ERROR, "500", "oops"))
    attempt = tale.message.attempts[number]
    assert (attempt.outcome, attempt.reason, attempt.code, attempt.detail) == (
        "unknown",
        "server_error",
        "500",
        "oops",
    )
    assert tale.last.effects == (EmitStatus("attempt.unknown", 0),)


def test_a_refusal_is_a_state_too_and_taking_it_is_reported() -> None:
    tale = Tale(SMS, Step("email"))
    number = tale.send(1, Refused(Reason.REFUSED_CONTENT, "22", "spam"))
    attempt = tale.message.attempts[number]
    assert (attempt.state, attempt.times) == ("rejected", {"rejected": START + 1_200})
    assert (attempt.reason, attempt.code, attempt.detail) == ("refused_content", "22", "spam")
    assert EmitStatus("attempt.rejected", 0) in tale.last.effects
    run = tale.message.runs[0]
    assert (run.ended, run.rule, run.sending, run.over) == (
        Reason.REFUSED_CONTENT,
        "22",
        Sending.IDLE,
        True,
    )


def test_an_acceptance_names_the_id_and_is_reported_once() -> None:
    tale = Tale(VIBER)
    number = tale.send(1, Accepted("abc"))
    attempt = tale.message.attempts[number]
    assert (attempt.outcome, attempt.provider_id, attempt.state) == ("accepted", "abc", "accepted")
    assert attempt.times == {"accepted": START + 1_200}
    assert tale.last.effects == (EmitStatus("attempt.accepted", 0),)
    assert tale.message.runs[0].handed_off_at == START + 1_200


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (
            Refused(Reason.REFUSED_ADDRESS, "410", suppress_after=2),
            BounceRecorded("hash-phone", "sms", "texts", "410", 2),
        ),
        (
            Refused(Reason.REFUSED_ADDRESS),
            BounceRecorded("hash-phone", "sms", "texts", "refused_address", 1),
        ),
        (
            Refused(Reason.REFUSED_OPTED_OUT, "9", classes=("x",)),
            RecordOptOut("hash-phone", "sms", ("x",), "texts 9"),
        ),
        (
            Refused(Reason.REFUSED_CONFIGURATION, "401", "bad key"),
            ShutProvider("texts", "401", "bad key"),
        ),
    ],
)
def test_what_a_refusal_says_about_somebody_is_passed_on(outcome: Any, expected: Any) -> None:
    tale = Tale(SMS, Step("email"))
    tale.send(1, outcome)
    assert expected in tale.last.effects


def test_a_refusal_of_the_content_or_the_person_accuses_nobody() -> None:
    for reason in (Reason.REFUSED_CONTENT, Reason.REFUSED_RECIPIENT):
        tale = Tale(SMS, Step("email"))
        tale.send(1, Refused(reason))
        assert not any(
            isinstance(effect, BounceRecorded | RecordOptOut | ShutProvider)
            for effect in tale.last.effects
        )


def test_a_second_answer_to_the_same_attempt_is_void() -> None:
    tale = Tale(VIBER)
    number = tale.send(1)
    before = tale.message.copy()
    for late in (NotSent(Reason.THROTTLED), Refused(Reason.REFUSED_ADDRESS), Accepted("other")):
        decision = tale.apply(3, Answered(number, late))
        assert (decision.effects, tale.message) == ((), before)


def test_an_unknown_one_that_stays_unknown_changes_nothing() -> None:
    tale = Tale(VIBER)
    number = tale.send(1, Unknown(Reason.TIMED_OUT))
    before = tale.message.copy()
    decision = tale.apply(3, Answered(number, Unknown(Reason.CONNECTION_LOST)))
    assert (decision.effects, tale.message) == ((), before)


def test_a_round_is_judged_when_its_last_answer_is_in() -> None:
    tale = Tale(PUSH, SMS)
    tale.given(addresses=(LAPTOP, TABLET, PHONE))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Refused(Reason.REFUSED_ADDRESS)))
    assert (tale.message.runs[0].sending, tale.ready) == (Sending.OPEN, [])
    assert not any(isinstance(effect, ReleaseCap) for effect in tale.last.effects)
    tale.apply(3, Answered(1, Refused(Reason.REFUSED_ADDRESS)))
    assert ReleaseCap(0) in tale.last.effects
    assert tale.ready == [(1, "texts")]


def test_a_step_is_handed_off_when_the_first_of_its_devices_took_it() -> None:
    tale = Tale(PUSH)
    tale.given(addresses=(LAPTOP, TABLET))
    tale.apply(1, Prepared(0, "push", (LAPTOP, TABLET)))
    tale.apply(2, Answered(0, Accepted("a")))
    tale.apply(5, Answered(1, Accepted("b")))
    assert tale.message.runs[0].handed_off_at == START + 2_000


def test_an_unknown_one_was_handed_off_when_that_was_known_or_its_timeout_was_over() -> None:
    for answer, handed_off in ((4, 5_000), (30, 11_000)):
        tale = Tale(VIBER)
        tale.send(1, Unknown(Reason.TIMED_OUT), answer=answer)
        assert tale.message.runs[0].handed_off_at == START + handed_off
