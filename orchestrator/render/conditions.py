"""
Conditions of policies: one Jinja expression, compiled once, over ``event``, ``ce``, ``recipient``,
``message``, ``goal``.

What is absent is null, however deep: ``null != false`` is true, an attribute of null is null. A
comparison that makes no sense (``null >= 300``) is an error, not a guess.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from typing import Any

from jinja2 import TemplateSyntaxError, Undefined, nodes
from jinja2.environment import TemplateExpression

from orchestrator.render.budget import begin
from orchestrator.render.environment import SafeEnvironment
from orchestrator.render.problems import ConditionError
from orchestrator.render.syntax import NESTING_MAX, count_rounds, depth, unavailable

NAMES = ("event", "ce", "recipient", "message", "goal", "now")
JOURNEY_NAMES = (*NAMES, "exit", "journey", "last")
"""What the expressions of journeys may name besides."""
LITERALS = frozenset({"true", "false", "none", "null", "True", "False", "None"})
EXPRESSION_LENGTH_MAX = 1_000
KEPT_MAX = 1_000
TOO_DEEP = "it nests too deeply, or has a number that large"


class Null(Undefined):
    """An absent value: falsy and equal to null; its members are absent, too."""

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        return self

    def __getitem__(self, key: Any) -> Any:
        return self

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Undefined)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(None)


class Expression:
    """One compiled expression."""

    def __init__(self, source: str, compiled: Any) -> None:
        self.source = source
        self._compiled = compiled

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Its value over a scope. Raises ``ConditionError`` where it cannot be evaluated."""
        begin()
        try:
            value = self._compiled(**scope, null=None)
        except Exception as error:  # an expression over outside data may raise anything at all
            raise ConditionError(f"{self.source!r} cannot be evaluated: {error}") from error
        return None if isinstance(value, Undefined) else value


class CompiledAlone:
    """Compiles expressions over values of these names that stand alone, outside of a template."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)

    def alone(self, environment: SafeEnvironment, source: str) -> Expression:
        """What is one expression, without braces. Raises ``ConditionError``."""
        if len(source) > EXPRESSION_LENGTH_MAX:
            raise ConditionError(f"it is longer than {EXPRESSION_LENGTH_MAX} characters")
        found = self.parsed(environment, "{{ " + source + " }}")
        if len(found) != 1:
            raise ConditionError(f"{source!r} is not one expression")
        return Expression(source, self.compiled(environment, found[0]))

    def parsed(self, environment: SafeEnvironment, source: str) -> list[nodes.Expr]:
        """
        The literal texts and expressions of a source. Raises ``ConditionError`` if there is
        something in it that is not available.
        """
        try:
            tree = environment.parse(source)
        except TemplateSyntaxError as error:
            raise ConditionError(f"{error.message}") from error
        except (RecursionError, MemoryError, ValueError) as error:
            raise ConditionError(TOO_DEEP) from error
        found: list[nodes.Expr] = []
        for node in tree.body:
            if not isinstance(node, nodes.Output):
                raise ConditionError("there are only {{ expressions }} here, no {% statements %}")
            found += node.nodes
        if depth(tree) > NESTING_MAX:
            raise ConditionError("it nests too deeply")
        if (wrong := unavailable(tree)) is not None:
            raise ConditionError(wrong[0])
        unknown = sorted({name.name for name in tree.find_all(nodes.Name)} - self._names - LITERALS)
        if unknown:
            near = difflib.get_close_matches(unknown[0], self._names, n=1, cutoff=0.6)
            known = ", ".join(sorted(self._names))
            fix = f"did you mean {near[0]!r}?" if near else f"there are {known}"
            raise ConditionError(f"there is no {unknown[0]!r} here: {fix}")
        return found

    @staticmethod
    def compiled(environment: SafeEnvironment, expression: nodes.Expr) -> TemplateExpression:
        """The expression as a function of its scope, paying for what it does. Raises as above."""
        result = nodes.Template(
            [nodes.Assign(nodes.Name("result", "store"), expression, lineno=1)], lineno=1
        )
        count_rounds(result)
        try:
            template = environment.from_string(result)
        except TemplateSyntaxError as error:
            raise ConditionError(f"{error.message}") from error
        except (RecursionError, MemoryError, ValueError) as error:
            raise ConditionError(TOO_DEEP) from error
        return TemplateExpression(template, undefined_to_none=False)


class Conditions:
    """Compiles expressions over an event's names."""

    @staticmethod
    def filters() -> list[str]:
        """The names of all filters."""
        return sorted(SafeEnvironment().filters)

    @staticmethod
    def tests() -> list[str]:
        """The names of all tests."""
        return sorted(SafeEnvironment().tests)

    def compile(self, expression: str, names: tuple[str, ...] = NAMES) -> Expression:
        """Raises ``ConditionError`` with what is wrong."""
        return _condition(expression, names)


@cache
def _environment() -> SafeEnvironment:
    return SafeEnvironment(undefined=Null)


@lru_cache(maxsize=KEPT_MAX)
def _condition(source: str, names: tuple[str, ...]) -> Expression:
    """Compiling costs milliseconds, and a check compiles what the service then runs."""
    return CompiledAlone(names).alone(_environment(), source)
