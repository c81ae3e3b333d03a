"""What is wrong with the use of one of our filters, as far as its constant arguments say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from babel import Locale
from jinja2 import nodes

from orchestrator.channels.registry import channels
from orchestrator.render.filters import CATEGORIES, DATE_STYLES, OURS, babel_locale
from orchestrator.render.missing import path_of
from orchestrator.render.problems import NullValue, UnknownValue

USAGE: Mapping[str, str] = {
    "money": "write {{ event.total | money('UAH') }}",
    "number": "write {{ event.total | number }}",
    "date": "write {{ event.eta | date('long') }}",
    "plural": "write {{ n | plural('item', 'items') }}, one form for each of the language's",
    "vocative": "write {{ recipient.first_name | vocative }}",
    "gender": "write {{ recipient | gender('for him', 'for her', 'for anybody') }}",
    "link": "write {{ event.url | link }}, with a URL that begins with https://",
    "link_to": "write {{ 'the channel' | link_to }}, with the name of a messenger's channel",
    "truncate_sms": "write {{ event.name | truncate_sms(1) }}",
    "smart_sms": "write {{ event.name | smart_sms }}",
    "transliterate": "write {{ event.name | transliterate }}",
}
NUMBERS = (1, 2, 5, 1.5)
TRIED: Mapping[str, tuple[Any, ...]] = {
    "money": NUMBERS,
    "number": NUMBERS,
    "plural": NUMBERS,
    "date": ("2026-11-21T10:00:00+02:00", "2026-11-21"),
    "gender": ({"gender": "female"}, {"gender": "male"}),
    "link": ("https://shop.example/page",),
    "link_to": tuple(channels()),
}
PARTS_MAX = 10
CLDR_LETTERS = frozenset("GyYuUQqMLwWdDFgEecabBhHKkjmsSAzZOvVXx")
COMMON_INTEGERS = 201
CYRILLIC_LETTER = re.compile(r"[\u0400-\u04ff]")
CYRILLIC = frozenset(("be", "bg", "ce", "kk", "ky", "mk", "mn", "os", "ru", "sr", "tg", "uk"))
"""Languages of CLDR that are written in Cyrillic letters, some of them in others, too."""


@dataclass(frozen=True, slots=True)
class FilterProblem:
    """What is wrong and how to fix it; ``forms`` if the language has other plural forms."""

    what: str
    fix: str
    forms: bool = False


def constant_filter_problem(node: nodes.Filter, locale: str) -> FilterProblem | None:
    """Why a filter can only fail in a locale, None where it may work."""
    usage = USAGE.get(node.name)
    values = constants(node)
    if usage is None or values is None:
        return None
    given, options = values
    check = CHECKS.get(node.name)
    problem = check(node, given, locale) if check is not None else None
    if problem is not None:
        return problem
    own = [node.node.value] if isinstance(node.node, nodes.Const) else TRIED.get(node.name, ("a",))
    error: Exception | None = None
    for value in own:
        try:
            call(OURS[node.name], locale, value, given, options)
        except (UnknownValue, NullValue):
            return None
        except TypeError:
            error = TypeError(f"{node.name} does not take these arguments")
        except Exception as raised:  # whatever a filter may raise is what the check is after
            error = raised
        else:
            return None
    detail = str(error)
    what = detail if node.name in detail else f"{node.name}: {detail}"
    return FilterProblem(what, usage)


def constants(node: nodes.Filter) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments of a filter if all are constant, else None."""
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return None
    try:
        options = {str(one.key): one.value.as_const() for one in node.kwargs}
        return [one.as_const() for one in node.args], options
    except nodes.Impossible:
        return None


def call(
    filter: Callable[..., Any], locale: str, value: Any, given: list[Any], options: dict[str, Any]
) -> Any:
    """The result of a filter outside of a template."""
    context = {"_locale": locale, "_time_zone": "Europe/Kyiv", "_link": None, "_link_to": None}
    first = [context] if hasattr(filter, "jinja_pass_arg") else []
    return filter(*first, value, *given, **options)


