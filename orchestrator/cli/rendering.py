"""``kaskad render``: what a template makes of an event, for a person, in one language or all."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    print_json,
    read_input,
    segment,
    wants_json,
)

if TYPE_CHECKING:
    from orchestrator.render import TemplateSet

ALL_LOCALES = "all"

Shown = dict[str, dict[str, Any]]
"""What came of each channel, by its name; with ``--locale all`` by ``channel locale``."""


def register(app: typer.Typer) -> None:
    app.command()(render)


def render(
    template: Annotated[str, typer.Argument(help="The template's name.")],
    channel: Annotated[str, typer.Option(help="One channel; else all that the template has.")] = "",
    event: Annotated[
        str | None,
        typer.Option(help="A file with a CloudEvent, or with its data; - is standard input."),
    ] = None,
    recipient: Annotated[
        str, typer.Option(help="A stored person: an id, +380… or name@example.com.")
    ] = "",
    digest: Annotated[
        list[str] | None,
        typer.Option(help="A further event of a digest; may be repeated."),
    ] = None,
    locale: Annotated[
        str, typer.Option(help="In place of the recipient's; all: each that there is.")
    ] = "",
    html: Annotated[
        Path | None, typer.Option(help="Write a page that shows it all, mails as mails.")
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """What a template makes of an event, as each channel would get it."""
    from orchestrator.check.judge import load_configuration
    from orchestrator.configuration.reading import suggestion
    from orchestrator.configuration.yaml_file import ConfigError

    as_json, path = wants_json(output), find_config(config)
    try:
        templates = load_configuration(path, os.environ, secrets=False).templates
    except ConfigError as error:
        fail(str(error), USAGE)
    if template not in templates.names:
        fix = suggestion(
            template, templates.names, f"there are: {', '.join(sorted(templates.names))}"
        )
        fail(f"there is no template {template!r}; {fix}", USAGE)
    there = templates.channels(template)
    if channel and channel not in there:
        fix = suggestion(channel, there, f"there is {', '.join(sorted(there))}")
        fail(f"the template {template!r} has nothing for {channel!r}; {fix}", USAGE)
    given = read_event(event, needed=not recipient)
    person = stored_person(path, recipient) if recipient else {}
    more = [data_of(read_event(name, needed=True)) for name in digest or ()]
    shown = rendered(
        templates, template, [channel] if channel else sorted(there), locale, given, person, more
    )
    if html is not None:
        write_page(html, template, shown)
    if as_json:
        print_json(shown)
    elif html is not None:
        typer.echo(f"wrote {html}")
    else:
        for name, found in shown.items():
            show(name, found)
    raise typer.Exit(CHECK_FAILED if any("error" in one for one in shown.values()) else 0)


def rendered(
    templates: TemplateSet,
    template: str,
    names: list[str],
    locale: str,
    given: Mapping[str, Any],
    person: Mapping[str, Any],
    more: Sequence[Mapping[str, Any]] = (),
) -> Shown:
    """Every channel in its locale, or in all locales that it is written in."""
    from orchestrator.render import Unrenderable

    shown: Shown = {}
    for name in names:
        written = {one or templates.default_locale for one, *_ in templates.written(template, name)}
        several = locale == ALL_LOCALES
        for wanted in sorted(written) if several else [locale]:
            key = f"{name} {wanted}" if several else name
            try:
                codes = sample_codes(templates, template, name)
                asked = context(given, person, wanted, codes, more)
                found = templates.render(template, name, asked)
            except Unrenderable as problem:
                shown[key] = {"error": f"{problem.reason}: {problem.said}"}
                continue
            count = {"count": asdict(found.count)} if found.count else {}
            shown[key] = {"locale": found.locale, **count, "parts": found.parts}
    return shown


def read_event(name: str | None, *, needed: bool) -> dict[str, Any]:
    """
    A CloudEvent, or an event's data; ends the program with what is wrong with it. One that is not
    ``needed`` is only read if it was named.
    """
    if name is None and not needed:
        return {}
    name = name or "-"
    called = "standard input" if name == "-" else name
    if name == "-" and sys.stdin.isatty():
        fail("say for which event: --event event.json, or pipe one in", USAGE)
    try:
        given = json.loads(read_input(name))
    except ValueError as error:
        fail(f"{called}: this is not JSON: {error}", USAGE)
    data = given.get("data", given) if isinstance(given, dict) and "specversion" in given else given
    if not isinstance(data, dict) or not isinstance(data.get("recipient") or {}, dict):
        fail(f"{called}: an event is a JSON object, and so are its data and its recipient", USAGE)
    return dict(given)


def stored_person(config: Path, who: str) -> dict[str, Any]:
    """The profile of a stored person as templates see it; ends the program if there is none."""
    from orchestrator.cli.operate import ask
    from orchestrator.recipients.document import Person

    found = ask(config, "GET", f"/api/v1/recipients/{segment(who)}")
    document = {"attributes": {}, **found}
    return Person(str(document["id"]), document, lambda kind, value: "").view()


def sample_codes(templates: TemplateSet, template: str, channel: str) -> dict[str, str]:
    """An invented code for each that a channel of a template prints."""
    from orchestrator.engine.free_codes import invented_code

    paths = (path for _, _, part in templates.written(template, channel) for path in part.variables)
    names = {str(path[1]) for path in paths if path[0] == "codes" and len(path) > 1}
    return {name: invented_code(name) for name in sorted(names)}


def data_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a CloudEvent, or bare event data, without its recipients."""
    data = given.get("data", given) if "specversion" in given else given
    return {name: one for name, one in data.items() if name not in ("recipient", "recipients")}


