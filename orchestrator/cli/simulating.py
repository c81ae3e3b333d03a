"""``kaskad simulate``: what policies would do with a file of events."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    NO_CONNECTION,
    USAGE,
    ConfigOption,
    fail,
    find_config,
    output_format,
    print_json,
    run_async,
)
from orchestrator.cli.trying import installation, progress, quiet_logs, wide_console

if TYPE_CHECKING:
    from orchestrator.configuration.settings import Settings
    from orchestrator.core.message import Message
    from orchestrator.simulate.behaviour import Behaviour
    from orchestrator.simulate.event_file import EventFile
    from orchestrator.simulate.limits import SimulationLimit
    from orchestrator.simulate.simulation import Findings, SimulationPlan, Version


EventsOption = Annotated[str, typer.Option(help="JSON Lines of CloudEvents; - is standard input.")]
TuneOption = Annotated[
    str, typer.Option(help="wait: propose the waits of steps, from the receipts in the store.")
]
PolicyOption = Annotated[
    list[str] | None,
    typer.Option(help="Report on this policy; else on all that the events trigger."),
]
FileOption = Annotated[
    Path | None, typer.Option("--out", help="Write there, not to standard output.")
]
PageOption = Annotated[str, typer.Option("-o", "--output", help="text, json or html.")]


def register(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    revisions: Annotated[
        str,
        typer.Argument(
            metavar="[A..B]",
            help="Compare two git revisions; one that is left out is the files as they are.",
        ),
    ] = "",
    events: EventsOption = "",
    tune: TuneOption = "",
    policy: PolicyOption = None,
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
    since: Annotated[
        str, typer.Option(help="Only events since: 14d before the last one, or an RFC 3339 time.")
    ] = "",
    sample: Annotated[str, typer.Option(help="Only a share of the people: 10% or 0.1.")] = "",
    fail_if: Annotated[
        str,
        typer.Option("--fail-if", help='Exit with 1 if: "reach < -1pp or cost > +5%".'),
    ] = "",
    file: FileOption = None,
    config: ConfigOption = None,
    output: PageOption = "text",
) -> None:
    """
    What policies would do with these events: whom they reach, how fast, at what cost; what another
    version changes.
    """
    from orchestrator.simulate.limits import crossed_limits
    from orchestrator.simulate.simulation import simulate as run_plan
    from orchestrator.simulate.workers import workers

    shape = output_format(output, "text", "json", "html")
    quiet_logs()
    path = find_config(config)
    if tune:
        tune_waits(path, tune, policy or [], shape, file)
        return
    if not events:
        fail("say which events: --events FILE (or --tune wait, which needs none)", USAGE)
    if revisions and against:
        fail("A..B and --against exclude each other: name what to compare once", USAGE)
    wanted = SimulationRequest(
        events, since, sample, policy or [], revisions or against, bool(revisions)
    )
    plan = plan_of(path, wanted, (providers, fit), runs, seed)
    limits = limits_of(fail_if, plan)
    total = len(plan.event_file.lines) * plan.runs * len(plan.versions)
    with progress("simulating", total) as advance:
        findings = run_plan(plan, workers(), advance)
    crossed = crossed_limits(limits, findings)
    show(plan, findings, crossed if limits else None, shape, file)
    raise typer.Exit(CHECK_FAILED if crossed else 0)


def show(
    plan: SimulationPlan,
    findings: Findings,
    crossed: list[str] | None,
    shape: str,
    file: Path | None,
) -> None:
    """The findings in one of the formats; ``crossed`` are limits, None if none were given."""
    from orchestrator.cli.reporting import write_view
    from orchestrator.simulate.findings import print_findings
    from orchestrator.simulate.findings_json import as_json
    from orchestrator.simulate.findings_page import as_view

    if shape == "json":
        print_json(as_json(plan, findings) | ({} if crossed is None else {"crossed": crossed}))
    elif shape == "html":
        write_view(as_view(plan, findings), shape, file)
    else:
        print_findings(plan, findings, wide_console())
    for line in crossed or () if shape != "json" else ():
        typer.echo(f"FAILED {line}", err=shape == "html")


def tune_waits(path: Path, what: str, names: list[str], shape: str, file: Path | None) -> None:
    """``--tune wait``: what the receipts in the store say of the waits of steps."""
    from orchestrator.cli.reporting import write_view
    from orchestrator.configuration.reading import suggestion
    from orchestrator.simulate.fit import NothingToFit
    from orchestrator.simulate.tuning import as_view, delays_of
    from orchestrator.simulate.tuning import tune as tune_all

    if what != "wait":
        fail(f"--tune takes wait, not {what!r}", USAGE)
    configuration = installation(path)
    policies = configuration.rules.policies
    for name in names:
        if name not in policies:
            fix = suggestion(name, policies, f"there are {', '.join(sorted(policies))}")
            fail(f"there is no policy {name!r}; {fix}", USAGE)
    try:
        messages = finished_messages(path)
    except NothingToFit as error:
        fail(str(error), USAGE)
    found = tune_all(configuration, names or policies, delays_of(messages))
    view = as_view(found, configuration.settings.currency or "", len(messages))
    write_view(view, shape, file)


def finished_messages(path: Path) -> list[Message]:
    """The finished messages of the installation's own store; nothing is written to it."""
    from orchestrator.configuration.settings_file import load_store_settings
    from orchestrator.simulate.fit import sqlite_messages

    settings = load_store_settings(path, os.environ)
    if settings.store.path is not None:
        return list(sqlite_messages(settings.store.path.resolve()))
    return run_async(served_messages(settings))


