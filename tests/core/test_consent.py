"""
The reading of a history of opt-ins and opt-outs: nobody is messaged against their will.

``by_the_rules`` is the oracle: it plays the history from the first word to the last over a table of
noes that still stand, where the code looks at all entries at once.
"""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from orchestrator.core.consent import ConsentVerdict, verdict
from orchestrator.core.policy import CLASSES, ConsentDefault
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Consent
from orchestrator.core.values import replace
from tests.properties.sizes import examples


def said(text: str, at: int, source: str = "form", classes: tuple[str, ...] = ()) -> Consent:
    """``said("out sms × *", 3)``."""
    state, channel, _, topic = text.split()
    return Consent(channel, topic, "in" if state == "in" else "out", at, source, classes)


def allowed(
    *entries: Consent,
    channel: str = "sms",
    topic: str = "cart",
    message_class: str = "promotional",
    default: ConsentDefault = "opt_out",
) -> bool:
    return verdict(entries, channel, topic, message_class, default).allowed


# -- without an entry


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("opt_out", ConsentVerdict(True)),
        ("opt_in", ConsentVerdict(False, None, Reason.NO_CONSENT)),
        ("bypass", ConsentVerdict(True)),
    ],
)
def test_without_an_entry_the_class_default_decides(
    default: ConsentDefault, expected: ConsentVerdict
) -> None:
    assert verdict([], "sms", "cart", "promotional", default) == expected
    elsewhere = [said("out email × *", 1), said("out * × news", 2), said("in viber × cart", 3)]
    assert verdict(elsewhere, "sms", "cart", "promotional", default) == expected


# -- the scope of a word


@pytest.mark.parametrize("scope", ["* × *", "sms × *", "* × cart", "sms × cart"])
def test_a_no_stops_what_it_speaks_of_and_a_yes_allows_it(scope: str) -> None:
    no, yes = said(f"out {scope}", 5), said(f"in {scope}", 5)
    assert verdict([no], "sms", "cart", "promotional", "opt_out") == ConsentVerdict(
        False, no, Reason.OPTED_OUT
    )
    assert verdict([yes], "sms", "cart", "promotional", "opt_in") == ConsentVerdict(True, yes)


@pytest.mark.parametrize("scope", ["email × *", "* × news", "sms × news", "email × cart"])
def test_a_word_about_something_else_says_nothing(scope: str) -> None:
    assert allowed(said(f"out {scope}", 5))
    assert not allowed(said(f"in {scope}", 5), default="opt_in")


@pytest.mark.parametrize("message_class", ["transactional", "service", "promotional"])
def test_opting_out_of_everything_stops_every_class_that_asks(message_class: str) -> None:
    assert not allowed(said("out * × *", 5), message_class=message_class)


def test_a_one_time_code_goes_through_whatever_was_said() -> None:
    assert allowed(
        said("out * × *", 5), said("out sms × cart", 6), message_class="otp", default="bypass"
    )


def test_an_entry_for_some_classes_says_nothing_of_the_others() -> None:
    no = said("out sms × *", 5, classes=("promotional",))
    assert not allowed(no)
    assert allowed(no, message_class="service")
    assert not allowed(said("in sms × *", 5, classes=("service",)), default="opt_in")


# -- a no and a yes


@pytest.mark.parametrize("narrow", ["in sms × *", "in * × cart", "in sms × cart", "in * × *"])
def test_a_no_beats_every_older_yes_in_its_scope_however_specific(narrow: str) -> None:
    assert not allowed(said(narrow, 1), said("out * × *", 2))


@pytest.mark.parametrize(
    ("no", "yes", "lifted"),
    [
        ("out sms × cart", "in sms × cart", True),
        ("out sms × cart", "in sms × *", False),
        ("out sms × cart", "in * × cart", False),
        ("out sms × cart", "in * × *", False),
        ("out sms × *", "in sms × cart", True),
        ("out sms × *", "in sms × *", True),
        ("out sms × *", "in * × cart", False),
        ("out sms × *", "in * × *", False),
        ("out * × cart", "in sms × cart", True),
        ("out * × cart", "in sms × *", True),
        ("out * × cart", "in * × cart", True),
        ("out * × cart", "in * × *", False),
        ("out * × *", "in sms × cart", True),
        ("out * × *", "in sms × *", True),
        ("out * × *", "in * × cart", True),
        ("out * × *", "in * × *", True),
    ],
)
@pytest.mark.parametrize("default", ["opt_in", "opt_out"])
def test_only_a_later_yes_that_is_at_least_as_specific_lifts_a_no(
    no: str, yes: str, lifted: bool, default: ConsentDefault
) -> None:
    assert allowed(said(no, 1), said(yes, 2), default=default) is lifted


