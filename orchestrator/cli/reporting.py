"""``kaskad report``: what was sent, whom it reached, what came of it, what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    USAGE,
    ConfigOption,
    fail,
    output_format,
    print_json,
    segment,
)

KINDS = ("policies", "channels", "people", "journey", "experiment")
NEEDS_NAME = ("journey", "experiment")


def register(app: typer.Typer) -> None:
    app.command()(report)


def report(
    kind: Annotated[
        str,
        typer.Argument(help="policies, channels, people, journey NAME or experiment NAME."),
    ] = "policies",
    name: Annotated[
        str, typer.Argument(help="Of the journey or experiment; of one policy, if any.")
    ] = "",
    since: Annotated[
        str, typer.Option(help="The first day: 2026-11-21, or 30d for the last 30 days.")
    ] = "",
    until: Annotated[str, typer.Option(help="The first day left out; else tomorrow.")] = "",
    by: Annotated[str, typer.Option(help="A row for each: day, week or month.")] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare what was counted with the stored messages.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option("--out", help="Write there, not to standard output.")
    ] = None,
    config: ConfigOption = None,
    output: Annotated[
        str, typer.Option("-o", "--output", help="text, json, csv (the first table) or html.")
    ] = "text",
) -> None:
    """
    Whom messages reached, what came of them and what they cost. Each message counts on the day on
    which it starts.
    """
    from orchestrator.cli.operate import ask

    shape = output_format(output, "text", "json", "csv", "html")
    given = {"since": since, "until": until, "by": by}
    query = urlencode({word: value for word, value in given.items() if value})
    if verify:
        found = ask(config, "GET", f"/control/counts/verify?{query}".rstrip("?"))
        print_verified(found, shape)
        raise typer.Exit(CHECK_FAILED if found["differences"] else 0)
    view = ask(config, "GET", f"/api/v1/reports/{path_of(kind, name)}?{query}".rstrip("?"))
    if shape == "json" and file is None:
        print_json(view)
        return
    write_view(view, shape, file)


def write_view(view: Any, shape: str, file: Path | None) -> None:
    """A report in one of the formats, to standard output or to a file."""
    text = written(view, shape)
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        fail(f"{file}: {error.strerror}", USAGE)
    typer.echo(f"wrote {file}")


def path_of(kind: str, name: str) -> str:
    """The report in the API; ends the program if there is none of this kind."""
    from orchestrator.configuration.reading import suggestion

    if kind not in KINDS:
        fix = suggestion(kind, KINDS, f"there are {', '.join(KINDS)}")
        fail(f"there is no report {kind!r}; {fix}", USAGE)
    if kind in NEEDS_NAME and not name:
        fail(f"say which: kaskad report {kind} NAME", USAGE)
    if kind in NEEDS_NAME:
        return f"{kind}s/{segment(name)}"
    if name and kind != "policies":
        fail(f"the report {kind!r} is about all of them: leave {name!r} out", USAGE)
    return f"{kind}/{segment(name)}" if name else kind


def written(view: Any, shape: str) -> str:
    """A report in one of the formats."""
    import json

    from orchestrator.reports.page import as_page
    from orchestrator.reports.text import as_csv, as_text

    match shape:
        case "json":
            return json.dumps(view, ensure_ascii=False, indent=2) + "\n"
        case "csv":
            return as_csv(view)
        case "html":
            return as_page(view)
    return as_text(view)


def print_verified(found: Any, shape: str) -> None:
    if shape == "json":
        print_json(found)
        return
    busy = f"; {len(found['busy'])} days changed meanwhile, run it again" if found["busy"] else ""
    typer.echo(f"compared {found['messages']} messages of {found['days']} days{busy}")
    for one in found["differences"]:
        key = " ".join(f"{word}={value}" for word, value in one["key"].items())
        typer.echo(
            f"{one['day']}  {one['measure']}: {one['counted']} counted, {one['scanned']} stored"
            f"  ({key})"
        )
    if not found["differences"]:
        typer.echo("the counts are those of the stored messages")
