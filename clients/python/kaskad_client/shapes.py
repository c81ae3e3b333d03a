"""
The JSON that calls answer with, as its schemas in the OpenAPI document have it. Times are RFC 3339
in UTC, amounts decimal strings. A later version of the service may add keys.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class EventReference(TypedDict):
    source: str
    id: str
    type: str


class Cost(TypedDict):
    amount: str
    currency: str


class AttemptError(TypedDict):
    """Our reason, and the provider's own code and words."""

    reason: str
    code: str | None
    detail: str | None


class Attempt(TypedDict):
    """One provider call."""

    number: int
    step: int
    channel: str
    provider: str
    provider_id: str | None
    address: str
    outcome: str
    state: str
    engagement: dict[str, str]
    error: AttemptError | None
    times: dict[str, str]
    parts: int | None
    cost: str | None
    content_hash: str | None
    choice: str | None


# `class` is no name in Python, so this one key is written in another way
class Medium(TypedDict):
    """A picture, a file or a voice message in a reply; ``url`` fetches it, with an API key."""

    kind: str
    url: str
    bytes: int | None


class Answer(TypedDict):
    """What a person has written or pressed; ``choice`` is the id of the choice that it means."""

    attempt: int
    channel: str
    at: str
    text: str
    choice: str | None
    media: list[Medium]


MessageClass = TypedDict("MessageClass", {"class": str})


class Digest(TypedDict):
    """How many events a message is made of, and how many more came beyond the digest's `max`."""

    events: int
    more: int


class Message(MessageClass):
    """
    One message of one policy to one recipient. Lists leave ``journey``, ``arm``,
    ``converted_at``, ``replies`` and ``trace`` out.
    """

    id: str
    event: EventReference
    recipient: str
    policy: str
    policy_version: str
    topic: str
    status: str
    reason: str | None
    reason_detail: str | None
    succeeded_by: str | None
    flags: list[str]
    cost: Cost | None
    step: int | None
    created_at: str
    starts_at: str
    deadline_at: str
    finished_at: str | None
    reached_at: str | None
    retry_of: str | None
    retried_as: str | None
    caused_by: str | None
    hops: int
    digest: Digest | None
    attempts: list[Attempt]
    journey: NotRequired[str | None]
    arm: NotRequired[str | None]
    converted_at: NotRequired[str | None]
    replies: NotRequired[list[Answer]]
    trace: NotRequired[list[dict[str, Any]]]


class Consent(TypedDict):
    """An entry of a consent history."""

    channel: str
    topic: str
    state: str
    at: str
    repeated_at: NotRequired[str]
    source: str
    classes: NotRequired[list[str]]
    address: NotRequired[str]


class Recipient(TypedDict):
    """
    A profile. Addresses and attributes that the person does not have are absent; a channel of a
    plug-in may bring further addresses.
    """

    id: str
    first_name: NotRequired[str | None]
    last_name: NotRequired[str | None]
    gender: NotRequired[str | None]
    locale: NotRequired[str | None]
    time_zone: NotRequired[str | None]
    phone: NotRequired[str | None]
    email: NotRequired[str | None]
    viber_bot_id: NotRequired[str | None]
    telegram_id: NotRequired[str | None]
    whatsapp_id: NotRequired[str | None]
    web_push: NotRequired[list[dict[str, Any]] | None]
    devices: NotRequired[list[dict[str, Any]] | None]
    attributes: NotRequired[dict[str, Any] | None]
    consents: list[Consent]
    suppressions: list[dict[str, Any]]


class InboxToken(TypedDict):
    """A token for a person's own browser or app."""

    token: str
    recipient: str
    expires_at: str


class MessagePage(TypedDict):
    items: list[Message]
    next_cursor: str | None
