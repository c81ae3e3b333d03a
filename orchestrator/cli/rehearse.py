"""The verbs that try a policy before it meets anybody: test, simulate."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    print_json,
    wants_json,
)

if TYPE_CHECKING:
    from orchestrator.configuration import Configuration
    from orchestrator.rehearsal.testfile import PolicyTest
    from orchestrator.rehearsal.verdict import Verdict

SHARE = 25
"""So many tests are worth a process of their own."""


def register(app: typer.Typer) -> None:
    app.command()(test)


def test(
    paths: Annotated[list[Path] | None, typer.Argument(help="Test files or folders; else all beside the policies.")] = None,
    name: Annotated[str, typer.Option("-k", "--name", help="Only tests whose name has this in it.")] = "",
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Unit tests of policies, in virtual time: what is sent when, why not, and how it ends."""
    from rich.console import Console

    from orchestrator.rehearsal.testreport import as_json, print_verdicts

    as_json_wanted = wants_json(output)
    quiet_logs()
    configuration = rehearsed(find_config(config))
    tests = collect_tests(paths or [], configuration)
    chosen = [one for one in tests if name.casefold() in one.name.casefold()]
    if not chosen:
        where = f"no test has {name!r} in its name" if tests else "there are no tests"
        fail(f"{where}; write them beside a policy, as {configuration.settings.policies}/<policy>.test.yaml", USAGE)
    started = time.perf_counter()
    verdicts = play(chosen, configuration)
    if as_json_wanted:
        print_json(as_json(verdicts))
    else:
        print_verdicts(verdicts, time.perf_counter() - started, Console(soft_wrap=False))
    raise typer.Exit(0 if all(verdict.passed for verdict in verdicts) else CHECK_FAILED)


def quiet_logs() -> None:
    """What the service would log belongs to the rehearsal, not to the terminal."""
    from orchestrator.telemetry import configure_logging

    configure_logging("critical")


def rehearsed(path: Path) -> Configuration:
    """The configuration without its secrets; ends the program where something else is wrong with it."""
    from orchestrator.rehearsal.installation import load_installation
    from orchestrator.yamlfile import ConfigError

    try:
        return load_installation(path, os.environ)
    except ConfigError as error:
        fail(str(error), USAGE)


def collect_tests(paths: list[Path], configuration: Configuration) -> list[PolicyTest]:
    """Every test that the paths name; ends the program with all that is wrong in their files."""
    from orchestrator.reading import Report
    from orchestrator.rehearsal.testfile import find_test_files, read_test_file
    from orchestrator.yamlfile import ConfigError

    report = Report()
    try:
        files = find_test_files(paths, configuration)
    except ConfigError as error:
        fail(str(error), USAGE)
    found = [test for file in files for test in read_test_file(file, configuration, report)]
    if report.failed:
        fail("\n".join(str(problem) for problem in dict.fromkeys(report.problems)), USAGE)
    return found


def play(tests: list[PolicyTest], configuration: Configuration) -> list[Verdict]:
    """Play every test, many of them on all processors, with progress where somebody watches."""
    from orchestrator.rehearsal.crew import share_out, workers
    from orchestrator.rehearsal.trial import Trial
    from orchestrator.rehearsal.verdict import judge
    from orchestrator.rehearsal.world import Props

    props = Props()

    def share(number: int) -> list[Verdict]:
        found = [judge(one, Trial(one, configuration, props).play()) for one in tests[number * SHARE :][:SHARE]]
        gc.collect()  # each world leaves cycles behind, and the next loop to end would look through all of their tasks
        return found

    shares = -(-len(tests) // SHARE)
    gc.freeze()
    found: dict[int, list[Verdict]] = {}
    with progress("testing", len(tests)) as advance:
        for number, verdicts in share_out(share, shares, workers()):
            found[number] = verdicts
            advance(len(verdicts))
    return [verdict for number in range(shares) for verdict in found[number]]


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[float], None]]:
    """A bar on standard error, where that is a terminal; the function given advances it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(), auto_refresh=False) as bar:
        task = bar.add_task(what, total=total)

        def advance(count: float) -> None:
            bar.update(task, advance=count, refresh=True)

        yield advance
