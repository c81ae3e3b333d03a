"""
A store's own rows, read with plain SQL and plain JSON: what it says of messages, digests and
journeys when nobody interprets it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

QUERIES = {
    "messages": "select id, state from {messages}",
    "joined": "select message, data from joined_events order by message, number",
    "journeys": (
        "select id, recipient, journey, key, status, finished_at, due_at, state from journeys"
    ),
    "lines": "select journey, lines from journey_history order by position",
    "timers": "select message from timers",
    "pepper": "select secret from secrets where purpose = 'pepper'",
}
FINISHED = "(select id, state from messages union all select id, state from finished) as every"
Rows = dict[str, list[Sequence[Any]]]


@dataclass(slots=True)
class Stored:
    """
    Documents by id: of messages, of the data of events that joined each, of journeys (``lines`` is
    the history). ``timed`` is what has a timer. Times are UTC milliseconds.
    """

    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    joined: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    journeys: dict[str, dict[str, Any]] = field(default_factory=dict)
    timed: set[str] = field(default_factory=set)
    twice: list[str] = field(default_factory=list)
    """Ids of which there are two rows."""
    pepper: bytes = b""


async def of_postgres(url: str) -> Stored:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return stored_of(
                {
                    name: [tuple(row) for row in await connection.fetch(text)]
                    for name, text in queries(FINISHED).items()
                }
            )
    finally:
        await connection.close()


def of_sqlite(path: Path) -> Stored:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.execute("begin")
        return stored_of(
            {
                name: connection.execute(text).fetchall()
                for name, text in queries("messages").items()
            }
        )


def queries(messages: str) -> dict[str, str]:
    return {name: text.format(messages=messages) for name, text in QUERIES.items()}


def stored_of(rows: Rows) -> Stored:
    """The documents of rows as ``QUERIES`` gives them."""
    found = Stored()
    for id, state in rows["messages"]:
        if id in found.messages:
            found.twice.append(id)
        found.messages[id] = json.loads(state)
    for message, data in rows["joined"]:
        found.joined.setdefault(message, []).append(json.loads(data))
    names = ("id", "recipient", "journey", "key", "status", "finished_at", "due_at")
    for *values, state in rows["journeys"]:
        row = dict(zip(names, values, strict=True))
        found.journeys[row["id"]] = {**row, "state": json.loads(state), "lines": []}
    for journey, lines in rows["lines"]:
        found.journeys[journey]["lines"] += [json.loads(line) for line in lines.splitlines()]
    found.timed = {row[0] for row in rows["timers"]}
    found.pepper = bytes(rows["pepper"][-1][0])
    return found
