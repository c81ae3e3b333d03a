"""
Texts with expressions in them (``"Bearer {{ token }}"``), outside of templates: compiled once, over
named values, with the limits of every expression.

A text that is one expression and nothing else has the expression's own value, which may be a list,
a mapping or a number. What is absent is an error: no text is made with a hole in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import TemplateRuntimeError

from orchestrator.render.allowed import Price, bounded
from orchestrator.render.conditions import CompiledAlone, Expression, Null
from orchestrator.render.data import printable
from orchestrator.render.environment import SafeEnvironment
from orchestrator.render.problems import ConditionError

TEXT_LENGTH_MAX = 10_000
Encode = Callable[[str], str]


def between(value: Any, left: str, right: str) -> str:
    """What stands in a text after the first ``left`` and before the next ``right``."""
    _, found, rest = str(value).partition(left)
    inside, closed, _ = rest.partition(right)
    if not found or not closed:
        raise TemplateRuntimeError(f"the text has nothing between {left!r} and {right!r}")
    return inside


def end_of(name: str, values: Any) -> Any:
    """The first or last of a list or of a mapping's keys; a text has none."""
    if not isinstance(values, list | dict) or not values:
        raise TemplateRuntimeError(f"the filter {name} takes a list or mapping that is not empty")
    return list(values)[0 if name == "first" else -1]


def environment(undefined: Any) -> SafeEnvironment:
    made = SafeEnvironment(undefined=undefined)
    made.filters["between"] = bounded("between", between, Price(read=64))
    for name in ("first", "last"):
        made.filters[name] = bounded(name, partial(end_of, name), Price())
    made.keep_trailing_newline = True
    return made


class Text:
    """One compiled text; ``source`` is how it was written."""

    def __init__(self, source: str, pieces: tuple[str | Expression, ...]) -> None:
        self.source = source
        self.pieces = pieces

    def value(self, scope: Mapping[str, Any]) -> Any:
        """
        The value of the only expression, else the text. Raises ``ConditionError`` where something
        is absent or cannot be evaluated.
        """
        if len(self.pieces) == 1 and isinstance(self.pieces[0], Expression):
            found = self.pieces[0].evaluate(scope)
            if found is None:
                raise ConditionError(f"{self.source!r} has no value")
            return found
        return self.text(scope)

    def text(self, scope: Mapping[str, Any], encode: Encode | None = None) -> str:
        """The text; ``encode`` is applied to the value of every expression in it."""
        return "".join(
            piece if isinstance(piece, str) else self._shown(piece, scope, encode)
            for piece in self.pieces
        )

    def _shown(self, piece: Expression, scope: Mapping[str, Any], encode: Encode | None) -> str:
        found = piece.evaluate(scope)
        if found is None:
            raise ConditionError(f"{piece.source!r} has no value")
        try:
            shown = str(printable(found))
        except TemplateRuntimeError as error:
            raise ConditionError(f"{piece.source!r}: {error}") from error
        return encode(shown) if encode is not None else shown


class Texts(CompiledAlone):
    """Compiles texts and conditions over the values of these names."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(names)
        self._strict, self._lenient = environment(StrictUndefined), environment(Null)

    def condition(self, source: str) -> Expression:
        """An expression without braces; what is absent in it is null. Raises ``ConditionError``."""
        return self.alone(self._lenient, source)

    def text(self, source: str, pieces: tuple[str, ...] | None = None) -> Text:
        """
        A text; of ``pieces`` every second one is taken as it is. Raises ``ConditionError`` with
        what is wrong.
        """
        found: list[str | Expression] = []
        for index, piece in enumerate(pieces or (source,)):
            if index % 2:
                found.append(piece)
                continue
            if len(piece) > TEXT_LENGTH_MAX:
                raise ConditionError(f"it is longer than {TEXT_LENGTH_MAX} characters")
            for node in self.parsed(self._strict, piece):
                if isinstance(node, nodes.TemplateData):
                    found.append(node.data)
                else:
                    found.append(Expression(source, self.compiled(self._strict, node)))
        return Text(source, tuple(found))
