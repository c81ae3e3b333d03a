"""
Query parameters of lists: known names only, because a misspelt filter would silently list
everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web

from orchestrator.api.problems import Refusal

LIMIT_DEFAULT, LIMIT_MAX = 100, 1_000
CURSOR = re.compile(r"[0-9A-Za-z_-]{1,64}")


def read_query(request: web.Request, known: Iterable[str]) -> dict[str, str]:
    """The parameters, each at most once. Raises ``Refusal``."""
    names = {*known, "cursor", "limit"}
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in names:
            raise wrong(
                name, "there is no such parameter", f"the parameters are {', '.join(sorted(names))}"
            )
        if name in found:
            raise wrong(name, "it stands there twice", "send it once")
        if len(value) > 256 or "\x00" in value:
            raise wrong(
                name,
                "it is longer than 256 characters, or has a NUL in it",
                "send what you look for",
            )
        found[name] = value
    return found


def wrong(name: str, what: str, fix: str) -> Refusal:
    return Refusal(400, "bad_parameter", f"{what}; {fix}", field=name[:64])


def read_limit(query: dict[str, str]) -> int:
    """How many items are wanted."""
    given = query.get("limit", str(LIMIT_DEFAULT))
    if not (
        given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= LIMIT_MAX
    ):
        raise wrong(
            "limit", f"it must be a number from 1 to {LIMIT_MAX}", f"the default is {LIMIT_DEFAULT}"
        )
    return int(given)


def read_cursor(query: dict[str, str]) -> str | None:
    """Where to go on: ``next_cursor`` of the page before."""
    cursor = query.get("cursor")
    if cursor is not None and not CURSOR.fullmatch(cursor):
        raise wrong("cursor", "this is no cursor", "send next_cursor of the page before, as it is")
    return cursor


def listed(items: Sequence[dict[str, Any]], limit: int) -> web.Response:
    """A page of at most ``limit``; ``items`` has one more where there is another page."""
    shown = list(items[:limit])
    return web.json_response(
        {"items": shown, "next_cursor": shown[-1]["id"] if len(items) > limit else None}
    )
