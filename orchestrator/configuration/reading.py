"""
Typed reading of a YAML tree that collects every problem instead of stopping at the first.

A ``Section`` reads one mapping. Asking for a key makes it known; ``done()`` then reports all keys
that nobody asked for, with the nearest known one. Whatever is wrong becomes a ``Problem`` and the
default stands in, so one reading finds all.

    section = Section(node, report, "the policy")
    deadline_ms = section.duration("deadline", 24 * HOUR_MS)
    section.done()
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar, overload

from orchestrator.configuration.yaml_file import ConfigError, Node, Position, Problem, Severity
from orchestrator.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

UNITS_MS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
DURATION_MS_MAX = 3650 * DAY_MS
RATE = re.compile(r"(\d{1,9})/(\d{0,9}(?:ms|s|m|h|d))")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")

D = TypeVar("D")


class Report:
    """All problems of a reading, in the order in which they were found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, position: Position, what: str, fix: str) -> None:
        """Something that stops the configuration from being used."""
        self.problems.append(position.problem(what, fix))

    def warn(self, position: Position, what: str, fix: str) -> None:
        """Something that works, but probably not as meant."""
        self.add(position, what, fix, "warning")

    def add(self, position: Position, what: str, fix: str, severity: Severity) -> None:
        """One problem of the given severity."""
        self.problems.append(position.problem(what, fix, severity))

    @property
    def failed(self) -> bool:
        """Whether any of them is an error."""
        return any(problem.severity == "error" for problem in self.problems)

    def refuse(self) -> None:
        """Raise ``ConfigError`` with the errors, where there are any."""
        if self.failed:
            raise ConfigError([problem for problem in self.problems if problem.severity == "error"])


def parse_duration(text: str) -> int | None:
    """Milliseconds of ``250ms 30s 10m 24h 7d``; None where it is not a duration."""
    match = DURATION.fullmatch(text)
    return int(match[1]) * UNITS_MS[match[2]] if match else None


def parse_rate(text: str) -> tuple[int, int] | None:
    """``80/s`` or ``5/1h`` as (count, window in milliseconds); None where it is not a rate."""
    match = RATE.fullmatch(text)
    if not match:
        return None
    window_ms = parse_duration(match[2] if match[2][0].isdigit() else "1" + match[2])
    count = int(match[1])
    return (count, window_ms) if count and window_ms else None


def listed(words: Collection[str]) -> str:
    """``a, b or c``."""
    ordered = list(words)
    return ordered[0] if len(ordered) == 1 else f"{', '.join(ordered[:-1])} or {ordered[-1]}"


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was probably meant."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def suggestion(word: str, known: Collection[str], otherwise: str) -> str:
    """``did you mean …?`` where something is near, else ``otherwise``."""
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near else otherwise


