"""The verbs about a configuration as a whole: config show, config diff, config hash, reload."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
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
    run_async,
    wants_json,
)
from orchestrator.cli.running import UrlOption, ask_running
from orchestrator.cli.trying import installation

if TYPE_CHECKING:
    from orchestrator.configuration.effective import EffectiveConfiguration

config_app = typer.Typer(
    help="The configuration: show it, hash it, compare it.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    app.add_typer(config_app, name="config")
    app.command()(reload)


@config_app.command("show")
def config_show(config: ConfigOption = None, output: OutputOption = "text") -> None:
    """The effective settings: defaults filled in, secrets masked. No secret needs to be there."""
    from orchestrator.configuration.reading import Report
    from orchestrator.configuration.settings_file import read_settings, view

    as_json, report = wants_json(output), Report()
    settings = read_settings(find_config(config), os.environ, report, secrets=False)
    if settings is None or report.failed:
        fail("\n".join(str(problem) for problem in report.problems), CHECK_FAILED)
    if as_json:
        print_json(view(settings))
        return
    import io

    from ruamel.yaml import YAML

    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(view(settings), text)
    typer.echo(text.getvalue(), nl=False)


@config_app.command("hash")
def config_hash(config: ConfigOption = None, output: OutputOption = "text") -> None:
    """
    A hash of settings, policies, governance and templates; the same on every machine with the same
    files, whatever its secrets are.
    """
    as_json, path = wants_json(output), find_config(config)
    found = files_of(path)
    if as_json:
        versions = installation(path).rules.policies.values()
        policies = {policy.name: policy.version for policy in versions}
        print_json({"hash": found["hash"], "policies": policies})
    else:
        typer.echo(found["hash"])


@config_app.command("diff")
def config_diff(
    against: Annotated[
        str,
        typer.Argument(
            help="A git revision, or another configuration; else what the running service has."
        ),
    ] = "",
    url: UrlOption = "",
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    What the files change in the running service, or since a git revision. Exit code 1 if anything
    does; changed secrets do not show.
    """
    from orchestrator.configuration.effective import differences

    as_json, path = wants_json(output), find_config(config)
    if against and url:
        fail("a revision and --url exclude each other: compare with one of them", USAGE)
    after = files_of(path)
    before = named(against, path) if against else running(path, url)
    found = differences(before, after)
    if as_json:
        print_json([one._asdict() for one in found])
    for one in () if as_json else found:
        typer.echo(changed(one.path, one.before, one.after))
    if not as_json and not found:
        typer.echo("nothing differs")
    raise typer.Exit(CHECK_FAILED if found else 0)


def changed(path: str, before: Any, after: Any) -> str:
    """One difference as a line."""
    if before is None:
        return f"+ {path}: {written(after)}"
    if after is None:
        return f"- {path}: {written(before)}"
    return f"~ {path}: {written(before)} -> {written(after)}"


def written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def files_of(path: Path) -> EffectiveConfiguration:
    from orchestrator.configuration.effective import effective

    return effective(installation(path))


def running(path: Path, url: str) -> Mapping[str, Any]:
    """What the running service has in force."""
    status, found = run_async(ask_running(path, "GET", "config", url))
    if status != 200:
        fail(f"the service does not tell its configuration ({status})", CHECK_FAILED)
    return dict(found)


def named(against: str, path: Path) -> Mapping[str, Any]:
    """The configuration of a git revision, a folder or a file."""
    from orchestrator.configuration.effective import effective
    from orchestrator.configuration.yaml_file import ConfigError
    from orchestrator.simulate.simulation import Version
    from orchestrator.simulate.versions import NoSuchVersion, find_version

    configuration = installation(path)
    base = Version("as it is", configuration, configuration.rules.policies)
    try:
        with TemporaryDirectory(prefix="kaskad-") as scratch:
            found = find_version(against, base, path, os.environ, Path(scratch))
    except (NoSuchVersion, ConfigError) as error:
        fail(str(error), USAGE)
    return effective(found.configuration)


def reload(url: UrlOption = "", config: ConfigOption = None, output: OutputOption = "text") -> None:
    """
    Have the running service load its configuration again. What `check` would refuse is refused,
    with every error, and the old one stays in force.
    """
    as_json = wants_json(output)
    status, found = run_async(ask_running(find_config(config), "POST", "reload", url))
    problems = found.get("problems") or []
    if as_json:
        print_json(found)
    elif status == 200:
        typer.echo("reloaded")
        for name, count in found.get("open_attempts", {}).items():
            typer.echo(f"{count} attempt(s) of {name!r} are open, and there is no such provider")
    else:
        for problem in problems:
            typer.echo(problem)
        typer.echo(f"refused: {len(problems)} error(s); the old configuration stays in force")
    raise typer.Exit(0 if status == 200 else CHECK_FAILED)
