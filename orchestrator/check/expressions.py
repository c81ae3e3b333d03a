"""
Expressions: read, and tried on the sample events and on invented ones.

What fails on every sample is an error; a name that no sample has, and that is near one they have,
is a warning, because a sample need not have everything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jinja2
from jinja2 import nodes

from orchestrator.check.samples import PERSON, Samples, has_path, names_at
from orchestrator.configuration.reading import Report, clip, find, suggestion
from orchestrator.configuration.scalars import meant
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.journey.state import LastMessage
from orchestrator.render import ConditionError, Conditions
from orchestrator.render.conditions import NAMES
from orchestrator.render.usage import SAMPLES, Use, invented, laid_over, uses

WRITE = "write an expression such as event.total >= 300"
CE_NAMES = ("id", "source", "type", "subject", "time", "specversion", "datacontenttype")
MESSAGE_NAMES = ("id", "policy", "class", "topic")
LAST = LastMessage("text", "text", "0", "succeeded", "text", "text", "text")
MEMBERS = {"journey": ("id", "name", "key", "event"), "last": tuple(LAST.view())}
"""What the names that only journeys have are made of."""
NAMED_OTHERWISE = {"data": "event", "user": "recipient", "customer": "recipient"}
CONSTANTS = {"true", "false", "none", "null", "True", "False", "None"}
NOW_FIX = "use quiet_hours in the governance file for times of day"
MISREAD = (
    (re.compile(r"\{\{|\}\}"), "write the expression alone, without {{ and }}"),
    (re.compile(r"&&|\bAND\b"), "write `and`"),
    (re.compile(r"\|\||\bOR\b"), "write `or`"),
    (re.compile(r"={3,}"), "write == to compare"),
    (re.compile(r"<>|! ="), "write != to compare"),
    (re.compile(r"=>"), "write >= to compare"),
    (re.compile(r"=<"), "write <= to compare"),
    (re.compile(r"!(?!=)|\bNOT\b"), "write `not`"),
    (re.compile(r"(?<![=!<>])=(?!=)"), "write == to compare"),
    (re.compile(r"\blen\("), "write event.items | length"),
    (re.compile(r"\?"), "write `a if condition else b`"),
)
TEXT_COMPARED = re.compile(r"not supported between instances of '(\w+)' and '(\w+)'")
SAMPLE_NOW = "2026-11-21T10:00:00.000Z"


@dataclass(frozen=True)
class Condition:
    """
    One expression: where it stands, and the names that it may use there. ``came`` is the name of
    the event that a `match` looks at.
    """

    node: Node
    key: str
    names: frozenset[str]
    came: str = "goal"


def condition_at(
    root: Node, path: tuple[str | int, ...], names: frozenset[str], came: str = "goal"
) -> Iterator[Condition]:
    node = find(root, *path)
    if node is not None and node.kind == "str" and node.value.strip():
        yield Condition(node, str(path[-1]), names, came)


@dataclass
class ExpressionLint:
    """Looks at the expressions of one file."""

    conditions: Conditions
    samples: Samples
    report: Report

    compiled_names: ClassVar[tuple[str, ...]] = NAMES

    def found(self) -> Iterator[Condition]:
        """Every expression of the file."""
        raise NotImplementedError

    def events(self, one: Condition) -> list[dict[str, Any]]:
        """The sample events of the type that is `event` in an expression."""
        raise NotImplementedError

    def run(self) -> None:
        for one in self.found():
            self.look_at(one)

    def look_at(self, one: Condition) -> None:
        source = one.node.value
        try:
            tree = jinja_tree(source)
            problem = self.name_problem(tree, one)
            if problem is None:
                self.conditions.compile(source, self.compiled_names)
        except (ConditionError, jinja2.TemplateError, RecursionError, ValueError) as error:
            what = f"the expression {clip(source)!r} cannot be read: {said(error)}"
            self.report.error(one.node.position, what, fix_for(source, str(error)))
            return
        if problem is not None:
            self.report.error(one.node.position, *problem)
            return
        value = constant(tree)
        if value is not Ellipsis:
            self.constant_problem(one, value)
            return
        if self.fails(one, tree):
            return
        self.look_for_unknown_paths(one, tree)
        self.look_at_key(one, tree)

    def name_problem(self, tree: nodes.Template, one: Condition) -> tuple[str, str] | None:
        """What is wrong with a name that the expression uses, and the fix."""
        for member in tree.find_all((nodes.Getattr, nodes.Getitem)):
            if isinstance(member, nodes.Getattr) and is_name(member.node, "now"):
                return f"`now` is a text and has no `{member.attr}`", NOW_FIX
            if isinstance(member, nodes.Getattr) and (wrong := unknown_member(member, one)):
                return wrong
        for comparison in tree.find_all(nodes.Compare):
            sides = [comparison.expr, *(side.expr for side in comparison.ops)]
            numbers = [side for side in sides if is_number(side)]
            if numbers and any(is_name(side, "now") for side in sides):
                return "`now` is a text and cannot be compared with a number", NOW_FIX
        for name in tree.find_all(nodes.Name):
            if name.name in one.names or name.name in CONSTANTS or name.ctx != "load":
                continue
            if name.name == "now":
                return "there is no 'now' in a key: no two events would be the same", NOW_FIX
            return self.unknown_name(name.name, one)
        return None

    def unknown_name(self, name: str, one: Condition) -> tuple[str, str]:
        known = sorted(one.names)
        what = f"there is no {name!r} here, only {', '.join(known)}"
        roots = {"event": set(), "recipient": set(PERSON)}
        roots["event"] = names_at(self.events(one), ()) | self.named_below("event")
        roots["recipient"] |= self.named_below("recipient")
        if name in NAMED_OTHERWISE:
            return what, f"write {NAMED_OTHERWISE[name]}"
        for root, below in roots.items():
            if name in below:
                return what, f"write {root}.{name}"
        near = meant(name, known)
        if near is not None:
            return what, f"did you mean {near!r}?"
        fix = f"write event.{name}, or {name!r} in quotes if it is a text"
        return what, fix

    def named_below(self, root: str) -> set[str]:
        """What the file's other expressions name below a root."""
        found: set[str] = set()
        for one in self.found():
            found.update(re.findall(rf"\b{root}\.([A-Za-z_]\w*)", one.node.value))
        return found

    def constant_problem(self, one: Condition, value: Any) -> None:
        shown = clip(one.node.value)
        if one.key == "key":
            what = f"the key {shown!r} is the same for every event of a recipient"
            near = isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*", value)
            fix = f"write event.{value} without inner quotes" if near else "write event.order_id"
            self.report.warn(one.node.position, what, fix)
            return
        if isinstance(value, Exception):
            what = f"the expression {shown!r} cannot be evaluated: {said(value)}"
            self.report.error(one.node.position, what, "compare what is of one kind")
            return
        always = "always true" if value else "never true"
        fix = "remove what depends on it, or fix the condition"
        if isinstance(value, str):
            fix = "take the inner quotes away"
        elif value:
            fix = "remove it, or write a condition on the event"
        self.report.warn(one.node.position, f"the condition {shown!r} is {always}", fix)

    def fails(self, one: Condition, tree: nodes.Template) -> bool:
        """Whether it fails on every sample, real or invented; then that is reported."""
        found, _ = uses(tree)
        guess = invented(found)
        real = self.events(one) if one.key != "match" else []
        guesses = (guess, invented([(path, "number", line) for path, _, line in found]))
        scopes = [
            scope(laid_over(one.get("event"), event), one)
            for event in real or [{}]
            for one in guesses
        ]
        compiled = self.conditions.compile(one.node.value, self.compiled_names)
        error: ConditionError | None = None
        for names in scopes:
            try:
                compiled.evaluate(names)
                return self.compares_badly(one, tree, bool(real))
            except ConditionError as failed:
                error = failed
        detail = said(error) if error is not None else ""
        what = f"the expression {clip(one.node.value)!r} cannot be evaluated: {detail}"
        fix = "compare what is of one kind"
        if "number" in detail and "text" in detail:
            quoted = re.search(r"['\"]\d", one.node.value)
            fix = "write the number without quotes" if quoted else "write (… | int) for the number"
        self.report.error(one.node.position, what, fix)
        return True

    def compares_badly(self, one: Condition, tree: nodes.Template, tried: bool) -> bool:
        """Warn of comparisons that are probably not meant so."""
        for found in tree.find_all(nodes.Compare):
            sides = [found.expr, *(side.expr for side in found.ops)]
            for side in sides:
                value = side.value if isinstance(side, nodes.Const) else None
                quoted = isinstance(value, str) and value in ("true", "false", "null", "none")
                if quoted:
                    what = f"{value!r} is a text, which is never equal to {value}"
                    self.report.warn(one.node.position, what, f"write {value} without quotes")
                    return True
                ordering = found.ops[0].op in ("lt", "gt", "lteq", "gteq")
                if not tried and ordering and isinstance(value, str) and value.isdecimal():
                    what = f"{value!r} is a text, and numbers cannot be compared with it"
                    self.report.warn(one.node.position, what, f"write {value} without quotes")
                    return True
        if one.key == "match" and not any(n.name == one.came for n in tree.find_all(nodes.Name)):
            what = f"the condition {clip(one.node.value)!r} does not look at the {one.came}"
            began = "journey.event" if one.came == "event" else "event"
            fix = f"compare with it: {one.came}.cart_id == {began}.cart_id"
            self.report.warn(one.node.position, what, fix)
            return True
        return False

    def look_for_unknown_paths(self, one: Condition, tree: nodes.Template) -> None:
        found, guarded = uses(tree)
        for use in found:
            problem = unknown_path(
                use, guarded, self.events(one), self.samples.people, self.words()
            )
            if problem is not None:
                self.report.warn(one.node.position, *problem)
                return

    def words(self) -> set[str]:
        return self.named_below("event")

    def look_at_key(self, one: Condition, tree: nodes.Template) -> None:
        """Warn of a dedupe key that no two events share, or that all of a recipient's do."""
        if one.key != "key":
            return
        source = one.node.value.strip()
        if source in ("ce.id", "ce.time"):
            what = f"every event has a {source} of its own, so nothing is ever the same"
            self.report.warn(one.node.position, what, "write event.order_id or the like")


