"""
Keys of YAML files, each declared once.

    ratio: float = setting(RATIO, "The share of failed requests that opens the breaker.", 0.5)

The declaration gives a key its kind, its meaning and its default. The reader (``read``), the
effective configuration (``show``), the JSON Schema (``describe``) and the table of keys in
docs/configuration.md (``rows``) walk the same declarations, so a new key is one line.

Settings declare their keys as fields of a dataclass (``table_of``). Policies and governance are
values of the core, which knows no YAML, so their keys stand in a ``Table`` beside the reader.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar, cast

import msgspec

from orchestrator.configuration.reading import Report, Section

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Schema = dict[str, Any]


def same(value: Any) -> Any:
    """The value itself: it is shown as it is."""
    return value


@dataclass(frozen=True)
class Kind(Generic[T_co]):
    """
    What a key can hold.

    ``read(section, key, default)`` reports what is wrong and returns the default in its place.
    ``name`` is the kind's name in the docs. ``show`` makes plain JSON types of a value; ``off`` is
    the word that stands for None. ``table`` has the keys of a mapping below, found at ``path``
    (``.`` in the mapping itself, ``[].`` in each of a list, ``.<name>.`` in each named one).
    """

    name: str
    read: Callable[[Section, str, Any], Any]
    schema: Schema | Callable[[], Schema]
    show: Callable[[Any], Any] = same
    off: str | None = None
    table: Table[Any] | None = None
    path: str = "."

    def describe(self) -> Schema:
        """The JSON Schema of a value."""
        return self.schema() if callable(self.schema) else dict(self.schema)

    def shown(self, value: Any) -> Any:
        """A value as plain JSON types; None if there is nothing to show."""
        return self.off if value is None else self.show(value)


@dataclass(frozen=True)
class Key:
    """
    One key. ``field`` is the attribute that gets its value. A key with ``need`` is required; the
    text says how to fix its absence. ``otherwise`` describes a default that depends on something.
    """

    name: str
    kind: Kind[Any]
    doc: str
    default: Any = None
    need: str | None = None
    field: str = ""
    otherwise: str = ""

    def read(self, section: Section, like: Any) -> Any:
        """The key's value; what is absent or wrong is as in ``like``, else the default."""
        section.known.add(self.name)
        default = self.default if like is None else getattr(like, self.field)
        return self.kind.read(section, self.name, default)


@dataclass(frozen=True)
class Table(Generic[T_co]):
    """The keys of one mapping; ``make`` builds the value from them, None if it cannot."""

    keys: tuple[Key, ...]
    make: Callable[[Section, dict[str, Any]], T_co | None]
    elsewhere: tuple[str, ...] = ()
    """Keys that ``make`` itself refuses, with words of its own."""

    @property
    def first(self) -> str:
        """The key that a mapping of it would begin with."""
        return next((one.name for one in self.keys if one.need is not None), self.keys[0].name)


def setting(
    kind: Kind[T],
    doc: str,
    default: T | None = None,
    *,
    name: str = "",
    need: str | None = None,
    otherwise: str = "",
) -> T:
    """
    A field of a settings class that stands in the file under its own name (without a unit).

    Without ``need`` the key may be absent and ``default`` counts.
    """
    declared = Key(name, kind, doc, default, need, otherwise=otherwise)
    made = (
        field(metadata={"key": declared})
        if need is not None
        else field(default=default, metadata={"key": declared})
    )
    return cast(T, made)


def table_of(model: type[T]) -> Table[T]:
    """The keys that a settings class declares; its ``checked(section)`` has the last word."""
    return cast(Table[T], _table_of(cast(Any, model)))


@cache
def _table_of(model: Callable[..., Any]) -> Table[Any]:
    found = []
    for item in dataclasses.fields(cast(Any, model)):
        declared = item.metadata.get("key")
        if declared is not None:
            name = declared.name or item.name.removesuffix("_ms")
            found.append(dataclasses.replace(declared, name=name, field=item.name))
    required = [one.field for one in found if one.need is not None]

    def make(section: Section, values: dict[str, Any]) -> Any:
        if any(values[name] is None for name in required):
            return None
        made = model(**values)
        check: Callable[[Section], Any] | None = getattr(made, "checked", None)
        return made if check is None else check(section)

    return Table(tuple(found), make)


def look_at_keys(source: Table[Any], section: Section) -> None:
    """Report keys that are unknown, and those that lack, together: they are one mistake."""
    needed = {one.name: one.need for one in source.keys if one.need is not None}
    section.needed.update(needed)
    section.adopt([one.name for one in source.keys], list(needed), source.elsewhere)
    lacking = [name for name in needed if section.get(name) is None]
    if lacking and not section.broken:
        at = section.at(lacking[0]) if len(lacking) == 1 else section.position
        what = f"{section.name} has no {' and no '.join(f'`{name}`' for name in lacking)}"
        section.report.error(at, what, "; ".join(str(needed[name]) for name in lacking))


