"""
A failed try waits longer each time, never more than a minute and a spread, and as long when
replayed.
"""

from __future__ import annotations

from orchestrator.core.cascade.backoff import delay_ms

SALTS = [f"message-{number}" for number in range(2_000)]


def test_the_pause_is_one_second_then_four_then_sixteen_then_a_minute() -> None:
    for tries, base in ((1, 1_000), (2, 4_000), (3, 16_000), (4, 60_000), (9, 60_000)):
        delays = {delay_ms(tries, salt) for salt in SALTS}
        assert (min(delays), max(delays)) == (base, base + 249)


def test_no_try_at_all_waits_like_the_first() -> None:
    assert 1_000 <= delay_ms(0, "m") < 1_250


def test_the_spread_depends_on_the_message_and_the_try_and_on_nothing_else() -> None:
    assert [delay_ms(2, "m"), delay_ms(3, "m")] == [delay_ms(2, "m"), delay_ms(3, "m")]
    assert len({delay_ms(1, salt) for salt in SALTS}) == 250
    assert any(delay_ms(4, salt) != delay_ms(5, salt) for salt in SALTS[:5])


def test_the_spread_of_a_known_message_never_changes_because_histories_rest_on_it() -> None:
    assert [delay_ms(tries, "01KTALE") for tries in (1, 2, 3, 4)] == [1_087, 4_035, 16_073, 60_092]
