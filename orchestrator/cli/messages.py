"""The verbs that find messages, start them again and stop them, one by one or by the thousand."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from orchestrator.cli.client import Client

messages = typer.Typer(
    help="Messages: find them, start them again, stop them.", no_args_is_help=True
)
RETRYABLE = ("suppressed", "exhausted", "expired")
UNFINISHED = ("accepted", "running")
LIST_LIMIT = 50

IdsArgument = Annotated[list[str] | None, typer.Argument(help="Ids of messages.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why they ended: template_error, …")]
PolicyOption = Annotated[str | None, typer.Option(help="Of this policy.")]
StatusOption = Annotated[str | None, typer.Option(help="With this status: suppressed, …")]
RecipientOption = Annotated[
    str | None, typer.Option(help="To this recipient: an id, +380… or name@example.com.")
]
SinceOption = Annotated[
    str | None, typer.Option(help="Created so long ago at most (2h), or since a time (RFC 3339).")
]
UntilOption = Annotated[
    str | None, typer.Option(help="Created before then: so long ago, or a time.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every message, without a filter.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]


def register(app: typer.Typer) -> None:
    app.add_typer(messages, name="messages")


def filters_of(
    reason: str | None,
    policy: str | None,
    status: str | None,
    recipient: str | None,
    since: str | None,
    until: str | None,
) -> dict[str, str | None]:
    """The query of a list."""
    from orchestrator.cli.bulk import instant

    return {
        "reason": reason,
        "policy": policy,
        "status": status,
        "recipient": recipient,
        "since": instant(since, "--since"),
        "until": instant(until, "--until"),
    }


@messages.command("list")
def messages_list(
    reason: ReasonOption = None,
    policy: PolicyOption = None,
    status: StatusOption = None,
    recipient: RecipientOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = LIST_LIMIT,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """The newest first, with the reason of each."""
    from orchestrator.cli.bulk import listed
    from orchestrator.cli.client import service, table

    as_json = wants_json(output)
    filters = filters_of(reason, policy, status, recipient, since, until)

    async def work() -> list[dict[str, Any]]:
        async with service(find_config(config)) as client:
            pages = listed(client, "/api/v1/messages", filters, limit + 1)
            return [item async for page in pages for item in page]

    found = run_async(work())
    more, items = len(found) > limit, found[:limit]
    if as_json:
        print_json(items)
    elif not items:
        typer.echo("no messages")
    else:
        rows = [
            [
                item["id"],
                item["created_at"][5:16].replace("T", " "),
                item["policy"],
                status_of(item),
            ]
            for item in items
        ]
        table(rows, ["id", "created (UTC)", "policy", "status"])
        if more:
            typer.echo(f"… and more: --limit shows more than {limit}")


def status_of(item: dict[str, Any]) -> str:
    """The status in a few words."""
    by = f" by {item['succeeded_by']}" if item["succeeded_by"] else ""
    why = f": {item['reason']}" if item["reason"] else ""
    again = ", retried" if item["retried_as"] else ""
    return f"{item['status']}{by}{why}{again}"


@messages.command("show")
def messages_show(
    id: Annotated[str, typer.Argument(help="The message's id.")],
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """One message: its explanation, or with -o json what the HTTP API answers."""
    from orchestrator.cli.explain import explain
    from orchestrator.cli.operate import ask

    if wants_json(output):
        print_json(ask(config, "GET", f"/api/v1/messages/{segment(id)}"))
    else:
        explain(id, policy=False, out=None, config=config, output="text")


@messages.command("retry")
def messages_retry(
    ids: IdsArgument = None,
    reason: ReasonOption = None,
    policy: PolicyOption = None,
    status: StatusOption = None,
    recipient: RecipientOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    every: AllOption = False,
    deadline: Annotated[
        str | None,
        typer.Option(
            help="2h: that long from now; original: each its own. Else the policy's, from now."
        ),
    ] = None,
    dry_run: DryOption = False,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """
    Start messages again that ended without a send, under today's version of their policy: each
    once, however often this is run. One that was stopped goes on if it is run again.
    """
    from orchestrator.cli.bulk import in_bulk, one_call

    filters = filters_of(reason, policy, status, recipient, since, until)
    body: dict[str, Any] = {"dry_run": dry_run} | ({"deadline": deadline} if deadline else {})

    async def retry(client: Client, item: dict[str, Any]) -> dict[str, Any]:
        if item.get("retried_as"):
            return {"status": "already_retried", "message": item["retried_as"]}
        return await one_call(client, "POST", f"/api/v1/messages/{segment(item['id'])}/retry", body)

    chosen = Chosen(ids, filters, every, RETRYABLE)
    in_bulk(find_config(config), output, chosen.pages, "retrying", retry)


@messages.command("cancel")
def messages_cancel(
    ids: IdsArgument = None,
    policy: PolicyOption = None,
    status: StatusOption = None,
    recipient: RecipientOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    every: AllOption = False,
    dry_run: DryOption = False,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Stop what of these messages has not left."""
    from orchestrator.cli.bulk import in_bulk, one_call

    filters = filters_of(None, policy, status, recipient, since, until)

    async def cancel(client: Client, item: dict[str, Any]) -> dict[str, Any]:
        if dry_run:
            return {"status": "would_cancel"}
        found = await one_call(client, "POST", f"/api/v1/messages/{segment(item['id'])}/cancel")
        return found if found["status"] == "refused" else {"status": found["status"]}

    chosen = Chosen(ids, filters, every, UNFINISHED)
    in_bulk(find_config(config), output, chosen.pages, "cancelling", cancel)


@messages.command("untimed")
def messages_untimed(
    repair: Annotated[
        bool, typer.Option("--repair", help="Give them their timers, so that they go on.")
    ] = False,
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Find unfinished messages that no timer looks after; exit code 1 if there are any left."""
    from orchestrator.cli.untimed import find_untimed

    find_untimed(find_config(config), repair, wants_json(output))


class Chosen:
    """
    The messages that a verb is for: these ids, or all that pass the filters and have one of
    ``statuses``. Ends the program if nothing was chosen.
    """

    def __init__(
        self,
        ids: list[str] | None,
        filters: dict[str, str | None],
        every: bool,
        statuses: tuple[str, ...],
    ) -> None:
        filtered = any(value is not None for value in filters.values())
        if bool(ids) + (filtered or every) != 1 or (filtered and every):
            fail(
                "say which messages: their ids, or filters (--since 2h …), or --all; one of these",
                USAGE,
            )
        self._ids, self._filters, self._statuses = ids, filters, statuses
        if filters["status"] not in (None, *statuses):
            fail(f"--status takes one of {', '.join(statuses)} here", USAGE)

    async def pages(self, client: Client) -> AsyncIterator[list[dict[str, Any]]]:
        from orchestrator.cli.bulk import listed

        if self._ids:
            yield [{"id": id} for id in self._ids]
            return
        async for page in listed(client, "/api/v1/messages", self._filters):
            yield [item for item in page if item["status"] in self._statuses]
