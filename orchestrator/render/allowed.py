"""
The filters and tests of the sandbox, all of them by name, and what each one costs.

What a filter or test reads is paid for before it runs. Those of Jinja's whose work could not be
bounded by that are written anew here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from jinja2 import Environment, TemplateRuntimeError, pass_environment, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.filters import (
    do_float,
    do_int,
    do_join,
    do_round,
    do_sum,
    do_urlencode,
    make_attrgetter,
)
from jinja2.nodes import EvalContext

from orchestrator.render.budget import TEXT_A_ROUND, built, paid, seek, spend, weight
from orchestrator.render.data import printable
from orchestrator.render.graphemes import whole_length
from orchestrator.render.problems import NullValue
from orchestrator.render.text import clean

LENGTH_MAX = 10_000
JOINED_MAX = 300_000
DIGITS_MAX = 400
STRIPPED_MAX = 32
ATTRIBUTE_MAX = 100
DECIMALS_MAX = 15


class Price(NamedTuple):
    """
    Rounds: for a call, for each item of the list it goes over, and how often what it reads is
    counted (see ``budget.weight``).
    """

    call: int = 1
    item: int = 0
    read: int = 1


FREE, LETTERS = Price(read=0), Price(read=64)
FILTERS = {
    "abs": FREE,
    "batch": Price(item=1),
    "capitalize": Price(read=2),
    "count": FREE,
    "d": FREE,
    "default": FREE,
    "dictsort": Price(item=2, read=2),
    "e": Price(read=8),
    "escape": Price(read=8),
    "first": FREE,
    "float": FREE,
    "groupby": Price(item=4, read=2),
    "int": FREE,
    "items": Price(),
    "join": Price(item=1),
    "last": FREE,
    "length": FREE,
    "list": Price(read=4),
    "lower": Price(read=2),
    "map": Price(item=1, read=0),
    "max": Price(item=1),
    "min": Price(item=1),
    "reject": Price(item=1, read=0),
    "rejectattr": Price(item=1, read=0),
    "replace": Price(),
    "reverse": Price(read=4),
    "round": FREE,
    "select": Price(item=1, read=0),
    "selectattr": Price(item=1, read=0),
    "slice": Price(item=1),
    "sort": Price(item=2, read=2),
    "string": Price(),
    "striptags": LETTERS,
    "sum": Price(item=1, read=0),
    "title": LETTERS,
    "trim": Price(),
    "truncate": Price(),
    "unique": Price(item=1),
    "upper": Price(read=2),
    "urlencode": LETTERS,
    "wordcount": LETTERS,
}
TESTS = dict.fromkeys(
    (
        "boolean", "defined", "divisibleby", "even", "false", "float", "integer", "iterable",
        "mapping", "none", "number", "odd", "sameas", "sequence", "string", "true", "undefined"
    ),
    FREE,
) | dict.fromkeys(
    (
        "eq", "equalto", "ge", "greaterthan", "gt", "in", "le", "lessthan", "lower", "lt", "ne",
        "upper", "==", "!=", ">", ">=", "<", "<="
    ),
    Price(),
)  # fmt: skip
ATTRIBUTE_AT = {
    "groupby": 0, "join": 1, "map": 9, "max": 1, "min": 1, "rejectattr": 0, "selectattr": 0,
    "sort": 2, "sum": 0, "unique": 1,
}  # fmt: skip
"""Where a filter's attribute stands among its arguments, after its value."""
SIZED = frozenset({"batch", "join", "list", "replace", "slice", "truncate"})
BUILDING = frozenset({"batch", "slice", "map", "groupby"})
WORDY = frozenset({
    "capitalize", "e", "escape", "lower", "replace", "string", "striptags", "title", "trim",
    "truncate", "upper", "wordcount"
})  # fmt: skip


def bounded(name: str, filter: Callable[..., Any], price: Price) -> Callable[..., Any]:
    """A filter that is paid for, and whose result has a limit."""
    passes, sized, wordy = hasattr(filter, "jinja_pass_arg"), name in SIZED, name in WORDY

    def limited(*arguments: Any, **options: Any) -> Any:
        given = arguments[1:] if passes else arguments
        pay(name, price, given, options)
        if sized and any(
            isinstance(one, int) and abs(one) > LENGTH_MAX
            for one in (*given[1:], *options.values())
        ):
            raise SecurityError("a size that large is not allowed")
        if wordy and any(isinstance(one, list | tuple | dict) for one in given):
            raise TemplateRuntimeError(f"the filter {name} takes text, not a list or mapping")
        try:
            result = filter(*arguments, **options)
            if type(result) is not str and isinstance(result, Iterator):
                result = list(islice(result, JOINED_MAX + 1))
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TemplateRuntimeError(f"the filter {name} cannot take this value") from error
        if isinstance(result, str | list) and len(result) > JOINED_MAX:
            raise SecurityError("a result that long is not allowed")
        return built(result) if name in BUILDING else paid(result)

    for mark in ("jinja_pass_arg", "jinja_async_variant"):
        if hasattr(filter, mark):
            setattr(limited, mark, getattr(filter, mark))
    return limited


