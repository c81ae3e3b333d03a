"""The verbs of those who write policies and templates: check, render, schema."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    USAGE,
    ConfigOption,
    JunitOption,
    OutputOption,
    fail,
    find_config,
    output_format,
    print_json,
    read_input,
    run_async,
    wants_json,
)
from orchestrator.cli.junit import JunitCase, print_junit

if TYPE_CHECKING:
    from orchestrator.check.judge import Assessment
    from orchestrator.configuration.yaml_file import Problem


def register(app: typer.Typer) -> None:
    app.command()(check)
    app.command()(render)
    app.command()(schema)


def check(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="The configuration file or its folder; of another file, only what concerns it."
        ),
    ] = None,
    secrets: Annotated[
        bool,
        typer.Option(
            "--secrets/--no-secrets",
            help="Whether ${env:…} and ${file:…} must be there on this machine.",
        ),
    ] = True,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Ask each account whether it can be used, where its provider has a question that"
            " sends nothing; the others are named.",
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings fail the check, too: for CI.")
    ] = False,
    config: ConfigOption = None,
    output: JunitOption = "text",
) -> None:
    """
    Everything that is wrong with configuration, policies and templates: file:line:col, what, and
    how to fix it.
    """
    shape = output_format(output, "text", "json", "junit")
    found, only = checked_paths(path, config)
    problems = problems_found(found, secrets, probe)
    if only is not None:
        problems = [one for one in problems if Path(one.path).resolve() == only]
    errors = [problem for problem in problems if problem.severity == "error"]
    if shape == "json":
        print_json([problem.__dict__ for problem in problems])
    elif shape == "junit":
        print_junit("kaskad check", junit_cases(only or found, problems, strict))
    else:
        print_problems(problems)
        if errors and secrets and not judged(found, secrets=False).errors:
            typer.echo(
                "Only secrets are missing on this machine; --no-secrets looks at all the rest.",
                err=True,
            )
    raise typer.Exit(CHECK_FAILED if errors or (strict and problems) else 0)


def judged(path: Path, *, secrets: bool) -> Assessment:
    from orchestrator.check.judge import judge

    return judge(path, os.environ, secrets=secrets)


def problems_found(path: Path, secrets: bool, probe: bool) -> list[Problem]:
    """Everything that is wrong with a configuration and the tests beside its policies."""
    from orchestrator.check.left_open import left_open
    from orchestrator.policytests.beside import test_problems as problems_of_tests

    verdict = judged(path, secrets=secrets)
    problems = list(verdict.problems)
    if verdict.configuration is None:
        return problems
    problems += problems_of_tests(verdict.configuration)
    if secrets:
        problems += run_async(left_open(verdict.configuration))
    if probe:
        from orchestrator.doctor.accounts import not_asked, probe_accounts

        problems += run_async(probe_accounts(verdict.configuration))
        if others := not_asked(verdict.configuration):
            typer.echo(f"not asked: {', '.join(others)}", err=True)
    return problems


def print_problems(problems: Sequence[Problem]) -> None:
    """One line a problem, and how many there are."""
    for problem in problems:
        typer.echo(str(problem))
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    count = f"{errors} error(s), {warnings} warning(s)"
    typer.echo(count if problems else "everything is in order")


def junit_cases(path: Path, problems: Sequence[Problem], strict: bool) -> list[JunitCase]:
    """
    A case for each file that something is wrong with, failed by errors (with ``strict`` by
    warnings, too); one for the configuration that passes if nothing is.
    """
    cases = []
    for file in dict.fromkeys(problem.path for problem in problems):
        own = [problem for problem in problems if problem.path == file]
        wrong = [problem for problem in own if strict or problem.severity == "error"]
        first = wrong[0] if wrong else own[0]
        said = f"{first.what}; {first.fix}" if wrong else ""
        text = "\n".join(map(str, own))
        cases.append(JunitCase("configuration", file, file, first.line, said, text))
    return cases or [JunitCase("configuration", str(path), str(path), 1)]


def checked_paths(path: Path | None, config: Path | None) -> tuple[Path, Path | None]:
    """
    The configuration that a path means, and the one file of it that was asked for: a folder means
    the configuration in it, a policy or template the one that it belongs to.
    """
    if path is None or not path.exists():
        return find_config(path or config), None
    if path.is_dir():
        inside = (path / "kaskad.yaml", path / "config" / "kaskad.yaml")
        return find_config(next((one for one in inside if one.is_file()), inside[0])), None
    if path.name == "kaskad.yaml" or config == path:
        return find_config(path), None
    full = path.resolve()
    for folder in full.parents:
        for one in (folder / "kaskad.yaml", folder / "config" / "kaskad.yaml"):
            if one.is_file() and one != full:
                return find_config(config or one), full
    return find_config(path), None


def render(
    template: Annotated[str, typer.Argument(help="The template's name.")],
    channel: Annotated[str, typer.Option(help="One channel; else all that the template has.")] = "",
    event: Annotated[
        str, typer.Option(help="A file with a CloudEvent, or with its data; - is standard input.")
    ] = "-",
    locale: Annotated[str, typer.Option(help="In place of the recipient's.")] = "",
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """What a template makes of an event, as each channel would get it."""
    from orchestrator.check.judge import load_configuration
    from orchestrator.configuration.reading import suggestion
    from orchestrator.configuration.yaml_file import ConfigError
    from orchestrator.render import Unrenderable

    try:
        templates = load_configuration(find_config(config), os.environ, secrets=False).templates
    except ConfigError as error:
        fail(str(error), USAGE)
    given = read_event(event)
    if template not in templates.names:
        fail(
            f"there is no template {template!r}; there are: {', '.join(sorted(templates.names))}",
            USAGE,
        )
    there = templates.channels(template)
    if channel and channel not in there:
        fix = suggestion(channel, there, f"there is {', '.join(sorted(there))}")
        fail(f"the template {template!r} has nothing for {channel!r}; {fix}", USAGE)
    shown: dict[str, Any] = {}
    failed = False
    for name in [channel] if channel else sorted(templates.channels(template)):
        try:
            rendered = templates.render(template, name, context(given, locale))
        except Unrenderable as problem:
            failed = True
            shown[name] = {"error": f"{problem.reason}: {problem.said}"}
            continue
        count = {"count": asdict(rendered.count)} if rendered.count else {}
        shown[name] = {"locale": rendered.locale, **count, "parts": rendered.parts}
    if wants_json(output):
        print_json(shown)
    else:
        for name, found in shown.items():
            show(name, found)
    raise typer.Exit(CHECK_FAILED if failed else 0)


def read_event(name: str) -> dict[str, Any]:
    """A CloudEvent, or an event's data; ends the program with what is wrong with it."""
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