class SimulationRequest(NamedTuple):
    """What is simulated. ``between``: ``against`` is two revisions, as ``A..B``."""

    events: str
    since: str
    sample: str
    policies: list[str]
    against: str
    between: bool


def limits_of(text: str, plan: SimulationPlan) -> list[SimulationLimit]:
    """The limits of --fail-if; ends the program with what is wrong with them."""
    from orchestrator.simulate.limits import BadLimit, read_limits

    channels = dict.fromkeys(
        channel for version in plan.versions for channel in version.configuration.settings.channels
    )
    try:
        return read_limits(text, channels, compared=len(plan.versions) > 1)
    except BadLimit as error:
        fail(str(error), USAGE)


def plan_of(
    path: Path,
    wanted: SimulationRequest,
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
    from orchestrator.simulate.thinning import thinned
    from orchestrator.simulate.versions import NoSuchVersion, between, find_version

    configuration = installation(path)
    base = Version("as it is", configuration, configuration.rules.policies)
    versions = [base]
    try:
        event_file = thinned(read_event_file(wanted.events), wanted.since, wanted.sample, seed)
        with TemporaryDirectory(prefix="kaskad-") as folder:
            scratch = Path(folder)
            if wanted.between:
                versions = between(wanted.against, base, path, os.environ, scratch)
            elif wanted.against:
                other = find_version(wanted.against, base, path, os.environ, scratch)
                versions = [other, base] if other.earlier else [base, other]
        reported = reported_policies(wanted.policies, versions[-1], event_file)
    except (BadEventFile, NoSuchVersion, ConfigError) as error:
        fail(str(error), USAGE)
    behaviour = behaviour_of(path, *learnt, event_file.ids)
    return SimulationPlan(tuple(versions), event_file, behaviour, reported, seed, runs)


def reported_policies(names: list[str], base: Version, event_file: EventFile) -> frozenset[str]:
    """The policies to report on; each must have events that trigger it."""
    from orchestrator.configuration.reading import suggestion
    from orchestrator.core.inside import is_inside

    types = ", ".join(f"{type} ({count})" for type, count in event_file.types.most_common(10))
    journeys = base.configuration.rules.journeys.values()
    sent = {name for one in journeys if event_file.may_start(one) for name in one.sends}
    if not names:
        found = frozenset(
            name
            for name, policy in base.policies.items()
            if policy.event in event_file.types or name in sent
        )
        if not found:
            fail(f"none of these events triggers a policy; there are: {types}", USAGE)
        return found
    for name in names:
        if name not in base.policies:
            fix = suggestion(name, base.policies, f"there are {', '.join(sorted(base.policies))}")
            fail(f"there is no policy {name!r}; {fix}", USAGE)
        event = base.policies[name].event
        if event in event_file.types or is_inside(event) or name in sent:
            continue
        waits = f"of the type {event!r}, which {name} waits for"
        waits = waits if event else f"one that starts a journey which sends {name}"
        fail(f"no event of the file is {waits}; there are: {types}", USAGE)
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

    from orchestrator.simulate.fit import fit

    configuration = installation(path)
    zone = ZoneInfo(configuration.rules.governance.time_zone)
    return fit(finished_messages(path), zone, events)


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