def test_a_yes_lifts_a_no_only_where_it_speaks() -> None:
    history = (said("out * × *", 1), said("in sms × cart", 2))
    assert allowed(*history)
    assert not allowed(*history, topic="news")
    assert not allowed(*history, channel="email")


def test_a_yes_to_some_classes_lifts_a_no_for_those_only() -> None:
    history = (said("out sms × *", 1), said("in sms × *", 2, classes=("service",)))
    assert allowed(*history, message_class="service")
    assert not allowed(*history)


def test_a_broad_yes_after_a_narrow_no_and_a_broad_no_brings_back_all_but_the_narrow() -> None:
    history = (said("out sms × cart", 1), said("out * × *", 2), said("in * × *", 3))
    assert not allowed(*history)
    assert allowed(*history, topic="news")


def test_a_no_after_a_yes_that_had_lifted_one_counts_again() -> None:
    assert not allowed(said("out * × *", 1), said("in sms × cart", 2), said("out * × cart", 3))


@pytest.mark.parametrize("scope", ["* × *", "sms × cart"])
def test_of_a_yes_and_a_no_at_the_same_instant_the_no_counts(scope: str) -> None:
    assert not allowed(said(f"in {scope}", 7), said(f"out {scope}", 7))
    assert not allowed(said(f"out {scope}", 7), said(f"in {scope}", 7))


def test_the_verdict_shows_the_most_specific_entry_then_the_newest() -> None:
    entries = [
        said("in * × *", 9),
        said("in sms × *", 3),
        said("in sms × *", 4),
        said("in * × cart", 8),
    ]
    assert verdict(entries, "sms", "cart", "promotional", "opt_in").entry == said("in sms × *", 4)
    entries = [said("out * × *", 9), said("out * × cart", 3), said("out * × cart", 4)]
    assert verdict(entries, "sms", "cart", "promotional", "opt_in").entry == said("out * × cart", 4)


def test_of_entries_that_differ_only_in_their_source_every_order_shows_the_same_one() -> None:
    one, other = said("out sms × *", 5, "api"), said("out sms × *", 5, "unsubscribe")
    question = ("sms", "cart", "promotional")
    assert verdict([one, other], *question, "opt_out") == verdict(
        [other, one], *question, "opt_out"
    )


# -- STOP and START

STOP = said("out sms × *", 5, "stop")
START = said("in sms × *", 6, "start")


def test_start_takes_back_a_stop_and_what_was_said_before_counts_again() -> None:
    yes = said("in sms × cart", 1)
    assert not allowed(yes, STOP, default="opt_in")
    assert verdict([yes, STOP, START], "sms", "cart", "promotional", "opt_in") == ConsentVerdict(
        True, yes
    )
    assert allowed(STOP, START, default="opt_out")


def test_start_agrees_to_nothing_that_was_never_agreed_to() -> None:
    assert verdict([STOP, START], "sms", "cart", "promotional", "opt_in") == ConsentVerdict(
        False, None, Reason.NO_CONSENT
    )
    assert not allowed(START, default="opt_in")


@pytest.mark.parametrize("source", ["form", "api", "unsubscribe", "meta provider", ""])
def test_start_does_not_touch_a_no_that_was_no_stop(source: str) -> None:
    no = replace(STOP, source=source)
    assert verdict([no, START], "sms", "cart", "promotional", "opt_out") == ConsentVerdict(
        False, no, Reason.OPTED_OUT
    )
    assert not allowed(STOP, no, START)


@pytest.mark.parametrize("stopped", ["out * × *", "out * × cart"])
def test_start_does_not_reach_beyond_its_channel(stopped: str) -> None:
    assert not allowed(said(stopped, 5, "stop"), START)
    assert not allowed(STOP, replace(START, channel="viber"))
    assert not allowed(STOP, replace(START, channel="*"))


def test_a_stop_after_a_start_stops_again() -> None:
    assert not allowed(STOP, START, replace(STOP, at=7))


