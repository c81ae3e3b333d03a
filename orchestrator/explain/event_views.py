"""
The public shapes of status events, declared once: the OpenAPI and the AsyncAPI document are made of
them.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from orchestrator.explain.views import MediaView, MessageClass, MessageView, Time


class ReplyEventData(TypedDict):
    """Somebody has written to us, or pressed a button. Nulls: nobody knows who, or what about."""

    channel: str
    text: str
    choice: Annotated[str | None, Meta(description="The id of the choice that it means.")]
    media: list[MediaView]
    message: Annotated[str | None, Meta(description="The message that it answers.")]
    policy: str | None
    recipient: str | None
    address: Annotated[str, Meta(description="Masked.")]
    at: Time
    session_until: Annotated[Time | None, Meta(description="Until when it may be answered freely.")]


class OptOutEventData(TypedDict):
    """Somebody has opted out. `message` and `policy` are of what they have answered by it."""

    recipient: str
    channel: Annotated[str, Meta(description="`*`: all of them.")]
    topic: Annotated[str, Meta(description="`*`: all of them.")]
    classes: Annotated[list[MessageClass], Meta(description="Empty: all of them.")]
    source: Annotated[str, Meta(description="How they said it: `stop`, `api`, a provider.")]
    at: Time
    message: str | None
    policy: str | None


class StatusEventData(MessageView):
    attempt: NotRequired[
        Annotated[int, Meta(description="The attempt's number, in `kaskad.attempt.…`.")]
    ]


class StatusEventView(TypedDict):
    """A CloudEvent of one change. Recognise a repeat by `id`."""

    specversion: Literal["1.0"]
    id: str
    source: Literal["kaskad"]
    type: Annotated[
        str,
        Meta(
            description="`kaskad.message.<status>` or `kaskad.attempt.<state>`.",
            pattern=r"^kaskad\.(message|attempt)\.[a-z_]+$",
        ),
    ]
    subject: Annotated[str, Meta(description="The message's id.")]
    time: Time
    datacontenttype: Literal["application/json"]
    data: StatusEventData
    kaskadtest: NotRequired[
        Annotated[bool, Meta(description="Of `kaskad webhooks test`: there is no such message.")]
    ]


class OptOutEventView(TypedDict):
    """A CloudEvent of an opt-out. Recognise a repeat by `id`."""

    specversion: Literal["1.0"]
    id: str
    source: Literal["kaskad"]
    type: Literal["kaskad.opt_out"]
    subject: Annotated[str, Meta(description="The recipient's id.")]
    time: Time
    datacontenttype: Literal["application/json"]
    data: OptOutEventData


class ReplyEventView(TypedDict):
    """A CloudEvent of a reply. Recognise a repeat by `id`."""

    specversion: Literal["1.0"]
    id: str
    source: Literal["kaskad"]
    type: Literal["kaskad.reply"]
    subject: Annotated[str, Meta(description="The message's id, else the recipient's.")]
    time: Time
    datacontenttype: Literal["application/json"]
    data: ReplyEventData
    traceparent: NotRequired[str]
