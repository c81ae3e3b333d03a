"""The errors of a template, before and while it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2.exceptions import UndefinedError

from orchestrator.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """Found when templates are loaded: where, what, and how to fix it."""

    path: str
    line: int
    column: int
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.what}; {self.fix}"


class TemplateProblems(Exception):
    """Everything that is wrong with a set of templates."""

    def __init__(self, problems: Sequence[TemplateProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class Unrenderable(Exception):
    """
    A step cannot be rendered: it is skipped with this reason, never sent with a hole.

    ``detail`` names the variable or the fault, ``where`` the file.
    """

    def __init__(self, reason: Reason, detail: str, where: str) -> None:
        self.said = f"{detail} in {where}" if where else detail
        super().__init__(f"{reason}: {self.said}")
        self.reason = reason
        self.detail = detail
        self.where = where


class ConditionError(ValueError):
    """An expression that cannot be compiled, or not be evaluated over this scope."""


class NullValue(UndefinedError):
    """A value that is null where a text needs one; ``missing`` finds out which."""


class UnknownValue(UndefinedError):
    """Something that a filter needs to know and does not. Its text holds no value of the data."""