def test_a_yes_by_form_lifts_a_stop_like_any_other_no() -> None:
    assert allowed(STOP, said("in sms × *", 6), default="opt_in")


# -- against the oracle

STATES = st.builds(
    Consent,
    channel=st.sampled_from(["*", "sms", "email"]),
    topic=st.sampled_from(["*", "cart", "news"]),
    state=st.sampled_from(["in", "out"]),
    at=st.integers(0, 6),
    source=st.sampled_from(["form", "stop", "start", "unsubscribe"]),
    classes=st.sampled_from([(), ("promotional",), ("promotional", "service")]),
)
HISTORIES = st.lists(STATES, max_size=8)
QUESTIONS = st.tuples(
    st.sampled_from(["sms", "email", "viber"]),
    st.sampled_from(["cart", "news"]),
    st.sampled_from(CLASSES),
)
ORDER = ["* × *", "* × topic", "channel × *", "channel × topic"]


def shape(entry: Consent) -> int:
    channel = "*" if entry.channel == "*" else "channel"
    topic = "*" if entry.topic == "*" else "topic"
    return ORDER.index(f"{channel} × {topic}")


def by_the_rules(
    history: list[Consent], question: tuple[str, str, str], default: ConsentDefault
) -> bool:
    """
    Play the history in time (of one instant the yeses first); what counts are the noes still
    standing at its end.
    """
    channel, topic, message_class = question
    standing: list[Consent] = []
    agreed = False
    for entry in sorted(history, key=lambda one: (one.at, one.state == "out")):
        if entry.channel not in ("*", channel) or entry.topic not in ("*", topic):
            continue
        if entry.classes and message_class not in entry.classes:
            continue
        if entry.state == "out":
            standing.append(entry)
        elif entry.source == "start":
            standing = [
                no
                for no in standing
                if no.source != "stop" or no.channel != entry.channel or shape(no) > shape(entry)
            ]
        else:
            agreed = True
            standing = [no for no in standing if shape(no) > shape(entry)]
    return default == "bypass" or (not standing and (agreed or default == "opt_out"))


@examples(150, 2000, HISTORIES, QUESTIONS, st.sampled_from(["opt_in", "opt_out", "bypass"]))
def test_any_history_is_read_as_if_it_were_applied_entry_by_entry(
    history: list[Consent], question: tuple[str, str, str], default: ConsentDefault
) -> None:
    found = verdict(history, *question, default)
    assert found.allowed == by_the_rules(history, question, default)
    assert found.allowed == (found.reason is None)
    if found.entry is not None:
        assert found.entry in history
        assert found.entry.state == ("in" if found.allowed else "out")
        assert (found.reason is Reason.OPTED_OUT) != found.allowed
    elif not found.allowed:
        assert found.reason is Reason.NO_CONSENT


@examples(50, 500, st.data(), HISTORIES, QUESTIONS, st.sampled_from(["opt_in", "opt_out"]))
def test_the_order_in_which_entries_are_kept_and_doubles_do_not_matter(
    data: st.DataObject,
    history: list[Consent],
    question: tuple[str, str, str],
    default: ConsentDefault,
) -> None:
    shuffled = data.draw(st.permutations(history + history[:2]))
    assert verdict(shuffled, *question, default) == verdict(history, *question, default)


@examples(50, 500, HISTORIES, STATES, QUESTIONS, st.sampled_from(["opt_in", "opt_out"]))
def test_one_more_no_never_allows_and_one_more_yes_never_forbids(
    history: list[Consent], entry: Consent, question: tuple[str, str, str], default: ConsentDefault
) -> None:
    before = verdict(history, *question, default).allowed
    after = verdict([*history, entry], *question, default).allowed
    assert after <= before if entry.state == "out" else after >= before


@examples(50, 500, HISTORIES, STATES, QUESTIONS, st.sampled_from(["opt_in", "opt_out"]))
def test_a_no_that_is_the_last_word_stops_everything_in_its_scope(
    history: list[Consent], entry: Consent, question: tuple[str, str, str], default: ConsentDefault
) -> None:
    channel, topic, message_class = question
    no = replace(entry, state="out", at=6)
    in_scope = (
        no.channel in ("*", channel)
        and no.topic in ("*", topic)
        and (not no.classes or message_class in no.classes)
    )
    if in_scope:
        assert not verdict([*history, no], *question, default).allowed
