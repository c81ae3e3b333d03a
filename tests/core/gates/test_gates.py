"""Each gate's check, to the letter: the value, the limit, the reason, until when."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.gates import HARD_GATES, Check, GateContext, Verdict, ask, price
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.message import Message
from orchestrator.core.policy import (
    HOUR_MS,
    Budget,
    Cap,
    Gap,
    Governance,
    MessageClass,
    OnHit,
    Order,
    Policy,
    QuietHours,
    Step,
    Window,
)
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address, AddressState, Consent, ConsentState, Suppression
from orchestrator.core.values import replace
from tests.core.tale import CHANNELS, EMAIL, LAPTOP, PHONE, PROVIDERS, START, TABLET, usage

ALWAYS = QuietHours("always", (Window(0, 1440),) * 7)
EVENING = QuietHours("evening", (Window(20 * 60, 23 * 60),) * 7)  # it is 11:06:40 in UTC at START


def context(
    step: Step | None = None,
    *,
    message_class: MessageClass = "transactional",
    order: Order = "fixed",
    **inputs: Any,
) -> GateContext:
    policy = Policy(
        "p",
        "v",
        "e",
        (step or Step("sms"),),
        message_class=message_class,
        topic="news",
        order=order,
    )
    message = Message(
        "m", "s", "e", "t", "r", "p", "v", message_class, "news", START, START + HOUR_MS
    )
    given = Inputs(
        addresses=(PHONE, EMAIL, LAPTOP), providers=PROVIDERS, channels=CHANNELS, currency="UAH"
    )
    return GateContext(policy, message, 0, replace(given, **inputs), START)


def at_time(asked: GateContext, now: int) -> GateContext:
    return GateContext(asked.policy, asked.message, asked.number, asked.inputs, now)


def made(asked: GateContext) -> dict[str, Check]:
    return {check.gate: check for check in ask(asked)[1]}


def governed(**rules: Any) -> Governance:
    return Governance(**rules)


def test_where_every_gate_lets_it_pass_each_says_what_it_looked_at() -> None:
    decisive, checks = ask(context(Step("sms", when="event.x"), conditions={"step:0": True}))
    assert decisive == Check("budget")
    assert checks == (
        Check("deadline", value=str(START), limit=str(START + HOUR_MS), step=0),
        Check("goal", step=0),
        Check("suppression", step=0),
        Check("consent", value="no entry", limit="opt_out", step=0),
        Check("reachability", value="texts", step=0),
        Check("when", value="true", limit="event.x", step=0),
    )


def test_deferrable_gates_that_let_it_pass_say_so_too() -> None:
    rules = governed(
        quiet_hours=(EVENING,),
        caps=(Cap("cap", 2, HOUR_MS),),
        gaps=(Gap("gap", 5_000),),
        budgets=(Budget("sms", "9.00", "UAH"), Budget("email", "1.00", "UAH")),
    )
    decisive, checks = ask(context(governance=rules, cap_usages=(usage(-60),)))
    assert decisive.verdict is Verdict.GO
    cap = Check("caps", value="0", limit="2", rule="cap", step=0)
    assert checks[len(HARD_GATES) :] == (
        Check("quiet_hours", value="UTC", rule="evening", step=0),
        replace(cap, value="1"),
        Check("gaps", limit="5000 ms", rule="gap", step=0),
        Check("budget", limit="9.00 UAH", rule="sms", step=0),
    )


@pytest.mark.parametrize("late_ms", [0, 1])
def test_nothing_leaves_at_or_after_the_deadline(late_ms: int) -> None:
    asked = context()
    at = asked.message.deadline_at
    decisive, checks = ask(at_time(asked, at + late_ms))
    assert decisive == Check(
        "deadline", Verdict.DROP, Reason.DEADLINE_PASSED, str(at + late_ms), str(at), step=0
    )
    assert checks == (decisive,)
    assert ask(at_time(asked, at - 1))[0].verdict is Verdict.GO


def test_a_goal_that_was_reached_ends_it() -> None:
    decisive, checks = ask(context(goal_reached=True))
    assert decisive == Check("goal", Verdict.DROP, Reason.GOAL_MET, step=0)
    assert len(checks) == 2


def suppressed(*addresses: Address, channel: str = "sms") -> dict[str, AddressState]:
    mark = Suppression("refused_address", "texts", START, "410")
    return {
        address.hash: AddressState(address.hash, suppressions={channel: mark})
        for address in addresses
    }


def test_an_address_that_is_marked_on_this_channel_skips_the_step() -> None:
    decisive, _ = ask(context(address_states=suppressed(PHONE)))
    assert decisive == Check(
        "suppression", Verdict.SKIP, Reason.ADDRESS_SUPPRESSED, "texts 410", step=0
    )
    assert ask(context(address_states=suppressed(PHONE, channel="viber")))[0].verdict is Verdict.GO


def test_one_address_without_a_mark_is_enough_and_the_others_are_counted() -> None:
    asked = context(
        Step("web_push"),
        addresses=(LAPTOP, TABLET),
        address_states=suppressed(LAPTOP, channel="web_push"),
    )
    assert made(asked)["suppression"] == Check("suppression", value="1 of 2 marked", step=0)
    assert asked.targets(PROVIDERS["push"]) == [TABLET]


def test_a_mark_without_words_shows_who_set_it() -> None:
    state = AddressState(
        PHONE.hash, suppressions={"sms": Suppression("refused_address", "texts", START)}
    )
    assert ask(context(address_states={PHONE.hash: state}))[0].value == "texts"


def said(state: ConsentState, source: str = "", **more: Any) -> Consent:
    return Consent(
        more.pop("channel", "sms"), more.pop("topic", "*"), state, START - 1, source, **more
    )


def test_a_no_skips_the_step_with_the_entry_that_says_it() -> None:
    decisive, _ = ask(context(consents=(said("out", "stop"),)))
    assert decisive == Check(
        "consent", Verdict.SKIP, Reason.OPTED_OUT, "out sms×* by stop", "opt_out", step=0
    )
    assert ask(context(consents=(said("out"),)))[0].value == "out sms×* by api"


def test_a_missing_yes_skips_the_step_and_a_yes_lets_it_pass() -> None:
    decisive, _ = ask(context(message_class="promotional"))
    assert decisive == Check(
        "consent", Verdict.SKIP, Reason.NO_CONSENT, "no entry", "opt_in", step=0
    )
    assert (
        made(context(message_class="promotional", consents=(said("in", "form"),)))["consent"].value
        == "in sms×* by form"
    )


def test_a_class_that_governance_forgot_is_opt_out() -> None:
    check = made(context(governance=governed(consent={})))["consent"]
    assert (check.verdict, check.limit) == (Verdict.GO, None)


def test_what_an_address_said_counts_for_that_address() -> None:
    stopped = {LAPTOP.hash: AddressState(LAPTOP.hash, (said("out", channel="web_push"),))}
    asked = context(Step("web_push"), addresses=(LAPTOP, TABLET), address_states=stopped)
    assert ask(asked)[0].verdict is Verdict.GO
    assert asked.targets(PROVIDERS["push"]) == [TABLET]
    alone = context(Step("web_push"), addresses=(LAPTOP,), address_states=stopped)
    assert ask(alone)[0].reason is Reason.OPTED_OUT


def test_a_marked_address_is_not_asked_for_its_consent() -> None:
    states = suppressed(LAPTOP, channel="web_push")
    states[TABLET.hash] = AddressState(TABLET.hash, (said("out", channel="web_push"),))
    asked = context(Step("web_push"), addresses=(LAPTOP, TABLET), address_states=states)
    assert ask(asked)[0].reason is Reason.OPTED_OUT


def test_without_an_address_the_step_is_out_of_reach() -> None:
    decisive, _ = ask(context(addresses=(EMAIL,)))
    assert decisive == Check("reachability", Verdict.SKIP, Reason.NO_ADDRESS, step=0)


def test_a_number_abroad_is_out_of_reach_by_sms_only() -> None:
    rules = governed(sms_countries=("PL", "DE"))
    decisive, _ = ask(context(governance=rules))
    assert decisive == Check(
        "reachability", Verdict.SKIP, Reason.COUNTRY_NOT_ALLOWED, "UA", "PL,DE", step=0
    )
    assert ask(context(Step("viber"), governance=rules))[0].verdict is Verdict.GO
    nowhere = replace(PHONE, country="")
    assert ask(context(governance=rules, addresses=(nowhere,)))[0].value == "unknown"
    assert ask(context(governance=governed(sms_countries=("UA",))))[0].verdict is Verdict.GO


def test_every_provider_that_can_be_used_is_named() -> None:
    assert made(context(Step("viber")))["reachability"].value == "viber_a,viber_b"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (False, Check("when", Verdict.SKIP, Reason.CONDITION_FALSE, "false", "event.x", step=0)),
        (None, Check("when", Verdict.SKIP, Reason.CONDITION_ERROR, limit="event.x", step=0)),
    ],
)
def test_a_condition_that_is_false_or_broken_skips_the_step(
    value: bool | None, expected: Check
) -> None:
    assert ask(context(Step("sms", when="event.x"), conditions={"step:0": value}))[0] == expected
    assert ask(context(conditions={"step:0": False}))[0].verdict is Verdict.GO, (
        "without a `when` nothing is asked"
    )


@pytest.mark.parametrize(
    ("on_hit", "verdict"),
    [("defer", Verdict.HOLD), ("skip_step", Verdict.SKIP), ("drop", Verdict.DROP)],
)
def test_a_quiet_hour_does_what_its_rule_says(on_hit: OnHit, verdict: Verdict) -> None:
    morning = QuietHours("morning", (Window(11 * 60, 12 * 60),) * 7, on_hit=on_hit)
    end = START // HOUR_MS * HOUR_MS + HOUR_MS
    expected = Check("quiet_hours", verdict, Reason.QUIET_HOURS, "UTC", None, end, "morning", 0)
    assert ask(context(governance=governed(quiet_hours=(morning,))))[0] == expected


def test_a_hold_of_exactly_max_defer_is_kept_and_a_longer_one_skips() -> None:
    end = START // HOUR_MS * HOUR_MS + HOUR_MS
    for bound_ms, verdict in ((end - START, Verdict.HOLD), (end - START - 1, Verdict.SKIP)):
        morning = QuietHours("morning", (Window(11 * 60, 12 * 60),) * 7, max_defer_ms=bound_ms)
        assert ask(context(governance=governed(quiet_hours=(morning,))))[0].verdict is verdict


def test_rules_for_other_classes_and_channels_are_not_asked() -> None:
    rules = governed(
        quiet_hours=(replace(ALWAYS, channels=("email",)),),
        caps=(Cap("cap", 0, HOUR_MS, classes=("promotional",)),),
        gaps=(Gap("gap", HOUR_MS, channels=("email",)),),
    )
    assert len(ask(context(governance=rules, cap_usages=(usage(-1),)))[1]) == len(HARD_GATES)
    assert len(
        ask(context(message_class="otp", governance=governed(quiet_hours=(ALWAYS,))))[1]
    ) == len(HARD_GATES)


def test_a_full_cap_holds_until_there_is_room() -> None:
    cap = Cap("cap", 1, HOUR_MS, on_hit="drop")
    decisive, _ = ask(context(governance=governed(caps=(cap,)), cap_usages=(usage(-60),)))
    until = START - 60_000 + HOUR_MS
    assert decisive == Check("caps", Verdict.DROP, Reason.FREQUENCY_CAP, "1", "1", until, "cap", 0)


def test_a_calendar_cap_is_read_where_the_recipient_lives_else_where_the_installation_does() -> (
    None
):
    cap = Cap("day", 1, calendar="day")
    for zone, own in (("Asia/Tokyo", "UTC"), (None, "Asia/Tokyo"), ("No/Where", "Asia/Tokyo")):
        rules = governed(caps=(cap,), time_zone=own)
        decisive, _ = ask(context(governance=rules, cap_usages=(usage(-60),), zone=zone))
        assert decisive.until == START // (24 * HOUR_MS) * 24 * HOUR_MS + 15 * HOUR_MS


def test_a_calendar_cap_that_nobody_used_says_so() -> None:
    for limit in (1, 2):
        asked = context(governance=governed(caps=(Cap("day", limit, calendar="day"),)))
        assert made(asked)["caps"] == Check("caps", value="0", limit=str(limit), rule="day", step=0)


def test_an_end_of_the_message_is_more_than_a_skip_however_long_that_would_hold() -> None:
    caps = (
        Cap("skips", 1, 48 * HOUR_MS, on_hit="skip_step"),
        Cap("drops", 1, HOUR_MS, on_hit="drop"),
    )
    assert ask(context(governance=governed(caps=caps), cap_usages=(usage(-30),)))[0].rule == "drops"


def test_a_gap_holds_and_says_how_long_ago_the_last_one_was() -> None:
    decisive, _ = ask(
        context(governance=governed(gaps=(Gap("gap", HOUR_MS),)), cap_usages=(usage(-60),))
    )
    until = START - 60_000 + HOUR_MS
    assert decisive == Check(
        "gaps", Verdict.HOLD, Reason.MIN_GAP, "60000 ms", "3600000 ms", until, "gap", 0
    )


def test_a_spent_budget_holds_until_its_day_is_over() -> None:
    rules = governed(budgets=(Budget("sms", "9.00", "UAH"),))
    decisive, _ = ask(context(governance=rules, over_budget={"sms": START + 9}))
    assert decisive == Check(
        "budget", Verdict.HOLD, Reason.OVER_BUDGET, None, "9.00 UAH", START + 9, "sms", 0
    )
    assert ask(context(governance=rules, over_budget={"email": START + 9}))[0].verdict is Verdict.GO


def test_too_many_codes_skip_the_sms_and_nothing_else() -> None:
    fast: dict[str, Any] = {"too_fast": (PHONE.hash,)}
    decisive, _ = ask(context(message_class="otp", **fast))
    assert decisive == Check(
        "caps", Verdict.SKIP, Reason.VELOCITY_LIMIT, "+380…67", rule="limits", step=0
    )
    assert ask(context(**fast))[0].verdict is Verdict.GO, "only one-time codes are limited so"
    assert ask(context(Step("viber"), message_class="otp", **fast))[0].verdict is Verdict.GO
    assert ask(context(message_class="otp", too_fast=("other",)))[0].verdict is Verdict.GO
    other = replace(EMAIL, hash=PHONE.hash)
    assert (
        ask(context(message_class="otp", addresses=(replace(PHONE, hash="h"), other), **fast))[
            0
        ].verdict
        is Verdict.GO
    )


def test_of_the_deferrable_gates_the_most_restrictive_counts_and_all_are_asked() -> None:
    rules = governed(
        caps=(Cap("short", 1, HOUR_MS), Cap("long", 1, 2 * HOUR_MS), Cap("least", 1, 60_000)),
        gaps=(Gap("gap", 60_000, on_hit="skip_step"),),
    )
    decisive, checks = ask(context(governance=rules, cap_usages=(usage(-30),)))
    assert (decisive.gate, decisive.verdict) == ("gaps", Verdict.SKIP), "never is more than not yet"
    assert len(checks) == len(HARD_GATES) + 4
    rules = replace(rules, gaps=())
    assert ask(context(governance=rules, cap_usages=(usage(-30),)))[0].rule == "long", (
        "the later of two holds"
    )


def test_providers_are_tried_in_the_steps_order_else_the_channels_without_unknown_ones() -> None:
    def names(asked: GateContext) -> list[str]:
        return [provider.name for provider in asked.providers]

    assert names(context(Step("viber"))) == ["viber_a", "viber_b"]
    assert names(context(Step("viber", providers=("viber_b", "gone", "viber_a")))) == [
        "viber_b",
        "viber_a",
    ]
    assert names(context(Step("fax"))) == []
    dear = {**PROVIDERS, "viber_a": replace(PROVIDERS["viber_a"], cost=None)}
    assert names(context(Step("viber"), order="cheapest", providers=dear)) == ["viber_b", "viber_a"]
    assert names(context(Step("viber"), providers=dear)) == ["viber_a", "viber_b"]


def test_an_unknown_price_is_higher_than_any() -> None:
    assert sorted([None, "1.20", "0", "0.40"], key=price) == ["0", "0.40", "1.20", None]


def test_of_a_providers_kinds_the_best_there_is_gets_one_address_but_every_device() -> None:
    bot = Address("viber_bot_id", "b", "hash-bot")
    both = Provider("both", "viber", ("viber_bot_id", "phone"))
    second = replace(PHONE, hash="hash-2")
    assert context(addresses=(PHONE, second, bot)).targets(both) == [bot]
    assert context(addresses=(PHONE, second)).targets(both) == [PHONE]
    assert context(addresses=()).targets(both) == []
    assert context(Step("web_push"), addresses=(LAPTOP, TABLET)).targets(PROVIDERS["push"]) == [
        LAPTOP,
        TABLET,
    ]
    assert context(Step("viber"), addresses=(EMAIL, PHONE)).addresses == [PHONE]
