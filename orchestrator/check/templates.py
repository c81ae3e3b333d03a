"""
The templates of policies, tried as they will be used: every filter with the forms of the language,
every part with every sample event and with invented ones. What can only fail is an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import meta, nodes

from orchestrator.channels import Capabilities
from orchestrator.channels.registry import channels
from orchestrator.check.expressions import NAMED_OTHERWISE, is_name, unknown_path
from orchestrator.check.samples import PERSON, Samples
from orchestrator.configuration.reading import Report, clip
from orchestrator.configuration.scalars import meant
from orchestrator.configuration.yaml_file import Position
from orchestrator.core.reasons import Reason
from orchestrator.render import RenderContext, TemplateSet, Unrenderable
from orchestrator.render.compiling import ENVIRONMENTS
from orchestrator.render.filter_use import FilterProblem, constant_filter_problem
from orchestrator.render.templates import Part, spoken
from orchestrator.render.usage import EACH, SAMPLES, Use, filters, invented, laid_over, uses

NAMES = ("event", "recipient", "message", "codes", "now", "unsubscribe_url")
DIGEST_NAMES = ("events", "more")
"""What there is besides in the templates of a policy with a digest."""
MESSAGE_NAMES = ("id", "policy", "step", "channel")
ALIKE = ("text", "number", "date", "url", "list", "person")
SAMPLE_NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
PEOPLE = ({"gender": "female"}, {"gender": "male"})
TEXT_PARTS = ("subject", "title", "text", "html")


@dataclass
class TemplateLint:
    """
    Looks at the parts of templates, each once, however many policies use it. ``linked`` are the
    channels of which a provider makes links. ``digest``: the one under way is that of a digest.
    """

    templates: TemplateSet
    folder: Path
    samples: Samples
    report: Report
    accounts: Mapping[str, Sequence[tuple[str, Capabilities]]] = field(default_factory=dict)
    linked: Collection[str] = ()
    seen: set[tuple[str, str, bool]] = field(default_factory=set)
    digest: bool = False

    def run(
        self, template: str, channel: str, events: Sequence[dict[str, Any]], digest: bool = False
    ) -> None:
        """Every part of a template for a channel."""
        if (template, channel, digest) in self.seen:
            return
        self.seen.add((template, channel, digest))
        self.digest = digest
        found: dict[str, list[Use]] = {}
        broken = False
        for locale, name, part in self.templates.written(template, channel):
            tree = ENVIRONMENTS[name].parse(part.source)
            named, guarded = uses(tree)
            found.setdefault(locale, []).extend(named)
            broken |= self.look_at(part, tree, (named, guarded), locale, events)
        if not broken:
            self.try_all(template, channel, found, events)
            self.look_at_languages(template, channel)

    def at(self, part: Part, line: int) -> Position:
        return Position(f"{self.folder}/{part.path}", line, 1)

    def look_at(
        self,
        part: Part,
        tree: nodes.Template,
        named: tuple[list[Use], set[tuple[Any, ...]]],
        locale: str,
        events: Sequence[dict[str, Any]],
    ) -> bool:
        """One part by its syntax tree; whether something in it is an error."""
        found, guarded = named
        problem = self.unknown_name(tree, found, events) or member_problem(tree)
        language = spoken(locale, None, self.templates.default_locale)
        if problem is None:
            for one in filters(tree):
                wrong = constant_filter_problem(one, language) or self.unlinked(one)
                if wrong is not None:
                    problem = (one.lineno, wrong.what, self.fix_of(wrong, locale))
                    break
        if problem is not None:
            self.report.error(self.at(part, problem[0]), problem[1], problem[2])
            return True
        for use in found:
            unknown = unknown_path(use, guarded, events, self.samples.people, ())
            if unknown is not None:
                self.report.warn(self.at(part, use[2]), *unknown)
                return False
        return False

    def unlinked(self, node: nodes.Filter) -> FilterProblem | None:
        """A link to a channel of which no provider makes links."""
        if node.name != "link_to" or not isinstance(node.node, nodes.Const):
            return None
        channel = node.node.value
        if channel in self.linked:
            return None
        what = f"link_to: no provider of {channel} makes links"
        return FilterProblem(what, "give one what its links need, such as the bot's `username`")

    def fix_of(self, wrong: FilterProblem, locale: str) -> str:
        """The fix; a file without a locale may be in another language than its author thinks."""
        if wrong.forms and not locale:
            rename = "name the file's language (sms.uk.text.j2), or set default_locale"
            return f"{wrong.fix}; or {rename}"
        return wrong.fix

    def unknown_name(
        self, tree: nodes.Template, found: Sequence[Use], events: Sequence[dict[str, Any]]
    ) -> tuple[int, str, str] | None:
        there = (*NAMES, *DIGEST_NAMES) if self.digest else NAMES
        known = {*there, "range", "loop", "true", "false"}
        names = [one for one in tree.find_all(nodes.Name) if one.name not in known]
        unknown = meta.find_undeclared_variables(tree) if names else set()
        for name in names:
            if name.name not in unknown or name.ctx != "load":
                continue
            what = f"there is no {name.name!r} in templates, only {', '.join(there)}"
            below = {key for event in events for key in event}
            below |= {str(use[0][1]) for use in found if use[0][0] == "event" and len(use[0]) > 1}
            near = meant(name.name, there)
            if name.name in DIGEST_NAMES:
                what = f"there is no {name.name!r} in the templates of a policy without a digest"
                fix = "write digest: {window: 1h} in the policy, or name one event: event.…"
            elif name.name in NAMED_OTHERWISE:
                fix = f"write {NAMED_OTHERWISE[name.name]}"
            elif name.name not in below and near is not None:
                fix = f"did you mean {near!r}?"
            elif name.name in PERSON:
                fix = f"write recipient.{name.name}"
            else:
                fix = f"write event.{name.name}"
            return name.lineno, what, fix
        return None

    def try_all(
        self,
        template: str,
        channel: str,
        found: dict[str, list[Use]],
        events: Sequence[dict[str, Any]],
    ) -> None:
        """Render a channel in each locale that is written for it; ``found`` is by locale."""
        everywhere = [use for uses_of_one in found.values() for use in uses_of_one]
        for locale in found:
            failed = self.fails(template, channel, locale, everywhere, events)
            if failed is not None:
                where, line = place_of(failed, self.folder)
                self.report.error(Position(where, line, 1), *words_of(failed))
                return

    def fails(
        self,
        template: str,
        channel: str,
        locale: str,
        found: list[Use],
        events: Sequence[dict[str, Any]],
    ) -> Unrenderable | None:
        """The failure of a channel in a locale where no sample at all can be rendered."""
        guess = invented(found)
        guesses = (guess_of(found, kind, guess) for kind in ("", *ALIKE))
        tries: Iterator[dict[str, Any]] = (
            {**one, "event": laid_over(one.get("event") or {}, event)}
            for one in guesses
            for event in events or [{}]
        )
        failure: Unrenderable | None = None
        for names in tries:
            for person in PEOPLE:
                try:
                    asked = context(names, locale, person)
                    rendered = self.templates.render(template, channel, asked)
                except Unrenderable as error:
                    if error.reason != Reason.TEMPLATE_ERROR:
                        return None
                    failure = failure or error
                else:
                    over = self.too_long(template, channel, locale, rendered.parts)
                    if over is None:
                        return None
                    failure = failure or over
        return failure

    def too_long(
        self, template: str, channel: str, locale: str, parts: Mapping[str, Any]
    ) -> Unrenderable | None:
        """What a part is refused for that no provider of the channel takes at its length."""
        accounts = self.accounts.get(channel, ())
        found = [(name, can.too_long(parts)) for name, can in accounts]
        for name, one in found if all(one for _, one in found) else ():
            assert one is not None
            part, length, most = one
            where = next(
                (
                    p.path
                    for at, n, p in self.templates.written(template, channel)
                    if n == part and at in (locale, "")
                ),
                "",
            )
            what = f"{part} has {length} characters, and {name} takes {most}"
            return Unrenderable(Reason.TOO_LONG, what, where)
        return None

    def look_at_languages(self, template: str, channel: str) -> None:
        """Warn of a text whose subject or title is only there in another language."""
        kind, default = channels()[channel], self.templates.default_locale
        written = self.templates.written(template, channel)
        by_locale: dict[str, dict[str, Part]] = {}
        for locale, name, part in written:
            by_locale.setdefault(locale, {})[name] = part
        for locale, parts in by_locale.items():
            if not locale:
                continue
            language = locale.partition("-")[0]
            for name in TEXT_PARTS:
                own = parts.get(name)
                if own is None:
                    continue
                for other in kind.parts:
                    if other not in TEXT_PARTS or other in parts:
                        continue
                    found = self.templates.nearest(template, channel, locale, other)
                    if found is None:
                        continue
                    theirs = (found or default).partition("-")[0]
                    if theirs != language and not (name == "text" and other == "html"):
                        what = f"{channel}.{locale}.{name} stands beside {other} in {theirs}"
                        fix = f"write {channel}.{locale}.{other}.j2"
                        self.report.warn(self.at(own, 1), what, fix)
                        return


def guess_of(found: list[Use], kind: str, guess: dict[str, Any]) -> dict[str, Any]:
    """Invented data, every value of one kind; as its uses ask for without one."""
    if not kind:
        return guess
    return invented([(path, "any" if EACH in path else kind, line) for path, _, line in found])


def context(names: dict[str, Any], locale: str, person: dict[str, Any]) -> RenderContext:
    people = laid_over(names.get("recipient") or {}, dict(PERSON) | person)
    event = names.get("event")
    event = event if isinstance(event, dict) else {}
    others = names.get("events")
    other = others[0] if isinstance(others, list) and others else {}
    return RenderContext(
        event=event,
        events=[laid_over(other, event) if isinstance(other, dict) else event] * 2,
        more=1,
        recipient=people,
        message=dict.fromkeys(MESSAGE_NAMES, SAMPLES["text"]),
        now=SAMPLE_NOW,
        locale=locale or None,
        time_zone=PERSON["time_zone"],
        unsubscribe_url=SAMPLES["url"],
        link=same_url,
        codes=codes if isinstance(codes := names.get("codes"), dict) else None,
    )


def same_url(url: str) -> str:
    return url


def member_problem(tree: nodes.Template) -> tuple[int, str, str] | None:
    """A member of what has none, or not this one."""
    for member in tree.find_all(nodes.Getattr):
        if is_name(member.node, "now"):
            what = f"`now` is a text and has no `{member.attr}`"
            return member.lineno, what, "write {{ now | date('HH:mm') }}"
        if is_name(member.node, "message") and member.attr not in MESSAGE_NAMES:
            near = meant(member.attr, MESSAGE_NAMES)
            known = ", ".join(f"message.{name}" for name in MESSAGE_NAMES)
            fix = f"did you mean message.{near}?" if near else f"there are {known}"
            return member.lineno, f"there is no message.{member.attr}", fix
        if member.attr.startswith("__"):
            what = f"{member.attr} is not available in templates"
            return member.lineno, what, "name a key of the event: event.total"
    return None


def place_of(failed: Unrenderable, folder: Path) -> tuple[str, int]:
    """
    The file and line that a part failed on: Jinja's own line, that of the YAML, or that of the key
    that the message names.
    """
    path = f"{folder}/{failed.where}"
    cause = failed.__cause__
    line, trace = 0, cause.__traceback__ if cause is not None else None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    mark = getattr(cause.__cause__ if cause is not None else None, "problem_mark", None)
    if mark is not None:
        return path, mark.line + 1
    if line or not path.endswith(".yaml.j2"):
        return path, line or 1
    named = re.findall(r"[a-z]+", failed.detail)
    source = Path(path).read_text(encoding="utf-8-sig").splitlines()
    for word in named:
        for number, text in enumerate(source, 1):
            if re.search(rf"(?:^|[\s{{,-]){word}s?:", text):
                return path, number
    return path, 1


FIXES = (
    ("list or mapping cannot be printed", "write {{ event.items[0].name }} or loop over it"),
    ("encoded word", "write the subject as plain text"),
    ("the text is empty", "write a text, or remove the file"),
    ("is not YAML", "check the brackets, quotes and indentation; write key: value"),
    ("is not a mapping", "write key: value, or remove the file"),
    ("button must be", 'write button: {title: …, url: "https://…"}'),
    ("an action must be", "write actions: [{action: open, title: …}]"),
    ("template must", "write template: name_of_the_template"),
    ("language must", "write language: uk"),
    ("body must be", 'write body: ["{{ … }}"]'),
    ("buttons must be", "write a list: buttons: [{…}]"),
    ("actions must be", "write a list: actions: [{action: …, title: …}]"),
    ("must be an http", "write https://…"),
    ("TypeError", "join texts with ~, and numbers with texts too"),
    ("plural: the value", "write {{ event.items | length | plural('item', 'items') }}"),
    ("date: the value", "give date an ISO 8601 date or time"),
    ("the value is not a number", "give it a number"),
    ("ZeroDivisionError", "do not divide by zero"),
)
KEY = re.compile(r"has no key '(.*)'; it has (.*)")


def words_of(failed: Unrenderable) -> tuple[str, str]:
    """What is wrong and how to fix it."""
    if failed.reason is Reason.TOO_LONG:
        return f"it is too long with every sample event: {failed.detail}", "shorten it"
    unknown = KEY.search(failed.detail)
    if unknown is not None:
        known = unknown[2].split(", ")
        near = meant(unknown[1], known)
        fix = f"did you mean {near!r}?" if near else f"it has {unknown[2]}"
        return f"the structure has no key {unknown[1]!r}", fix
    detail = failed.detail if failed.detail != "the YAML part is not a mapping" else ""
    what = f"it can never be rendered: {clip(detail or 'the YAML part is empty or not a mapping')}"
    fix = next((fix for sign, fix in FIXES if sign in failed.detail), "fix the expression")
    return what, fix
