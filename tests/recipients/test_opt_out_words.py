"""Which replies are a STOP, which a START, and that nothing else is either."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.recipients.opt_out_words import (
    NEVER_WORDS,
    START,
    START_WORDS,
    STOP,
    STOP_WORDS,
    opt_out_word,
    skeleton,
)


@pytest.mark.parametrize("word", STOP_WORDS)
def test_every_stop_word_stops_in_any_case_and_dress(word: str) -> None:
    for said in (
        word,
        word.upper(),
        word.title(),
        f"«{word}»",
        f'"{word}!"',
        f"  {word}.\n",
        f"{word} 🙏🏻",
        f"\u200b{word}",
    ):
        assert opt_out_word(said) == "stop", said


@pytest.mark.parametrize("word", START_WORDS)
def test_every_start_word_resumes(word: str) -> None:
    for said in (word, word.upper(), f"«{word}»", f"/{word}", f"{word}…"):
        assert opt_out_word(said) == "start", said


@pytest.mark.parametrize(
    "answer", [*NEVER_WORDS, "ТАК!", "Да", "YES", "ok", "1", "", "   ", "👍", "?", "HELP", "INFO"]
)
def test_plain_answers_are_neither(answer: str) -> None:
    assert opt_out_word(answer) is None


@pytest.mark.parametrize(
    "sentence",
    [
        "не стоп",
        "please stop the music",
        "stop, I will call you",
        "start the car",
        "відписатися чи ні?",
        "Відмова\n\nХочу відмовитися від замовлення 12",
        "Cancel\n\nmy order",
        "стоп\nабо ні",
        "please",
        "не пишіть дрібно",
        "STOP" + " x" * 60,
    ],
)
def test_a_word_inside_a_sentence_is_not_an_opt_out(sentence: str) -> None:
    assert opt_out_word(sentence) is None


@pytest.mark.parametrize(
    "mixed", ["CTOП", "СTOП", "стoп", "SТOР", "\u200bSTOP", "ＳＴＯＰ", "Bідписка", "ARRET"]
)
def test_letters_that_look_alike_are_the_same(mixed: str) -> None:
    assert opt_out_word(mixed) == "stop"


@pytest.mark.parametrize(
    "said",
    (
        *("Stop please", "СТОП, будь ласка", "Please unsubscribe", "пожалуйста, отпишите"),
        *(
            "S T O P",
            "Unsubscribe me, please!",
            "с т о п",
            "ѕtop",
            "Стоп СМС",
            "Не пишіть мені",
            "unsub",
        ),
    ),
)
def test_courtesy_and_spelling_it_out_change_nothing(said: str) -> None:
    assert opt_out_word(said) == "stop"


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\n \n"])
def test_a_plain_word_as_first_paragraph_stops_whatever_stands_below(end: str) -> None:
    notice = "This e-mail is confidential and intended only for the addressee. " * 4
    for word in ("STOP", "Стоп!", "Відписатися", "unsubscribe"):
        assert opt_out_word(f"{word}{end}{notice}") == "stop"


def test_saying_it_twice_is_still_saying_it() -> None:
    assert opt_out_word("СТОП СТОП! стоп") == "stop"
    assert opt_out_word("stop start") is None


def test_folding_makes_no_word_mean_two_things() -> None:
    assert not STOP & START
    assert not {skeleton(word) for word in NEVER_WORDS} & (STOP | START)


@given(st.text(max_size=80))
def test_any_text_at_all_is_read_without_an_error(text: str) -> None:
    assert opt_out_word(text) in (None, "stop", "start")
