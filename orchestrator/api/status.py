"""One screen for operators: what works, what waits, what needs a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypedDict

from aiohttp import web

from orchestrator import __version__
from orchestrator.api.pauses import PauseView, pause_view
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.core.policy import CLASSES
from orchestrator.engine.survey import MESSAGES_MAX, OVERDUE_MS, Survey, survey
from orchestrator.primitives.durations import duration
from orchestrator.stores.rows import MemberRow

REST_SECONDS = 0.005
"""Between two pages of messages that are counted."""
RECEIPT_MINUTES = 60
LONG_PAUSE_MS = 3_600_000


class ProcessView(TypedDict):
    id: str
    release: str
    silent_ms: int


class BacklogView(TypedDict):
    """Steps that wait for a slot or a token of a provider; at most 10 000 are counted."""

    provider: str
    message_class: str
    waiting: int


class UnderWayView(TypedDict):
    """Messages that have not ended; ``whole`` is false if there are more than were counted."""

    messages: int
    held: dict[str, int]
    calls_open: int
    unknown: int
    overdue: int
    whole: bool


class ReceiptShareView(TypedDict):
    """Sends of the last hour, and how many of them were reported delivered."""

    channel: str
    sent: int
    delivered: int


class StatusView(TypedDict):
    """``processes`` is empty for an embedded store, which has the one that answers."""

    release: str
    processes: list[ProcessView]
    backlog: list[BacklogView]
    under_way: UnderWayView
    receipts: list[ReceiptShareView]
    pauses: list[PauseView]
    dead_letters: int
    needs_a_person: list[str]


async def get_status(request: web.Request) -> web.Response:
    return web.json_response(await status(request.app[DEPS]))


async def status(deps: ApiDeps) -> StatusView:
    """The whole installation, as its store has it. Raises ``StoreBusy``."""
    now, store = deps.now(), deps.reader
    found = await survey(store, now, lambda: REST_SECONDS)
    pauses = [row for row in await store.pauses() if row.holds(now)]
    open_letters = await store.open_dead_letters()
    members = await store.members()
    depths = await store.depths(everyone=True)
    receipts = [
        (one.channel, one.sent, one.delivered)
        for one in await store.receipt_counts(now // 60_000 - RECEIPT_MINUTES)
    ]
    long_ago = [
        f"{row.kind} {row.name} is paused for {duration(now - row.at)}: kaskad resume {row.kind}"
        f" {row.name}"
        for row in pauses
        if now - row.at > LONG_PAUSE_MS
    ]
    return {
        "release": __version__,
        "processes": [
            {"id": one.id, "release": one.release, "silent_ms": one.silent_ms} for one in members
        ],
        "backlog": [
            {"provider": queue, "message_class": CLASSES[lane], "waiting": count}
            for (queue, lane), count in sorted(depths.items())
            if count
        ],
        "under_way": under_way_view(found),
        "receipts": receipt_shares(receipts),
        "pauses": [pause_view(row) for row in pauses],
        "dead_letters": open_letters,
        "needs_a_person": [*long_ago, *unattended(found, members, open_letters, set(depths), deps)],
    }


def under_way_view(found: Survey) -> UnderWayView:
    return {
        "messages": found.messages,
        "held": dict(found.held.most_common()),
        "calls_open": found.open,
        "unknown": found.unknown,
        "overdue": found.overdue,
        "whole": found.whole,
    }


def receipt_shares(counts: list[tuple[str, int, int]]) -> list[ReceiptShareView]:
    sent, delivered = Counter[str](), Counter[str]()
    for channel, one_sent, one_delivered in counts:
        sent[channel] += one_sent
        delivered[channel] += one_delivered
    return [
        {"channel": channel, "sent": sent[channel], "delivered": delivered[channel]}
        for channel in sorted(sent)
    ]


def unattended(
    found: Survey, members: list[MemberRow], letters: int, waiting: set[Any], deps: ApiDeps
) -> Iterator[str]:
    """What does not end by itself, each with the verb to begin with."""
    if found.overdue:
        yield (
            f"messages overdue by more than {duration(OVERDUE_MS)}: {found.overdue}; does a process"
            " run, and what does its log say?"
        )
    if found.unknown:
        yield f"sends with an unknown outcome and no receipt: {found.unknown}"
    if letters:
        yield f"dead letters: {letters}; kaskad dlq list"
    releases = sorted({one.release for one in members})
    if len(releases) > 1:
        yield f"processes of different releases run side by side: {', '.join(releases)}"
    gone = sorted({queue for queue, _ in waiting} - set(deps.engine.rules.providers))
    for name in gone:
        yield f"messages wait for {name}, which the configuration no longer has"
    if not found.whole:
        yield f"more than {MESSAGES_MAX} messages are under way; only so many were counted"
