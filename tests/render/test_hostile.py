"""Templates and data that mean harm: a clear refusal each time, in bounded time and memory."""

from __future__ import annotations

import resource
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
    Unrenderable,
    count,
)

MEBIBYTE = 1024 * 1024
ROOM = 400 * MEBIBYTE


@pytest.fixture(autouse=True)
def little_memory() -> Any:
    """Code that takes more than a few hundred megabytes fails the test, not the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def context(event: dict[str, Any]) -> RenderContext:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return RenderContext(event, {"id": "u", "first_name": "Олена"}, {}, now, "uk-UA", "Europe/Kyiv")


def render(source: str, event: dict[str, Any] | None = None, name: str = "sms.text.j2") -> Any:
    templates = TemplateSet.from_sources({"t": {name: source}})
    return templates.render("t", name.partition(".")[0], context(event or {})).parts


BOMBS = [
    "{% set a = 'x' * 9999 %}" + "{% set a = a ~ a %}" * 30 + "{{ a }}",
    "{% set a = 'x' * 9999 %}" + "{% set a = a + a %}" * 30 + "{{ a }}",
    "{{ ('x' * 9999) | replace('x', 'y' * 9999) }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ 'x' * 10 ** 9 }}",
    "{{ 'x' | center(10 ** 9) }}",
    "{{ '%1000000000d' % 1 }}",
    (
        "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% endfor"
        " %}{% endfor %}{% endfor %}x"
    ),
    "{% for a in range(999999999) %}x{% endfor %}",
    "{{ range(1000) | map('string') | join('x' * 9999) | length }}",
    "{% set a = ['lol'] %}"
    + "{% set a = [a, a, a, a, a, a, a, a, a, a] %}" * 9
    + "{% set b = a | string %}x",
    "{% set a = ['lol'] %}" + "{% set a = {'a': a, 'b': a} %}" * 40 + "{{ a == a.b }}",
    "{% set a = 'x' * 9999 ~ 'x' * 9999 %}"
    + "".join(f"{{% set a{n} = a.upper() %}}" for n in range(1000))
    + "x",
    "{% for a in range(1000) %}{% for b in range(19) %}"
    + "{% if a == b %}{% endif %}" * 999
    + "{% endfor %}{% endfor %}x",
    "{% set a = 'x' * 9999 ~ 'x' * 9999 %}"
    + "".join(f"{{% set a{n} = a[1:] %}}" for n in range(1000))
    + "x",
    "{{ [1, 2] | batch(9999, 'x' * 9999) | list | length }}",
]


@pytest.mark.parametrize("source", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_is_refused_before_it_takes_much(source: str) -> None:
    with pytest.raises((Unrenderable, TemplateProblems)):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set a %}x{% endset %}{{ a }}",
        "{% filter upper %}x{% endfilter %}",
        "{% include 'other' %}",
        "{% extends 'other' %}",
        "{{ _link('x') }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ event.x() }}",
        "{{ self }}",
        "{{ event['x']() }}",
        "{{ 'a'.replace('a', 'b') }}",
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{% for a in [[1]] recursive %}{{ loop(a) }}{% endfor %}",
    ],
)
def test_what_the_sandbox_does_not_have_is_a_problem_when_it_is_loaded(source: str) -> None:
    with pytest.raises(TemplateProblems):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ [event] | join }}",
        "{{ event | string }}",
        "{{ 'a' ~ event }}",
        "{{ event.__class__ }}",
        "{{ recipient.items }}",
        "{{ event.get }}",
        "{{ 'a'.upper }}",
        "{{ range }}",
        "{{ 'a' ~ event.null }}",
        "{{ event }}",
        "{{ [1] }}",
    ],
)
def test_methods_and_insides_are_no_text(source: str) -> None:
    with pytest.raises(Unrenderable):
        render(source, {"null": None})


def test_a_mapping_s_keys_come_before_everything() -> None:
    assert (
        render("{{ event.items[0] }} {{ event.get }}", {"items": ["a"], "get": "b"})["text"]
        == "a b"
    )


@pytest.mark.parametrize(
    "source",
    [
        'button: {title: \'a" {{ event.x }}\', url: "https://shop.example.com"}',
        'button: {title: {{ event.x }}, url: "https://shop.example.com"}',
        'button: {title: a"b {{ event.x }}", url: "https://shop.example.com"}',
        'button:\n  title: |\n    {{ event.x }}\n  url: "https://shop.example.com"',
        'button:\n  title: >-\n    "{{ event.x }}"\n  url: "https://shop.example.com"',
    ],
)
def test_an_expression_outside_double_quotes_is_a_problem(source: str) -> None:
    with pytest.raises(TemplateProblems, match="outside a double-quoted"):
        render(source, {"x": "x"}, "viber.yaml.j2")


@pytest.mark.parametrize(
    "value",
    ['", url: "https://evil.example"}', "\\", '\\", url: x', "a\nurl: b", "\u2028b: c", "{{ 1 }}"],
)
def test_data_never_leaves_its_place_in_a_structure(value: str) -> None:
    source = 'button: {title: "{{ event.x }}", url: "https://shop.example.com"}'
    button = render(source, {"x": value}, "viber.yaml.j2")["yaml"]["button"]
    assert set(button) == {"title", "url"}
    assert button["url"] == "https://shop.example.com"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 | money(event.x) }}",
        "{{ event.x | link }}",
        "{{ event.x | money('UAH') }}",
        "{{ event.x | round }}",
        "{{ event.x | date('long') }}",
        "{{ event.x | int + event.x }}",
    ],
)
def test_an_error_never_repeats_what_the_data_says(source: str) -> None:
    with pytest.raises(Unrenderable) as caught:
        render(source, {"x": "CANARY"})
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        'button: {"{{ event.x }}": "a", title: "b", url: "https://shop.example.com"}',
        'button: &a {title: "{{ event.x }}", url: "https://shop.example.com", more: [*a]}',
        "a0: &a0 [x, x]\n"
        + "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 30)),
        "button: " + "[" * 1000,
    ],
)
def test_a_structure_that_data_or_its_own_size_could_change_is_not_sent(source: str) -> None:
    with pytest.raises((Unrenderable, TemplateProblems)):
        render(source, {"x": "url"}, "viber.yaml.j2")


def test_values_take_their_places_on_every_way_through_a_structure() -> None:
    source = (
        'url: "https://shop.example.com/{{ event.x }}?{{ event.y }}"\n{% if event.y %}actions:\n{%'
        ' for one in event.list %}  - {action: "a{{ loop.index }}", title: "{{ one }} {{ event.x'
        ' }}"}\n{% endfor %}{% endif %}'
    )
    push = {"web_push.title.j2": "t", "web_push.text.j2": "t", "web_push.yaml.j2": source}
    templates = TemplateSet.from_sources({"t": push})
    for x, y, names in (("b", 1, ["c"]), ("d", 0, []), ("value", 2, ["', x: y", '"', "\\1"])):
        given = context({"x": x, "y": y, "list": names})
        parts = templates.render("t", "web_push", given).parts
        assert parts["yaml"]["url"] == f"https://shop.example.com/{x}?{y}"
        actions = [{"action": f"a{n}", "title": f"{name} {x}"} for n, name in enumerate(names, 1)]
        assert parts["yaml"].get("actions", []) == actions


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_value_is_cut_so_that_the_whole_text_fits(parts: int) -> None:
    source = (
        "Привіт, "
        + "я" * 20
        + " {{ event.x | truncate_sms("
        + str(parts)
        + ") }} https://shop.example.com/"
    )
    text = render(source, {"x": "слово " * 90})["text"]
    assert count(text).parts == parts and text.endswith("… https://shop.example.com/")
    assert render("{{ event.x | truncate_sms(1) | upper }}!", {"x": "слово"})["text"] == "СЛОВО!"


@pytest.mark.parametrize(
    "source",
    ["{{ event.x | truncate_sms }}{{ event.x | truncate_sms }}", "{{ 1 | truncate_sms(99) }}"],
)
def test_only_one_value_of_a_text_can_be_the_one_that_is_cut(source: str) -> None:
    with pytest.raises(Unrenderable, match="truncate_sms"):
        render(source, {"x": "a"})


def test_what_nobody_sees_is_taken_out_and_an_empty_text_is_not_sent() -> None:
    hidden = "a\u202eb\u061cc\ufeffd\x00e\ud800f"
    assert render("{{ event.x }}", {"x": hidden})["text"] == "abcdef"
    with pytest.raises(Unrenderable) as caught:
        render("  {{ event.x }} ", {"x": "\u202e"})
    assert caught.value.reason is Reason.TEMPLATE_ERROR


def test_an_encoded_word_never_becomes_a_subject() -> None:
    with pytest.raises(Unrenderable):
        sources = {"t": {"email.subject.j2": "x {{ event.x }}", "email.text.j2": "x"}}
        TemplateSet.from_sources(sources).render(
            "t", "email", context({"x": "=?UTF-8?Q?=0A?=Bcc: a@b"})
        )


def test_data_without_end_is_refused() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(Unrenderable):
        render("x {{ event.y }}", {"x": deep, "y": 1})


def test_the_methods_that_there_are_can_be_called() -> None:
    assert render(
        "{{ event.x.upper() }}{% for n in range(2) %}{{ loop.cycle('a', 'b') }}{% endfor %}",
        {"x": "x"},
    ) == {"text": "Xab"}
    assert Conditions().compile("event.x.lower() == 'x'").evaluate({"event": {"x": "X"}}) is True
    assert (
        Conditions()
        .compile("event.x.lower == null and event.get == null")
        .evaluate({"event": {"x": "X"}})
        is True
    )
    with pytest.raises(ConditionError, match="format"):
        Conditions().compile("'{:>1000000000}'.format(1) == 'a'")


def test_a_condition_that_nests_too_deeply_is_refused() -> None:
    for expression in ("(" * 400 + "1" + ")" * 400, "[" * 400 + "1" + "]" * 400):
        with pytest.raises(ConditionError):
            Conditions().compile(expression)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "NaN", "1e9999999", "1e-9999999"])
def test_what_is_no_number_of_this_world_is_not_printed(number: object) -> None:
    for source in ("{{ event.x | money('UAH') }}", "{{ event.x | number }}"):
        with pytest.raises(Unrenderable):
            render(source, {"x": number})


def test_ordinary_work_is_within_the_limits() -> None:
    rows = [{"name": f"Парфуми {number}", "price": number} for number in range(500)]
    row = (
        "{% for item in event.items %}<tr><td>{{ item.name | upper }}</td><td>{{ item.price |"
        " money('UAH') }}</td></tr>"
    )
    source = (
        row + "{% endfor %}{{ event.items | map(attribute='price') | sum }} {{ [event.a, event.b] |"
        " join(', ') }}"
    )
    sources = {"email.subject.j2": "x", "email.html.j2": source}
    rendered = TemplateSet.from_sources({"t": sources}).render(
        "t", "email", context({"items": rows, "a": 1, "b": "c"})
    )
    assert rendered.parts["html"].endswith("124750 1, c")


@pytest.mark.parametrize(
    "expression",
    [
        "'{:>1000000000}'.format(1)",
        "'x' * 10 ** 9",
        "event.__class__",
        "().__class__",
        "9 ** 9 ** 9",
    ],
)
def test_conditions_have_the_same_walls(expression: str) -> None:
    try:
        value = Conditions().compile(expression).evaluate({"event": {}})
    except ConditionError:
        return
    assert value is None
