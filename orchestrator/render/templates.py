"""
Templates by name, channel, locale and part, compiled once:
``<template>/<channel>[.<locale>].<part>.j2``.

A locale falls back per part: uk-UA, then uk, then the file without a locale. A missing variable
fails closed: the step is skipped with a reason, never sent with a hole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError, TemplateError, TemplateRuntimeError

from orchestrator.channels import Channel
from orchestrator.channels.registry import channels
from orchestrator.core.reasons import Reason
from orchestrator.core.replies import Choice
from orchestrator.core.values import Value
from orchestrator.render import sms
from orchestrator.render.budget import begin
from orchestrator.render.compiling import compile_part
from orchestrator.render.data import plain
from orchestrator.render.file_names import name_problem
from orchestrator.render.filters import content_hash
from orchestrator.render.graphemes import cut
from orchestrator.render.missing import Path as Variable
from orchestrator.render.missing import missing
from orchestrator.render.problems import TemplateProblem, TemplateProblems, Unrenderable
from orchestrator.render.text import clean_html, has_encoded_word, settled
from orchestrator.render.yamlpart import Kept, structure, values, with_urls

FILE = re.compile(
    r"(?P<channel>[a-z_]+)(?:\.(?P<locale>[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*))?\.(?P<part>[a-z]+)\.j2"
)
OUTPUT_MAX = {"html": 1_048_576}
TEXT_MAX = 65_536
SOUGHT_MAX = 10_000

LINE_SHOWN_MAX = 100
DEFAULT_LOCALE = "en"


class RenderContext(Value):
    """
    What templates see. ``event`` and ``recipient`` are plain JSON; ``link`` makes a tracked link of
    a URL, ``link_to`` one to a channel's messenger; ``unsubscribe_url`` None is absent: a template
    that prints it is not sent. ``codes`` are those that the message has got, by their names.
    ``events`` are those of a digest, ``event`` among them, and ``more`` those that it only counted;
    None outside of one.
    """

    event: Mapping[str, Any]
    recipient: Mapping[str, Any]
    message: Mapping[str, Any]
    now: datetime
    locale: str | None
    time_zone: str
    unsubscribe_url: str | None = None
    link: Callable[[str], str] | None = None
    link_to: Callable[[str], str] | None = None
    codes: Mapping[str, str] | None = None
    events: Sequence[Any] | None = None
    more: int = 0


@dataclass(slots=True)
class Rendered:
    """
    ``parts`` by name, text or (for ``yaml``) a structure; ``count`` of the text if the channel
    counts SMS parts; ``choices`` those that it offers, once it is made ready for one adapter.
    """

    parts: dict[str, Any]
    locale: str
    content_hash: str
    count: sms.SmsCount | None = None
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One file, compiled. ``path`` is how people call it, ``variables`` what it names."""

    path: str
    source: str
    compiled: Any
    variables: tuple[Variable, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A part, the ``locale`` it was written for, and the one whose numbers and dates suit it."""

    part: Part
    locale: str
    spoken: str


@dataclass(slots=True)
class TemplateSet:
    """
    Every template of a directory. ``_parts`` by ``(template, channel, locale or "", part)``;
    ``_written`` are the same by template and channel; ``_sought`` is found.
    """

    _parts: dict[tuple[str, str, str, str], Part] = field(default_factory=dict)
    _written: dict[str, dict[str, list[tuple[str, str, Part]]]] = field(default_factory=dict)
    _files: dict[str, dict[str, str]] = field(default_factory=dict)
    _sought: dict[tuple[str, str, str | None], dict[str, Found]] = field(default_factory=dict)
    default_locale: str = DEFAULT_LOCALE

    @classmethod
    def load(cls, root: Path, default_locale: str = DEFAULT_LOCALE) -> TemplateSet:
        """
        Read and compile ``root/<template>/*.j2``; files without a locale are in ``default_locale``.
        Hidden files are none. Raises ``TemplateProblems`` with all that is wrong.
        """
        problems: list[TemplateProblem] = []
        if not root.is_dir():
            fix = "make it, or say under `templates` where they are"
            raise TemplateProblems(
                [TemplateProblem(str(root), 1, 1, "there is no such directory of templates", fix)]
            )
        sources: dict[str, dict[str, str]] = {}
        for path in sorted(root.glob("*/*.j2")):
            if path.name.startswith(".") or path.parent.name.startswith("."):
                continue
            try:
                text = path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError as error:
                line = error.object.count(b"\n", 0, error.start) + 1
                what, fix = "the file is not UTF-8", "save it as UTF-8"
                problems.append(TemplateProblem(str(path), line, 1, what, fix))
                continue
            except OSError as error:
                what = f"the file cannot be read: {(error.strerror or 'no reason given').lower()}"
                fix = "check the path and its permissions"
                problems.append(TemplateProblem(str(path), 1, 1, what, fix))
                continue
            sources.setdefault(path.parent.name, {})[path.name] = text
        found = cls(default_locale=default_locale)
        found._add(sources, str(root), problems)
        if problems:
            raise TemplateProblems(problems)
        return found

    @classmethod
    def from_sources(
        cls, sources: Mapping[str, Mapping[str, str]], default_locale: str = DEFAULT_LOCALE
    ) -> TemplateSet:
        """The same from texts by template and file name, as the store keeps them."""
        problems: list[TemplateProblem] = []
        found = cls(default_locale=default_locale)
        found._add(sources, "", problems)
        if problems:
            raise TemplateProblems(problems)
        return found

    def add_missing(self, template: str, files: Mapping[str, str]) -> None:
        """Add a template that comes with us, unless there is one of its name."""
        if template not in self._files:
            self._add({template: files}, "", [])

    def _add(
        self, sources: Mapping[str, Mapping[str, str]], root: str, problems: list[TemplateProblem]
    ) -> None:
        for template, files in sources.items():
            for name, text in files.items():
                path = f"{root}/{template}/{name}" if root else f"{template}/{name}"
                match = FILE.fullmatch(name)
                channel = match["channel"] if match else ""
                part = match["part"] if match else ""
                wrong = name_problem(name, match["locale"] if match else None, channel, part)
                if match is None or wrong is not None:
                    problems.append(TemplateProblem(path, 1, 1, *(wrong or ("", ""))))
                    continue
                compiled = compile_part(path, part, text, problems)
                if compiled is not None:
                    locale, made = (
                        (match["locale"] or "").lower(),
                        Part(f"{template}/{name}", text, *compiled),
                    )
                    self._parts[template, channel, locale, part] = made
                    written = self._written.setdefault(template, {}).setdefault(channel, [])
                    written.append((locale, part, made))
            self._files[template] = dict(files)

    @property
    def names(self) -> frozenset[str]:
        """Every template."""
        return frozenset(self._files)

    def channels(self, template: str) -> frozenset[str]:
        """The channels a template has any part for."""
        return frozenset(self._written.get(template, ()))

    def parts(self, template: str, channel: str, locale: str | None) -> frozenset[str]:
        """The parts there are for a channel in a locale, with its fallbacks."""
        return frozenset(self._find(template, channel, locale))

    def written(self, template: str, channel: str) -> list[tuple[str, str, Part]]:
        """Locale ("" without one), name and part of every file of a channel."""
        return list(self._written.get(template, {}).get(channel, ()))

    def nearest(self, template: str, channel: str, locale: str, part: str) -> str | None:
        """The locale of the part that a locale falls back to, None if there is none."""
        found = self._find(template, channel, locale).get(part)
        return found.locale if found is not None else None

    def sources(self, template: str) -> dict[str, str]:
        """The texts of a template by file name."""
        return dict(self._files.get(template, {}))

    def names_variable(self, template: str, channel: str, locale: str | None, name: str) -> bool:
        """Whether a part of a channel asks for a variable, so that others need not have it made."""
        return any(
            (name,) in found.part.variables
            for found in self._find(template, channel, locale).values()
        )

    def _find(self, template: str, channel: str, locale: str | None) -> dict[str, Found]:
        """The parts of a channel in a locale by name, each the nearest there is."""
        key = (template, channel, locale)
        found = self._sought.get(key)
        if found is None:
            found = {}
            for part in parts_of(channel):
                near = [
                    one
                    for one in fallbacks(locale)
                    if (template, channel, one, part) in self._parts
                ]
                if near:
                    found[part] = Found(
                        self._parts[template, channel, near[0], part],
                        near[0],
                        spoken(near[0], locale, self.default_locale),
                    )
            if len(self._sought) < SOUGHT_MAX:
                self._sought[key] = found
        return found

    def render(self, template: str, channel: str, context: RenderContext) -> Rendered:
        """The parts of one channel. Raises ``Unrenderable``."""
        try:
            names = variables(context)
        except (SecurityError, RecursionError) as error:
            raise Unrenderable(
                Reason.TEMPLATE_ERROR, "the event's data nests too deeply", template
            ) from error
        kind = channels().get(channel)
        if kind is None:
            raise Unrenderable(
                Reason.TEMPLATE_MISSING, f"there is no channel {channel!r}", template
            )
        parts: dict[str, Any] = {}
        locales: list[str] = []
        begin()
        for name, found in self._find(template, channel, context.locale).items():
            locales.append(found.locale)
            names["_locale"] = found.spoken
            parts[name] = render_part(found.part, kind, name, names)
        if (choices := kind.lacking(parts)) is not None:
            locale = context.locale or "the default locale"
            detail = f"{channel} has no {' or '.join(choices)} for {locale}"
            raise Unrenderable(Reason.TEMPLATE_MISSING, detail, template)
        counted = sms.count(parts["text"]) if kind.counts_parts and "text" in parts else None
        locale = max(locales, key=len, default="") or "default"
        return Rendered(parts, locale, content_hash(parts), counted)


def parts_of(channel: str) -> tuple[str, ...]:
    """The parts a channel can have; none if there is no such channel."""
    found = channels().get(channel)
    return found.parts if found is not None else ()


def spoken(locale: str, wanted: str | None, default: str = DEFAULT_LOCALE) -> str:
    """
    The locale whose numbers and dates suit a part: the recipient's where it is of the part's
    language, else the part's own, which is the default one for a part without a locale.
    """
    own = locale or default
    return wanted if wanted and fallbacks(wanted)[-2] == fallbacks(own)[-2] else own


def fallbacks(locale: str | None) -> list[str]:
    """``uk-UA`` → ``uk-ua``, ``uk``, ````."""
    found = []
    tag = (locale or "").lower().replace("_", "-")
    while tag:
        found.append(tag)
        tag = tag.rpartition("-")[0]
    return [*found, ""]


def variables(context: RenderContext) -> dict[str, Any]:
    """The names a template may use; those with an underscore are for filters."""
    names: dict[str, Any] = {
        "event": plain(context.event),
        "recipient": plain(context.recipient),
        "message": plain(context.message),
        "now": context.now.isoformat(),
        "_locale": context.locale,
        "_time_zone": context.time_zone,
        "_link": context.link,
        "_link_to": context.link_to,
    }
    if context.events is not None:
        names["events"], names["more"] = plain(list(context.events)), context.more
    if context.unsubscribe_url is not None:
        names["unsubscribe_url"] = context.unsubscribe_url
    if context.codes:
        names["codes"] = plain(context.codes)
    return names


def render_part(part: Part, channel: Channel, name: str, names: Mapping[str, Any]) -> Any:
    """One part as it is sent: cleaned text, HTML, or a checked structure."""
    try:
        return said(collect(part, names, OUTPUT_MAX.get(name, TEXT_MAX)), channel, name)
    except UndefinedError as error:
        raise Unrenderable(
            Reason.MISSING_VARIABLE, missing(error, part.variables, names), part.path
        ) from error
    except (TemplateError, SecurityError) as error:
        raise Unrenderable(
            Reason.TEMPLATE_ERROR, f"{str(error)[:200]}{place_of(error, part)}", part.path
        ) from error
    except Exception as error:  # an expression over outside data may raise anything at all
        raise Unrenderable(
            Reason.TEMPLATE_ERROR, f"{type(error).__name__} in an expression", part.path
        ) from error


def place_of(error: Exception, part: Part) -> str:
    """The line of a template that an error came from, as its author wrote it."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == part.compiled.filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    written = part.source.splitlines()[line - 1 : line]
    return f" (line {line}: {cut(written[0].strip(), LINE_SHOWN_MAX)})" if written else ""


def said(text: str, channel: Channel, name: str) -> Any:
    """
    The content of a rendered text, by its kind. Raises ``TemplateRuntimeError`` if it has none that
    can be sent.
    """
    if name == "yaml":
        found = with_urls(structure(text, values.get().texts), channel)
        if (problem := channel.structure_problem(found)) is not None:
            raise TemplateRuntimeError(problem)
        return found
    if name == "html":
        return clean_html(text)
    settled_text = settled(text, whole=channel.counts_parts)
    if not settled_text:
        raise TemplateRuntimeError("the text is empty")
    if name not in ("subject", "title"):
        return settled_text
    if has_encoded_word(settled_text):
        raise TemplateRuntimeError(f"there is an encoded word (=?…?=) in the {name}")
    return " ".join(settled_text.split())


def collect(part: Part, names: Mapping[str, Any], length_max: int) -> str:
    """The output, given up as soon as it grows too long."""
    pieces: list[str] = []
    length = 0
    values.set(Kept())
    for piece in part.compiled.generate(names):
        length += len(piece)
        if length > length_max:
            raise SecurityError(f"the result is longer than {length_max} characters")
        pieces.append(piece)
    return "".join(pieces)