def context(
    given: Mapping[str, Any],
    person: Mapping[str, Any],
    locale: str,
    codes: Mapping[str, str],
    more: Sequence[Mapping[str, Any]] = (),
) -> Any:
    """
    A CloudEvent, or bare event data, as templates see it. What it says of its recipient goes over
    what is stored of them, as when it is published. ``more`` are further events of a digest; the
    event alone is one, too.
    """
    from datetime import UTC, datetime

    from orchestrator.render import RenderContext

    data = given.get("data", given) if "specversion" in given else given
    recipient = {**person, **(data.get("recipient") or {})}
    return RenderContext(
        event=data_of(given),
        events=[data_of(given), *more],
        recipient=recipient,
        message={"id": "preview", "policy": "preview", "step": 0, "channel": "preview"},
        now=datetime.now(UTC),
        locale=locale or recipient.get("locale"),
        time_zone=recipient.get("time_zone") or "UTC",
        unsubscribe_url="https://example.com/u/preview",
        link=lambda url: url,
        codes=codes,
    )


def note_of(found: Mapping[str, Any]) -> str:
    """The language, and what a text costs in SMS parts."""
    note = str(found.get("locale") or "default")
    if count := found.get("count"):
        note += f", {count['alphabet']}, {count['units']} units, {count['parts']} part(s)"
    return note


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def show(name: str, found: Mapping[str, Any]) -> None:
    """One channel's parts, each under its name."""
    typer.echo(f"── {name} ({note_of(found)})")
    if "error" in found:
        typer.echo(f"   cannot be rendered: {found['error']}")
    for part, value in found.get("parts", {}).items():
        typer.echo(f"   [{part}]")
        for line in text_of(value).splitlines():
            typer.echo(f"   {line}")
    typer.echo("")


# ---- the page

STYLE = """\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:3rem}h3{font-size:1rem;color:#555;margin:1rem 0 .25rem}
pre{white-space:pre-wrap;background:#f4f4f4;padding:.75rem;margin:0}
iframe{width:100%;height:40rem;border:1px solid #bbb;background:#fff}
.error{color:#a00}"""


def write_page(path: Path, template: str, shown: Shown) -> None:
    """
    One HTML file: an HTML part in a frame of its own, without scripts, everything else as text.
    """
    from markupsafe import escape

    lines = [
        "<!doctype html>",
        f'<html lang="en"><meta charset="utf-8"><title>{escape(template)}</title>',
        f"<style>{STYLE}</style>",
        f"<h1>{escape(template)}</h1>",
    ]
    for name, found in shown.items():
        lines.append(f"<h2>{escape(name)}</h2><p>{escape(note_of(found))}</p>")
        if "error" in found:
            lines.append(f'<p class="error">cannot be rendered: {escape(found["error"])}</p>')
        for part, value in found.get("parts", {}).items():
            lines.append(f"<h3>{escape(part)}</h3>")
            text = escape(text_of(value))
            frame = f'<iframe sandbox title="{escape(name)}: {escape(part)}" srcdoc="{text}">'
            lines.append(f"{frame}</iframe>" if part == "html" else f"<pre>{text}</pre>")
    try:
        path.write_text("\n".join(lines) + "\n</html>\n", "utf-8")
    except OSError as error:
        fail(f"{path}: {error.strerror}", USAGE)
