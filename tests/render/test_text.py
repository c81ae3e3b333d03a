"""Text by Unicode's rules: composed, its white space kept, nothing that is one character cut."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.render import TemplateProblems, TemplateSet, Unrenderable, count
from orchestrator.render.graphemes import whole_length
from orchestrator.render.sms import shorten
from orchestrator.render.text import COMPOSED, nfc
from tests.render.test_words import context, sms

CLUSTERS = (
    "🇺🇦", "👨‍👩‍👧‍👦", "👍🏽", "1️⃣", "e\u0301", "и\u0306", "한", "\u1112\u1161\u11ab", "नि", "ผู้",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "ї", "a", " ", "я", "€",
)  # fmt: skip
texts = st.lists(st.sampled_from(CLUSTERS), max_size=120).map("".join)


def html(source: str, event: dict[str, Any]) -> str:
    files = {"email.subject.j2": "s", "email.html.j2": source}
    return str(
        TemplateSet.from_sources({"t": files}).render("t", "email", context(event)).parts["html"]
    )


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("Order\t981", "Order 981"),
        ("Order\v981", "Order\n981"),
        ("Order\f981", "Order\n981"),
        ("Order\r\n981", "Order\n981"),
        ("Order\r981", "Order\n981"),
        ("Order\x85981", "Order\n981"),
        ("Order\u2028981\u2029x", "Order\n981\nx"),
        ("Order\x1f981", "Order 981"),
        ("Order\u00a0981", "Order 981"),
        ("Order\u3000981", "Order 981"),
        ("Замовлення\u00a0981", "Замовлення\u00a0981"),
        ("Cafe\u0301", "Café"),
        ("Киı\u0306в", "Киı\u0306в"),
        ("Чаи\u0306", "Чай"),
        ("a\x00\x1b\x07b", "ab"),
    ],
)
def test_white_space_never_vanishes_and_letters_are_composed(said: str, sent: str) -> None:
    assert sms("{{ event.x }}", {"x": said}) == sent
    assert sms("{{ event.x[:3] }}{{ event.x[3:] }}", {"x": said}) == sent


@pytest.mark.parametrize(
    "unseen", "\u200b\u200c\u200d\u2060\u00ad\ufeff\u034f\ufe0f\u180e\U000e0101"
)
def test_what_nobody_sees_does_not_make_a_second_part_of_an_sms(unseen: str) -> None:
    text = sms("{{ event.x }}", {"x": "a" * 60 + unseen + "b" * 53})
    assert text == "a" * 60 + "b" * 53 and count(text).parts == 1
    cut = sms("{{ event.x|truncate_sms(1) }}", {"x": f"a{unseen}b " * 90})
    assert count(cut).alphabet == "gsm7" and count(cut).parts == 1


@pytest.mark.parametrize("text", ["Родина 👨‍👩‍👧‍👦!", "می‌خواهم", "❤️"])
def test_joiners_stay_where_they_mean_something(text: str) -> None:
    assert sms("{{ event.x }}", {"x": text}) == text


@given(texts, st.integers(0, 130))
def test_a_text_is_only_cut_between_grapheme_clusters(text: str, length: int) -> None:
    ends = {0, *(found.end() for found in regex.finditer(r"\X", text))}
    assert whole_length(text, length) == max(end for end in ends if end <= length)


@given(texts, st.integers(1, 2))
def test_a_shortened_sms_ends_between_clusters(text: str, parts: int) -> None:
    kept = shorten("", text, "", parts)
    assert count(kept).parts <= parts
    body = kept.removesuffix("...").removesuffix("…")
    ends = {0, *(found.end() for found in regex.finditer(r"\X", text))}
    assert kept == text or text.startswith(body)
    assert kept == text or len(body) in ends or text[len(body) :][:1].isspace()


@pytest.mark.parametrize("cluster", CLUSTERS[:12])
@pytest.mark.parametrize("length", range(4, 16))
def test_truncate_never_cuts_a_cluster(cluster: str, length: int) -> None:
    cluster = unicodedata.normalize("NFC", cluster)
    text = sms(f"{{{{ event.x|truncate({length}, true, '…', 0) }}}}", {"x": cluster * 20})
    kept, dots = text[:-1], text[-1]
    assert dots == "…" and len(text) <= length and kept == cluster * (len(kept) // len(cluster))


@pytest.mark.parametrize("given", [(2, "'..'"), (0, "'...'"), (-5, "''")])
def test_a_length_that_truncate_cannot_keep_is_a_clear_error(given: tuple[int, str]) -> None:
    with pytest.raises(Unrenderable, match="truncate takes a length of at least"):
        sms(f"{{{{ event.x|truncate({given[0] - 3}, false, {given[1]}) }}}}", {"x": "a" * 15})


def test_the_marks_of_one_letter_are_bounded_and_put_in_order_in_linear_time() -> None:
    assert len(nfc("a" + "\u0301\u0327" * 100_000)) <= 31
    assert nfc("e\u0301" * 1_000) == "é" * 1_000


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (2.0, "2 товари"), (1.0, "1 товар"), (5.0, "5 товарів"), ("2.0", "2.0 товари"),
        (1.5, "1.5 товару"), (0.1 + 0.2, "0.3 товару"), (-2.0, "-2 товари"), (21, "21 товар"),
        (1e3, "1000 товарів"),
    ],
)  # fmt: skip
def test_a_whole_number_is_one_however_it_was_written(number: Any, said: str) -> None:
    source = "{{ event.n }} {{ event.n|plural('товар', 'товари', 'товарів', 'товару') }}"
    assert sms(source, {"n": number}) == said
    if isinstance(number, float):
        assert sms("{{ event.n ~ '' }}/{{ [event.n]|join }}", {"n": number}) == "/".join(
            [said.partition(" ")[0]] * 2
        )


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        ("До {{ event.d|date('long') }}.", "До 21 листопада 2026\u202fр."),
        ("До {{ event.d|date('long') }}. Далі", "До 21 листопада 2026\u202fр. Далі"),
        ("До {{ event.d|date('long') }}, а", "До 21 листопада 2026\u202fр., а"),
        ("До {{ event.d|date('long') }}!", "До 21 листопада 2026\u202fр.!"),
        ("До {{ event.d|date('d MMM') }}.", "До 21 лист."),
        ("До {{ event.d|date('long') ~ '.' }}", "До 21 листопада 2026\u202fр."),
        ("{{ event.d|date('long')|upper }}.", "21 ЛИСТОПАДА 2026\u202fР."),
        ("{{ event.x }}.", "a..b.."),
    ],
)
def test_an_abbreviation_s_full_stop_also_ends_the_sentence(source: str, sent: str) -> None:
    assert sms(source, {"d": "2026-11-21", "x": "a..b."}) == sent


@pytest.mark.parametrize("locale", ["uk", "bg", "hr", "hu", "es", "lv", "sl", "cs", "en", "de"])
@pytest.mark.parametrize("style", ["short", "medium", "long", "full", "d MMM y", "h:mm a"])
def test_no_language_ends_a_sentence_twice(locale: str, style: str) -> None:
    source = f"{{{{ event.d|date('{style}') }}}}. {{{{ event.n|money('RUB') }}}}."
    text = sms(source, {"d": "2026-11-21T09:00:00Z", "n": 5}, locale=locale)
    assert ".." not in text and text.endswith(".")


def test_an_abbreviation_ends_a_sentence_once_in_html_and_in_structures_too() -> None:
    assert html("<b>{{ event.d|date('long') }}</b>. Далі", {"d": "2026-11-21"}) == (
        "<b>November 21, 2026</b>. Далі"
    )
    files = {
        "viber.uk.yaml.j2": 'button: {title: "До {{ event.d|date(\'long\') }}.", url: "https://a.example"}'
    }
    parts = (
        TemplateSet.from_sources({"t": files})
        .render("t", "viber", context({"d": "2026-11-21"}))
        .parts
    )
    assert parts["yaml"]["button"]["title"] == "До 21 листопада 2026\u202fр."


def test_a_mark_never_composes_with_the_end_of_a_tag() -> None:
    assert html("<b>{{ event.x }}</b>", {"x": "\u0338x<\u0338"}) == "<b>\u0338x≮</b>"


@pytest.mark.parametrize(
    "source", ["{{ 1e999 }}", "{{ -1e999 }}", "{% if event.x > 1e999 %}a{% endif %}"]
)
def test_a_number_without_end_is_refused_when_it_is_loaded(source: str) -> None:
    with pytest.raises(TemplateProblems, match="a number that large"):
        sms(source, {"x": 1})


@pytest.mark.parametrize("cluster", CLUSTERS[:12])
def test_a_slice_never_cuts_a_cluster(cluster: str) -> None:
    cluster = unicodedata.normalize("NFC", cluster)
    for stop in range(1, 12):
        text = sms(f"{{{{ event.x[:{stop}] }}}}!", {"x": cluster * 9})[:-1]
        assert text == cluster * (len(text) // len(cluster))
        rest = sms(f"!{{{{ event.x[{stop}:] }}}}", {"x": cluster * 9})[1:]
        assert text + rest == cluster * 9


def test_what_is_no_number_takes_the_default() -> None:
    for text in ("inf", "nan", "1e999", "9" * 5_000, "x"):
        assert sms("{{ event.x|float(7) }} {{ event.x|int(8) }}", {"x": text}) == "7 8"


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ('button: {title: "a", url: "{{ event.x }}"}', "viber"),
        ('image: "{{ event.x }}"', "viber"),
        ('{template: t, language: uk, header: {image: "{{ event.x }}"}}', "whatsapp"),
    ],
)
def test_urls_of_structures_are_encoded_once_or_refused(source: str, parts: str) -> None:
    templates = TemplateSet.from_sources({"t": {f"{parts}.yaml.j2": source}})
    good = {"x": "https://shop.example/price list.pdf"}
    assert "https://shop.example/price%20list.pdf" in str(
        templates.render("t", parts, context(good)).parts["yaml"]
    )
    for bad in ("javascript:alert(1)", "https://", "https://a b/"):
        with pytest.raises(Unrenderable) as caught:
            templates.render("t", parts, context({"x": bad}))
        assert bad not in str(caught.value)


def test_a_tracked_url_is_encoded_before_it_is_signed() -> None:
    tracked: list[str] = []

    def track(url: str) -> str:
        tracked.append(url)
        return "https://k.example/c/1"

    sms("{{ event.x|link }}", {"x": "https://магазин.example/мій список.pdf\n"}, link=track)
    assert tracked == [
        "https://xn--80aairftm.example/%D0%BC%D1%96%D0%B9%20%D1%81%D0%BF%D0%B8%D1%81%D0%BE%D0%BA.pdf"
    ]


def test_what_is_taken_for_composed_is_composed() -> None:
    signs = [sign for sign in map(chr, range(0x20000)) if COMPOSED.fullmatch(sign)]
    assert {"й", "Ї", "№", "₴", "…", "😀"} <= set(signs)
    for sign in signs:
        assert unicodedata.combining(sign) == 0
        assert unicodedata.normalize("NFC", f"a{sign}и{sign}") == f"a{sign}и{sign}"
