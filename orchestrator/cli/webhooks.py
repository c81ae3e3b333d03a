"""The verb that tries a receiver of status events."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    FINE,
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
    from orchestrator.statuses.sinks import Received

webhooks_app = typer.Typer(help="Receivers of status events.", no_args_is_help=True)

ANSWERS = {
    301: "redirects are not followed; write the address that it leads to",
    400: "it could not read the event, or refuses the signature: it must verify the bytes as they"
    " came, with this secret",
    401: "it refuses the signature: compare the secrets; nothing else is sent to log in with",
    404: "nothing listens at this path",
    405: "the path takes no POST",
    408: "it gave up on the request",
    410: "the service would leave this receiver alone until it is asked again",
    413: "events are larger than it takes: a message with its attempts has some KiB",
    415: "it does not take application/cloudevents+json",
    429: "it is too busy; the service would try again later",
    500: "it failed: look at its log; the service would try again",
}
"""What an answer means; 301, 400 and 500 also stand for the other statuses of their hundred."""


def register(app: typer.Typer) -> None:
    webhooks_app.command("test")(test)
    app.add_typer(webhooks_app, name="webhooks")


def test(
    url: Annotated[
        str, typer.Argument(help="The receiver; else every one in kaskad.yaml, one by one.")
    ] = "",
    secret: Annotated[
        str,
        typer.Option(
            envvar="KASKAD_WEBHOOK_SECRET",
            help="The whsec_… it verifies with; else that of the same URL in kaskad.yaml.",
        ),
    ] = "",
    event: Annotated[
        str, typer.Option("--type", help="The type of the event.")
    ] = "kaskad.message.succeeded",
    config: ConfigOption = None,
    output: OutputOption = "text",
) -> None:
    """Send one signed test event to a receiver of status events, and say what came back."""
    json_wanted = wants_json(output)
    receivers = receivers_of(url, secret, config)
    what = type_of(event)
    tried = run_async(try_all(receivers, what))
    if json_wanted:
        print_json(
            [as_json(one, received) for (one, _), received in zip(receivers, tried, strict=True)]
        )
    else:
        for (one, _), received in zip(receivers, tried, strict=True):
            typer.echo(f"{one}\n  {said(received)}")
            if received.body.strip():
                typer.echo(f"  its answer: {' '.join(received.body.split())}")
    raise typer.Exit(max(code_of(received) for received in tried))


def receivers_of(url: str, secret: str, config: Path | None) -> list[tuple[str, str]]:
    """The URLs to try, each with its secret; ends the program where one is missing."""
    from orchestrator.channels import webhook_key
    from orchestrator.configuration.settings_file import load_webhook_settings
    from orchestrator.configuration.urls import split_url
    from orchestrator.configuration.yaml_file import ConfigError

    if url:
        parts = split_url(url)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            fail(f"{url!r} is no URL; write https://shop.example/kaskad", USAGE)
    if url and secret:
        try:
            webhook_key(secret)
        except ValueError as error:
            fail(f"the secret {error}", USAGE)
        return [(url, secret)]
    try:
        settings = load_webhook_settings(find_config(config), os.environ)
    except ConfigError as error:
        fail(f"{error}\nor give URL and secret: KASKAD_WEBHOOK_SECRET=whsec_…", USAGE)
    known = {one.url: one.secret.get_secret_value() for one in settings.statuses.webhooks}
    if not url and not known:
        fail("kaskad.yaml has no statuses.webhooks; name a URL", USAGE)
    if url and url not in known:
        there = f" it has {', '.join(known)};" if known else ""
        fail(
            f"{url} is not in kaskad.yaml, so its secret is not known;{there} give it as"
            " KASKAD_WEBHOOK_SECRET=whsec_…",
            USAGE,
        )
    return [(url, known[url])] if url else list(known.items())


def type_of(event: str) -> str:
    """The type without its ``kaskad.``; ends the program if there is no such type."""
    from orchestrator.configuration.reading import suggestion
    from orchestrator.core.message import Status
    from orchestrator.core.outcomes import OutcomeKind
    from orchestrator.core.status import Delivery, Engagement

    states = [*Delivery, *Engagement, OutcomeKind.NOT_SENT, OutcomeKind.UNKNOWN]
    types = [f"kaskad.message.{one}" for one in Status]
    types += [f"kaskad.attempt.{one}" for one in states]
    if event not in types:
        fix = suggestion(event, types, "docs/status-events.md lists them")
        fail(f"there is no status event {event!r}; {fix}", USAGE)
    return event.removeprefix("kaskad.")


async def try_all(receivers: list[tuple[str, str]], what: str) -> list[Received]:
    """Send one event of its own to each."""
    import uuid

    import orjson

    from orchestrator.primitives.clock import SystemClock
    from orchestrator.statuses.sinks import post_once

    now = SystemClock().now()
    found = []
    for url, secret in receivers:
        id = f"test_{uuid.uuid4().hex}"
        body = orjson.dumps(sample(id, what, now))
        found.append(await post_once(url, secret, id, now, body))
    return found


def sample(id: str, what: str, now: int) -> dict[str, Any]:
    """A status event of a message that does not exist; ``kaskadtest`` says so."""
    from orchestrator.channels import PHONE
    from orchestrator.channels.registry import channels
    from orchestrator.core.message import Attempt, Message, Status
    from orchestrator.core.outcomes import OutcomeKind
    from orchestrator.core.status import Delivery
    from orchestrator.engine.emitting import status_body
    from orchestrator.explain.views import message_view

    noun, _, state = what.partition(".")
    channel = next(iter(channels()))
    attempt = Attempt(
        0, 0, channel, "test", PHONE.name, "+380…00", "", 0, now - 2_000, 10_000,
        outcome=OutcomeKind.ACCEPTED, provider_id="test", answered_at=now - 1_500,
        state=Delivery.DELIVERED, times={"delivered": now},
    )  # fmt: skip
    status = Status(state) if noun == "message" else Status.RUNNING
    message = Message(
        "test-message", "kaskad webhooks test", id, "test.event", "test-recipient", "test", "test",
        "transactional", "test", now - 2_500, now + 86_400_000, status=status, attempts=[attempt],
        succeeded_by=channel if status is Status.SUCCEEDED else None,
    )  # fmt: skip
    data: dict[str, Any] = {**message_view(message, {})}
    if noun == "attempt":
        data["attempt"] = attempt.number
    return {**status_body(id, what, message.id, now, data), "kaskadtest": True}


def said(received: Received) -> str:
    """One line for people."""
    if received.status is None:
        return f"no answer: {received.error}"
    if received.taken:
        return f"{received.status}: taken"
    return f"{received.status}: not taken; {meaning(received.status)}"


def meaning(status: int) -> str:
    """What a status says that takes nothing."""
    of_hundred = {3: 301, 4: 400}.get(status // 100, 500)
    return ANSWERS.get(status, ANSWERS[of_hundred])


def as_json(url: str, received: Received) -> dict[str, Any]:
    return {
        "url": url,
        "taken": received.taken,
        "status": received.status,
        "body": received.body,
        "error": received.error or None,
        "meaning": said(received),
    }


def code_of(received: Received) -> int:
    if received.status is None:
        return NO_CONNECTION
    return FINE if received.taken else CHECK_FAILED
