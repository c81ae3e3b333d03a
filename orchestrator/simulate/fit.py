"""
Behaviour learnt from the attempts and receipts of the installation's own store.

Only finished messages are read, the newest first, because what is still under way would look as if
it had failed. Lags are kept as they were measured by our clock, as quantiles, and not pressed into
a formula; how people differ is a model of its own (``tendencies``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.core.message import Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.history.codec import decode_message
from orchestrator.simulate.behaviour import (
    SPREADS,
    Behaviour,
    ChannelBehaviour,
    assumed_by_channel,
)
from orchestrator.simulate.counting import STATES, Counts, Seen, count_person, trials_of
from orchestrator.simulate.hours import Hours, fit_hours
from orchestrator.simulate.outcomes import MessageOutcome, OutcomeKey, note, outcome_of
from orchestrator.simulate.tendencies import Tendency, fit_tendency
from orchestrator.stores.port import Store

MESSAGES_MAX = 100_000
ATTEMPTS_MIN = 50
PAGE = 500
UTC_ZONE = ZoneInfo("UTC")


class NothingToFit(Exception):
    """The store has not seen enough; the text says what is missing."""


def fit(
    messages: Iterable[Message], zone: ZoneInfo = UTC_ZONE, events: Collection[str] = ()
) -> Behaviour:
    """
    The behaviour that messages show to people who live in ``zone``. Channels of which too little
    was seen behave as assumed; the report says so. What became of the messages of ``events``
    (``source id``) is kept to compare with. Raises ``NothingToFit`` where there is not enough.
    """
    seen: dict[str, Seen] = {}
    channel_of: dict[str, str] = {}
    counts: Counts = {}
    past: dict[OutcomeKey, MessageOutcome] = {}
    count = 0
    for message in messages:
        if not message.terminal:
            continue
        count += 1
        count_person(counts, message)
        for attempt in message.attempts:
            if attempt.outcome is not OutcomeKind.PENDING:
                seen.setdefault(attempt.provider, Seen()).take(attempt)
                channel_of[attempt.provider] = attempt.channel
        if f"{message.event_source} {message.event_id}" in events:
            outcome = outcome_of(message)
            note(outcome, None, message, message.finished_at or message.created_at)
            past[outcome.key] = outcome
    most = max((one.attempts for one in seen.values()), default=0)
    if most < ATTEMPTS_MIN:
        raise NothingToFit(
            f"the store has at most {most} finished attempts of one provider, and {ATTEMPTS_MIN}"
            " are needed; say how providers behave with --providers"
        )
    hours = hours_of(seen.values(), zone)
    tendencies = {name: tendency_of(name, counts, seen) for name in SPREADS}
    return gathered(seen, channel_of, hours, tendencies, past, count)


def hours_of(seen: Collection[Seen], zone: ZoneInfo) -> Hours:
    """The hours at which people read, click and answer, whatever the channel."""
    spans = [span for one in seen for state in STATES[1:] for span in one.spans.get(state, ())]
    return fit_hours(spans, zone)


def tendency_of(name: str, counts: Counts, seen: Mapping[str, Seen]) -> Tendency:
    """One tendency of everybody; what is assumed of a channel is where it starts."""
    usual: dict[str, float | None] = {}
    for channel, behaviour in assumed_by_channel().items():
        share = getattr(behaviour, name, None)
        usual[channel] = share.share if share is not None else None
    trials = trials_of(name, counts, seen)
    if not trials:
        return Tendency(SPREADS[name])
    return fit_tendency(trials, usual, SPREADS[name], personal=SPREADS[name].person > 0)


def gathered(
    seen: Mapping[str, Seen],
    channel_of: Mapping[str, str],
    hours: Hours,
    tendencies: Mapping[str, Tendency],
    past: Mapping[OutcomeKey, MessageOutcome],
    count: int,
) -> Behaviour:
    """The behaviour of providers, of channels for providers that were not seen, and of people."""
    known = {name for name, one in seen.items() if one.attempts >= ATTEMPTS_MIN}
    by_name: dict[str, ChannelBehaviour] = {name: seen[name].behaviour(hours) for name in known}
    like: dict[str, str] = {}
    for channel in sorted({channel_of[name] for name in known}):
        together = Seen()
        members = sorted(name for name in known if channel_of[name] == channel)
        for name in members:
            together.add(seen[name])
        by_name[channel] = together.behaviour(hours)
        like[channel] = (
            f"assumed to do as {channel} did in the store ({together.attempts} attempts of"
            f" {', '.join(members)})"
        )
    for name in seen.keys() - known:
        others = like.get(channel_of[name], f"assumed as documented for {channel_of[name]}")
        like[name] = f"only {seen[name].attempts} attempts of it are in the store: {others}"
    rest = sorted(assumed_by_channel().keys() - by_name.keys())
    shown = ", ".join(f"{name} ({seen[name].attempts} attempts)" for name in sorted(known))
    return Behaviour(
        by_name,
        f"as fitted from {count} messages of the store: {shown}"
        + (f"; assumed for {', '.join(rest)}" if rest else ""),
        tendencies,
        frozenset(known),
        like,
        past,
    )


def sqlite_messages(path: Path) -> Iterator[Message]:
    """
    The finished messages of an embedded store, the newest first, also while a service uses it.
    """
    if not path.is_file():
        raise NothingToFit(
            f"{path}: there is no such database; let the service run first, or use --providers"
        )
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        query = "select state from messages where finished_at is not null order by id desc limit ?"
        try:
            for (state,) in database.execute(query, (MESSAGES_MAX,)):
                yield decode_message(state)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise NothingToFit(f"{path}: it cannot be read: {error}") from None


async def stored_messages(store: Store) -> AsyncIterator[Message]:
    """The finished messages of any store, the newest first."""
    before: str | None = None
    read = 0
    while read < MESSAGES_MAX:
        page = await store.messages(before=before, limit=PAGE)
        for stored in page:
            yield stored.message
        if len(page) < PAGE:
            return
        read += len(page)
        before = page[-1].message.id