def jinja_tree(source: str) -> nodes.Template:
    return jinja2.Environment(undefined=jinja2.StrictUndefined).parse("{{ " + source + " }}")


def unknown_member(member: nodes.Getattr, one: Condition) -> tuple[str, str] | None:
    """A member that `last` or `journey` does not have, and the fix."""
    for name, known in MEMBERS.items():
        if name in one.names and is_name(member.node, name) and member.attr not in known:
            return f"there is no {name}.{member.attr}", suggestion(
                member.attr, known, f"there are {', '.join(f'{name}.{key}' for key in known)}"
            )
    return None


def is_name(node: nodes.Node, name: str) -> bool:
    return isinstance(node, nodes.Name) and node.name == name


def is_number(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and type(node.value) in (int, float)


def scope(event: Any, guess: dict[str, Any]) -> dict[str, Any]:
    """The names of a condition with sample values."""
    ce = {name: SAMPLES["text"] for name in CE_NAMES} | {"time": SAMPLE_NOW}
    return {
        "event": event if isinstance(event, dict) else {},
        "ce": laid_over(guess.get("ce") or {}, ce),
        "recipient": laid_over(guess.get("recipient") or {}, dict(PERSON)),
        "message": dict.fromkeys(MESSAGE_NAMES, SAMPLES["text"]),
        "goal": guess.get("goal") or {},
        "exit": guess.get("exit") or {},
        "journey": laid_over(guess.get("journey") or {}, dict.fromkeys(MEMBERS["journey"])),
        "last": laid_over(guess.get("last") or {}, LAST.view()),
        "now": SAMPLE_NOW,
    }


def constant(tree: nodes.Template) -> Any:
    """The value of an expression without names, an error that it always raises; else Ellipsis."""
    output = next(tree.find_all(nodes.Output), None)
    if output is None or any(tree.find_all(nodes.Name)) or any(tree.find_all(nodes.Filter)):
        return Ellipsis
    try:
        return output.nodes[0].as_const()
    except nodes.Impossible:
        return TypeError("its sides are not of one kind")
    except Exception as error:
        return error


def said(error: Exception) -> str:
    """An error of Jinja or Python in the words of a policy's author."""
    text = str(error).rpartition("cannot be evaluated: ")[2]
    compared = TEXT_COMPARED.search(text)
    if compared is not None:
        words = {"str": "a text", "int": "a number", "float": "a number", "list": "a list"}
        left, right = (words.get(one, one) for one in compared.groups())
        return f"{left} and {right} cannot be compared"
    unknown = re.search(r"No (filter|test) named '(.*)'", text)
    if unknown is not None:
        return f"there is no {unknown[1]} {unknown[2]!r}"
    return text.removesuffix(".")


def fix_for(source: str, message: str) -> str:
    """How to fix an expression that cannot be read."""
    unknown = re.search(r"No (filter|test) named '(.*)'", message)
    if unknown is not None:
        kind = unknown[1]
        known = Conditions.filters() if kind == "filter" else Conditions.tests()
        return suggestion(unknown[2], known, f"docs/templates.md has every {kind}")
    if "is not available" in message:
        return "use a filter: event.items | length"
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "''", source)
    return next((fix for sign, fix in MISREAD if sign.search(bare)), WRITE)


