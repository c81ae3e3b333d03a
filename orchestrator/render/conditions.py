"""
Conditions of policies: one Jinja expression, compiled once, over ``event``, ``ce``, ``recipient``,
``message``, ``goal``.

What is absent is null, however deep: ``null != false`` is true, an attribute of null is null. A
comparison that makes no sense (``null >= 300``) is an error, not a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateSyntaxError, Undefined, nodes
from jinja2.environment import TemplateExpression

from orchestrator.render.budget import begin
from orchestrator.render.environment import SafeEnvironment
from orchestrator.render.problems import ConditionError
from orchestrator.render.syntax import NESTING_MAX, count_rounds, depth, unavailable

NAMES = frozenset(
    {
        "event",
        "ce",
        "recipient",
        "message",
        "goal",
        "now",
        "true",
        "false",
        "none",
        "null",
        "True",
        "False",
        "None",
    }
)
EXPRESSION_LENGTH_MAX = 1_000


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
    """Compiles expressions that stand alone, outside of a template."""

    @staticmethod
    def look_through(tree: nodes.Template) -> None:
        """Raises ``ConditionError`` if there is something in it that is not available."""
        if depth(tree) > NESTING_MAX:
            raise ConditionError("the expression nests too deeply")
        if (wrong := unavailable(tree)) is not None:
            raise ConditionError(wrong[0])

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
            what = "the expression nests too deeply, or has a number that large"
            raise ConditionError(what) from error
        return TemplateExpression(template, undefined_to_none=False)


class Conditions(CompiledAlone):
    """Compiles expressions; one for all."""

    def __init__(self) -> None:
        self._environment = SafeEnvironment(undefined=Null)

    @staticmethod
    def filters() -> list[str]:
        """The names of all filters."""
        return sorted(SafeEnvironment().filters)

    @staticmethod
    def tests() -> list[str]:
        """The names of all tests."""
        return sorted(SafeEnvironment().tests)

    def compile(self, expression: str) -> Expression:
        """Raises ``ConditionError`` with what is wrong."""
        if len(expression) > EXPRESSION_LENGTH_MAX:
            raise ConditionError(
                f"the expression is longer than {EXPRESSION_LENGTH_MAX} characters"
            )
        try:
            tree = self._environment.parse("{{ " + expression + " }}")
            output = tree.body[0] if len(tree.body) == 1 else None
            if not isinstance(output, nodes.Output) or len(output.nodes) != 1:
                raise ConditionError(f"{expression!r} is not one expression")
            self.look_through(tree)
            unknown = sorted({name.name for name in tree.find_all(nodes.Name)} - NAMES)
            if unknown:
                known = "event, ce, recipient, message, goal"
                raise ConditionError(f"there is no {unknown[0]!r} in conditions: use {known}")
            return Expression(expression, self.compiled(self._environment, output.nodes[0]))
        except TemplateSyntaxError as error:
            raise ConditionError(f"{error.message}") from error
        except (RecursionError, MemoryError, ValueError) as error:
            if isinstance(error, ConditionError):
                raise
            raise ConditionError(
                "the expression nests too deeply, or has a number that large"
            ) from error
