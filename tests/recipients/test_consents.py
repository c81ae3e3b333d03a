"""Consent histories: what is said again is not kept again, and no verdict ever changes by that."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.consent import START, STOP, verdict
from orchestrator.core.policy import ConsentDefault
from orchestrator.core.recipient import Consent
from orchestrator.recipients.consents import (
    CONSENTS_KEPT_MAX,
    REPEAT_NOTED_MS,
    add_consents,
    consent_of,
)

CHANNELS, TOPICS = ("*", "sms", "email"), ("*", "sales")
DEFAULTS: tuple[ConsentDefault, ...] = ("opt_in", "opt_out")
ENTRIES = st.builds(
    Consent,
    channel=st.sampled_from(CHANNELS),
    topic=st.sampled_from(TOPICS),
    state=st.sampled_from(["in", "out"]),
    at=st.integers(1, 8).map(lambda n: n * REPEAT_NOTED_MS),
    source=st.sampled_from(["form", "one_click", STOP, START]),
    classes=st.sampled_from([(), ("promotional",)]),
)


def kept(entries: Iterable[Consent]) -> list[Consent]:
    """The history that these entries make, in the order in which they arrive."""
    rows: list[list[object]] = []
    for entry in entries:
        add_consents(rows, [entry])
    return [consent_of(row) for row in rows]


def out(at: int, channel: str = "email", topic: str = "sales", source: str = "link") -> Consent:
    return Consent(channel, topic, "out", at, source)


def allowed(entries: Iterable[Consent]) -> list[bool]:
    everything = list(entries)
    asked = itertools.product(("sms", "email"), ("sales", "news"), ("promotional", "service"))
    return [
        verdict(everything, channel, topic, message_class, default).allowed
        for channel, topic, message_class in asked
        for default in DEFAULTS
    ]


@settings(max_examples=400)
@given(st.lists(ENTRIES, max_size=12))
def test_what_is_left_out_of_a_history_changes_no_verdict(entries: list[Consent]) -> None:
    assert allowed(kept(entries)) == allowed(entries)


def test_the_same_no_six_thousand_times_is_one_entry() -> None:
    history = kept(out(n * 20) for n in range(1, 6_309))
    assert [(one.state, one.at) for one in history] == [("out", 20)]
    assert history[0].repeated_at >= 6_308 * 20 - REPEAT_NOTED_MS


def test_a_flood_of_repeats_changes_the_history_once_a_minute() -> None:
    rows: list[list[object]] = []
    changes = sum(add_consents(rows, [out(n * 1_000)]) for n in range(1, 601))
    assert changes == 10


def test_a_yes_from_before_the_last_no_lifts_nothing_however_late_it_is_reported() -> None:
    late = Consent("email", "sales", "in", 5 * REPEAT_NOTED_MS, "form")
    history = kept([out(REPEAT_NOTED_MS), out(9 * REPEAT_NOTED_MS), late])
    assert not verdict(history, "email", "sales", "service", "opt_out").allowed


def test_a_no_after_a_yes_is_an_entry_of_its_own() -> None:
    yes = Consent("email", "sales", "in", 2, "form")
    assert [one.state for one in kept([out(1), yes, out(3)])] == ["out", "in", "out"]


def test_a_link_s_no_beside_a_stop_is_kept_because_start_takes_back_only_the_stop() -> None:
    stop = out(1, topic="*", source=STOP)
    link = out(2, topic="*")
    start = Consent("email", "*", "in", 3, START)
    assert not verdict(kept([stop, link, start]), "email", "sales", "service", "opt_out").allowed
    assert verdict(kept([stop, start]), "email", "sales", "service", "opt_out").allowed


def test_the_repeat_of_a_yes_keeps_the_time_of_the_first() -> None:
    yes = [Consent("*", "*", "in", at, "form") for at in (5, 10 * REPEAT_NOTED_MS)]
    assert kept(yes) == [Consent("*", "*", "in", 5, "form", (), 10 * REPEAT_NOTED_MS)]


def test_somebody_who_changes_their_mind_for_ever_has_a_bounded_history() -> None:
    words = itertools.cycle([("out", STOP), ("in", START)])
    history = kept(
        Consent("sms", "*", "in" if state == "in" else "out", at * REPEAT_NOTED_MS, source)
        for at, (state, source) in zip(range(1, 1_002), words, strict=False)
    )
    assert len(history) <= CONSENTS_KEPT_MAX
    assert not verdict(history, "sms", "any", "service", "opt_out").allowed


def test_no_number_of_topics_makes_a_history_longer_and_none_of_the_noes_is_lost() -> None:
    topics = [f"topic-{n}" for n in range(3 * CONSENTS_KEPT_MAX)]
    yeses = [Consent("sms", topic, "in", 1, "form") for topic in topics]
    noes = [out(n + 2, "sms", topic) for n, topic in enumerate(topics)]
    history = kept([*yeses, *noes])
    assert len(history) <= CONSENTS_KEPT_MAX
    assert not any(verdict(history, "sms", topic, "service", "opt_out").allowed for topic in topics)
