"""``kaskad events export``: the trigger events of the installation's own store, as a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import urlencode

import typer

from orchestrator.cli.common import USAGE, ConfigOption, fail, find_config, run_async

events = typer.Typer(
    help="The events that triggered messages: write them to a file.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    app.add_typer(events, name="events")


@events.command("export")
def events_export(
    file: Annotated[str, typer.Argument(help="Where to write them; - is standard output.")] = "-",
    since: Annotated[
        str, typer.Option(help="Accepted so long ago at most (14d), or since a time (RFC 3339).")
    ] = "14d",
    until: Annotated[
        str | None, typer.Option(help="Accepted before then: so long ago, or a time.")
    ] = None,
    masked: Annotated[
        bool,
        typer.Option("--masked", help="With made-up names, phones, mailboxes and ids of people."),
    ] = False,
    mask: Annotated[
        list[str] | None,
        typer.Option(help="A further field of data or attributes that is personal; repeatable."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """
    Write the events of the store as JSON Lines, oldest first: `kaskad simulate --events FILE` reads
    them.
    """
    from orchestrator.cli.bulk import instant
    from orchestrator.cli.people import created

    if mask and not masked:
        fail("--mask names further fields for --masked: give that, too", USAGE)
    begin, end = instant(since, "--since"), instant(until, "--until")
    query = {"since": begin, "until": end, "masked": "true" if masked else None}
    query["mask"] = ",".join(mask) if mask else None
    wanted = {name: value for name, value in query.items() if value is not None}
    path = find_config(config)
    try:
        with created(file, "utf-8") as target:
            done = run_async(write_events(path, target, wanted))
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}", USAGE)
    typer.echo(f"exported: {done['events']} event(s)", err=True)
    if done["erased"]:
        typer.echo(
            f"{done['erased']} message(s) of people who were erased have no event any more",
            err=True,
        )


async def write_events(config: Path, target: IO[str], query: dict[str, str]) -> dict[str, int]:
    """Write all pages, one after the other; returns how many events there were."""
    import orjson

    from orchestrator.cli.bulk import asked
    from orchestrator.cli.client import service
    from orchestrator.cli.progress import progress
    from orchestrator.recipients.fields import rfc3339_ms

    done = {"events": 0, "erased": 0}
    begin = rfc3339_ms(query["since"]) or 0
    end = rfc3339_ms(query.get("until")) or int(time.time() * 1000)
    days = max(1, (end - begin) // DAY_MS)
    async with service(config) as client:
        with progress("exporting events, day", days) as advance:
            after: str | None = ""
            while after is not None:
                paging = {"after": after} if after else {}
                found: dict[str, Any] = await asked(
                    client, "GET", f"/control/events?{urlencode(query | paging)}"
                )
                for event in found["events"]:
                    target.write(orjson.dumps(event).decode() + "\n")
                done["events"] += len(found["events"])
                done["erased"] += found["erased"]
                reached = rfc3339_ms(found["at"]) if found["at"] else None
                advance(min(days, ((reached or begin) - begin) // DAY_MS))
                after = found["after"]
    return done


DAY_MS = 86_400_000
