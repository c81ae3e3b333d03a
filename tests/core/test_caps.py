"""
Caps and gaps are exact: never one message too many, and never held a millisecond longer than the
rule asks for.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from orchestrator.core.caps import CapResult, cap_room_at
from orchestrator.core.policy import CLASSES, DAY_MS, EXEMPT_CLASSES, HOUR_MS, Cap, Gap
from orchestrator.core.quiet_hours import calendar_bounds
from orchestrator.core.recipient import CapUsage
from tests.core.clocks import at
from tests.properties.sizes import examples

NOON = 1_795_255_200_000  # 2026-11-21T10:00:00Z, noon in Kyiv
KYIV = "Europe/Kyiv"
WEEK = 7 * DAY_MS


def sent(
    message: str,
    at: int,
    *,
    message_class: str = "promotional",
    channel: str = "sms",
    step: int = 0,
    first: bool = True,
) -> CapUsage:
    return CapUsage(message, message_class, channel, step, at, first)


def ask(
    cap: Cap,
    cap_usages: list[CapUsage],
    now: int,
    *,
    message: str = "m-new",
    channel: str = "sms",
    step: int = 0,
    zone: str = KYIV,
) -> CapResult:
    return cap_room_at(cap, cap_usages, message, channel, step, now, zone)


# -- what a cap counts


def test_under_the_limit_there_is_room_now() -> None:
    cap = Cap("week", 3, WEEK)
    assert ask(cap, [], NOON) == CapResult(0, 3, None)
    assert ask(cap, [sent("a", NOON - 1), sent("b", NOON - 2)], NOON) == CapResult(2, 3, None)


def test_at_the_limit_a_message_is_held_until_the_oldest_that_matters_leaves_the_window() -> None:
    cap_usages = [
        sent("b", NOON - 3 * HOUR_MS),
        sent("a", NOON - 5 * HOUR_MS),
        sent("c", NOON - HOUR_MS),
    ]
    assert ask(Cap("day", 3, DAY_MS), cap_usages, NOON) == CapResult(
        3, 3, NOON - 5 * HOUR_MS + DAY_MS
    )
    assert ask(Cap("day", 1, DAY_MS), cap_usages, NOON) == CapResult(3, 1, NOON - HOUR_MS + DAY_MS)


def test_a_message_sent_exactly_one_window_ago_no_longer_counts() -> None:
    cap = Cap("day", 1, DAY_MS)
    cap_usages = [sent("a", NOON)]
    assert ask(cap, cap_usages, NOON + DAY_MS - 1) == CapResult(1, 1, NOON + DAY_MS)
    assert ask(cap, cap_usages, NOON + DAY_MS) == CapResult(0, 1, None)


def test_a_cap_without_channels_counts_messages_not_steps() -> None:
    cap_usages = [
        sent("a", NOON - 9, channel="viber"),
        sent("a", NOON - 8, channel="email", step=1, first=False),
        sent("a", NOON - 7, channel="sms", step=2, first=False),
    ]
    assert ask(Cap("day", 2, DAY_MS), cap_usages, NOON) == CapResult(1, 2, None)


def test_a_message_that_is_charged_already_is_never_held_at_its_later_steps() -> None:
    cap = Cap("day", 1, DAY_MS)
    cap_usages = [sent("m-new", NOON - 9, channel="viber"), sent("b", NOON - 8)]
    assert ask(cap, cap_usages, NOON, channel="sms", step=3) == CapResult(1, 1, None)


def test_a_cap_with_channels_counts_each_step_on_them_once() -> None:
    cap = Cap("sms", 2, DAY_MS, channels=("sms", "viber"))
    cap_usages = [
        sent("a", NOON - 9, channel="viber"),
        sent("a", NOON - 8, channel="email", step=1, first=False),
        sent("a", NOON - 7, channel="sms", step=2, first=False),
    ]
    assert ask(cap, cap_usages, NOON) == CapResult(2, 2, NOON - 9 + DAY_MS)


def test_a_cap_with_channels_holds_another_step_of_the_same_message() -> None:
    cap = Cap("sms", 1, DAY_MS, channels=("sms", "viber"))
    cap_usages = [sent("m-new", NOON - 9, channel="viber", step=0)]
    assert ask(cap, cap_usages, NOON, channel="sms", step=1) == CapResult(1, 1, NOON - 9 + DAY_MS)


def test_a_retry_or_failover_of_a_charged_step_is_not_held() -> None:
    cap = Cap("sms", 1, DAY_MS, channels=("sms",))
    cap_usages = [sent("m-new", NOON - 9, step=1), sent("b", NOON - 8)]
    assert ask(cap, cap_usages, NOON, step=1) == CapResult(1, 1, None)


def test_a_cap_on_channels_never_holds_a_step_elsewhere() -> None:
    cap = Cap("sms", 1, DAY_MS, channels=("sms",))
    assert ask(cap, [sent("a", NOON - 9)], NOON, channel="email").room_at is None


def test_only_the_classes_that_a_cap_covers_count_and_otp_only_where_it_is_named() -> None:
    cap_usages = [
        sent(message_class, NOON - 9, message_class=message_class) for message_class in CLASSES
    ]
    assert ask(Cap("all", 9, DAY_MS), cap_usages, NOON).used == len(CLASSES) - len(EXEMPT_CLASSES)
    assert ask(Cap("promo", 9, DAY_MS, classes=("promotional",)), cap_usages, NOON).used == 1
    assert ask(Cap("codes", 9, DAY_MS, classes=("otp", "service")), cap_usages, NOON).used == 2


def test_a_charge_by_a_clock_that_is_ahead_of_ours_counts() -> None:
    cap_usages = [sent("a", NOON + 700)]
    assert ask(Cap("day", 1, DAY_MS), cap_usages, NOON) == CapResult(1, 1, NOON + 700 + DAY_MS)


def test_a_limit_of_zero_has_no_room_and_is_asked_again_when_its_window_is_over() -> None:
    assert ask(Cap("none", 0, DAY_MS), [], NOON) == CapResult(0, 0, NOON + DAY_MS)
    midnight = at("2026-11-22T00:00:00+02:00")
    assert ask(Cap("none", 0, calendar="day"), [], NOON) == CapResult(0, 0, midnight)


# -- calendar windows


def test_a_calendar_day_is_a_day_where_the_recipient_is() -> None:
    cap = Cap("daily", 1, calendar="day")
    cap_usages = [sent("a", NOON)]
    assert ask(cap, cap_usages, NOON + HOUR_MS).room_at == at("2026-11-22T00:00:00+02:00")
    assert ask(cap, cap_usages, NOON + HOUR_MS, zone="Asia/Tokyo").room_at == at(
        "2026-11-22T00:00:00+09:00"
    )
    assert ask(cap, cap_usages, at("2026-11-22T00:00:00+02:00")) == CapResult(0, 1, None)
    assert ask(cap, cap_usages, at("2026-11-22T00:00:00+02:00"), zone="America/New_York").used == 1


def test_a_message_sent_exactly_at_midnight_counts_for_the_day_that_begins() -> None:
    cap = Cap("daily", 1, calendar="day")
    midnight = at("2026-11-22T00:00:00+02:00")
    assert ask(cap, [sent("a", midnight)], midnight - 1) == CapResult(0, 1, None)
    assert ask(cap, [sent("a", midnight)], midnight) == CapResult(1, 1, midnight + DAY_MS)


def test_a_calendar_cap_does_not_hold_a_message_that_is_charged_already() -> None:
    cap_usages = [sent("m-new", NOON - 9), sent("b", NOON - 8)]
    assert ask(Cap("daily", 1, calendar="day"), cap_usages, NOON, step=1) == CapResult(1, 1, None)


def test_a_calendar_week_begins_on_monday_and_a_month_on_its_first() -> None:
    cap_usages = [sent("a", NOON)]
    assert ask(Cap("weekly", 1, calendar="week"), cap_usages, NOON + 1).room_at == at(
        "2026-11-23T00:00:00+02:00"
    )
    assert ask(Cap("monthly", 1, calendar="month"), cap_usages, NOON + 1).room_at == at(
        "2026-12-01T00:00:00+02:00"
    )


def test_a_calendar_day_on_which_clocks_change_ends_at_its_own_midnight() -> None:
    now = at("2026-10-25T01:00:00+03:00")
    assert ask(Cap("daily", 1, calendar="day"), [sent("a", now)], now).room_at == now + 24 * HOUR_MS


def test_a_day_that_other_clocks_have_already_filled_is_passed_over() -> None:
    cap = Cap("daily", 1, calendar="day")
    midnight = at("2026-11-22T00:00:00+02:00")
    cap_usages = [sent("a", midnight - 5), sent("b", midnight + 5)]
    assert ask(cap, cap_usages, midnight - 1) == CapResult(1, 1, midnight + DAY_MS)
    assert ask(cap, [sent("b", midnight + 5)], midnight - 1) == CapResult(0, 1, None)


# -- campaigns: a sender that honours the answers never breaks the rule

ZONES = st.sampled_from(
    [KYIV, "America/New_York", "Asia/Beirut", "Pacific/Apia", "Australia/Lord_Howe", "UTC"]
)
STEPS = st.tuples(
    st.integers(0, 6).map("m{}".format),
    st.sampled_from(CLASSES),
    st.sampled_from(["sms", "viber", "email"]),
    st.integers(0, 2),
)
SENDS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 30)), max_size=40)
"""
A wish to send: the message's number, its step, and how long after the one before.
"""
CLASS_SETS = st.sampled_from([(), ("promotional",), ("promotional", "otp")])
CHANNEL_SETS = st.sampled_from([(), ("sms",), ("sms", "viber")])


def counted_class(rule: Cap | Gap, message_class: str) -> bool:
    spared = ("otp", "conversational")
    return message_class in rule.classes if rule.classes else message_class not in spared


def covered(rule: Cap | Gap, usage: CapUsage) -> bool:
    """An oracle of what a cap counts: by class, and as a message or as a step."""
    by_class = counted_class(rule, usage.message_class)
    return by_class and (usage.channel in rule.channels if rule.channels else usage.first)


def asked(rule: Cap | Gap, message_class: str, channel: str) -> bool:
    """Whether the rule has a say over a step; the gate asks only then."""
    by_class = counted_class(rule, message_class)
    return by_class and (not rule.channels or channel in rule.channels)


def charge_once(
    cap_usages: list[CapUsage], message: str, message_class: str, channel: str, step: int, now: int
) -> None:
    own = [usage for usage in cap_usages if usage.message == message]
    if all(usage.step != step for usage in own):
        cap_usages.append(
            CapUsage(
                message, message_class, channel, step, now, not any(usage.first for usage in own)
            )
        )


@examples(
    50,
    400,
    limit=st.integers(1, 4),
    window_ms=st.integers(1, 40),
    classes=CLASS_SETS,
    channels=CHANNEL_SETS,
    sends=SENDS,
)
def test_no_rolling_window_ever_holds_more_than_the_limit(
    limit: int,
    window_ms: int,
    classes: tuple[str, ...],
    channels: tuple[str, ...],
    sends: list[tuple[int, int, int]],
) -> None:
    cap = Cap("campaign", limit, window_ms, None, classes, channels)
    cap_usages: list[CapUsage] = []
    now = NOON
    for number, step, pause in sends:
        message, message_class = f"m{number}", CLASSES[number % len(CLASSES)]
        channel = ("sms", "viber", "email")[(number + step) % 3]
        now += pause
        if asked(cap, message_class, channel):
            room_at = ask(cap, cap_usages, now, message=message, channel=channel, step=step).room_at
            if room_at is not None:
                assert room_at > now
                assert (
                    ask(
                        cap, cap_usages, room_at - 1, message=message, channel=channel, step=step
                    ).room_at
                    == room_at
                )
                assert (
                    ask(
                        cap, cap_usages, room_at, message=message, channel=channel, step=step
                    ).room_at
                    is None
                )
                now = room_at
        charge_once(cap_usages, message, message_class, channel, step, now)
    times = [usage.at for usage in cap_usages if covered(cap, usage)]
    for end in times:
        assert sum(end - window_ms < one <= end for one in times) <= limit


@examples(
    40,
    200,
    limit=st.integers(1, 3),
    zone=ZONES,
    start=st.integers(at("2010-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z")),
    pauses=st.lists(st.integers(0, 30 * HOUR_MS), max_size=30),
)
def test_no_calendar_day_ever_holds_more_than_the_limit(
    limit: int, zone: str, start: int, pauses: list[int]
) -> None:
    cap = Cap("campaign", limit, calendar="day")
    cap_usages: list[CapUsage] = []
    now = start
    for number, pause in enumerate(pauses):
        now += pause
        room_at = ask(cap, cap_usages, now, message=f"m{number}", zone=zone).room_at
        if room_at is not None:
            assert room_at == calendar_bounds("day", now, zone)[1]
            now = room_at
        cap_usages.append(sent(f"m{number}", now))
    days = Counter(
        datetime.fromtimestamp(usage.at / 1000, ZoneInfo(zone)).date() for usage in cap_usages
    )
    assert max(days.values(), default=0) <= limit


USAGES = st.lists(st.tuples(STEPS, st.integers(-60, 10), st.booleans()), max_size=12).map(
    lambda rows: [CapUsage(m, k, c, s, NOON + at, first) for (m, k, c, s), at, first in rows]
)


@examples(60, 600, USAGES, st.integers(1, 4), st.integers(1, 50), CLASS_SETS, CHANNEL_SETS)
def test_room_comes_at_the_first_instant_at_which_counting_by_hand_finds_some(
    cap_usages: list[CapUsage],
    limit: int,
    window_ms: int,
    classes: tuple[str, ...],
    channels: tuple[str, ...],
) -> None:
    cap = Cap("by hand", limit, window_ms, None, classes, channels)
    found = ask(cap, cap_usages, NOON)
    counted = [usage.at for usage in cap_usages if covered(cap, usage)]

    def used(moment: int) -> int:
        return sum(one > moment - window_ms for one in counted)

    first = next(moment for moment in range(NOON, NOON + 200) if used(moment) < limit)
    assert found == CapResult(used(NOON), limit, None if first == NOON else first)
