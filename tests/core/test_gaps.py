"""Gaps are exact too, and usages are stored as long as any rule may count them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import strategies as st

from orchestrator.core.caps import gap_room_at, horizon_ms
from orchestrator.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, Cap, Gap, Governance
from orchestrator.core.recipient import CapUsage
from tests.core.clocks import at
from tests.core.test_caps import (
    CHANNEL_SETS,
    NOON,
    SENDS,
    WEEK,
    ZONES,
    ask,
    asked,
    charge_once,
    covered,
    sent,
)
from tests.properties.sizes import examples

# -- gaps


def gap_ask(
    gap: Gap, cap_usages: list[CapUsage], now: int, *, channel: str = "sms", step: int = 0
) -> int | None:
    return gap_room_at(gap, cap_usages, "m-new", channel, step, now)


def test_a_gap_is_over_exactly_when_it_has_lasted_its_time() -> None:
    gap = Gap("promo", 2 * HOUR_MS)
    cap_usages = [sent("a", NOON), sent("older", NOON - HOUR_MS)]
    assert gap_ask(gap, cap_usages, NOON + 1) == NOON + 2 * HOUR_MS
    assert gap_ask(gap, cap_usages, NOON + 2 * HOUR_MS - 1) == NOON + 2 * HOUR_MS
    assert gap_ask(gap, cap_usages, NOON + 2 * HOUR_MS) is None
    assert gap_ask(gap, [], NOON) is None


def test_a_gap_between_messages_does_not_hold_a_messages_own_later_steps() -> None:
    cap_usages = [sent("m-new", NOON - 5), sent("b", NOON - 3)]
    assert gap_ask(Gap("promo", HOUR_MS), cap_usages, NOON, step=1) is None


def test_a_gap_between_steps_on_a_channel_holds_another_step_but_not_the_same_one() -> None:
    gap = Gap("phone", HOUR_MS, channels=("sms", "viber"))
    cap_usages = [sent("m-new", NOON - 5, channel="viber", step=0)]
    assert gap_ask(gap, cap_usages, NOON, channel="sms", step=1) == NOON - 5 + HOUR_MS
    assert gap_ask(gap, cap_usages, NOON, channel="viber", step=0) is None
    assert gap_ask(gap, cap_usages, NOON, channel="email", step=1) is None


def test_a_gap_counts_only_its_classes_and_otp_only_where_it_is_named() -> None:
    cap_usages = [sent("a", NOON - 5, message_class="otp")]
    assert gap_ask(Gap("any", HOUR_MS), cap_usages, NOON) is None
    assert gap_ask(Gap("codes", HOUR_MS, classes=("otp",)), cap_usages, NOON) == NOON - 5 + HOUR_MS


@examples(
    50,
    400,
    st.integers(1, 40),
    CHANNEL_SETS,
    SENDS,
)
def test_a_sender_that_honours_a_gap_never_comes_too_soon(
    gap_ms: int, channels: tuple[str, ...], sends: list[tuple[int, int, int]]
) -> None:
    gap = Gap("campaign", gap_ms, (), channels)
    cap_usages: list[CapUsage] = []
    now = NOON
    for number, step, pause in sends:
        now += pause
        message, channel = f"m{number}", ("sms", "viber", "email")[(number + step) % 3]
        if asked(gap, "promotional", channel):
            room_at = gap_room_at(gap, cap_usages, message, channel, step, now)
            if room_at is not None:
                assert room_at > now
                assert gap_room_at(gap, cap_usages, message, channel, step, room_at) is None
                assert gap_room_at(gap, cap_usages, message, channel, step, room_at - 1) == room_at
                now = room_at
        charge_once(cap_usages, message, "promotional", channel, step, now)
    times = sorted(usage.at for usage in cap_usages if covered(gap, usage))
    assert all(later - earlier >= gap_ms for earlier, later in pairwise(times))


# -- how long cap usages are kept


@pytest.mark.parametrize(
    ("governance", "message_class", "kept_ms"),
    [
        (Governance(), "promotional", 48 * HOUR_MS),
        (Governance(caps=(Cap("short", 1, HOUR_MS),)), "promotional", 48 * HOUR_MS),
        (Governance(caps=(Cap("week", 3, WEEK), Cap("day", 1, DAY_MS))), "service", WEEK),
        (Governance(caps=(Cap("week", 3, WEEK),)), "otp", 48 * HOUR_MS),
        (Governance(caps=(Cap("codes", 3, WEEK, classes=("otp",)),)), "otp", WEEK),
        (Governance(caps=(Cap("daily", 3, calendar="day"),)), "promotional", 48 * HOUR_MS),
        (Governance(caps=(Cap("weekly", 3, calendar="week"),)), "promotional", 8 * DAY_MS),
        (Governance(caps=(Cap("monthly", 3, calendar="month"),)), "promotional", 32 * DAY_MS),
        (Governance(gaps=(Gap("long", 10 * DAY_MS),)), "promotional", 10 * DAY_MS),
        (Governance(gaps=(Gap("long", 10 * DAY_MS),)), "otp", 48 * HOUR_MS),
    ],
)
def test_charges_are_kept_for_two_days_and_for_the_longest_rule_that_counts_them(
    governance: Governance, message_class: str, kept_ms: int
) -> None:
    assert horizon_ms(governance, message_class) == kept_ms


@examples(
    60,
    300,
    cap=st.sampled_from(
        [
            Cap("r", 1, 3 * DAY_MS),
            Cap("d", 1, calendar="day"),
            Cap("w", 1, calendar="week"),
            Cap("m", 1, calendar="month"),
        ]
    ),
    zone=ZONES,
    now=st.integers(at("2010-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z")),
    ages=st.lists(st.integers(-MINUTE_MS, 40 * DAY_MS), max_size=8),
)
def test_forgetting_what_is_past_its_horizon_never_changes_an_answer(
    cap: Cap, zone: str, now: int, ages: list[int]
) -> None:
    cap_usages = [sent(f"m{number}", now - age) for number, age in enumerate(ages)]
    kept_ms = horizon_ms(Governance(caps=(cap,)), "promotional")
    kept = [usage for usage in cap_usages if usage.at > now - kept_ms]
    assert ask(cap, kept, now, zone=zone) == ask(cap, cap_usages, now, zone=zone)
