"""The shapes of the OpenAPI document: what goes in, what comes out."""

from __future__ import annotations

from typing import Any

from orchestrator.channels.address_kinds import ID_LENGTH_MAX, TEXT_LENGTH_MAX
from orchestrator.channels.registry import address_kinds, consent_channels
from orchestrator.core.message import FLAGS, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import CLASSES
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery
from orchestrator.recipients import fields as limits

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
TEXT: Schema = {"type": "string", "minLength": 1}
WHOLE: Schema = {"type": "integer"}
OBJECT: Schema = {"type": "object"}
TIME: Schema = {"type": "string", "format": "date-time"}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def shape(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "required": required, "properties": properties}


def closed(required: list[str], **properties: Schema) -> Schema:
    """An object with no other keys than these."""
    return shape(required, **properties) | {"additionalProperties": False}


def several(of: Schema, most: int | None = None) -> Schema:
    return {"type": "array", "items": of} | ({"maxItems": most} if most is not None else {})


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    if isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def text_up_to(length: int) -> Schema:
    return {"type": "string", "maxLength": length}


def page(of: str) -> Schema:
    cursor = maybe(STRING) | {
        "description": "Send it as `cursor` for the next page; null on the last."
    }
    return shape(["items", "next_cursor"], items=several(ref(of)), next_cursor=cursor)


def event_schemas() -> dict[str, Schema]:
    """What is published, and what became of it."""
    data = {
        "type": "object",
        "description": "What happened. Policies and templates read it as `event`.",
        "properties": {
            "recipient": ref("InlineRecipient"),
            "recipients": several(ref("InlineRecipient"), 1000),
        },
    }
    event = shape(
        ["specversion", "id", "source", "type"],
        specversion={"const": "1.0"},
        id=TEXT
        | {
            "description": "With `source` it identifies the event: a repeat does nothing.",
            "maxLength": 1024,
        },
        source=TEXT | {"maxLength": 1024},
        type=TEXT | {"maxLength": 1024},
        subject=maybe(text_up_to(1024))
        | {"description": "The recipient, where `data` names none."},
        time=maybe(TIME) | {"description": "When it happened; deadlines count from it."},
        datacontenttype=STRING,
        data=data,
        data_base64=STRING | {"contentEncoding": "base64"},
    )
    error = shape(["code", "field", "what"], code=STRING, field=STRING, what=STRING)
    taken = shape(
        ["index", "source", "id", "status", "messages"],
        index=WHOLE,
        source=STRING,
        id=STRING,
        status={"enum": ["accepted", "duplicate", "unmatched"]},
        messages=several(STRING),
    )
    refused = shape(
        ["index", "status", "error"], index=WHOLE, status={"const": "refused"}, error=error
    )
    return {
        "Event": (
            event
            | {
                "description": (
                    "A CloudEvent 1.0. Other attributes are extensions: lower-case letters and"
                    " digits."
                )
            }
        ),
        "Results": shape(["results"], results=several({"oneOf": [taken, refused]})),
    }


def message_schemas() -> dict[str, Schema]:
    """A message, its attempts, its trace."""
    error = shape(
        ["reason"],
        reason={"enum": [reason.value for reason in Reason]},
        code=maybe(STRING),
        detail=maybe(STRING),
    )
    times = {"type": "object", "additionalProperties": TIME}
    attempt = shape(
        [
            "number",
            "step",
            "channel",
            "provider",
            "provider_id",
            "outcome",
            "state",
            "engagement",
            "error",
            "times",
        ],
        number=WHOLE,
        step=WHOLE,
        channel=STRING,
        provider=STRING,
        provider_id=maybe(STRING),
        address=STRING | {"description": "Masked."},
        outcome={"enum": [kind.value for kind in OutcomeKind]},
        state={"enum": [state.value for state in Delivery]},
        engagement=times,
        error=maybe(error),
        times=times,
        parts=maybe(WHOLE),
        cost=maybe(STRING),
        content_hash=maybe(STRING),
    )
    check = shape(
        ["gate", "verdict", "reason", "value", "limit", "until"],
        gate=STRING,
        rule=STRING,
        verdict={"enum": ["go", "hold", "skip", "drop"]},
        reason=maybe(STRING),
        value={},
        limit={},
        until=maybe(TIME),
    )
    trace = shape(
        ["at", "fact", "checks", "decision", "effects"],
        at=TIME,
        fact=shape(["kind"], kind=STRING),
        checks=several(check),
        decision=several(STRING),
        effects=several(OBJECT),
    )
    message = shape(
        [
            "id",
            "event",
            "recipient",
            "policy",
            "policy_version",
            "class",
            "topic",
            "status",
            "reason",
            "flags",
            "attempts",
        ],
        id=STRING,
        event=shape(["source", "id", "type"], source=STRING, id=STRING, type=STRING),
        recipient=STRING,
        policy=STRING,
        policy_version=STRING,
        topic=STRING,
        status={"enum": [status.value for status in Status]},
        reason={"enum": [*(reason.value for reason in Reason), None]},
        reason_detail=maybe(STRING),
        succeeded_by=maybe(STRING) | {"description": "The channel that reached the recipient."},
        flags=several({"enum": list(FLAGS)}),
        cost=maybe(shape(["amount", "currency"], amount=STRING, currency=STRING)),
        step=maybe(WHOLE),
        created_at=TIME,
        deadline_at=TIME,
        finished_at=maybe(TIME),
        attempts=several(ref("Attempt")),
        trace=several(trace) | {"description": "Every fact, check and decision; not in lists."},
        **{"class": {"enum": list(CLASSES)}},
    )
    return {"Attempt": attempt, "Message": message, "Messages": page("Message")}


