"""Rates, breakers, receipt outages, tokens, and logs without personal data."""

from __future__ import annotations

import json
from functools import partial

import pytest
import structlog

from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.answers import rule_for
from orchestrator.dispatch.breakers import Breaker
from orchestrator.dispatch.outage import OutageDetector
from orchestrator.primitives.ids import IdMaker, decode
from orchestrator.primitives.tokens import DAY_MS, AddressHasher, SigningKeys
from orchestrator.stores.sqlite.bucket import TokenBucket
from orchestrator.telemetry.logging import configure_logging

NOW = 1_795_000_000_000
MINUTE = 60_000
MESSAGE = "01M7Q5CQG08M4ATBHZ3064NFKK"


# ---- rates


async def test_a_burst_is_at_most_half_a_second_s_worth() -> None:
    time = [0.0]
    bucket = TokenBucket(20, lambda: time[0])
    time[0] = 100
    assert await bucket.take(50) == 10
    assert await bucket.take(1) == 0
    assert bucket.next_in() == pytest.approx(0.05)
    time[0] += 0.175
    assert await bucket.take(50) == 3


async def test_a_pause_gives_out_nothing_until_it_is_over() -> None:
    time = [0.0]
    bucket = TokenBucket(10, lambda: time[0])
    await bucket.pause(5)
    assert await bucket.take(1) == 0
    time[0] = 5.1
    assert await bucket.take(1) == 1


# ---- breakers


def feed(breaker: Breaker, outcome: Outcome, count: int, at: int = NOW) -> None:
    for _ in range(count):
        breaker.record(rule_for(outcome).breaker, at)


def test_a_breaker_opens_when_half_of_enough_requests_failed() -> None:
    breaker = Breaker(0.5, 20, 30_000, 30_000)
    feed(breaker, Accepted(), 10)
    feed(breaker, Unknown(Reason.TIMED_OUT), 9)
    assert breaker.shut_until(NOW) is None
    feed(breaker, Unknown(Reason.SERVER_ERROR), 1)
    assert breaker.shut_until(NOW) == NOW + 30_000


@pytest.mark.parametrize(
    "outcome", [NotSent(Reason.THROTTLED, 1000), Refused(Reason.REFUSED_RECIPIENT)]
)
def test_refusals_of_persons_and_requests_to_slow_down_never_open_it(outcome: Outcome) -> None:
    breaker = Breaker(0.5, 20, 30_000, 30_000)
    feed(breaker, outcome, 100)
    assert breaker.shut_until(NOW) is None


def test_failures_that_are_too_old_do_not_count() -> None:
    breaker = Breaker(0.5, 20, 30_000, 30_000)
    feed(breaker, Unknown(Reason.TIMED_OUT), 19)
    feed(breaker, Unknown(Reason.TIMED_OUT), 1, NOW + 31_000)
    assert breaker.shut_until(NOW + 31_000) is None


def test_after_the_pause_one_request_decides() -> None:
    breaker = Breaker(0.5, 20, 30_000, 30_000)
    feed(breaker, NotSent(Reason.CONNECT_FAILED), 20)
    later = NOW + 30_000
    assert breaker.admits(later) == 1
    breaker.probing(later)
    assert breaker.admits(later) == 0
    feed(breaker, Unknown(Reason.TIMED_OUT), 1, later)
    assert breaker.shut_until(later) == later + 30_000
    breaker.probing(later + 30_000)
    feed(breaker, Accepted(), 1, later + 30_000)
    assert breaker.admits(later + 30_000) > 1


def test_a_refusal_of_our_configuration_opens_it_at_once() -> None:
    breaker = Breaker.never()
    feed(breaker, Refused(Reason.REFUSED_CONFIGURATION), 1)
    assert breaker.shut_until(NOW) == NOW + 30_000


# ---- receipts that stop


def sends(detector: OutageDetector, start: int, minutes: int, delivered: bool) -> None:
    for minute in range(minutes):
        for second in range(60):
            at = start + minute * MINUTE + second * 1000
            detector.sent("viber", at)
            if delivered and second % 10:
                detector.delivered("viber", at + 2_000, at)


def test_a_channel_whose_receipts_stop_all_at_once_counts_as_out_until_they_are_back() -> None:
    detector = OutageDetector(200, 0.5)
    sends(detector, NOW, 60, True)
    assert detector.outages(NOW + 60 * MINUTE) == ()
    sends(detector, NOW + 60 * MINUTE, 20, False)
    assert detector.outages(NOW + 80 * MINUTE) == ("viber",)
    sends(detector, NOW + 80 * MINUTE, 20, True)
    assert detector.outages(NOW + 100 * MINUTE) == ()


