"""The verbs of the dead letters: what could not be processed, one by one or by the thousand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    USAGE,
    ConfigOption,
    OutputOption,
    fail,
    find_config,
    print_json,
    run_async,
    segment,
    wants_json,
)
from orchestrator.cli.operate import IdArgument, ask

if TYPE_CHECKING:
    from orchestrator.cli.client import Client

dlq = typer.Typer(help="Events that could not be processed.", no_args_is_help=True)
LIST_LIMIT = 50
PATH = "/api/v1/dead-letters"

IdsArgument = Annotated[list[str] | None, typer.Argument(help="Their ids.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why: bad_json, no_recipient, …")]
SinceOption = Annotated[
    str | None, typer.Option(help="Come so long ago at most (2h), or since a time (RFC 3339).")
]
UntilOption = Annotated[str | None, typer.Option(help="Come before then.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every one, without a filter.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]


def register(app: typer.Typer) -> None:
    app.add_typer(dlq, name="dlq")


class ChosenLetters:
    """Dead letters by their ids, or by filters. Ends the program if nothing was chosen."""

    def __init__(
        self,
        ids: list[str] | None,
        reason: str | None,
        since: str | None,
        until: str | None,
        every: bool,
    ) -> None:
        from orchestrator.cli.bulk import instant

        filtered = any(value is not None for value in (reason, since, until))
        if bool(ids) + (filtered or every) != 1 or (filtered and every):
            fail(
                "say which: their ids, or filters (--reason bad_json …), or --all; one of these",
                USAGE,
            )
        self._ids = ids
        query = {"reason": reason, "since": instant(since, "--since")}
        self._query = {**query, "until": instant(until, "--until")}

    async def pages(self, client: Client) -> AsyncIterator[list[dict[str, Any]]]:
        from orchestrator.cli.bulk import listed

        if self._ids:
            yield [{"id": id} for id in self._ids]
            return
        async for page in listed(client, PATH, self._query, size=100):
            yield page


@dlq.command("list")
def dlq_list(
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = LIST_LIMIT,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """The newest first, with the reason of each."""
    from orchestrator.cli.bulk import instant, listed
    from orchestrator.cli.client import service, table

    as_json = wants_json(output)
    query = {"reason": reason, "since": instant(since, "--since")}
    query["until"] = instant(until, "--until")

    async def work() -> list[dict[str, Any]]:
        async with service(find_config(config)) as client:
            pages = listed(client, PATH, query, limit + 1, size=100)
            return [item async for page in pages for item in page]

    found = run_async(work())
    more, items = len(found) > limit, found[:limit]
    if as_json:
        print_json(items)
    elif not items:
        typer.echo("no dead letters")
    else:
        rows = [
            [i["id"], i["at"], i["reason"], i["origin"], "replayed" if i.get("replayed_at") else ""]
            for i in items
        ]
        table(rows, ["id", "at", "reason", "origin", ""])
        if more:
            typer.echo(f"… and more: --limit shows more than {limit}")


@dlq.command("show")
def dlq_show(id: IdArgument, config: ConfigOption = None) -> None:
    """One dead letter, whole."""
    print_json(ask(config, "GET", f"{PATH}/{segment(id)}"))


@dlq.command("replay")
def dlq_replay(
    ids: IdsArgument = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    every: AllOption = False,
    dry_run: DryOption = False,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    Process dead letters again, under the policies as they are now. One that was replayed starts
    nothing twice, so a run that was stopped is run again.
    """
    from orchestrator.cli.bulk import in_bulk, one_call

    chosen = ChosenLetters(ids, reason, since, until, every)
    if ids and len(ids) == 1 and not dry_run:
        found = ask(config, "POST", f"{PATH}/{segment(ids[0])}/replay")
        if wants_json(output):
            print_json(found)
        else:
            typer.echo(json.dumps(found, ensure_ascii=False))
        return

    async def replay(client: Client, item: dict[str, Any]) -> dict[str, Any]:
        if item.get("replayed_at"):
            return {"status": "already_replayed"}
        if dry_run:
            return {"status": "would_replay"}
        return await one_call(client, "POST", f"{PATH}/{segment(item['id'])}/replay")

    in_bulk(find_config(config), output, chosen.pages, "replaying", replay)


@dlq.command("purge")
def dlq_purge(
    ids: IdsArgument = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    every: AllOption = False,
    replayed: Annotated[
        bool, typer.Option("--replayed", help="Of these, only what was replayed.")
    ] = False,
    dry_run: DryOption = False,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Delete dead letters. This cannot be undone; see with --dry-run what would go."""
    from orchestrator.cli.bulk import in_bulk, one_call

    chosen = ChosenLetters(ids, reason, since, until, every)

    async def purge(client: Client, item: dict[str, Any]) -> dict[str, Any]:
        if replayed and not item.get("replayed_at"):
            return {"status": "kept"}
        if dry_run:
            return {"status": "would_purge"}
        found = await one_call(client, "DELETE", f"{PATH}/{segment(item['id'])}")
        return found if found.get("status") == "refused" else {"status": "purged"}

    in_bulk(find_config(config), output, chosen.pages, "purging", purge)