def context(given: dict[str, Any], locale: str) -> Any:
    """A CloudEvent, or bare event data, as templates see it."""
    from datetime import UTC, datetime

    from orchestrator.render import RenderContext

    data = given.get("data", given) if "specversion" in given else given
    recipient = dict(data.get("recipient") or {})
    return RenderContext(
        event={
            name: value for name, value in data.items() if name not in ("recipient", "recipients")
        },
        recipient=recipient,
        message={"id": "preview", "policy": "preview", "step": 0, "channel": "preview"},
        now=datetime.now(UTC),
        locale=locale or recipient.get("locale"),
        time_zone=recipient.get("time_zone") or "UTC",
        unsubscribe_url="https://example.com/u/preview",
        link=lambda url: url,
    )


def show(channel: str, found: dict[str, Any]) -> None:
    """One channel's parts, each under its name."""
    note = ""
    if count := found.get("count"):
        note = f", {count['alphabet']}, {count['units']} units, {count['parts']} part(s)"
    typer.echo(f"── {channel} ({found.get('locale') or 'default'}{note})")
    if "error" in found:
        typer.echo(f"   cannot be rendered: {found['error']}")
    for part, value in found.get("parts", {}).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        typer.echo(f"   [{part}]")
        for line in text.splitlines():
            typer.echo(f"   {line}")
    typer.echo("")


def schema(
    kind: Annotated[str, typer.Argument(help="policy, governance, kaskad or test.")] = "policy",
) -> None:
    """The JSON Schema of a file, for editors."""
    from orchestrator.configuration.schema import schema as schema_of
    from orchestrator.policytests.schema import test_schema

    try:
        print_json(test_schema() if kind == "test" else schema_of(kind))
    except KeyError:
        fail(f"there are schemas for policy, governance, kaskad and test, not for {kind!r}", USAGE)
