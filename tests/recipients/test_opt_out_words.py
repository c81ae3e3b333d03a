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
        *("don't stop", "Don't stop sending me messages", "не стоп", "не отписывайте меня"),
        *("Please unsubscribe me from this list after the sale", "unsubscribe me? why?"),
        *("remove me from the order", "take me off guard", "no messages", "opt me"),
        *("Не надсилайте посилку", "не пишіть мені вранці", "Не присылайте курьера"),
        *("Як відписати мене від розсилки?", "видаліть мене", "зніміть мій номер із замовлення"),
        *("хочу отписаться, но не сейчас", "прекратите работу", "стоп розсилка чи ні"),
        *("Stop\nWait", "Стоп\nПочекайте", "Стоп\nЯ передумала", "STOP\nThe delivery"),
        *("stop\nsending it to my office", "Cancel\nOlena", "STOP\nA\nB\nC\nD\nE"),
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


@pytest.mark.parametrize(
    "said",
    [
        *("Please unsubscribe me from this list", "unsubscribe me please", "Remove me, please"),
        *("I'd like to unsubscribe from your newsletter.", "take me off this mailing list"),
        *("Stop sending me these emails!", "don't text me anymore", "Please stop emailing me"),
        *("no more messages", "Hello! Please unsubscribe me. Thank you!", "opt me out"),
        *("unsubscribe my email from all your mailings", "I want to unsubscribe"),
        *("Відпишіть мене, будь ласка", "Будь ласка, відпишіть мене від вашої розсилки"),
        *(
            "Хочу відписатися від розсилки",
            "більше не пишіть мені",
            "Не надсилайте мені більше смс",
        ),
        *(
            "Припиніть надсилати мені рекламу!!!",
            "видаліть мене з розсилки",
            "Прошу відписати мене",
        ),
        *("Добрий день! Видаліть мій номер з бази, будь ласка. Дякую", "Зупиніть розсилку"),
        *("Отпишите меня, пожалуйста, от рассылки", "Прошу отписать меня от всех рассылок"),
        *("Не присылайте мне больше писем", "больше не пишите мне", "хватит слать спам"),
        *(
            "Удалите мой номер из вашей базы",
            "Здравствуйте, отпишите меня",
            "ОТПИШИТЕ МЕНЯ ОТ ВСЕГО",
        ),
    ],
)
def test_a_request_in_a_sentence_of_its_own_stops(said: str) -> None:
    assert opt_out_word(said) == "stop"
    assert opt_out_word(f"{said}\nОлена Коваленко") == "stop"
    assert opt_out_word(f"{said}\n\nЗ повагою\nОлена, яка купує у вас щодня") == "stop"
    assert opt_out_word(f"Ні! {said}, але після свята") is None


@pytest.mark.parametrize(
    "below",
    [
        *(
            "Olena",
            "Олена Коваленко",
            "О. Коваленко",
            "Anna-Maria Nowak",
            "- Olena",
            "Olena\nKovalenko",
        ),
        *("Best regards,\nOlena", "З повагою, \r\nОлена\r\n+380 50 123 45 67", "olena@example.com"),
        *(
            "тел. 050 123 45 67",
            "www.example.com",
            "Дякую",
            "Thanks!",
            "Olena\n\nThe company's notice",
        ),
    ],
)
def test_a_signature_on_the_next_line_changes_nothing(below: str) -> None:
    for word in ("STOP", "Стоп!", "unsubscribe me please"):
        assert opt_out_word(f"{word}\n{below}") == "stop"
        assert opt_out_word(f"{word}\r\n{below}\r\n") == "stop"


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
