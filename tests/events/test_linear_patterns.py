"""
The time of every pattern grows with the length of the text, not with its square: what strangers
send may be long.

The patterns are found in the source (``patterns``), so none can be forgotten. Growth is compared
over three sizes, in this thread's own time, never a time with a clock.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time
from typing import Any

import pytest
import regex

from orchestrator.channels.phones import apart, plan_of
from orchestrator.recipients.opt_out_words import requests
from orchestrator.render.graphemes import whole_length
from orchestrator.stores.named import Named, found_in_text
from tests.events.patterns import ANCHORED, Found, patterns, worst_texts

FIRST = 300
SIZES = (1_000, 2_000, 4_000)
MEASURABLE_SECONDS = 0.001
ENDLESS_SECONDS = 2.0
GROWTH_MAX = 9.0
"""From the smallest to the largest size: a linear pattern takes 4 times as long, others 16."""

OWN_FILES = {
    "orchestrator/check/": "reads the files of its operator",
    "orchestrator/configuration/": "the same",
    "orchestrator/doctor/": "the same",
    "orchestrator/policytests/": "the same",
    "orchestrator/sandbox/": "a stand-in for a provider reads what Kaskad sends",
}
MADE_AT_RUN_TIME = {
    "adapters/email/intake.py": "the delimiters of a mail; measured with mails below",
    "orchestrator/channels/phones.py": "a prefix of phonenumbers, for at most 15 digits; below",
    "orchestrator/recipients/opt_out_words.py": "requests, for at most 100 characters; below",
    "orchestrator/render/graphemes.py": "of the library regex, which looks back; below",
    "orchestrator/stores/named.py": "around a recipient's id, in dead letters; below",
}
PATTERNS = [one for one in patterns() if not one.path.startswith(tuple(OWN_FILES))]


@contextmanager
def ending() -> Iterator[None]:
    """Fail, instead of running for ever, where a pattern takes seconds of the processor."""

    def end(*_: Any) -> None:
        raise AssertionError(f"it takes more than {ENDLESS_SECONDS} s")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, ENDLESS_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def seconds(one: Found, text: Any) -> float:
    """The time to do with a text what the source does with the pattern."""
    assert one.pattern is not None
    began = thread_time()
    if one.methods and one.methods <= ANCHORED:
        for method in one.methods:
            getattr(one.pattern, method)(text)
    else:
        for _ in one.pattern.finditer(text):
            pass
    return thread_time() - began


def text_of(one: Found, piece: str, size: int) -> Any:
    """A piece again and again, and then a character that nearly no pattern takes."""
    assert one.pattern is not None
    whole = (piece * (size // len(piece) + 1))[:size] + "\x00"
    return whole if isinstance(one.pattern.pattern, str) else whole.encode("utf-8", "replace")


def growth(one: Found) -> tuple[float, str]:
    """The worst growth over all texts, 1 where all are too quick to measure, and the text."""
    worst = (1.0, "")
    assert one.pattern is not None
    for piece in sorted(worst_texts(one.pattern)):
        with ending():
            seconds(one, text_of(one, piece, FIRST))
            if seconds(one, text_of(one, piece, SIZES[-1])) < MEASURABLE_SECONDS:
                continue
            first, middle, last = (
                min(seconds(one, text_of(one, piece, size)) for _ in range(3)) for size in SIZES
            )
            worst = max(worst, (min(last / first, (last / middle) ** 2), piece))
    return worst


@pytest.mark.parametrize("one", PATTERNS, ids=[one.where for one in PATTERNS])
def test_a_pattern_takes_time_in_proportion_to_the_text(one: Found) -> None:
    if one.pattern is None:
        assert one.path in MADE_AT_RUN_TIME, "make it of constants, or measure it below"
        return
    found, piece = growth(one)
    assert found < GROWTH_MAX, f"{one.pattern.pattern!r} over {piece!r}, repeated"


def test_the_search_finds_the_patterns_and_knows_a_bad_one() -> None:
    assert len(PATTERNS) > 90
    assert {one.path for one in PATTERNS if one.pattern is None} == set(MADE_AT_RUN_TIME)
    assert growth(Found("", "", re.compile(r"\s+$"), {"search"}))[0] > GROWTH_MAX
    assert growth(Found("", "", re.compile(r"[a-z]+@x"), {"match"}))[0] < GROWTH_MAX
    with pytest.raises(AssertionError, match="takes more than"):
        growth(Found("", "", re.compile(r"([a-z]+-?)+@"), {"fullmatch"}))


def test_no_number_is_longer_than_a_phone_number_when_its_prefix_is_looked_at() -> None:
    assert apart("+380" + "5" * 20) is None
    prefixes = [plan.prefix for code in range(1, 1000) if (plan := plan_of(code)) and plan.prefix]
    assert len(prefixes) > 50
    with ending():
        for prefix in prefixes:
            for digit in "0123456789":
                prefix.match(digit * 17)


def test_a_request_to_stop_is_looked_for_in_linear_time() -> None:
    for pattern in requests():
        one = Found("", "", pattern, {"fullmatch"})
        assert growth(one)[0] < GROWTH_MAX, pattern.pattern


@pytest.mark.parametrize(
    "piece", ["\U0001f1fa", "\u0301", "\U0001f468\u200d", "\u0915\u094d", "\r"]
)
def test_a_text_is_cut_between_characters_in_linear_time(piece: str) -> None:
    assert regex.compile(r"\X").findall(piece * 2)

    def taken(size: int) -> float:
        text = "a" + piece * (size // len(piece))
        began = thread_time()
        for length in range(size - 40, size):
            whole_length(text, length)
        return thread_time() - began

    with ending():
        times = [min(taken(size) for _ in range(3)) for size in SIZES]
    assert times[2] < GROWTH_MAX * max(times[0], MEASURABLE_SECONDS)


@pytest.mark.parametrize("piece", ['"id"', '"id" ', '"subject":', '"id": "7', " "])
def test_a_person_is_looked_for_in_a_dead_letter_in_linear_time(piece: str) -> None:
    person = Named("7", ("+380501234567",))

    def taken(size: int) -> float:
        text = piece * (size // len(piece))
        began = thread_time()
        found_in_text(text, person)
        return thread_time() - began

    with ending():
        times = [min(taken(size * 10) for _ in range(3)) for size in SIZES]
    assert times[2] < GROWTH_MAX * max(times[0], MEASURABLE_SECONDS)
