"""
Every gate explains why it stopped a step, and what would have let the step pass.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.outcomes import Accepted, Refused
from orchestrator.core.policy import (
    HOUR_MS,
    Budget,
    Cap,
    Dedupe,
    Gap,
    Goal,
    Governance,
    MessageClass,
    Policy,
    QuietHours,
    Step,
    Window,
)
from orchestrator.core.reasons import SENTENCES, Reason
from orchestrator.engine.commands import OptOut, PutConsents
from orchestrator.explain import OTHERWISE
from tests.engine.test_sessions import TALK, known, talk, wrote
from tests.engine.world import START, World
from tests.explain.tales import checks, explain, keep_governance, stopped

NIGHT = QuietHours(
    "night", (Window(21 * 60, 9 * 60),) * 7, fallback_zone="Europe/Kyiv", classes=("promotional",)
)
EVENING = 9 * 3600  # 22:06:40 in Kyiv


def policy(*steps: Step, message_class: MessageClass = "promotional", **more: Any) -> Policy:
    return Policy(
        "tale",
        "v1",
        "shop.event",
        steps or (Step("sms"),),
        message_class=message_class,
        topic="news",
        **more,
    )


def governed(**rules: Any) -> Governance:
    return Governance("g1", consent={"promotional": "opt_out"}, **rules)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_says_what_it_is_and_what_would_have_had_to_be_different(
    reason: Reason,
) -> None:
    for sentence in (SENTENCES[reason], OTHERWISE[reason]):
        assert len(sentence) > 20
        assert sentence.endswith(".")
    assert OTHERWISE[reason] != SENTENCES[reason]


def test_nothing_is_explained_that_is_no_reason() -> None:
    assert set(OTHERWISE) == set(Reason)


async def test_a_quiet_night_says_by_whose_clock_and_when_it_ends() -> None:
    async with World(policy(), governance=governed(quiet_hours=(NIGHT,))) as world:
        world.at(EVENING)
        (id,) = (await world.publish(time_zone="Europe/Kyiv")).messages
        (check,) = stopped(await explain(world, id))
    assert (check["reason"], check["value_words"], check["limit_words"]) == (
        "quiet_hours",
        "22:06:40 Kyiv time",
        "21:00-09:00",
    )
    assert check["until_local"] == "2026-11-19T09:00:00.000+02:00"
    assert "09:00 Kyiv time (recipient's zone)" in check["otherwise"]


async def test_a_person_without_a_zone_sleeps_by_the_fallback_and_the_check_says_so() -> None:
    async with World(policy(), governance=governed(quiet_hours=(NIGHT,))) as world:
        world.at(EVENING)
        (id,) = (await world.publish()).messages
        (check,) = stopped(await explain(world, id))
    assert "09:00 Kyiv time (the fallback zone: the recipient has none)" in check["otherwise"]


async def test_a_night_that_is_longer_than_max_defer_says_how_much_longer() -> None:
    night = QuietHours(
        "night",
        NIGHT.windows,
        zone="Europe/Kyiv",
        classes=("promotional",),
        max_defer_ms=2 * HOUR_MS,
    )
    async with World(policy(), governance=governed(quiet_hours=(night,))) as world:
        world.at(EVENING)
        (id,) = (await world.publish()).messages
        (check,) = stopped(await explain(world, id))
    assert check["verdict"] == "skip"
    assert (
        "`max_defer` is 2h: with 10h 53m or more it would have waited instead" in check["otherwise"]
    )
    assert "the rule's own zone" in check["otherwise"]


async def test_a_full_cap_names_the_charges_that_hold_it_and_when_each_leaves() -> None:
    cap = Cap("promo_week", 2, window_ms=168 * HOUR_MS, classes=("promotional",))
    async with World(policy(), governance=governed(caps=(cap,))) as world:
        others = []
        for day in (-6, -5):
            world.at(day * 86_400)
            (other,) = (await world.publish(str(day), time_zone="Europe/Kyiv")).messages
            await world.send(other)
            others.append(other)
        world.at(0)
        (id,) = (await world.publish()).messages
        (check,) = stopped(await explain(world, id))
    assert (check["rule"], check["value_words"], check["limit_words"]) == ("promo_week", "2", "2")
    assert [usage["message"] for usage in check["cap_usages"]] == others
    assert [usage["leaves_at"] for usage in check["cap_usages"]] == [
        "2026-11-19T11:06:40.000Z",
        "2026-11-20T11:06:40.000Z",
    ]
    assert check["until"] == check["cap_usages"][0]["leaves_at"]
    assert "A `limit` of 3 would have let it pass now" in check["otherwise"]
    assert others[0] in check["otherwise"]
    assert "comes before that" in check["otherwise"], "the deadline of 24 hours is no later"


async def test_a_calendar_cap_counts_the_day_of_the_place_where_the_person_lives() -> None:
    cap = Cap("sms_day", 1, calendar="day", channels=("sms",), on_hit="skip_step")
    async with World(policy(), governance=governed(caps=(cap,))) as world:
        (first,) = (await world.publish("1", time_zone="Europe/Kyiv")).messages
        await world.send(first)
        world.at(60)
        (id,) = (await world.publish("2")).messages
        (check,) = stopped(await explain(world, id))
    assert check["words"] == "1 of 1 used in a calendar day"
    assert check["cap_usages"][0]["leaves_at_local"] == "2026-11-19T00:00:00.000+02:00"
    assert "With `on_hit: defer` it would have waited" in check["otherwise"]


async def test_a_cap_of_nothing_says_that_it_never_has_room() -> None:
    async with World(
        policy(), governance=governed(caps=(Cap("none", 0, window_ms=HOUR_MS),))
    ) as world:
        (id,) = (await world.publish()).messages
        (check,) = stopped(await explain(world, id))
    assert check["otherwise"].startswith("A limit of 0 never has room")


async def test_a_gap_says_how_long_ago_the_last_message_was() -> None:
    async with World(policy(), governance=governed(gaps=(Gap("promo_gap", 2 * HOUR_MS),))) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first)
        world.at(1800)
        (id,) = (await world.publish("2")).messages
        (check,) = stopped(await explain(world, id))
    assert (check["reason"], check["value_words"], check["limit_words"]) == ("min_gap", "30m", "2h")
    assert check["cap_usages"][0]["message"] == first
    assert "1h 30m later" in check["otherwise"]


async def test_a_spent_budget_says_how_much_it_was_and_when_there_is_more() -> None:
    rules = governed(budgets=(Budget("sms", "1.00", "UAH"),))
    async with World(policy(), governance=rules) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first)
        world.at(60)
        (id,) = (await world.publish("2")).messages
        (check,) = stopped(await explain(world, id))
    assert (check["reason"], check["limit_words"]) == ("over_budget", "1.00 UAH")
    assert "A higher `per_day` than 1.00 UAH, or the next day" in check["otherwise"]
    assert check["until"] == "2026-11-19T00:00:00.000Z"


async def test_an_opt_out_says_which_yes_would_lift_it() -> None:
    async with World(policy(Step("email"))) as world:
        await world.publish("0")
        await world.engine.submit(
            OptOut(recipient="olena", channel="email", topic="news", source="one-click")
        )
        world.at(60)
        (id,) = (await world.publish("1")).messages
        (check,) = stopped(await explain(world, id))
    assert check["reason"] == "opted_out"
    assert (
        "A yes to email × news, or to something narrower, newer than 2026-11-18 11:06:40 UTC"
        in check["otherwise"]
    )
    assert "would lift a no to email × news" in check["otherwise"]
    assert "START" not in check["otherwise"]


async def test_a_stop_is_lifted_by_start_too_and_other_noes_are_counted() -> None:
    async with World(policy(message_class="transactional")) as world:
        await world.publish("0")
        for topic in ("*", "news"):
            await world.engine.submit(
                OptOut(recipient="olena", channel="sms", topic=topic, source="stop")
            )
        world.at(60)
        (id,) = (await world.publish("1")).messages
        (check,) = stopped(await explain(world, id))
    assert "(and 1 broader or older no)" in check["otherwise"]
    assert check["otherwise"].endswith("So would START from the recipient on sms.")


async def test_a_missing_yes_says_for_what_it_is_missing() -> None:
    async with World(policy(Step("email"))) as world:
        (id,) = (await world.publish()).messages
        (check,) = stopped(await explain(world, id))
    assert (check["reason"], check["limit_words"]) == ("no_consent", "class default opt_in")
    assert "One for email × news, for email, for news or for everything" in check["otherwise"]


async def test_a_yes_that_let_it_pass_is_named() -> None:
    async with World(policy(Step("email"))) as world:
        await world.publish("0")
        entry = {"channel": "email", "topic": "*", "state": "in", "source": "form", "at": START}
        await world.engine.submit(PutConsents("olena", [entry]))
        (id,) = (await world.publish("1")).messages
        (check,) = checks(await explain(world, id), "consent")
    assert (check["verdict"], check["otherwise"]) == ("go", None)
    assert check["words"] == "a yes to email × every topic of 2026-11-18 11:06:40 UTC by form"


async def test_a_dead_address_says_who_proved_it_and_how_it_comes_back() -> None:
    async with World(policy(message_class="transactional")) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first, Refused(Reason.REFUSED_ADDRESS, "21211"))
        world.at(60)
        (id,) = (await world.publish("2")).messages
        (check,) = stopped(await explain(world, id))
    assert check["reason"] == "address_suppressed"
    assert (
        "+380…67 was proven dead by texts (21211) at 2026-11-18 11:06:40 UTC" in check["otherwise"]
    )
    assert "PUT /v1/recipients/olena" in check["otherwise"]


async def test_a_person_without_an_address_is_skipped_naming_the_needed_kind() -> None:
    async with World(policy(Step("viber"), message_class="transactional")) as world:
        (id,) = (await world.publish(phone=None)).messages
        (check,) = stopped(await explain(world, id))
    assert check["words"] == "the recipient had o…@example.com"
    assert check["otherwise"].startswith("The recipient would have needed a phone number")
    assert check["otherwise"].endswith("for viber_a.")


async def test_a_channel_that_nobody_serves_is_reported_as_that() -> None:
    async with World(policy(Step("whatsapp"), message_class="transactional")) as world:
        (id,) = (await world.publish()).messages
        (check,) = stopped(await explain(world, id))
    assert (
        check["otherwise"]
        == "A provider for whatsapp would have had to be configured under `channels`."
    )


async def test_a_country_that_is_not_allowed_is_named() -> None:
    async with World(
        policy(message_class="transactional"),
        governance=Governance("g1", sms_countries=("PL", "DE")),
    ) as world:
        (id,) = (await world.publish()).messages
        (check,) = stopped(await explain(world, id))
    assert check["otherwise"] == "UA would have had to stand in `sms_countries` (now PL,DE)."


@pytest.mark.parametrize(
    ("expression", "was"), [("event.n == 2", "false"), ("event.n > 'x'", "not to be evaluated")]
)
async def test_a_condition_is_shown_with_what_it_was(expression: str, was: str) -> None:
    async with World(policy(Step("sms", when=expression), message_class="transactional")) as world:
        (id,) = (await world.publish("1", {"n": 1})).messages
        (check,) = stopped(await explain(world, id))
    assert check["otherwise"] == f"`{expression}` would have had to be true; it was {was}."


async def test_codes_that_come_too_fast_name_the_masked_number() -> None:
    async with World(policy(message_class="otp")) as world:
        for number in range(5):
            (other,) = (await world.publish(str(number))).messages
            await world.send(other)
        (id,) = (await world.publish("x")).messages
        (check,) = stopped(await explain(world, id))
    assert (check["reason"], check["value_words"]) == ("velocity_limit", "+380…67")


async def test_a_deadline_that_was_over_says_by_how_much() -> None:
    late = policy(
        Step("viber", wait=(("delivered", 600_000),)),
        message_class="transactional",
        deadline_ms=HOUR_MS,
    )
    async with World(late) as world:
        (id,) = (await world.publish()).messages
        world.at(3600 + 90)
        await world.send(id)
        document = await explain(world, id)
    (check,) = stopped(document)
    assert check["words"] == "over for 1m 30s"
    assert "a `deadline` of 1h, 1m 30s earlier" in check["otherwise"]
    assert document["message"]["otherwise"] == check["otherwise"]


async def test_a_goal_and_a_double_are_shown_with_what_they_rest_on() -> None:
    once = policy(
        Step("viber", wait=(("delivered", 600_000),)),
        message_class="transactional",
        goal=Goal("shop.order"),
        dedupe=Dedupe("event.cart", HOUR_MS),
    )
    async with World(once) as world:
        (id,) = (await world.publish("1", {"cart": 7})).messages
        (double,) = (await world.publish("2", {"cart": 7})).messages
        await world.publish("3", type="shop.order")
        reached, doubled = await explain(world, id), await explain(world, double)
    assert reached["message"]["trace"][-1]["moves"][-1]["otherwise"].startswith(
        "Event 3 of shop reached the goal."
    )
    assert doubled["message"]["otherwise"].startswith(
        f"Message {id} has the same key (`window: 1h`, `key: event.cart`)."
    )


async def test_a_governance_that_is_no_longer_kept_leaves_what_the_checks_themselves_say() -> None:
    rules = governed(caps=(Cap("promo", 1, window_ms=HOUR_MS),))
    async with World(policy(), governance=rules) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first, Accepted("x"))
        (id,) = (await world.publish("2")).messages
        unkept = await explain(world, id, kept=False)
        assert unkept["replay"]["same"] is None
        (check,) = stopped(unkept)
        assert (check["value_words"], check["limit_words"], check["cap_usages"]) == ("1", "1", [])
        assert check["otherwise"].startswith("There is room again at")
        await keep_governance(world, rules)
        (check,) = stopped(await explain(world, id, kept=False))
        assert len(check["cap_usages"]) == 1, "the policy is not needed for that"


@pytest.mark.parametrize("hours", [0, 25, None])
async def test_a_session_is_explained_by_the_clock_and_not_in_milliseconds(
    hours: int | None,
) -> None:
    assert TALK is not None
    async with World(TALK) as world:
        await known(world)
        if hours is not None:
            await world.engine.submit(wrote("Де замовлення?", "r1"))
            world.now += hours * HOUR_MS
        document = await explain(world, await talk(world))
        (check,) = checks(document, "session")
        words = {
            0: "the session is open until 2026-11-1",
            25: "the session ended at 2026-11-1",
            None: "the person has not written lately",
        }[hours]
        assert words in check["words"]
        assert (check["verdict"] == "go") is (hours == 0)
        shown = f"{check['words']} {check['value_words']} {check['limit_words']}"
        assert str(START)[:5] not in shown, "milliseconds are for no person"
