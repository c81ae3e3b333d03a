"""A pause holds whatever it covers until it ends, and drops nothing."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.facts import Prepared, RulesChanged, Shut
from orchestrator.core.inputs import UNTIL_RESUMED, Inputs, Pause
from orchestrator.core.message import Sending
from orchestrator.core.outcomes import Refused
from orchestrator.core.policy import Step
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from tests.core.tale import DEFAULT_INPUTS, PHONE, START, Tale, seconds

HOUR = START + seconds(3600)
VIBER = Step("viber", wait=(("delivered", seconds(60)),))
SMS = Step("sms")


def paused(*pauses: tuple[Any, str], until: int = HOUR) -> tuple[Pause, ...]:
    return tuple(Pause(kind, name, until) for kind, name in pauses)


def given(*pauses: Pause) -> Inputs:
    return replace(DEFAULT_INPUTS, pauses=pauses)


@pytest.mark.parametrize("what", [("policy", "tale"), ("channel", "viber")])
def test_a_paused_channel_or_policy_holds_its_step_until_the_end(what: tuple[Any, str]) -> None:
    tale = Tale(VIBER, SMS, inputs=given(*paused(what)))
    [run] = tale.message.runs
    assert (run.sending, run.held_for, run.rule) == (
        Sending.HELD,
        Reason.PAUSED,
        " ".join(what),
    )
    assert tale.waits_until == 3600
    tale.given(pauses=())
    tale.due()
    assert tale.ready == [(0, "viber_a")]


def test_a_pause_of_something_else_holds_nothing() -> None:
    others = paused(("policy", "other"), ("channel", "email"), ("provider", "texts"))
    tale = Tale(VIBER, SMS, inputs=given(*others))
    assert tale.ready == [(0, "viber_a")]


def test_of_a_paused_provider_the_next_one_takes_over() -> None:
    tale = Tale(
        VIBER,
        inputs=given(*paused(("provider", "viber_a"))),
    )
    assert tale.ready == [(0, "viber_b")]


def test_an_earlier_step_waits_for_its_paused_providers_longer_than_its_own_wait() -> None:
    both = paused(("provider", "viber_a"), ("provider", "viber_b"))
    tale = Tale(VIBER, SMS, inputs=given(*both))
    [run] = tale.message.runs
    assert (run.sending, run.held_for, run.rule) == (
        Sending.HELD,
        Reason.PAUSED,
        "provider viber_a",
    )
    assert tale.waits_until == 3600
    tale.given(pauses=())
    tale.due()
    assert tale.ready == [(0, "viber_a")]


def test_what_is_prepared_when_the_pause_begins_does_not_leave() -> None:
    for what in (("policy", "tale"), ("channel", "sms"), ("provider", "texts")):
        tale = Tale(SMS)
        tale.given(pauses=paused(what))
        tale.apply(1, Prepared(0, "texts", (PHONE,), "hash", 1, "1.20"))
        assert not tale.calls and not tale.message.attempts
        assert tale.message.runs[0].held_for is Reason.PAUSED


def test_a_step_is_not_left_while_one_of_its_providers_is_paused() -> None:
    """The other one has refused our account, or its breaker is open."""
    tale = Tale(VIBER, SMS)
    tale.given(pauses=paused(("provider", "viber_b")))
    tale.send(1, Refused(Reason.REFUSED_CONFIGURATION, "401"))
    run = tale.message.runs[0]
    assert (run.sending, run.held_for, len(tale.message.runs)) == (
        Sending.HELD,
        Reason.PAUSED,
        1,
    )
    shut = Tale(VIBER, SMS)
    shut.given(pauses=paused(("provider", "viber_b")))
    shut.apply(1, Shut(0, "viber_a", Reason.BREAKER_OPEN, START + seconds(600)))
    assert shut.message.runs[0].sending is Sending.HELD
    shut.due()
    assert shut.ready == [(0, "viber_a")]


def test_a_pause_without_an_end_lasts_until_the_deadline() -> None:
    pauses = paused(("channel", "sms"), until=UNTIL_RESUMED)
    tale = Tale(SMS, inputs=given(*pauses))
    assert tale.message.due_at == tale.message.deadline_at
    tale.due()
    assert (tale.status, tale.message.reason) == ("expired", Reason.PAUSED)


def test_a_pause_that_was_ended_frees_what_it_held_at_once() -> None:
    pauses = paused(("channel", "sms"), until=UNTIL_RESUMED)
    tale = Tale(SMS, inputs=given(*pauses))
    tale.apply(5, RulesChanged())
    assert tale.message.runs[0].held_for is Reason.PAUSED, "it is still paused"
    tale.given(pauses=())
    tale.apply(10, RulesChanged())
    assert tale.ready == [(0, "texts")]
