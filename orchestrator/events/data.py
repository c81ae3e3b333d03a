"""An event's data: a JSON object, and the recipients that it names."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from orchestrator.core.facts import IntakeWarning
from orchestrator.events.malformed import Malformed, read_json
from orchestrator.recipients.intake import Unaddressed, readable_recipient

RECIPIENTS_MAX = 1_000
LISTED_MAX = 2 * RECIPIENTS_MAX
"""So many are read at all, repeats included."""
WARNINGS_MAX = 1_000
"""Of one event; further ones are not told."""


def read_data(found: Mapping[str, Any], content_type: Any) -> dict[str, Any]:
    """The event's data: a JSON object, also from base64."""
    if content_type is not None and not is_json(content_type):
        raise Malformed(
            "bad_data", "datacontenttype", "only JSON data is read", "send application/json"
        )
    data = found.get("data")
    encoded = found.get("data_base64")
    if data is not None and encoded is not None:
        raise Malformed("bad_data", "data", "there are data and data_base64", "send one of them")
    if encoded is not None:
        data = read_base64(encoded)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise Malformed("bad_data", "data", "it must be a JSON object", 'write "data": {…}')
    return data


def is_json(content_type: Any) -> bool:
    """Whether a media type is ``application/json`` or one of ``…+json``, in UTF-8."""
    if not isinstance(content_type, str):
        return False
    kind, _, parameters = content_type.lower().partition(";")
    good_charset = "charset=" not in parameters or "utf-8" in parameters or "utf8" in parameters
    return good_charset and (
        kind.strip() in ("application/json", "text/json") or kind.strip().endswith("+json")
    )


def read_base64(encoded: Any) -> Any:
    try:
        if not isinstance(encoded, str):
            raise ValueError
        body = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(
            "bad_data", "data_base64", "it is not base64", "encode the JSON as base64"
        ) from None
    return read_json(body)


def read_recipients(
    data: Mapping[str, Any], subject: Any
) -> tuple[list[dict[str, Any]], list[IntakeWarning]]:
    """
    The event's recipients: ``data.recipients`` (without repeats, the last counts),
    ``data.recipient``, else the subject; and what could not be read of them. Raises ``Misshapen``
    if none of them can be named.
    """
    one, many = data.get("recipient"), data.get("recipients")
    if many is not None:
        if one is not None:
            fix = "send recipient for one person, recipients for several"
            raise Malformed(
                "bad_recipient", "data.recipient", "there are recipient and recipients", fix
            )
        if not isinstance(many, list) or not many:
            raise Malformed(
                "bad_recipient",
                "data.recipients",
                "it must be a non-empty list",
                "list the recipients",
            )
        return read_fan_out(many)
    if one is None and not subject:
        fix = 'add data.recipient: {"id": "…"}, or a subject'
        raise Malformed("no_recipient", "data.recipient.id", "nobody is named", fix)
    profile, warnings = readable_recipient({} if one is None else one, subject, "data.recipient")
    return [profile], warnings


def read_fan_out(many: list[Any]) -> tuple[list[dict[str, Any]], list[IntakeWarning]]:
    """The recipients of a list; one that cannot be named does not take the others along."""
    found: dict[str, dict[str, Any]] = {}
    warnings: list[IntakeWarning] = []
    refused: Unaddressed | None = None
    if len(many) > LISTED_MAX:
        raise too_many()
    for index, one in enumerate(many):
        try:
            profile, faults = readable_recipient(one, None, f"data.recipients[{index}]")
        except Unaddressed as problem:
            refused = refused or problem
            faults = [IntakeWarning(None, problem.field, problem.what, problem.fix)]
        else:
            found[profile["id"]] = profile
        warnings += faults[: WARNINGS_MAX - len(warnings)]
    if len(found) > RECIPIENTS_MAX:
        raise too_many()
    if not found and refused is not None:
        raise refused
    return list(found.values()), warnings


def too_many() -> Malformed:
    what = f"there are more than {RECIPIENTS_MAX} recipients"
    return Malformed("too_large", "data.recipients", what, "publish several events")
