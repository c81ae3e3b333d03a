"""Builds what an adapter sends: rendered content, keyed references and links."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import structlog

from orchestrator.channels import Outgoing
from orchestrator.channels.registry import channels
from orchestrator.core.message import Attempt, Message
from orchestrator.core.policy import PROMOTIONAL, SERVICE, Policy
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address
from orchestrator.core.values import Value
from orchestrator.dispatch.choices import with_choices
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.primitives.tokens import SigningKeys
from orchestrator.recipients.document import Person
from orchestrator.render import RenderContext, Rendered, TemplateSet, Unrenderable

log = structlog.get_logger()

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


class ReadyStep(Value):
    """
    A step of the backlog with everything that rendering and sending it needs. ``event`` also has
    the data of the events that have joined the message, as ``joined``.
    """

    message: Message
    event: Mapping[str, Any]
    person: Person
    policy: Policy
    templates: TemplateSet
    step: int
    targets: tuple[Address, ...]
    inbound_at: int | None

    @property
    def channel(self) -> str:
        return self.policy.plan[self.step].channel


@dataclass(frozen=True)
class PublicUrls:
    """The links of this installation: its public address, and the keys that sign their tokens."""

    public_url: str
    keys: SigningKeys

    @cached_property
    def one_click(self) -> bool:
        """One-click unsubscribing needs https, or a loopback address for trying it out."""
        url = urlsplit(self.public_url)
        return url.scheme == "https" or url.hostname in LOOPBACK

    def receipt_url(self, provider: str) -> str:
        return f"{self.public_url}/v1/receipts/{provider}"

    def unsubscribe_url(self, message: Message, channel: str) -> str:
        token = self.keys.unsubscribe(message.recipient, channel, message.topic, message.id)
        return f"{self.public_url}/u/{token}"


def render(
    ready: ReadyStep, urls: PublicUrls, provider: ActiveProvider, attempt: int, now: int
) -> Rendered:
    """
    Render one step. Raises ``Unrenderable``, also if its event was erased meanwhile; whatever else
    rendering raises is a fault of the template or its data, too.
    """
    try:
        return render_step(ready, urls, provider, attempt, now)
    except Unrenderable:
        raise
    except Exception as error:
        log.exception(
            "dispatch.render_failed",
            policy=ready.policy.name,
            channel=ready.channel,
            message_id=ready.message.id,
        )
        what = f"{type(error).__name__} while rendering"
        raise Unrenderable(Reason.TEMPLATE_ERROR, what, ready.policy.template) from error


def render_step(
    ready: ReadyStep, urls: PublicUrls, provider: ActiveProvider, attempt: int, now: int
) -> Rendered:
    """See ``render``."""
    message, person = ready.message, ready.person
    if not any(ready.event.values()):
        raise Unrenderable(Reason.ERASED, "", "")
    template, locale = ready.policy.template, person.document.get("locale")
    unsubscribing = urls.one_click and ready.templates.names_variable(
        template, ready.channel, locale, "unsubscribe_url"
    )
    context = RenderContext(
        event=ready.event["data"],
        recipient=person.view(),
        message={
            "id": message.id,
            "policy": message.policy,
            "step": ready.step,
            "channel": ready.channel,
        },
        now=datetime.fromtimestamp(now / 1000, UTC),
        locale=locale,
        time_zone=person.document.get("time_zone") or "UTC",
        unsubscribe_url=urls.unsubscribe_url(message, ready.channel) if unsubscribing else None,
        link=lambda url: f"{urls.public_url}/c/{urls.keys.link(message.id, attempt, url)}",
        codes={name: code for name, (_, code) in ready.event.get("codes", {}).items()} or None,
        link_to=lambda channel: f"{urls.public_url}/l/{urls.keys.link_to(message.id, channel)}",
        events=events_of(ready) if ready.policy.digest is not None else None,
        more=message.left_out,
    )
    rendered = ready.templates.render(template, ready.channel, context)
    rendered = with_choices(
        rendered,
        channels()[ready.channel],
        provider.adapter.supports,
        lambda choice: f"{urls.public_url}/a/{urls.keys.answer(message.id, attempt, choice.id)}",
    )
    need(provider, rendered)
    if "html" in rendered.parts and getattr(provider.adapter.settings, "open_pixel", False):
        pixel = f"{urls.public_url}/o/{urls.keys.pixel(message.id, attempt)}"
        rendered.parts["html"] = with_pixel(str(rendered.parts["html"]), pixel)
    return rendered


def events_of(ready: ReadyStep) -> list[Any]:
    """The data of all events of a digest, the first one first."""
    return [ready.event["data"], *ready.event.get("joined", ())]


def need(provider: ActiveProvider, rendered: Rendered) -> None:
    """
    Raises ``Unrenderable`` if the content lacks a part that the adapter needs, or has one that is
    longer than the provider takes.
    """
    supports = provider.adapter.supports
    if (found := supports.too_long(rendered.parts)) is not None:
        name, length, most = found
        what = f"{name} has {length} characters, {provider.name} takes {most}"
        raise Unrenderable(Reason.TOO_LONG, what, "")
    for part in supports.parts:
        choices = (part,) if isinstance(part, str) else part
        if not any(choice in rendered.parts for choice in choices):
            raise Unrenderable(Reason.TEMPLATE_MISSING, f"no part {' or '.join(choices)}", "")


def with_pixel(html: str, url: str) -> str:
    """The HTML with an invisible image at its end."""
    image = f'<img src="{url}" width="1" height="1" alt="">'
    head, body, tail = html.rpartition("</body>")
    return f"{head}{image}{body}{tail}" if body else html + image


def outgoing(
    ready: ReadyStep,
    urls: PublicUrls,
    attempt: Attempt,
    target: Address,
    rendered: Rendered,
    now: int,
    entropy: bytes,
    access_token: str = "",
) -> Outgoing:
    """The message as the adapter of one attempt gets it."""
    message = ready.message
    channel = channels()[ready.channel]
    in_session = ready.inbound_at is not None and now - ready.inbound_at < channel.session_ms
    marketing = message.message_class in (PROMOTIONAL, SERVICE)
    return Outgoing(
        message_id=message.id,
        client_reference=urls.keys.reference(message.id, attempt.number),
        idempotency_key=idempotency_key(message, attempt),
        address=target,
        content=rendered.parts,
        message_class=message.message_class,
        topic=message.topic,
        locale=rendered.locale,
        ttl_seconds=ttl_seconds(ready, now),
        own_ttl_seconds=own_ttl_seconds(ready),
        receipt_url=urls.receipt_url(attempt.provider),
        receipt_token=urls.keys.receipt_token(message.id, attempt.number)
        if channel.receipts_from == "device"
        else "",
        unsubscribe_url=urls.unsubscribe_url(message, ready.channel)
        if urls.one_click and marketing
        else None,
        one_click=urls.one_click and marketing,
        in_session=in_session,
        now=now / 1000,
        entropy=entropy,
        access_token=access_token,
    )


def ttl_seconds(ready: ReadyStep, now: int) -> int:
    """The time to try delivery: the step's ttl, else its longest wait; never past the deadline."""
    step = ready.policy.plan[ready.step]
    left_ms = ready.message.deadline_at - now
    wanted_ms = step.ttl_ms if step.ttl_ms is not None else step.longest_wait_ms
    return max(1, (min(wanted_ms, left_ms) if wanted_ms is not None else left_ms) // 1000)


def own_ttl_seconds(ready: ReadyStep) -> int | None:
    own_ms = ready.policy.plan[ready.step].ttl_ms
    return own_ms // 1000 if own_ms is not None else None


def idempotency_key(message: Message, attempt: Attempt) -> str:
    """A key that is the same in every process that repeats the same try."""
    parts = (
        message.id,
        str(attempt.step),
        attempt.provider,
        attempt.address_hash,
        str(attempt.try_number),
    )
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]