def recipient_schemas() -> dict[str, Schema]:
    """Profiles, consents, opt-outs."""
    channel = {"enum": list(consent_channels()), "default": "*"}
    topic = TEXT | {"default": "*", "maxLength": TEXT_LENGTH_MAX}
    consent = closed(
        ["state"],
        channel=channel,
        topic=topic,
        state={"enum": ["in", "out"]},
        at=TIME,
        source=STRING,
    )
    device = shape(["platform", "token"], platform={"enum": ["fcm", "apns"]}, token=TEXT)
    profile = {
        "first_name": maybe(text_up_to(TEXT_LENGTH_MAX)),
        "last_name": maybe(text_up_to(TEXT_LENGTH_MAX)),
        "gender": {"enum": ["female", "male", None]},
        "locale": maybe(text_up_to(35)) | {"description": "BCP 47, such as uk-UA."},
        "time_zone": maybe(STRING) | {"description": "IANA, such as Europe/Kyiv."},
        **{name: maybe(dict(kind.schema)) for name, kind in address_kinds().items()},
        "devices": maybe(several(device, limits.DEVICES_MAX)),
        "attributes": maybe(OBJECT | {"maxProperties": limits.KEYS_MAX}),
    }
    mark = shape(
        ["kind", "address", "at", "reason"],
        kind=STRING,
        address=STRING,
        at=TIME,
        reason=STRING,
        detail=maybe(STRING),
    )
    note = "A field given as null is removed. Keys that are not listed are kept as attributes."
    given = shape([], **profile, consents=maybe(several(ref("Consent"), limits.CONSENTS_MAX)))
    given |= {"description": note, "maxProperties": limits.KEYS_MAX}
    inline = given | {"properties": {"id": {"type": ["string", "integer"]}, **given["properties"]}}
    stored = shape(
        ["id", "consents", "suppressions"],
        id=STRING,
        **profile,
        consents=several(ref("Consent")),
        marks=several(mark),
    )
    opt_out = closed(
        [],
        recipient=TEXT | {"maxLength": ID_LENGTH_MAX},
        address=TEXT,
        channel=channel,
        topic=topic,
    )
    opt_out["anyOf"] = [{"required": ["recipient"]}, {"required": ["address"]}]
    export = shape(["recipient", "messages"], recipient=OBJECT, messages=several(ref("Message")))
    return {
        "Consent": consent,
        "Consents": closed(["consents"], consents=several(ref("Consent"), limits.CONSENTS_MAX)),
        "ConsentHistory": shape(["consents"], consents=several(ref("ConsentKept"))),
        "ConsentKept": shape(
            ["channel", "topic", "state", "at", "source"],
            **consent["properties"],
            classes=several(STRING),
        ),
        "Profile": given,
        "InlineRecipient": inline,
        "Recipient": (
            stored
            | {"properties": stored["properties"] | {"consents": several(ref("ConsentKept"))}}
        ),
        "OptOuts": closed(["opt_outs"], opt_outs=several(opt_out, 1000) | {"minItems": 1}),
        "Recorded": shape(["recorded"], recorded=WHOLE),
        "Export": export,
    }


def other_schemas() -> dict[str, Schema]:
    """Dead letters and problems."""
    letter = shape(
        ["id", "at", "origin", "reason", "detail", "headers", "replayed_at"],
        id=STRING,
        at=TIME,
        origin=STRING,
        reason=STRING,
        detail=STRING,
        headers=OBJECT,
        body=STRING,
        body_base64=STRING,
        replayed_at=maybe(TIME),
    )
    replayed = shape(
        ["status", "messages"],
        status={"enum": ["accepted", "duplicate", "unmatched"]},
        messages=several(STRING),
    )
    problem = shape(
        ["type", "title", "status", "code", "detail"],
        type=STRING,
        title=STRING,
        status=WHOLE,
        code=STRING | {"description": "A word for programs."},
        detail=STRING | {"description": "What is wrong, and how to fix it."},
        field=STRING | {"description": "Where it is wrong."},
        example=OBJECT | {"description": "An event that would have been taken."},
        results=several(OBJECT) | {"description": "Of events: what is wrong with each."},
    )
    return {
        "DeadLetter": letter,
        "DeadLetters": page("DeadLetter"),
        "Replayed": replayed,
        "Problem": problem,
    }


def schemas() -> dict[str, Schema]:
    """Every named shape."""
    return event_schemas() | message_schemas() | recipient_schemas() | other_schemas()
