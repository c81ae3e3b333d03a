"""
Query parameters of lists. Unknown names are refused, because a misspelt filter would silently list
everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta

from orchestrator.api.problems import Refusal
from orchestrator.api.route import Parameter, Time
from orchestrator.primitives.ids import first_of
from orchestrator.recipients.fields import rfc3339_ms

LIMIT_DEFAULT, LIMIT_MAX = 100, 1_000
TEXT_MAX = 256
CURSOR = re.compile(r"[0-9A-Za-z_-]{1,64}")

QueryText = Annotated[str, Meta(max_length=TEXT_MAX)]
Cursor = Annotated[
    str | None, Meta(description="Send it as `cursor` for the next page; null on the last.")
]
SPAN = (
    Parameter("since", "Only what was created then or later.", Time),
    Parameter("until", "Only what was created before then.", Time),
)
PAGING = (
    Parameter(
        "cursor",
        "`next_cursor` of the page before.",
        Annotated[str, Meta(pattern=f"^{CURSOR.pattern}$")],
    ),
    Parameter(
        "limit",
        "Items a page.",
        Annotated[int, Meta(ge=1, le=LIMIT_MAX, extra_json_schema={"default": LIMIT_DEFAULT})],
    ),
)


def read_query(request: web.Request, known: Iterable[Parameter]) -> dict[str, str]:
    """The parameters, each at most once. Raises ``Refusal``."""
    names = {parameter.name for parameter in known}
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in names:
            fix = f"the parameters are {', '.join(sorted(names))}"
            raise wrong(name, "there is no such parameter", fix)
        if name in found:
            raise wrong(name, "it is given twice", "send it once")
        if len(value) > TEXT_MAX or "\x00" in value:
            what = f"it is longer than {TEXT_MAX} characters, or has a NUL in it"
            raise wrong(name, what, "shorten it")
        found[name] = value
    return found


def wrong(name: str, what: str, fix: str) -> Refusal:
    return Refusal(400, "bad_parameter", f"{what}; {fix}", field=name[:64])


def read_limit(query: Mapping[str, str]) -> int:
    """How many items the page may have."""
    given = query.get("limit", str(LIMIT_DEFAULT))
    digits = given.isascii() and given.isdigit() and len(given) < 6
    if not digits or not 1 <= int(given) <= LIMIT_MAX:
        what = f"it must be a number from 1 to {LIMIT_MAX}"
        raise wrong("limit", what, f"the default is {LIMIT_DEFAULT}")
    return int(given)


def read_instant(query: Mapping[str, str], name: str) -> int | None:
    """UTC milliseconds of an RFC 3339 time."""
    given = query.get(name)
    at = rfc3339_ms(given)
    if given is not None and at is None:
        raise wrong(name, "it is not an RFC 3339 time", "write 2026-11-21T10:00:00Z")
    return at


def read_word(query: Mapping[str, str], name: str, words: Iterable[str]) -> str | None:
    """One word of a closed list."""
    given, known = query.get(name), list(words)
    if given is not None and given not in known:
        near = get_close_matches(given, known, 1)
        fix = f"did you mean {near[0]}?" if near else f"use {', '.join(known)}"
        raise wrong(name, f"there is no such {name}", fix)
    return given


def read_cursor(query: Mapping[str, str]) -> str | None:
    """The id of the last item of the page before."""
    cursor = query.get("cursor")
    if cursor is not None and not CURSOR.fullmatch(cursor):
        raise wrong("cursor", "this is no cursor", "send next_cursor of the page before, as it is")
    return cursor


def read_span(query: Mapping[str, str]) -> tuple[str | None, str | None]:
    """
    The ids from which and before which to list: by ``since`` and ``until``, and by the cursor.
    """
    since, until = read_instant(query, "since"), read_instant(query, "until")
    ends = (read_cursor(query), None if until is None else first_of(until))
    before = min((id for id in ends if id is not None), default=None)
    return None if since is None else first_of(since), before


def page(items: Sequence[Mapping[str, Any]], limit: int) -> web.Response:
    """A page of at most ``limit`` items; one more in ``items`` means that another page follows."""
    shown = list(items[:limit])
    return web.json_response(
        {"items": shown, "next_cursor": shown[-1]["id"] if len(items) > limit else None}
    )