class Section:
    """
    One mapping being read; ``name`` is what messages call it. A missing mapping reads as an empty
    one.
    """

    def __init__(
        self, node: Node | None, report: Report, name: str, position: Position | None = None
    ) -> None:
        self.report = report
        self.name = name
        self.position = node.position if node is not None else position or Position("<none>", 1, 1)
        self.known: set[str] = set()
        self.nodes: Mapping[str, Node] = {}
        self.keys: Mapping[str, Position] = {}
        self.broken = False
        if node is None or node.kind == "null":
            return
        if node.kind == "map":
            self.nodes, self.keys = node.value, node.keys
        else:
            self.broken = True
            report.error(
                node.position, f"{name} is {node.kind_name}", "write a mapping: key: value"
            )

    def get(self, key: str) -> Node | None:
        """The node of a key (None where it is absent or empty), which is known from now on."""
        self.known.add(key)
        node = self.nodes.get(key)
        return None if node is None or node.kind == "null" else node

    def has(self, key: str) -> bool:
        """Whether the key is written."""
        return key in self.nodes

    def at(self, key: str) -> Position:
        """Where the key's value stands, or the mapping where it is absent."""
        node = self.nodes.get(key)
        return node.position if node is not None else self.position

    def shown(self, key: str) -> str:
        """
        A key's value as written, short enough for a message: never what a reference stands for.
        """
        return clip(self.nodes[key].text) if key in self.nodes else ""

    def wrong(self, node: Node, key: str, expected: str, fix: str | None = None) -> None:
        """Report a value of the wrong kind; values that came from a secret are never shown."""
        shown = f" ({clip(node.text)})" if node.text and node.kind not in ("map", "list") else ""
        self.report.error(
            node.position, f"`{key}` is {node.kind_name}{shown}", fix or f"write {expected}"
        )

    def need(self, key: str, fix: str) -> Node | None:
        """Like ``get``, but an absent key is an error."""
        node = self.get(key)
        if node is None and not self.broken:
            self.report.error(self.at(key), f"{self.name} has no `{key}`", fix)
        return node

    @overload
    def text(self, key: str, default: str, fix: str | None = None) -> str: ...
    @overload
    def text(self, key: str, default: None = None, fix: str | None = None) -> str | None: ...
    def text(self, key: str, default: str | None = None, fix: str | None = None) -> str | None:
        """A text that is not empty."""
        node = self.get(key)
        if node is None:
            return default
        if node.kind != "str":
            self.wrong(node, key, "a text" if node.kind in ("map", "list") else "it in quotes", fix)
            return default
        if not node.value and node.text:
            return default  # a reference that could not be looked up, which has been reported
        if not node.value.strip():
            self.report.error(
                node.position, f"`{key}` is empty", fix or "write a value, or remove the key"
            )
            return default
        return str(node.value)

    @overload
    def identifier(self, key: str, default: str) -> str: ...
    @overload
    def identifier(self, key: str, default: None = None) -> str | None: ...
    def identifier(self, key: str, default: str | None = None) -> str | None:
        """A name of ours: lower case, digits and underscores, at most 64 characters."""
        value = self.text(key)
        if value is None:
            return default
        if not NAME.fullmatch(value):
            fix = (
                "use lower-case letters, digits, _ and -, beginning with a letter, at most 64"
                " characters"
            )
            self.report.error(self.at(key), f"`{key}` {self.shown(key)!r} is not a name", fix)
            return default
        return value

    def word(self, key: str, choices: Collection[str], default: str) -> str:
        """One of a closed list."""
        node = self.get(key)
        if node is None:
            return default
        return self.choice(node, f"`{key}`", choices) or default

    def choice(self, node: Node, called: str, choices: Collection[str]) -> str | None:
        """The word of a node where it is among the choices, else a problem and None."""
        if node.kind in ("map", "list"):
            self.report.error(
                node.position, f"{called} is {node.kind_name}", f"write {listed(choices)}"
            )
            return None
        if not node.value and node.text and node.kind == "str":
            return None  # a reference that could not be looked up, which has been reported
        if node.word not in choices:
            fix = suggestion(node.text, choices, f"write {listed(choices)}")
            self.report.error(node.position, f"{called} cannot be {clip(node.text)!r}", fix)
            return None
        return node.word

    @overload
    def duration(self, key: str, default: int, *, zero: bool = False) -> int: ...
    @overload
    def duration(self, key: str, default: None = None, *, zero: bool = False) -> int | None: ...
    def duration(self, key: str, default: int | None = None, *, zero: bool = False) -> int | None:
        """A duration in milliseconds."""
        node = self.get(key)
        if node is None:
            return default
        value = self.duration_of(node, f"`{key}`", zero=zero)
        return default if value is None else value

    def duration_of(self, node: Node, called: str, *, zero: bool = False) -> int | None:
        """The milliseconds of a node, else a problem and None."""
        value = parse_duration(node.value) if node.kind == "str" else None
        if value is None:
            if node.kind in ("int", "float"):
                what, fix = (
                    f"{called} {node.text} has no unit",
                    f"write the unit: {node.text}s, {node.text}m or so",
                )
            else:
                shown = f"{clip(node.text)!r}" if node.text else node.kind_name
                what, fix = (
                    f"{called} {shown} is not a duration",
                    "write a whole number and a unit: 250ms 30s 10m 24h 7d",
                )
            self.report.error(node.position, what, fix)
            return None
        if value == 0 and not zero:
            self.report.error(node.position, f"{called} is zero", "write a duration longer than 0")
            return None
        if value > DURATION_MS_MAX:
            self.report.error(
                node.position, f"{called} is longer than ten years", "write at most 3650d"
            )
            return None
        return value

    @overload
    def integer(self, key: str, default: int, least: int = 1, most: int = 10**9) -> int: ...
    @overload
    def integer(
        self, key: str, default: None = None, least: int = 1, most: int = 10**9
    ) -> int | None: ...
    def integer(
        self, key: str, default: int | None = None, least: int = 1, most: int = 10**9
    ) -> int | None:
        """A whole number within limits."""
        node = self.get(key)
        if node is None:
            return default
        value = node.value
        if node.kind == "str" and node.text != value and value.isdecimal():
            value = int(value)  # it came from ${env:…}, which only knows texts
        elif node.kind != "int":
            self.wrong(node, key, "a whole number")
            return default
        if not least <= value <= most:
            self.report.error(
                node.position,
                f"`{key}` cannot be {clip(node.text)}",
                f"write a number from {least} to {most}",
            )
            return default
        return int(value)

    def ratio(self, key: str, default: float) -> float:
        """A share above 0 and at most 1."""
        node = self.get(key)
        if node is None:
            return default
        if node.kind not in ("int", "float"):
            self.wrong(node, key, "a number from 0 to 1, such as 0.5")
            return default
        if not 0 < node.value <= 1:
            self.report.error(
                node.position,
                f"`{key}` cannot be {node.text}",
                "write a share above 0 and at most 1",
            )
            return default
        return float(node.value)

    def boolean(self, key: str, default: bool) -> bool:
        """``true`` or ``false``; YAML 1.2 knows no other."""
        node = self.get(key)
        if node is None:
            return default
        if node.kind != "bool":
            self.wrong(
                node, key, "true or false", "write true or false (yes, no, on and off are words)"
            )
            return default
        return bool(node.value)

    def amount(self, key: str) -> Decimal | None:
        """
        An amount of money, exactly as written: a decimal text or a plain number, not negative.
        """
        node = self.get(key)
        if node is None:
            return None
        try:
            value = Decimal(node.word) if node.kind in ("str", "int", "float") else None
        except InvalidOperation:
            value = None
        if value is None or not value.is_finite() or value < 0 or "e" in node.word.lower():
            shown = f" ({clip(node.text)})" if node.text else ""
            fix = 'write an amount such as "1.20"'
            self.report.error(node.position, f"`{key}` is not an amount of money{shown}", fix)
            return None
        return value

    def rate(self, key: str, default: tuple[int, int] | None = None) -> tuple[int, int] | None:
        """``80/s`` or ``5/1h`` as (count, window in milliseconds)."""
        node = self.get(key)
        if node is None:
            return default
        value = parse_rate(node.value) if node.kind == "str" else None
        if value is None:
            shown = f" ({clip(node.text)})" if node.text else ""
            self.report.error(
                node.position,
                f"`{key}` is not a rate{shown}",
                "write a count and a time: 80/s or 5/1h",
            )
            return default
        return value

    def section(self, key: str, name: str | None = None) -> Section:
        """The mapping under a key."""
        return Section(self.get(key), self.report, name or f"`{key}`", self.at(key))

    def items(self, key: str, what: str) -> tuple[Node, ...]:
        """The nodes of a list; one that stands alone is an error that says so."""
        node = self.get(key)
        if node is None:
            return ()
        if node.kind != "list":
            self.report.error(
                node.position, f"`{key}` is {node.kind_name}", f"write a list of {what}: [ … ]"
            )
            return ()
        return tuple(node.value)

    def words(self, key: str, what: str, choices: Collection[str] | None = None) -> tuple[str, ...]:
        """A list of texts, each once, among the choices where there are any."""
        found: list[str] = []
        for node in self.items(key, what):
            if node.kind in ("map", "list", "null"):
                self.report.error(
                    node.position, f"`{key}` holds {node.kind_name}", f"write {what} as plain words"
                )
                continue
            if choices is not None and self.choice(node, f"an entry of `{key}`", choices) is None:
                continue
            if node.word in found:
                self.report.error(
                    node.position, f"`{key}` names {clip(node.text)!r} twice", "remove one"
                )
                continue
            found.append(node.word)
        return tuple(found)

    def each(self, key: str, make: Callable[[str, Section], D | None]) -> tuple[D, ...]:
        """What ``make(name, section)`` makes of every named mapping under a key."""
        parent = self.section(key)
        made = []
        for name in parent.nodes:
            inner = Section(parent.get(name), self.report, f"`{key}.{name}`", parent.keys[name])
            made.append(make(name, inner))
        return tuple(one for one in made if one is not None)

    def done(self) -> None:
        """Report every key that nobody asked for."""
        for key, position in self.keys.items():
            if key not in self.known:
                fix = suggestion(
                    key, sorted(self.known), f"known are: {', '.join(sorted(self.known))}"
                )
                self.report.error(position, f"{self.name} has no key {clip(key)!r}", fix)


def clip(text: str) -> str:
    """A value short enough for a message."""
    return text if len(text) <= 60 else text[:57] + "…"
