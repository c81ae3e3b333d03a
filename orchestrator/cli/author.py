"""The verbs of those who write policies and templates: check, schema."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    USAGE,
    ConfigOption,
    JunitOption,
    fail,
    find_config,
    output_format,
    print_json,
    run_async,
)
from orchestrator.cli.junit import JunitCase, print_junit
from orchestrator.cli.progress import busy

if TYPE_CHECKING:
    from orchestrator.check.judge import Assessment
    from orchestrator.configuration.yaml_file import Problem


def register(app: typer.Typer) -> None:
    app.command()(check)
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
    watching: Annotated[
        bool,
        typer.Option(
            "--watch", help="Check again whenever a file changes, and print what is different."
        ),
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
    if watching:
        watch_problems(shape, found, lambda: wanted_problems(found, only, secrets, probe))
        return
    with busy("checking"):
        problems = wanted_problems(found, only, secrets, probe)
    errors = [problem for problem in problems if problem.severity == "error"]
    if shape == "json":
        print_json([problem.__dict__ for problem in problems])
    elif shape == "junit":
        print_junit("kaskad check", junit_cases(only or found, problems, strict))
    else:
        print_problems(problems)
        print_untested(found)
        if errors and secrets and not judged(found, secrets=False).errors:
            typer.echo(
                "Only secrets are missing on this machine; --no-secrets looks at all the rest.",
                err=True,
            )
    raise typer.Exit(CHECK_FAILED if errors or (strict and problems) else 0)


def wanted_problems(config: Path, only: Path | None, secrets: bool, probe: bool) -> list[Problem]:
    """What is wrong, of one file if that is what was asked for."""
    problems = problems_found(config, secrets, probe)
    if only is not None:
        problems = [one for one in problems if Path(one.path).resolve() == only]
    return problems


def watch_problems(shape: str, config: Path, find: Callable[[], list[Problem]]) -> None:
    """Check again whenever a file of the project changes."""
    from orchestrator.cli.watching import project_folders, watch

    if shape != "text":
        fail("--watch prints for people: leave -o away", USAGE)

    def look() -> tuple[dict[str, str], str]:
        problems = find()
        return {str(one): str(one) for one in problems}, count_of(problems)

    watch(project_folders(config), look)


def print_untested(config: Path) -> None:
    """Name the policies that no test is of; it is no problem, and changes no exit code."""
    from orchestrator.policytests.beside import policies_without_tests

    configuration = judged(config, secrets=False).configuration
    if configuration is not None and (names := policies_without_tests(configuration)):
        typer.echo(f"no test yet: {', '.join(names)}", err=True)


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
    typer.echo(count_of(problems))


def count_of(problems: Sequence[Problem]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    count = f"{errors} error(s), {warnings} warning(s)"
    return count if problems else "everything is in order"


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


def schema(
    kind: Annotated[
        str, typer.Argument(help="policy, journey, governance, kaskad or test.")
    ] = "policy",
) -> None:
    """The JSON Schema of a file, for editors."""
    from orchestrator.configuration.schema import schema as schema_of
    from orchestrator.policytests.schema import test_schema

    try:
        print_json(test_schema() if kind == "test" else schema_of(kind))
    except KeyError:
        there = "policy, journey, governance, kaskad and test"
        fail(f"there are schemas for {there}, not for {kind!r}", USAGE)
