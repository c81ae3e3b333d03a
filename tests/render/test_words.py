"""
Templates render data: fallback, failing closed, and the forms of numbers, dates and money.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.core.reasons import Reason
from orchestrator.render import (
    ConditionError,
    Conditions,
    RenderContext,
    TemplateProblems,
    TemplateSet,
    Texts,
    Unrenderable,
)


def context(
    event: dict[str, Any] | None = None,
    *,
    recipient: dict[str, Any] | None = None,
    locale: str | None = "uk-UA",
    **more: Any,
) -> RenderContext:
    return RenderContext(
        event=event or {},
        recipient=recipient or {},
        message={"id": "m-1"},
        now=datetime(2026, 11, 21, 10, tzinfo=UTC),
        locale=locale,
        time_zone=more.pop("time_zone", "Europe/Kyiv"),
        **more,
    )


def sms(source: str, event: dict[str, Any] | None = None, **more: Any) -> str:
    locale = more.get("locale", "uk-UA")
    templates = TemplateSet.from_sources({"t": {f"sms.{locale}.text.j2": source}})
    return str(templates.render("t", "sms", context(event, **more)).parts["text"])


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("uk-UA", "регіон"),
        ("uk_UA", "регіон"),
        ("uk", "мова"),
        ("uk-CA", "мова"),
        ("de-DE", "default"),
        (None, "default"),
    ],
)
def test_a_locale_falls_back_to_its_language_and_then_to_the_default(
    locale: str | None, text: str
) -> None:
    files = {"sms.uk-UA.text.j2": "регіон", "sms.uk.text.j2": "мова", "sms.text.j2": "default"}
    rendered = TemplateSet.from_sources({"t": files}).render("t", "sms", context(locale=locale))
    assert rendered.parts["text"] == text


def test_a_pinned_set_says_the_same_as_the_one_it_was_made_of() -> None:
    first = TemplateSet.from_sources(
        {"t": {"sms.uk.text.j2": "Ціна {{ event.x }}", "sms.text.j2": "Price {{ event.x }}"}}
    )
    again = TemplateSet.from_sources({"t": first.sources("t")})
    given = context({"x": "5"})
    assert (
        again.render("t", "sms", given).content_hash == first.render("t", "sms", given).content_hash
    )
    assert (
        first.render("t", "sms", context({"x": "6"})).content_hash
        != first.render("t", "sms", given).content_hash
    )


@pytest.mark.parametrize(
    "source",
    [
        "{{ event.absent }}",
        "{{ nobody }}",
        "{{ event.absent.deeper }}",
        "{{ event.list[7] }}",
        "{{ event.nothing }}",
        "{{ event.absent | upper }}",
        "{{ event.nothing | money('UAH') }}",
        "{{ event.absent | date }}",
        "{% for x in event.absent %}{% endfor %}text",
        "{% for x in event.nothing %}{% endfor %}text",
        "{% if event.absent %}a{% else %}b{% endif %}",
        "{{ unsubscribe_url }}",
        "{{ recipient | gender('чекав', 'чекала') }}",
    ],
)
def test_what_is_absent_or_null_is_never_sent_as_a_hole(source: str) -> None:
    with pytest.raises(Unrenderable) as caught:
        sms(source, {"list": [], "nothing": None})
    assert caught.value.reason is Reason.MISSING_VARIABLE


def test_a_default_stands_in_only_where_the_author_wrote_one() -> None:
    assert sms("{{ event.absent | default('друже') }}") == "друже"


def test_a_channel_without_its_needed_parts_is_a_missing_template() -> None:
    templates = TemplateSet.from_sources({"t": {"email.text.j2": "a"}})
    for channel in ("email", "sms"):
        with pytest.raises(Unrenderable) as caught:
            templates.render("t", channel, context())
        assert caught.value.reason is Reason.TEMPLATE_MISSING


def test_html_escapes_what_data_says() -> None:
    files = {"email.subject.j2": "s", "email.html.j2": '<p title="{{ event.x }}">{{ event.x }}</p>'}
    html = (
        TemplateSet.from_sources({"t": files})
        .render("t", "email", context({"x": '"><script>&'}))
        .parts["html"]
    )
    assert "<script>" not in html and html.count("&#34;&gt;&lt;script&gt;&amp;") == 2


def test_control_and_direction_characters_leave_a_text_and_a_subject_is_one_line() -> None:
    assert sms("{{ event.x }}", {"x": "a\x00\x1b\u202eb\u2066c\nd\x85"}) == "abc\nd"
    files = {"email.subject.j2": "{{ event.x }}", "email.text.j2": "t"}
    rendered = TemplateSet.from_sources({"t": files}).render(
        "t", "email", context({"x": "a\r\nBcc: b@c"})
    )
    assert rendered.parts["subject"] == "a Bcc: b@c"


@pytest.mark.parametrize(
    "value", ['" , tag: "x', "a\nb: c", "\\", "{{ x }}", "# no comment", "x: [y]", "😀"]
)
def test_a_double_quoted_yaml_value_says_exactly_what_the_data_says(value: str) -> None:
    source = 'button: {title: "{{ event.x }}", url: "https://shop.example.com/"}\n'
    rendered = TemplateSet.from_sources({"t": {"viber.yaml.j2": source}}).render(
        "t", "viber", context({"x": value})
    )
    assert rendered.parts["yaml"] == {
        "button": {"title": value, "url": "https://shop.example.com/"}
    }


def test_an_expression_outside_double_quotes_is_refused_with_its_place() -> None:
    with pytest.raises(TemplateProblems) as caught:
        TemplateSet.from_sources({"t": {"viber.yaml.j2": 'a: "b"\nimage: {{ event.x }}\n'}})
    assert [(one.line, one.column) for one in caught.value.problems] == [(2, 8)]


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (1, "товар"),
        (2, "товари"),
        (5, "товарів"),
        (11, "товарів"),
        (21, "товар"),
        (112, "товарів"),
        (1.5, "товару"),
    ],
)
def test_ukrainian_numbers_choose_their_form_by_cldr(number: float, word: str) -> None:
    assert (
        sms("{{ event.n | plural('товар', 'товари', 'товарів', 'товару') }}", {"n": number}) == word
    )


@pytest.mark.parametrize(
    ("number", "word"), [(0, "items"), (1, "item"), (2, "items"), (21, "items")]
)
def test_english_has_two_forms(number: int, word: str) -> None:
    assert sms("{{ event.n | plural('item', 'items') }}", {"n": number}, locale="en") == word


def test_more_forms_than_a_language_has_are_refused() -> None:
    for locale, forms in (("en", "'a', 'b', 'c'"), ("uk-UA", "'a', 'b', 'c', 'd', 'e'")):
        with pytest.raises(Unrenderable, match="plural has"):
            sms("{{ 5 | plural(" + forms + ") }}", locale=locale)


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        ("de-DE", "Total €1,200.50"),
        ("uk-UA", "Разом 1\xa0200,50\xa0EUR"),
        ("en-IE", "Total €1,200.50"),
        (None, "Total €1,200.50"),
    ],
)
def test_numbers_are_written_in_the_language_of_the_text_around_them(
    locale: str | None, shown: str
) -> None:
    money = "{{ event.x | money('EUR') }}"
    files = {"sms.uk.text.j2": f"Разом {money}", "sms.text.j2": f"Total {money}"}
    templates = TemplateSet.from_sources({"t": files})
    assert (
        templates.render("t", "sms", context({"x": 1200.5}, locale=locale)).parts["text"] == shown
    )


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("{{ event.absent }}", "event.absent is absent"),
        ("{{ event.a.deep['er'] | upper }}", "event.a.deep.er is absent"),
        ("{{ event.list[7] }}", "event.list[7] is absent"),
        ("{% for one in event.rows %}{{ one.name }}{% endfor %}", "one.name is absent"),
        ("{{ nobody }}", "nobody is absent"),
        ("{{ event.nothing | money('UAH') }}", "event.nothing is null"),
        ("{{ event.other }}{{ event.nothing }}", "event.nothing is null"),
        ("{{ event.list[event.secret] }}", "a variable is absent"),
    ],
)
def test_what_is_missing_is_named_as_it_was_written(source: str, detail: str) -> None:
    data: dict[str, Any] = {
        "a": {"deep": {}},
        "list": [],
        "rows": [{}],
        "nothing": None,
        "other": 1,
        "secret": 4111,
    }
    with pytest.raises(Unrenderable) as caught:
        sms(source, data)
    assert (caught.value.detail, caught.value.reason) == (detail, Reason.MISSING_VARIABLE)


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-03-29T00:59:00Z", "02:59"),
        ("2026-03-29T01:00:00Z", "04:00"),
        ("2026-10-25T00:30:00Z", "03:30"),
        ("2026-10-25T01:30:00Z", "03:30"),
        ("2026-10-25T02:00:00Z", "04:00"),
        ("2026-11-21T10:00:00+05:00", "07:00"),
    ],
)
def test_a_time_is_shown_by_the_clock_on_the_recipients_wall_across_clock_changes(
    moment: str, shown: str
) -> None:
    assert sms("{{ event.at | date('HH:mm') }}", {"at": moment}) == shown


def test_a_moment_near_midnight_has_the_recipients_date_and_a_bare_date_never_moves() -> None:
    assert sms("{{ event.at | date('d.M') }}", {"at": "2026-11-20T23:30:00Z"}) == "21.11"
    assert (
        sms("{{ event.at | date('d.M') }}", {"at": "2026-11-20"}, time_zone="America/New_York")
        == "20.11"
    )
    assert (
        sms("{{ event.at | date('long') }}", {"at": "2026-11-21"}, locale="en")
        == "November 21, 2026"
    )


@pytest.mark.parametrize(
    ("locale", "amount", "shown"),
    [
        ("uk-UA", 1200.5, "1\xa0200,50\xa0₴"),
        ("uk-UA", "0.1", "0,10\xa0₴"),
        ("en", 3601.5, "UAH3,601.50"),
    ],
)
def test_money_is_written_as_the_recipient_writes_it(locale: str, amount: Any, shown: str) -> None:
    assert sms("{{ event.x | money('UAH') }}", {"x": amount}, locale=locale) == shown


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("Оля", "Олю"),
        ("Надя", "Надю"),
        ("Катя", "Катю"),
        ("Ігор", "Ігорю"),
        ("Лазар", "Лазарю"),
        ("Федір", "Федоре"),
        ("Яків", "Якове"),
        ("Антін", "Антоне"),
        ("Анна-Марія", "Анно-Маріє"),
        ("Олена", "Олено"),
        ("Марія", "Маріє"),
        ("Зоя", "Зоє"),
        ("Любов", "Любове"),
        ("Микола", "Миколо"),
        ("Ілля", "Ілле"),
        ("Олег", "Олеже"),
        ("Іван", "Іване"),
        ("Андрій", "Андрію"),
        ("Василь", "Василю"),
        ("Петро", "Петре"),
        ("Марко", "Марку"),
        ("Anna", "Anna"),
    ],
)
def test_people_are_called_in_the_vocative(name: str, called: str) -> None:
    assert sms("{{ event.x | vocative }}", {"x": name}) == called


@pytest.mark.parametrize(
    ("gender", "word"), [("male", "чекав"), ("female", "чекала"), (None, "чекали")]
)
def test_the_form_follows_the_gender_and_the_third_serves_where_it_is_unknown(
    gender: str | None, word: str
) -> None:
    assert (
        sms("{{ recipient | gender('чекав', 'чекала', 'чекали') }}", recipient={"gender": gender})
        == word
    )


def test_only_web_addresses_are_tracked() -> None:
    assert sms(
        "{{ event.x | link }}",
        {"x": "https://a.example/"},
        link=lambda url: f"https://k.example/c?{url}",
    ) == ("https://k.example/c?https://a.example/")
    assert sms("{{ event.x | link }}", {"x": "https://a.example/"}) == "https://a.example/"
    with pytest.raises(Unrenderable):
        sms("{{ event.x | link }}", {"x": "javascript:alert(1)"})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("event.absent != false", True),
        ("event.a.b.c", None),
        ("event.total >= 300", True),
        ("event.absent == null", True),
    ],
)
def test_in_a_condition_what_is_absent_is_null(expression: str, value: Any) -> None:
    assert Conditions().compile(expression).evaluate({"event": {"a": None, "total": 300}}) == value


@pytest.mark.parametrize(
    "expression", ["event.absent >= 300", "event.text < 1", "event.text - 1", "2 ** 99999"]
)
def test_a_comparison_that_makes_no_sense_is_an_error_and_not_a_guess(expression: str) -> None:
    with pytest.raises(ConditionError):
        Conditions().compile(expression).evaluate({"event": {"text": "a"}})


@pytest.mark.parametrize("compile", [Conditions().compile, Texts(["event"]).condition])
@pytest.mark.parametrize(
    "expression",
    [
        "",
        "event.total >=",
        "evnt.total",
        "1 }}{{ 2",
        "event }} x {{ event",
        "event }}{% set x = 1 %}{{ event",
        "event.x | nothing_of_ours",
    ],
)
def test_a_condition_that_cannot_be_read_is_refused_before_it_is_used(
    compile: Callable[[str], Any], expression: str
) -> None:
    with pytest.raises(ConditionError):
        compile(expression)
