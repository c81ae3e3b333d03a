"""Whatever the data is, an evaluation ends: all that it reads and makes is paid for."""

from __future__ import annotations

from datetime import UTC, datetime
from time import thread_time
from typing import Any

import pytest

from orchestrator.core.reasons import Reason
from orchestrator.render import (
    ConditionError,
    Conditions,
    RenderContext,
    TemplateSet,
    Unrenderable,
    budget,
)
from orchestrator.render.allowed import FILTERS, TESTS
from orchestrator.render.compiling import ENVIRONMENTS
from orchestrator.render.filters import OURS, PRICES

BYTES = 262_144
SIZES = (BYTES // 16, BYTES // 4, BYTES)
ARGUMENTS = {
    "batch": "(2)", "d": "('x')", "default": "('x')", "groupby": "('a')", "map": "('string')",
    "money": "('UAH')", "plural": "('a', 'b')", "reject": "('eq', event.x)",
    "rejectattr": "('a')", "replace": "('a', 'b')", "select": "('in', event.x)",
    "selectattr": "('a')", "slice": "(3)", "gender": "('a', 'b', 'c')",
}  # fmt: skip
OPERATORS = [
    "event.x == event.y", "event.x < event.y", "event.x != event.y", "event.y in event.x",
    "event.x not in event.y", "'ab' in event.x", "1 in event.x", "event.x ~ 'a'",
    "event.x + event.x", "event.x * 2", "event.x[1:]", "event.x[::-1]", "[event.x]",
    "{'a': event.x}", "event.x.upper()", "event.x.strip('a')", "event.x.title()",
    "event.x.startswith(event.y)", "loop.changed(event.x)", "loop.cycle(event.x, event.y)",
]  # fmt: skip
LAZY = [
    "event.x|select('in', event.y)|list|length",
    "event.x|reject('eq', event.y)|first",
    "event.x|selectattr('a', 'eq', event.y)|first",
    "event.x|map('int', 0)|max",
    "event.x|map(attribute='" + ".".join("a" * 50) + "')|list",
    "event.x|sort|unique|join(',')|wordcount",
    "event.x|groupby('a')|length",
    "event.x|sum(start=[])",
    "(event.x|string)|trim(event.y)",
]


def data(kind: str, size: int) -> Any:
    """A value whose JSON has so many bytes."""
    match kind:
        case "text":
            return "a-" * (size // 2)
        case "numbers":
            return list(range(size // 7))
        case "lists":
            return [[]] * (size // 3)
        case "texts":
            return [f"ab{number}" for number in range(size // 9)]
    return [{"a": number} for number in range(size // 13)]


def looped(expression: str) -> str:
    """A template that evaluates an expression 20 000 times, and prints nothing of it."""
    inner = "{% for j in range(20) %}{% if (" + expression + ") is string %}{% endif %}{% endfor %}"
    return "{% for i in range(1000) %}" + inner + "{% endfor %}y"


def seconds(source: str, event: dict[str, Any]) -> float:
    """This thread's time for one render, whatever its end."""
    templates = TemplateSet.from_sources({"t": {"sms.text.j2": source}})
    now = datetime(2026, 11, 21, tzinfo=UTC)
    context = RenderContext(event, {"id": "u"}, {}, now, "uk-UA", "Europe/Kyiv")
    began = thread_time()
    try:
        templates.render("t", "sms", context)
    except Unrenderable as error:
        assert error.reason in (Reason.TEMPLATE_ERROR, Reason.MISSING_VARIABLE)
    return thread_time() - began


READS = {name: int(price.read > 0) for name, price in TESTS.items() if name.isalpha()}
EXPRESSIONS = [
    *(f"event.x|{name}{ARGUMENTS.get(name, '')}" for name in (*FILTERS, *OURS)),
    *(
        f"event.x is {name}{more}"
        for name in READS
        for more in ("", "(event.y)")[READS[name] : READS[name] + 1]
    ),
    *OPERATORS,
    *LAZY,
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_takes_no_longer_the_more_data_there_is(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "CPU_SECONDS", 1e9)  # the allowance alone, not the clock
    kinds = ("texts", "lists", "dicts") if expression in LAZY else ("text", "dicts")
    for kind in kinds:
        times = [
            seconds(looped(expression), {"x": data(kind, size), "y": data(kind, size)})
            for size in SIZES
        ]
        # what is linear is paid for: from 16 KiB to 256 KiB, sixteen times the work would be
        # sixteen times the time; the allowance ends it where it always ends
        assert times[2] < 8 * max(times[0], 0.1), (kind, times)


@pytest.mark.parametrize("expression", LAZY[:6])
@pytest.mark.parametrize("kind", ["numbers", "texts", "dicts"])
def test_a_condition_that_takes_too_much_is_an_error_that_names_it(
    expression: str, kind: str
) -> None:
    scope = {"event": {"x": data(kind, BYTES), "y": data(kind, BYTES)}}
    with pytest.raises(ConditionError) as caught:
        Conditions().compile(expression).evaluate(scope)
    assert expression[:60] in str(caught.value)


def test_a_render_that_takes_too_much_names_the_line_as_its_author_wrote_it() -> None:
    files = {"sms.text.j2": "Hello\n{{ event.x|select('in', event.x)|list|length }}"}
    now = datetime(2026, 11, 21, tzinfo=UTC)
    event = {"x": data("numbers", BYTES)}
    context = RenderContext(event, {"id": "u"}, {}, now, None, "UTC")
    with pytest.raises(Unrenderable, match=r"line 2: \{\{ event.x\|select") as caught:
        TemplateSet.from_sources({"t": files}).render("t", "sms", context)
    assert caught.value.reason is Reason.TEMPLATE_ERROR


def test_the_clock_ends_an_evaluation_whose_allowance_was_too_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budget, "ROUNDS_MAX", 10**9)
    scope = {"event": {"x": data("numbers", BYTES), "y": data("numbers", BYTES)}}
    began = thread_time()
    with pytest.raises(ConditionError, match="takes more than 100 ms"):
        Conditions().compile(LAZY[0]).evaluate(scope)
    assert thread_time() - began < 10


def test_the_allowance_is_that_of_all_parts_of_a_message_together() -> None:
    half = "{% for i in range(1000) %}{% for j in range(6) %}{% endfor %}{% endfor %}"
    files = {"email.subject.j2": "s" + half, "email.text.j2": "t" + half, "email.html.j2": half}
    context = RenderContext({}, {}, {}, datetime(2026, 11, 21, tzinfo=UTC), None, "UTC")
    TemplateSet.from_sources({"t": dict(list(files.items())[:2])}).render("t", "email", context)
    with pytest.raises(Unrenderable, match="rounds"):
        TemplateSet.from_sources({"t": files}).render("t", "email", context)


def test_every_filter_and_test_is_there_by_name_and_has_a_price() -> None:
    assert OURS.keys() == PRICES.keys()
    for environment in ENVIRONMENTS.values():
        assert environment.filters.keys() == FILTERS.keys() | OURS.keys()
        assert environment.tests.keys() == TESTS.keys()


@pytest.mark.parametrize(
    "expression",
    [
        "event.x|select('in', event.owned)|list|length > 0",
        "'ab' in event.text and event.text|wordcount > 1 and event.text|length < 9999",
        "event.items|selectattr('price', 'ge', 100)|map(attribute='name')|join(', ') != ''",
        "event.items|sort(attribute='price')|map(attribute='price')|sum > 10",
        "event.items|groupby('kind')|length == 5",
        "event.items|map(attribute='price')|max >= 499 and event.items == event.items",
    ],
)
def test_work_on_an_ordinary_event_is_within_the_allowance(expression: str) -> None:
    event = {
        "x": list(range(200)),
        "owned": list(range(150, 350)),
        "text": "слово ab " * 500,
        "items": [{"name": f"n{n}", "price": n, "kind": n % 5} for n in range(500)],
    }
    assert Conditions().compile(expression).evaluate({"event": event}) is True
