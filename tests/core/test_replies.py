"""Which choice an answer means, whatever the channel makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.replies import Choice, chosen, fold, numbered, offer

ID = "01KXQ4M2"
MARKS = (Choice("5", "Чудово"), Choice("3", "Так собі"), Choice("1", "Погано"))
WORDS = (Choice("yes", "Так, приїду"), Choice("no", "Ні"))


def meaning(choices: tuple[Choice, ...], text: str, pressed: str | None = None) -> str | None:
    return chosen(ID, offer(ID, choices), text, pressed)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("5", "5"),
        (" 5. ", "5"),
        ("5)", "5"),
        ("№5", "5"),
        ("5️⃣", "5"),
        ("ЧУДОВО", "5"),
        ("чудово!!! 🎉", "5"),
        ("«Чудово»", "5"),
        ("5 – Чудово", "5"),
        ("так  собі", "3"),
        ("2", None),
        ("55", None),
        ("чудово, але довго", None),
        ("3 Чудово", None),
        ("", None),
        ("👍", None),
    ],
)
def test_a_digit_and_the_words_mean_the_choice_and_a_sentence_means_none(
    text: str, means: str | None
) -> None:
    assert meaning(MARKS, text) == means


def test_choices_without_numbers_are_numbered_by_their_place() -> None:
    assert numbered(WORDS) == "1 – Так, приїду\n2 – Ні"
    assert meaning(WORDS, "2") == "no"
    assert meaning(WORDS, "YES") == "yes"
    assert meaning(WORDS, "так, приїду") == "yes"


def test_choices_that_are_their_own_numbers_need_no_list() -> None:
    marks = tuple(Choice(str(mark), str(mark)) for mark in range(11))
    assert numbered(marks) == ""
    assert meaning(marks, "10") == "10" and meaning(marks, "0") == "0"
    assert meaning(marks, "11") is None


def test_a_pressed_button_decides_if_it_is_one_of_ours() -> None:
    assert meaning(MARKS, "whatever", "3") == "3"
    assert meaning(MARKS, "Чудово", "a button of somebody else's") == "5"


def test_a_message_that_asked_nothing_has_no_choice() -> None:
    assert chosen(ID, (), "5", "5") is None


def test_no_title_stands_in_the_state() -> None:
    assert "Чудово" not in repr(offer(ID, MARKS))
    assert offer(ID, MARKS) != offer("another message", MARKS)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_title_is_found_again_however_it_is_dressed(title: str, other: str) -> None:
    choices = (Choice("a", title), Choice("b", other))
    found = meaning(choices, f"  {title.upper().upper()}!")
    if fold(title).isalpha() and fold(title) != fold(other) and fold(title) not in ("a", "b"):
        assert found in ("a", None) if fold(title.upper()) != fold(title) else found == "a"
    assert fold(fold(title)) == fold(title)
