"""The verbs that run something: run, migrate, sandbox, demo."""

from __future__ import annotations

import os
from pathlib import Path
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
    how_called,
    print_json,
    require_extra,
    run_async,
    wants_json,
)

if TYPE_CHECKING:
    from orchestrator.app.app import App
    from orchestrator.sandbox import Sandbox

NO_MAIL = "none, because aiosmtpd is not installed: pip install 'kaskad[sandbox]'"

migrate = typer.Typer(help="The database's schema.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(demo)
    app.command()(sandbox)
    app.add_typer(migrate, name="migrate")


def run(
    config: ConfigOption = None,
    role: Annotated[
        str,
        typer.Option(
            help=(
                "What this process does, comma-separated: http, kafka, work. All where it is left"
                " away."
            )
        ),
    ] = "http,kafka,work",
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox",
            help="With the stand-in providers, on the loopback ports that the accounts point to.",
        ),
    ] = False,
) -> None:
    """The service: events in, messages out. SIGTERM drains, SIGHUP reloads the configuration."""
    from orchestrator.app.app import ROLES, App
    from orchestrator.app.serve import serve
    from orchestrator.configuration.yaml_file import ConfigError
    from orchestrator.stores.port import StoreBusy, StoreInUse

    roles = [one.strip() for one in role.split(",") if one.strip()]
    if not roles or not set(roles) <= set(ROLES):
        fail(f"--role takes {', '.join(ROLES)}, not {role!r}", USAGE)
    path = find_config(config)
    service = App(path, os.environ, roles=roles)
    try:
        raise typer.Exit(run_async(beside_stand_ins(path, service) if sandbox else serve(service)))
    except ConfigError as error:
        fail(str(error), CHECK_FAILED)
    except (StoreBusy, StoreInUse, OSError) as error:
        fail(str(error), NO_CONNECTION)


async def beside_stand_ins(path: Path, service: App) -> int:
    """Run a service and its stand-ins in one process until it is stopped; the exit code."""
    from orchestrator.app.serve import serve
    from orchestrator.cli.stand_ins import NoStandIns, stand_ins
    from orchestrator.configuration.settings_file import load_settings
    from orchestrator.sandbox import Unbindable

    settings = load_settings(path, os.environ)
    try:
        async with stand_ins(settings, announce_pages):
            return await serve(service)
    except NoStandIns as error:
        fail(str(error), USAGE)
    except Unbindable as error:
        fix = f"stop it, or give the accounts in {path} another port"
        fail(f"{error}; {fix}", NO_CONNECTION)


def announce_pages(sandbox: Sandbox) -> None:
    """Say where everybody's phones are seen, and what does not run."""
    typer.echo(f"phones   {sandbox.url}/")
    if not sandbox.smtp_port:
        typer.echo(f"mail     {NO_MAIL}")


@migrate.command("up")
def migrate_up(
    config: ConfigOption = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make a new store even beside others.")
    ] = False,
) -> None:
    """Bring the schema up to date; safe to run again."""
    done = run_async(migrations(find_config(config), up=True, create=create))
    typer.echo(
        "\n".join(f"ran {name}" for name, ran in done.items() if ran) or "the schema is up to date"
    )


@migrate.command("status")
def migrate_status(config: ConfigOption = None, output: OutputOption = "text") -> None:
    """Which migrations have been run."""
    found = run_async(migrations(find_config(config), up=False))
    if wants_json(output):
        print_json(found)
        return
    for name, ran in found.items():
        typer.echo(f"{'done   ' if ran else 'to come'}  {name}")


async def migrations(config: Path, *, up: bool, create: bool = False) -> dict[str, bool]:
    """Each migration: with ``up`` whether it was run now, else whether it has been."""
    from orchestrator.configuration.settings_file import load_store_settings
    from orchestrator.configuration.store_settings import databases_beside
    from orchestrator.configuration.yaml_file import ConfigError
    from orchestrator.stores.port import StoreInUse
    from orchestrator.stores.postgres import schema as postgres_schema
    from orchestrator.stores.sqlite import schema as sqlite_schema

    try:
        settings = load_store_settings(config, os.environ)
    except ConfigError as error:
        fail(str(error), USAGE)
    try:
        if settings.store.kind == "postgresql":
            return await postgres_schema.migrate_url(settings.store.url.get_secret_value(), up=up)
        if settings.store.path is None:
            fail(f"{config}: a store in memory has nothing to migrate", USAGE)
        if not create and (there := databases_beside(settings.store.path)):
            what = f"there is no {settings.store.path} yet, and {' and '.join(there)} beside it"
            fail(f"{what}; name the right file, or add --create to make a new store", USAGE)
        return sqlite_schema.migrate_file(settings.store.path, up=up)
    except (StoreInUse, OSError) as error:
        fail(str(error), NO_CONNECTION)


def sandbox(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port of the HTTP providers and the page.")] = 8090,
    smtp_port: Annotated[int, typer.Option(help="The port of the mail server.")] = 8025,
    smpp_port: Annotated[int, typer.Option(help="The port of the SMSC.")] = 2775,
    record: Annotated[
        Path | None, typer.Option(help="Write down what was accepted, one JSON line each.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of everything that is left to chance.")] = 1,
    public_url: Annotated[
        str | None, typer.Option(help="Where others reach it, where that is not its address.")
    ] = None,
    callback: Annotated[
        list[str] | None, typer.Option(help="Where a provider reports to: meta=https://…")
    ] = None,
) -> None:
    """
    Stand-in providers with the real wire formats, and a page that shows each recipient's phones.
    """
    from orchestrator.sandbox import SandboxConfig, Unbindable, serve

    config = SandboxConfig(
        host=host,
        http_port=port,
        smtp_port=smtp_port,
        smpp_port=smpp_port,
        record=record,
        seed=seed,
        public_url=public_url,
        callbacks={
            name: url for name, _, url in (entry.partition("=") for entry in callback or ())
        },
    )
    try:
        run_async(serve(config, announce))
    except ValueError as error:
        fail(str(error), USAGE)
    except Unbindable as error:
        others = "choose others with --host, --port, --smtp-port and --smpp-port"
        fail(f"{error}; {others}", NO_CONNECTION)
    except OSError as error:
        fail(str(error), NO_CONNECTION)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def announce(sandbox: Sandbox) -> None:
    """Say where the stand-ins listen and what they accept, ready to be copied."""
    mail = f"smtp://{sandbox.host}:{sandbox.smtp_port}" if sandbox.smtp_port else NO_MAIL
    typer.echo(f"phones   {sandbox.url}/")
    typer.echo(f"mail     {mail}")
    typer.echo(f"smpp     {sandbox.host}:{sandbox.center.port}")
    typer.echo(f"script   PUT {sandbox.url}/_sandbox/script")
    typer.echo("")
    typer.echo("# What they accept. All of it is invented and public: nothing here is a secret.")
    typer.echo(sandbox.environment_file(), nl=False)
    typer.echo("# The accounts of fcm and apns, whose keys are long: GET /_sandbox/apps")


def demo(
    events: Annotated[int, typer.Option(help="How many sample events are published.")] = 300,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running afterwards, and print its URLs.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The seed of the sandbox's behaviour.")] = 7,
    output: OutputOption = "text",
) -> None:
    """
    The whole thing on one machine, with no account: watch cascades move down their channels, then
    read the summary.
    """
    require_extra("sandbox", "aiosmtpd")
    from orchestrator.demo import run_demo

    work = run_demo(
        events=events, keep=keep, seed=seed, as_json=wants_json(output), command=how_called()
    )
    raise typer.Exit(run_async(work))