def pay(name: str, price: Price, given: Sequence[Any], options: dict[str, Any]) -> None:
    """Pay for a call of a filter with these arguments, its value first."""
    rounds = price.call
    if price.read:
        for one in (*given, *options.values()) if options else given:
            if type(one) is not str or len(one) >= TEXT_A_ROUND:  # short texts are free
                rounds += price.read * weight(one)
    if price.item and given and isinstance(given[0], list | tuple | dict | str | range):
        rounds += price.item * len(given[0]) * steps(name, given, options)
    spend(rounds)


def steps(name: str, given: Sequence[Any], options: dict[str, Any]) -> int:
    """How many look-ups the attribute of a filter is: 3 for ``'a.b,c'``."""
    at = ATTRIBUTE_AT.get(name, LENGTH_MAX) + 1
    attribute = options.get("attribute", given[at] if len(given) > at else None)
    if not isinstance(attribute, str):
        return 1
    if len(attribute) > ATTRIBUTE_MAX:
        raise SecurityError("an attribute that long is not allowed")
    return 1 + attribute.count(".") + attribute.count(",")


def bounded_test(test: Callable[..., Any], price: Price) -> Callable[..., Any]:
    """A test that is paid for."""

    def limited(*arguments: Any) -> Any:
        rounds = price.call
        if price.read:
            for one in arguments:
                rounds += weight(one)
            if len(arguments) > 1 and all(isinstance(one, str) for one in arguments):
                seek(*arguments[:2])
        spend(rounds)
        return test(*arguments)

    return limited


def replace(text: Any, old: str, new: str, count: int | None = None) -> str:
    """``replace`` whose result may not be longer than the text itself by much."""
    found, old, new = str(printable(text)), str(old), str(new)
    seek(old, found)
    times = found.count(old) if count is None else count
    if len(found) + len(new) * times > JOINED_MAX:
        raise SecurityError("a replacement that long is not allowed")
    return found.replace(old, new, -1 if count is None else count)


@pass_eval_context
def join(context: EvalContext, values: Any, d: str = "", attribute: str | int | None = None) -> Any:
    """The values as one text, each printed as if it stood alone."""
    if attribute is not None:
        values = map(make_attrgetter(context.environment, attribute), values)
    texts = [printable(one) for one in values]
    if any(one is None for one in texts):
        raise NullValue("a value is null")
    if sum(len(str(one)) for one in texts) + len(texts) * len(str(printable(d))) > JOINED_MAX:
        raise SecurityError("a text that long is not allowed")
    return do_join(context, texts, d)


@pass_environment
def total(
    environment: Environment, values: Any, attribute: str | int | None = None, start: float = 0
) -> Any:
    """``sum`` of numbers alone: lists would be copied again for each one that is added."""
    if not isinstance(start, int | float):
        raise TemplateRuntimeError("the filter sum adds up numbers")
    return do_sum(environment, values, attribute, start)


def rounded(value: float, precision: int = 0, method: Any = "common") -> float:
    if not isinstance(precision, int) or abs(precision) > DECIMALS_MAX:
        raise SecurityError(f"round takes at most {DECIMALS_MAX} decimals")
    return do_round(value, precision, method)


def trim(value: Any, chars: str | None = None) -> str:
    if chars is not None and len(chars) > STRIPPED_MAX:
        raise SecurityError(f"trim takes at most {STRIPPED_MAX} characters")
    return as_text(value).strip(chars)


def truncate(
    value: Any, length: int = 255, killwords: bool = False, end: str = "...", leeway: int = 5
) -> str:
    """
    At most ``length`` characters with ``end``, back to a word's end unless ``killwords``; a text
    that is longer by no more than ``leeway`` stays. No cluster of characters is cut in two.
    """
    text, room = as_text(value), length - len(end)
    if room < 0 or leeway < 0:
        raise TemplateRuntimeError(f"truncate takes a length of at least {len(end)}")
    if len(text) <= length + leeway:
        return text
    kept = text[: whole_length(text, room)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def to_int(value: Any, default: Any = 0, base: int = 10) -> Any:
    return do_int(numeric(value), default, base)


def to_float(value: Any, default: Any = 0.0) -> Any:
    """``float``; what is not finite is no number, and becomes the default."""
    found = do_float(numeric(value), default)
    return found if not isinstance(found, float) or math.isfinite(found) else default


def numeric(value: Any) -> Any:
    """A value that may be a number; a text of more than ``DIGITS_MAX`` letters is none."""
    return "" if isinstance(value, str) and len(value) > DIGITS_MAX else value


def as_text(value: Any) -> str:
    """A value's text; HTML stays HTML."""
    if isinstance(value, str):
        return value
    if value is None:
        raise NullValue("a value is null")
    return str(printable(value))


def urlencode(value: Any) -> str:
    return do_urlencode(clean(value) if isinstance(value, str) else value)


OWN: dict[str, Callable[..., Any]] = {
    "float": to_float,
    "int": to_int,
    "join": join,
    "replace": replace,
    "round": rounded,
    "string": as_text,
    "sum": total,
    "trim": trim,
    "truncate": truncate,
    "urlencode": urlencode,
}


def allow(environment: Environment) -> None:
    """Leave an environment the filters and tests there are, each of them bounded."""
    known = {**environment.filters, **OWN}
    environment.filters = {name: bounded(name, known[name], FILTERS[name]) for name in FILTERS}
    tests: dict[str, Any] = {**environment.tests}
    environment.tests = {name: bounded_test(tests[name], price) for name, price in TESTS.items()}