def unknown_path(
    use: Use,
    guarded: Collection[tuple[str | int, ...]],
    events: Sequence[dict[str, Any]],
    people: Collection[str],
    words: Collection[str],
) -> tuple[str, str] | None:
    """A name that nobody's data has, but a near one: what is wrong and the fix, else None."""
    path, _, _ = use
    if len(path) < 2 or path in guarded or not isinstance(path[1], str):
        return None
    shown = str(path[0]) + "".join("[0]" if key == "[]" else f".{key}" for key in path[1:])
    if path[0] == "event" and events and not any(has_path(one, path[1:]) for one in events):
        for depth in range(1, len(path)):
            if not any(has_path(one, path[1 : depth + 1]) for one in events):
                there = names_at(list(events), path[1:depth])
                near = meant(str(path[depth]), there) if isinstance(path[depth], str) else None
                if near is None or near == path[depth]:
                    return None
                fixed = ".".join([str(key) for key in path[:depth] if key != "[]"] + [near])
                return f"no sample event has `{shown}`", f"did you mean {fixed}?"
    if path[0] == "recipient" and path[1] not in people and path[1] not in PERSON:
        near = "first_name" if path[1] == "name" else close(str(path[1]), PERSON)
        if near is not None:
            return f"recipients have no `{path[1]}` of their own", f"did you mean recipient.{near}?"
    if path[0] == "ce" and path[1] not in CE_NAMES:
        near = meant(str(path[1]), CE_NAMES)
        return None if near is None else (f"events have no `{shown}`", f"did you mean ce.{near}?")
    if path[0] == "event" and not events and path[1] in words:
        near = close(str(path[1]), [one for one in words if one != path[1]])
        if near is not None and len(near) == len(path[1]) and sorted(near) == sorted(path[1]):
            return f"`{shown}` and event.{near} are both used", f"did you mean event.{near}?"
    return None


def close(word: str, known: Collection[str]) -> str | None:
    """A known word that is so near that another cannot be meant."""
    import difflib

    flat = {one.replace("_", ""): one for one in known}
    found = difflib.get_close_matches(word.replace("_", "").lower(), flat, n=1, cutoff=0.82)
    return flat[found[0]] if found else None
