"""Another configuration frees what an old rule holds, and leaves everything else as it is."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.facts import RulesChanged, Shut
from orchestrator.core.outcomes import Accepted, NotSent, Refused
from orchestrator.core.policy import Cap, Gap, Governance, QuietHours, Retry, Step, Window
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from tests.core.tale import PROVIDERS, START, Tale, seconds, usage

SMS = Step("sms")
ALWAYS = QuietHours("all", (Window(0, 1440),) * 7, zone="UTC", classes=("transactional",))
HELD: list[tuple[Reason, dict[str, Any], dict[str, Any]]] = [
    (
        Reason.QUIET_HOURS,
        {"governance": Governance(quiet_hours=(replace(ALWAYS, windows=(Window(0, 1439),) * 7),))},
        {"governance": Governance()},
    ),
    (
        Reason.FREQUENCY_CAP,
        {
            "governance": Governance(caps=(Cap("day", 1, window_ms=seconds(86_000)),)),
            "cap_usages": (usage(-10, "transactional"),),
        },
        {"governance": Governance(caps=(Cap("day", 2, window_ms=seconds(86_000)),))},
    ),
    (
        Reason.MIN_GAP,
        {
            "governance": Governance(gaps=(Gap("gap", seconds(7_200)),)),
            "cap_usages": (usage(-10, "transactional"),),
        },
        {"governance": Governance()},
    ),
]


@pytest.mark.parametrize(("reason", "held", "freed"), HELD, ids=[str(one[0]) for one in HELD])
def test_what_a_rule_held_leaves_when_the_rule_is_gone(
    reason: Reason, held: dict[str, Any], freed: dict[str, Any]
) -> None:
    tale = Tale(SMS, inputs=replace(Tale(SMS).inputs, **held))
    assert tale.message.runs[0].held_for is reason
    before = tale.message.copy()
    tale.apply(5, RulesChanged())
    assert tale.message == before, "the same rule holds it until the same instant"
    tale.given(**freed)
    tale.apply(6, RulesChanged())
    assert tale.ready == [(0, "texts")]


def test_a_refused_provider_that_somebody_has_fixed_is_tried_at_once() -> None:
    tale = Tale(SMS)
    tale.send(1, Refused(Reason.REFUSED_CONFIGURATION, "401"))
    shut = {"texts": replace(PROVIDERS["texts"], shut_until=START + seconds(31))}
    tale.given(providers={**PROVIDERS, **shut})
    tale.apply(5, RulesChanged())
    assert tale.ready == []
    tale.given(providers=PROVIDERS)
    tale.apply(6, RulesChanged())
    tale.send(7, Accepted("a"))
    assert tale.status == "succeeded"


def test_a_provider_that_is_added_need_not_wait_for_the_pause_of_another() -> None:
    tale = Tale(Step("viber", retry=Retry(0, 0)))
    alone = {"viber": ("viber_a",)}
    both = tale.inputs.channels
    tale.given(channels={**both, **alone})
    tale.send(1, NotSent(Reason.THROTTLED, 3_600_000))
    tale.apply(5, RulesChanged())
    assert tale.ready == [], "its own pause goes on"
    tale.given(channels=both)
    tale.apply(6, RulesChanged())
    assert tale.ready == [(0, "viber_b")]


def test_a_step_that_waits_for_receipts_or_a_retry_is_left_alone() -> None:
    tale = Tale(Step("sms", wait=(("delivered", seconds(60)),)))
    tale.send(1, NotSent(Reason.NOT_TAKEN, 20_000))
    before = tale.message.copy()
    tale.apply(5, RulesChanged())
    assert tale.message == before
    tale.due()
    tale.send(30, Accepted("a"))
    before = tale.message.copy()
    tale.apply(31, RulesChanged())
    assert tale.message == before


def test_a_shut_provider_holds_until_it_opens() -> None:
    tale = Tale(SMS)
    shut = {"texts": replace(PROVIDERS["texts"], shut_until=START + seconds(90))}
    tale.given(providers={**PROVIDERS, **shut})
    tale.apply(1, Shut(0, "texts", Reason.BREAKER_OPEN, START + seconds(90)))
    before = tale.message.copy()
    tale.apply(5, RulesChanged())
    assert tale.message == before