def plural_problem(node: nodes.Filter, forms: list[Any], locale: str) -> FilterProblem | None:
    """A form must be there for each category that whole numbers reach, and none for others."""
    order, reached = categories(locale)
    least, most = len(reached), len(order)
    language = babel_locale(locale).language
    if language not in CYRILLIC and any(CYRILLIC_LETTER.search(str(form)) for form in forms):
        what = f"plural has forms in Cyrillic letters, and the file's language is {language}"
        return FilterProblem(what, "write the forms of the file's language", forms=True)
    if not forms or least <= len(forms) <= most:
        return None
    count = f"{len(forms)} form{'s' if len(forms) != 1 else ''}"
    names = reached if len(forms) < least else order
    need = f"needs {least}" if len(forms) < least else f"has {most}"
    what = f"plural has {count}, and {language} {need}: {', '.join(names)}"
    blank = ", ".join(f"'…{name}'" for name in reached)
    return FilterProblem(what, f"write plural({blank}), {least} forms", forms=True)


@cache
def categories(locale: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The plural categories of a locale in CLDR's order, and those that common integers reach."""
    rule = babel_locale(locale).plural_form
    tags = rule.tags | {"other"}
    reached = {rule(number) for number in range(COMMON_INTEGERS)}
    order = tuple(name for name in CATEGORIES if name in tags)
    return order, tuple(name for name in order if name in reached)


def money_problem(node: nodes.Filter, given: list[Any], locale: str) -> FilterProblem | None:
    if len(given) != 1 or not isinstance(given[0], str):
        what = "money needs a currency" if not given else "money takes one currency, as a text"
        return FilterProblem(what, USAGE["money"])
    if given[0] not in currencies():
        return FilterProblem(f"money: {given[0]!r} is no currency of ISO 4217", USAGE["money"])
    return None


@cache
def currencies() -> frozenset[str]:
    return frozenset(Locale("en").currencies)


def date_problem(node: nodes.Filter, given: list[Any], locale: str) -> FilterProblem | None:
    style = given[0] if given else "medium"
    if not isinstance(style, str):
        return FilterProblem("date takes a style as a text", USAGE["date"])
    if style in DATE_STYLES:
        return None
    letters = set(re.findall("[A-Za-z]", re.sub("'[^']*'", "", style)))
    other_systems = "%" in style or re.search("DD|YYYY", style) is not None
    if other_systems or letters - CLDR_LETTERS or not letters:
        fix = "write a CLDR pattern such as date('dd.MM.yyyy'), or date('long')"
        return FilterProblem(f"date: {style!r} is neither a style nor a CLDR pattern", fix)
    return None


def gender_problem(node: nodes.Filter, given: list[Any], locale: str) -> FilterProblem | None:
    path = path_of(node.node) if node.node is not None else None
    if path in (("recipient", "gender"), ("event",)):
        return FilterProblem("gender takes the whole recipient", f"{USAGE['gender']}")
    if not all(isinstance(one, str) for one in given):
        return FilterProblem("gender takes forms as texts", USAGE["gender"])
    return None


def truncate_problem(node: nodes.Filter, given: list[Any], locale: str) -> FilterProblem | None:
    parts = given[0] if given else 1
    if len(given) > 1 or type(parts) is not int or not 1 <= parts <= PARTS_MAX:
        what = f"truncate_sms takes a number of parts from 1 to {PARTS_MAX}"
        return FilterProblem(what, USAGE["truncate_sms"])
    return None


CHECKS: Mapping[str, Callable[[nodes.Filter, list[Any], str], FilterProblem | None]] = {
    "plural": plural_problem,
    "money": money_problem,
    "date": date_problem,
    "gender": gender_problem,
    "truncate_sms": truncate_problem,
}
