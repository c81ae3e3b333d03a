"""The verbs that try policies in virtual time: test, simulate."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    NO_CONNECTION,
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    print_json,
    run_async,
    wants_json,
)

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.configuration.loading import Configuration
    from orchestrator.configuration.settings import Settings
    from orchestrator.configuration.yaml_file import Problem
    from orchestrator.core.message import Message
    from orchestrator.policytests.file import PolicyTest
    from orchestrator.policytests.verdict import Judgement
    from orchestrator.simulate.behaviour import Behaviour
    from orchestrator.simulate.event_file import EventFile
    from orchestrator.simulate.simulation import SimulationPlan, Version

COLUMNS = 140
SHARE = 25
"""How many tests are worth a process of their own."""
PROBLEMS_MAX = 50
PROGRESS_SECONDS = 10.0


def register(app: typer.Typer) -> None:
    app.command()(test)
    app.command()(simulate)


def test(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Test files or folders; else all beside the policies."),
    ] = None,
    name: Annotated[
        str, typer.Option("-k", "--name", help="Only tests whose name has this in it.")
    ] = "",
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Unit tests of policies, in virtual time: what is sent when, why not, and how it ends."""
    from orchestrator.policytests.report import as_json, print_verdicts

    as_json_wanted = wants_json(output)
    quiet_logs()
    configuration = installation(find_config(config))
    tests = collect_tests(paths or [], configuration)
    chosen = [one for one in tests if name.casefold() in one.name.casefold()]
    if not chosen:
        fail(nothing_to_test(paths or [], name, [one.name for one in tests], configuration), USAGE)
    started = time.perf_counter()
    verdicts = run_tests(chosen, configuration)
    if as_json_wanted:
        print_json(as_json(verdicts))
    else:
        print_verdicts(verdicts, time.perf_counter() - started, wide_console())
    raise typer.Exit(0 if all(verdict.passed for verdict in verdicts) else CHECK_FAILED)