def test_too_few_sends_say_nothing() -> None:
    detector = OutageDetector(10_000, 0.5)
    sends(detector, NOW, 60, True)
    sends(detector, NOW + 60 * MINUTE, 20, False)
    assert detector.outages(NOW + 80 * MINUTE) == ()


# ---- tokens


def test_tokens_say_what_was_signed_and_none_passes_for_another() -> None:
    keys = SigningKeys([(1, b"k" * 32, NOW)], lambda: NOW)
    token = keys.reference(MESSAGE, 3)
    assert keys.read_reference(token) == (MESSAGE, 3)
    assert len(token) <= 64
    assert keys.read_receipt_token(token) is None
    assert keys.read_pixel(token) is None
    assert keys.read_link(keys.link(MESSAGE, 1, "https://x/я")) == (MESSAGE, 1, "https://x/я")
    assert keys.read_unsubscribe(keys.unsubscribe("u", "email", "t", MESSAGE)) == (
        "u",
        "email",
        "t",
        MESSAGE,
    )


def test_a_changed_token_is_nobody_s() -> None:
    keys = SigningKeys([(1, b"k" * 32, NOW)], lambda: NOW)
    token = keys.reference(MESSAGE, 3)
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert keys.read_reference(token[:place] + other + token[place + 1 :]) in (
            None,
            (MESSAGE, 3),
        )
    assert SigningKeys([(1, b"other" * 7, NOW)], lambda: NOW).read_reference(token) is None
    for junk in ("", "a", "ї", "=" * 50, "\ud800"):
        assert keys.read_reference(junk) is None


def test_the_newest_key_verifies_however_old_it_is() -> None:
    keys = [(1, b"k" * 32, NOW)]
    token = SigningKeys(keys, lambda: NOW).reference(MESSAGE, 0)
    for day in (399, 401, 5_000):
        later = SigningKeys(keys, partial(int, NOW + day * DAY_MS))
        assert later.read_reference(token) == (MESSAGE, 0)
        assert later.read_reference(later.reference(MESSAGE, 1)) == (MESSAGE, 1)


def test_an_old_key_verifies_for_400_days_after_it_was_replaced() -> None:
    token = SigningKeys([(1, b"k" * 32, NOW)], lambda: NOW).reference(MESSAGE, 0)
    rotated = [(2, b"n" * 32, NOW + 700 * DAY_MS), (1, b"k" * 32, NOW)]
    for day, found in ((701, (MESSAGE, 0)), (1_100, (MESSAGE, 0)), (1_101, None)):
        keys = SigningKeys(rotated, partial(int, NOW + day * DAY_MS))
        assert keys.read_reference(token) == found
        assert keys.verifying() == (2 if found else 1)


def test_keys_whose_tokens_begin_alike_all_verify() -> None:
    """A token names its key by one byte of its id, which a daily rotation soon uses again."""
    old = SigningKeys([(1, b"k" * 32, NOW)], lambda: NOW)
    both = SigningKeys([(257, b"n" * 32, NOW + 1), (1, b"k" * 32, NOW)], lambda: NOW)
    assert both.read_reference(old.reference(MESSAGE, 7)) == (MESSAGE, 7)
    assert both.read_reference(both.reference(MESSAGE, 8)) == (MESSAGE, 8)


def test_ids_grow_even_where_the_clock_goes_back() -> None:
    time = [NOW]
    ids = IdMaker(lambda: time[0])
    made = [ids.next()]
    for step in (5, -1000, 0, 7):
        time[0] += step
        made.append(ids.next())
    assert made == sorted(made)
    assert len({decode(id) for id in made}) == len(made)


def test_mail_addresses_hash_alike_however_they_are_written() -> None:
    hash = AddressHasher(b"p" * 32, {"email": str.lower})
    assert hash("email", "Olena@Example.com") == hash("email", "olena@example.com")
    assert hash("email", "x") != hash("phone", "x")
    assert AddressHasher(b"q" * 32, {"email": str.lower})("email", "x") != hash("email", "x")


# ---- logs


CANARIES = (
    "+380 50 123 45 67",
    "+380501234567",
    "olena.canary@example.com",
    "https://push.example.com/canary",
    "kk_canarykeycanarykey",
)


@pytest.mark.parametrize("canary", CANARIES)
def test_no_log_line_names_anybody(canary: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    log = structlog.get_logger()
    try:
        raise ValueError(f"could not send to {canary}")
    except ValueError:
        log.exception("dispatch.failed", note=canary, nested={"a": [canary]}, provider="twilio")
    line = capsys.readouterr().err
    assert canary not in line
    assert json.loads(line.splitlines()[-1])["provider"] == "twilio"