def table(
    model: type[T],
    *keys: Key,
    make: Callable[[Section, dict[str, Any]], T | None] | None = None,
    elsewhere: tuple[str, ...] = (),
) -> Table[T]:
    """The keys of a value of the core; defaults are the value's own if a key has none."""
    own = {
        item.name: item.default_factory()
        if item.default_factory is not msgspec.NODEFAULT
        else None
        if item.default is msgspec.NODEFAULT
        else item.default
        for item in msgspec.structs.fields(cast(Any, model))
    }
    found = []
    for one in keys:
        name = one.field or one.name
        name = name if name in own or f"{name}_ms" not in own else f"{name}_ms"
        by_value = one.default is None and not one.otherwise
        default = own.get(name) if by_value else one.default
        found.append(dataclasses.replace(one, field=name, default=default))
    required = [one.field for one in found if one.need is not None]

    def build(section: Section, values: dict[str, Any]) -> T | None:
        return None if any(values[name] is None for name in required) else model(**values)

    return Table(tuple(found), make or build, elsewhere)


def read(source: Table[T], section: Section, like: Any = None, **given: Any) -> T | None:
    """
    The value of a mapping, None if a required key is missing or wrong; problems are reported,
    unknown keys too.
    """
    report, before = section.report, len(section.report.problems)
    look_at_keys(source, section)
    values = given | {one.field: one.read(section, like) for one in source.keys}
    if any(one.severity == "error" for one in report.problems[before:]):
        # what would not fit together follows from what is wrong already
        section.report = Report()
    made = source.make(section, values)
    section.report = report
    return made


def show(source: Table[Any], value: Any) -> dict[str, Any]:
    """A value in the shape of the file, as plain JSON types; empty keys are left out."""
    shown = {one.name: one.kind.shown(getattr(value, one.field)) for one in source.keys}
    return {name: inner for name, inner in shown.items() if inner is not None}


def describe(source: Table[Any]) -> Schema:
    """The JSON Schema of a mapping."""
    properties = {one.name: {"description": one.doc} | one.kind.describe() for one in source.keys}
    return obj(properties, *(one.name for one in source.keys if one.need is not None))


def rows(source: Table[Any], before: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Path, kind, default and meaning of every key, those of mappings below included."""
    for one in source.keys:
        path = before + one.name
        default = "required" if one.need is not None else one.otherwise
        if not default and one.kind.table is None:
            shown = one.kind.shown(one.default)
            default = default or ("" if shown in (None, [], ()) else f"`{word(shown)}`")
        yield path, one.kind.name, default, one.doc
        if one.kind.table is not None:
            yield from rows(one.kind.table, path + one.kind.path)


def word(value: Any) -> str:
    """A default as it would be written."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def nested(
    model: type[T] | Table[T], *, given: T | None = None, bare: bool = False, name: str = "mapping"
) -> Kind[T]:
    """
    A mapping with keys of its own. ``given`` has the defaults of a mapping that is written;
    ``bare`` takes an empty key for an empty mapping.
    """
    inner = model if isinstance(model, Table) else table_of(model)

    def read_nested(section: Section, key: str, default: T | None) -> T | None:
        written = section.get(key) is not None or (bare and section.has(key))
        if not written and default is None:
            return None
        below = section.section(key, first=inner.first)
        like = given if written and given is not None else default
        return default if below.broken else read(inner, below, like)

    return Kind(
        name,
        read_nested,
        lambda: describe(inner),
        show=lambda value: show(inner, value),
        table=inner,
    )


def named(model: Table[T], field: str = "name") -> Kind[tuple[T, ...]]:
    """A mapping from names of the author's own to mappings; each gets its name as ``field``."""

    def read_named(section: Section, key: str, default: Any) -> tuple[T, ...]:
        return section.each(key, lambda name, inner: read(model, inner, **{field: name}))

    def schema() -> Schema:
        return {"type": "object", "additionalProperties": describe(model)}

    return Kind("named mappings", read_named, schema, table=model, path=f".<{field}>.")


def listing(model: type[T] | Table[T], what: str, called: str) -> Kind[tuple[T, ...]]:
    """A list of mappings; ``what`` they are and what one of them is ``called`` in messages."""
    inner = model if isinstance(model, Table) else table_of(model)

    def read_listing(section: Section, key: str, default: Any) -> tuple[T, ...]:
        nodes = section.items(key, what)
        made = (read(inner, section.item(node, called, inner.first)) for node in nodes)
        return tuple(one for one in made if one is not None)

    return Kind(
        f"list of {what}",
        read_listing,
        lambda: array(describe(inner)),
        show=lambda values: [show(inner, value) for value in values] or None,
        table=inner,
        path="[].",
    )


def or_off(kind: Kind[T]) -> Kind[T | None]:
    """The same kind, or ``off``, which is None."""

    def read_or_off(section: Section, key: str, default: Any) -> Any:
        node = section.get(key)
        off = node is not None and node.kind == "str" and node.word == "off"
        return None if off else kind.read(section, key, default)

    def schema() -> Schema:
        return {"anyOf": [{"enum": ["off"]}, kind.describe()]}

    name = f"{kind.name} or `off`"
    return dataclasses.replace(kind, name=name, read=read_or_off, schema=schema, off="off")


def obj(properties: Mapping[str, Schema], *required: str, extra: Schema | bool = False) -> Schema:
    """A mapping with these keys and, unless ``extra`` says otherwise, no others."""
    made: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": extra}
    return made | {"required": list(required)} if required else made


def array(inner: Schema, least: int = 0) -> Schema:
    """A list of at least so many."""
    made: Schema = {"type": "array", "items": inner}
    return made | {"minItems": least} if least else made