def simulate(
    events: Annotated[str, typer.Option(help="JSON Lines of CloudEvents; - is standard input.")],
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Report on this policy; else on all that the events trigger."),
    ] = None,
    against: Annotated[
        str, typer.Option(help="Compare with: a policy file, a configuration, a git revision.")
    ] = "",
    providers: Annotated[
        Path | None, typer.Option(help="How providers and people behave, as YAML.")
    ] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Learn that from the receipts in the store.")
    ] = False,
    runs: Annotated[
        int,
        typer.Option(min=1, max=1000, help="How many runs, each with other random draws."),
    ] = 5,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.")] = 1,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    What policies would do with these events: whom they reach, how fast, at what cost; what another
    version changes.
    """
    from orchestrator.simulate.findings import print_findings
    from orchestrator.simulate.findings_json import as_json
    from orchestrator.simulate.simulation import simulate as run_plan
    from orchestrator.simulate.workers import workers

    as_json_wanted = wants_json(output)
    quiet_logs()
    path = find_config(config)
    plan = plan_of(path, events, policy or [], against, (providers, fit), runs, seed)
    total = len(plan.event_file.lines) * plan.runs * len(plan.versions)
    with progress("simulating", total) as advance:
        findings = run_plan(plan, workers(), advance)
    if as_json_wanted:
        print_json(as_json(plan, findings))
    else:
        print_findings(plan, findings, wide_console())


def plan_of(
    path: Path,
    events: str,
    policies: list[str],
    against: str,
    learnt: tuple[Path | None, bool],
    runs: int,
    seed: int,
) -> SimulationPlan:
    """
    The plan of a simulation; ends the program with every problem in it. ``learnt``: the values of
    --providers and --fit.
    """
    from orchestrator.configuration.yaml_file import ConfigError
    from orchestrator.simulate.event_file import BadEventFile, read_event_file
    from orchestrator.simulate.simulation import SimulationPlan, Version
    from orchestrator.simulate.versions import NoSuchVersion, find_version

    configuration = installation(path)
    base = Version("as it is", configuration, configuration.rules.policies)
    versions = [base]
    try:
        event_file = read_event_file(events)
        reported = reported_policies(policies, base, event_file)
        if against:
            with TemporaryDirectory(prefix="kaskad-") as scratch:
                other = find_version(against, base, path, os.environ, Path(scratch))
                versions = [other, base] if other.earlier else [base, other]
    except (BadEventFile, NoSuchVersion, ConfigError) as error:
        fail(str(error), USAGE)
    behaviour = behaviour_of(path, *learnt, event_file.ids)
    return SimulationPlan(tuple(versions), event_file, behaviour, reported, seed, runs)


def reported_policies(names: list[str], base: Version, event_file: EventFile) -> frozenset[str]:
    """The policies to report on; each must have events that trigger it."""
    from orchestrator.configuration.reading import suggestion

    types = ", ".join(f"{type} ({count})" for type, count in event_file.types.most_common(10))
    if not names:
        found = frozenset(
            name for name, policy in base.policies.items() if policy.event in event_file.types
        )
        if not found:
            fail(f"none of these events triggers a policy; there are: {types}", USAGE)
        return found
    for name in names:
        if name not in base.policies:
            fix = suggestion(name, base.policies, f"there are {', '.join(sorted(base.policies))}")
            fail(f"there is no policy {name!r}; {fix}", USAGE)
        event = base.policies[name].event
        if event not in event_file.types:
            fail(
                f"no event of the file is of the type {event!r}, which {name} waits for; there are:"
                f" {types}",
                USAGE,
            )
    return frozenset(names)


def behaviour_of(
    path: Path, providers: Path | None, fit: bool, events: Collection[str]
) -> Behaviour:
    """How providers and people behave: as a file says, as the store shows, or as assumed."""
    from orchestrator.configuration.yaml_file import ConfigError
    from orchestrator.simulate.behaviour import assumed
    from orchestrator.simulate.behaviour_file import read_behaviour
    from orchestrator.simulate.fit import NothingToFit

    if providers is not None and fit:
        fail(
            "--providers and --fit exclude each other: name a file, or learn from the store", USAGE
        )
    try:
        if providers is not None:
            return read_behaviour(providers, installation(path).settings.channels)
        return fitted(path, events) if fit else assumed()
    except (ConfigError, NothingToFit) as error:
        fail(str(error), USAGE)


def fitted(path: Path, events: Collection[str]) -> Behaviour:
    """
    The behaviour that the installation's own store shows, and what became of these events there;
    nothing is written to it.
    """
    from zoneinfo import ZoneInfo

    from orchestrator.configuration.settings_file import load_store_settings
    from orchestrator.simulate.fit import fit, sqlite_messages

    configuration = installation(path)
    zone = ZoneInfo(configuration.rules.governance.time_zone)
    settings = load_store_settings(path, os.environ)
    if settings.store.path is not None:
        return fit(sqlite_messages(settings.store.path.resolve()), zone, events)
    return fit(run_async(served_messages(settings)), zone, events)


async def served_messages(settings: Settings) -> list[Message]:
    """The finished messages of a database that is served."""
    from dataclasses import replace

    from orchestrator.app.build import open_store
    from orchestrator.primitives.clock import SystemClock
    from orchestrator.simulate.fit import stored_messages

    store = open_store(replace(settings, migrate="manual"), SystemClock().now, ())
    try:
        await store.open()
    except OSError as error:
        fail(str(error), NO_CONNECTION)
    try:
        return [message async for message in stored_messages(store)]
    finally:
        await store.close()


def quiet_logs() -> None:
    """Keep what the service would log off the terminal."""
    from orchestrator.telemetry.logging import configure_logging

    configure_logging("critical")


def installation(path: Path) -> Configuration:
    """
    The configuration without its secrets; ends the program where something else is wrong with it.
    """
    from orchestrator.check.judge import load_configuration
    from orchestrator.configuration.yaml_file import ConfigError

    try:
        return load_configuration(path, os.environ, secrets=False)
    except ConfigError as error:
        fail(str(error), USAGE)


def nothing_to_test(
    paths: list[Path], wanted: str, names: list[str], configuration: Configuration
) -> str:
    """The message for a run without tests, and how to fix that."""
    from orchestrator.configuration.reading import suggestion

    if names:
        return (
            f"no test has {wanted!r} in its name;"
            f" {suggestion(wanted, names, f'there is, for instance, {names[0]!r}')}"
        )
    where = " or ".join(str(path) for path in paths) or str(configuration.settings.policies)
    fix = f"write them beside a policy, as {configuration.settings.policies}/<policy>.test.yaml"
    return f"there are no tests in {where}; {fix}"


def collect_tests(paths: list[Path], configuration: Configuration) -> list[PolicyTest]:
    """Every test that the paths name; ends the program with all that is wrong in their files."""
    from orchestrator.configuration.reading import Report
    from orchestrator.configuration.yaml_file import ConfigError
    from orchestrator.policytests.file import find_test_files, read_test_file

    report = Report()
    try:
        files = find_test_files(paths, configuration)
    except ConfigError as error:
        fail(str(error), USAGE)
    found = [test for file in files for test in read_test_file(file, configuration, report)]
    if report.failed:
        fail(problem_list(report.problems), USAGE)
    return found


def problem_list(problems: Iterable[Problem]) -> str:
    """
    Each problem once, in the order of the files; of very many, the first and a count.
    """
    lines = [
        str(problem)
        for problem in sorted(
            dict.fromkeys(problems), key=lambda one: (one.path, one.line, one.column)
        )
    ]
    more = len(lines) - PROBLEMS_MAX
    return "\n".join(
        [*lines[:PROBLEMS_MAX], *([f"… and {more} more like these"] if more > 0 else [])]
    )


def run_tests(tests: list[PolicyTest], configuration: Configuration) -> list[Judgement]:
    """Run every test, many of them on all processors, with progress where somebody watches."""
    from orchestrator.policytests.runner import PolicyTestRunner
    from orchestrator.policytests.verdict import judge
    from orchestrator.simulate.workers import share_out, workers
    from orchestrator.virtual.shared_tools import SharedTools

    tools = SharedTools()

    def share(number: int) -> list[Judgement]:
        found = [
            judge(one, PolicyTestRunner(one, configuration, tools).run())
            for one in tests[number * SHARE :][:SHARE]
        ]
        # each runner leaves reference cycles behind
        gc.collect()
        return found

    shares = -(-len(tests) // SHARE)
    gc.freeze()
    found: dict[int, list[Judgement]] = {}
    with progress("testing", len(tests)) as advance:
        for number, verdicts in share_out(share, shares, workers()):
            found[number] = verdicts
            advance(len(verdicts))
    return [verdict for number in range(shares) for verdict in found[number]]


def wide_console() -> Console:
    """Standard output; as wide as its terminal, or wide enough for tables where it is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else COLUMNS)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[float], None]]:
    """
    Show progress on standard error: a bar on a terminal, else a line now and then. Yields the
    function that advances it.
    """
    from rich.console import Console
    from rich.progress import Progress

    if not sys.stderr.isatty():
        yield progress_lines(what, total)
        return
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(what, total=total)

        def advance(count: float) -> None:
            bar.update(task, advance=count, refresh=True)

        yield advance


def progress_lines(what: str, total: int) -> Callable[[float], None]:
    """A function that advances the progress, and prints a line every ``PROGRESS_SECONDS``."""
    done, shown_at = 0.0, time.monotonic()

    def advance(count: float) -> None:
        nonlocal done, shown_at
        done += count
        if time.monotonic() - shown_at >= PROGRESS_SECONDS:
            shown_at = time.monotonic()
            typer.echo(f"{what}: {done / total:.0%} ({done:.0f} of {total})", err=True)

    return advance
