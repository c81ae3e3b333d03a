"""One template file, parsed, checked and compiled for the sandbox of its part."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from typing import Any

from jinja2 import TemplateSyntaxError, pass_context
from jinja2.exceptions import TemplateError
from jinja2.runtime import Context

from orchestrator.channels.kinds import PARTS
from orchestrator.render.allowed import bounded
from orchestrator.render.data import printable
from orchestrator.render.environment import SafeEnvironment
from orchestrator.render.filters import OURS, PRICES
from orchestrator.render.missing import Path as Variable
from orchestrator.render.missing import paths
from orchestrator.render.problems import NullValue, TemplateProblem
from orchestrator.render.syntax import NESTING_MAX, count_rounds, depth, refused
from orchestrator.render.text import nfc
from orchestrator.render.yamlpart import keep, misplaced

SOURCE_BYTES_MAX = 262_144
KEPT_MAX = 2_048
"""Of compiled parts."""


def environment(part: str) -> SafeEnvironment:
    """
    The sandbox for one kind of part: HTML escapes itself, YAML escapes for double-quoted scalars.
    """
    made = SafeEnvironment(autoescape=part == "html")
    made.filters.update({name: bounded(name, OURS[name], PRICES[name]) for name in OURS})
    made.finalize = pass_context(finalize_yaml) if part == "yaml" else finalize
    return made


UNKNOWN = re.compile(r"No (filter|test) named '(.*)'")
FIXES = (
    ("'}'", "close it with }}"),
    ("end of print statement", "write {{ one expression }}; join texts with ~"),
    ("Expected an expression", "write an expression between {{ and }}"),
    ("unexpected end of template", "close {{ with }}, {% with %}"),
    ("Missing end of comment", "close the comment with #}"),
    ("'endif'", "write {% if … %} … {% endif %}"),
    ("endif", "write {% if … %} … {% endif %}"),
    ("endfor", "write {% for item in event.items %} … {% endfor %}"),
    ("'in'", "write {% for item in event.items %} … {% endfor %}"),
    ("'set'", "write {% set name = value %}"),
)
SYNTAX_FIX = "see the Jinja reference; filters are listed in docs/templates.md"


def syntax_problem(message: str, text: str, sandbox: SafeEnvironment) -> tuple[str, str]:
    """What Jinja does not understand, in the words of a template's author, and how to fix it."""
    unknown = UNKNOWN.search(message)
    if unknown is not None:
        kind, name = unknown.groups()
        known = sandbox.filters if kind == "filter" else sandbox.tests
        near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
        fix = f"did you mean {near[0]!r}?" if near else f"the {kind}s are in docs/templates.md"
        return f"there is no {kind} {name!r}", fix
    return message, next((fix for sign, fix in FIXES if sign in message), SYNTAX_FIX)


def finalize(value: Any) -> Any:
    """An explicit null counts as a missing variable: nothing is sent with a hole."""
    if type(value) is str:
        return value
    if value is None:
        raise NullValue("a value is null")
    return printable(value)


def finalize_yaml(_: Context, value: Any) -> Any:
    return keep(str(finalize(value)))


ENVIRONMENTS = {part: environment(part) for part in PARTS}


Compiled = tuple[Any, tuple[Variable, ...]]


def compile_part(
    path: str, part: str, text: str, problems: list[TemplateProblem]
) -> Compiled | None:
    """One compiled part and the variables it names, None where something is wrong with it."""
    found = compiled(path, part, text)
    if isinstance(found, TemplateProblem):
        problems.append(found)
        return None
    return found


@lru_cache(maxsize=KEPT_MAX)
def compiled(path: str, part: str, text: str) -> Compiled | TemplateProblem:
    """A part compiled, or what is wrong with it; a reload compiles only what has changed."""
    if len(text.encode()) > SOURCE_BYTES_MAX:
        what = "the template is larger than 256 KiB"
        return TemplateProblem(path, 1, 1, what, "make it smaller")
    if part == "yaml" and (place := misplaced(text)) is not None:
        what = "an expression stands outside a double-quoted value"
        return TemplateProblem(path, *place, what, 'write it as key: "{{ … }}"')
    sandbox = ENVIRONMENTS[part]
    try:
        tree = sandbox.parse(nfc(text))
        if depth(tree) > NESTING_MAX:
            return TemplateProblem(path, 1, 1, "the template nests too deeply", "make it flatter")
        forbidden = refused(tree)
        if forbidden is not None:
            what, line = forbidden
            fix = "write it out, or use a filter; what there is stands in docs/templates.md"
            return TemplateProblem(path, line, 1, what, fix)
        variables = paths(tree)
        count_rounds(tree)
        code = sandbox.compile(tree, path, path)
        made = sandbox.template_class.from_code(sandbox, code, sandbox.make_globals(None))
        return made, variables
    except (RecursionError, MemoryError, SyntaxError, ValueError):
        what = "the template nests too deeply, or has a number that large"
        return TemplateProblem(path, 1, 1, what, "make it flatter")
    except TemplateSyntaxError as error:
        what, fix = syntax_problem(str(error.message), text, sandbox)
        return TemplateProblem(path, error.lineno, 1, what, fix)
    except TemplateError as error:
        return TemplateProblem(path, 1, 1, str(error), "use what the sandbox allows")
