"""
Consent histories as rows: ``[channel, topic, state, at, source, [classes], repeated_at?]``.

A history is bounded by what can be said: the same thing said again adds no row. Past
``CONSENTS_KEPT_MAX`` rows the oldest are compacted; a no is never lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.core.consent import EVERY, START, STOP
from orchestrator.core.recipient import Consent, Instant
from orchestrator.core.values import replace

CONSENTS_KEPT_MAX = 200
WIDENED_AT_ONCE = 50
REPEAT_NOTED_MS = 60_000
"""A repeat is noted in its row once in so long, so that a flood of them writes little."""

Row = list[Any]


def consents_from(entries: Any, at: Instant) -> list[Consent]:
    """
    Consent entries as they come in: channel and topic default to ``*``, a time in the future
    becomes ``at``.
    """
    found = []
    for entry in entries or ():
        given = entry.get("at")
        when = min(int(given), at) if isinstance(given, int) else at
        found.append(
            Consent(
                entry.get("channel") or EVERY,
                entry.get("topic") or EVERY,
                entry["state"],
                when,
                entry.get("source") or "",
                tuple(entry.get("classes") or ()),
            )
        )
    return found


def consent_row(entry: Consent) -> Row:
    row = [entry.channel, entry.topic, entry.state, entry.at, entry.source, list(entry.classes)]
    return [*row, entry.repeated_at] if entry.repeated_at else row


def consent_of(row: Row) -> Consent:
    return Consent(row[0], row[1], row[2], row[3], row[4], tuple(row[5]), *row[6:])


def add_consents(
    rows: list[Row], entries: Iterable[Consent], added: list[Consent] | None = None
) -> bool:
    """
    Add entries to a history, in place; False if all of it had been said already. ``added`` collects
    those that have become rows.
    """
    changed = False
    for entry in entries:
        before = len(rows)
        changed |= add_consent(rows, entry)
        if added is not None and len(rows) > before:
            added.append(entry)
    if changed and len(rows) > CONSENTS_KEPT_MAX:
        compact(rows)
    return changed


def add_consent(rows: list[Row], entry: Consent) -> bool:
    """
    Add one entry, unless the last thing that was said in its scope is the same and nothing came
    between. Then only the time of the repeat is noted: without it, a yes from in between that is
    reported late would undo the second no.
    """
    known = [consent_of(row) for row in rows]
    if any(one.at == entry.at and same(one, entry) and one.source == entry.source for one in known):
        return False
    alike = [place for place, one in enumerate(known) if same(one, entry)]
    last = max(alike, key=lambda place: known[place].said_at, default=None)
    if last is None or entry.at < known[last].at or contradicted(known, known[last], entry.at):
        rows.append(consent_row(entry))
        return True
    if entry.at - known[last].said_at < REPEAT_NOTED_MS:
        return False
    rows[last] = [*rows[last][:6], entry.at]
    return True


def same(one: Consent, other: Consent) -> bool:
    """Whether two entries say the same, whenever and wherever they came from."""
    return said_of(one) == said_of(other)


def said_of(one: Consent) -> tuple[Any, ...]:
    """What an entry says. A STOP and a START stand apart, because they undo only each other."""
    word = one.source if one.source in (STOP, START) else ""
    return one.channel, one.topic, one.state, tuple(sorted(one.classes)), word


def contradicted(known: Iterable[Consent], last: Consent, at: Instant) -> bool:
    """Whether anything else was said from ``last`` on until ``at``."""
    return any(one.state != last.state and last.said_at <= one.said_at <= at for one in known)


def compact(rows: list[Row]) -> None:
    """
    Bring a history down to ``CONSENTS_KEPT_MAX``. First go entries that a newer one has replaced,
    which decide nothing, then yeses, the oldest first. If that is not enough, the oldest noes to
    single topics become noes to all topics of their channel: a no is never lost.
    """
    kept = sorted(map(consent_of, rows), key=lambda one: one.said_at)
    newest = {said_of(one): one for one in kept}
    replaced = [one for one in kept if newest[said_of(one)] is not one]
    for going in (replaced, [one for one in kept if one.state == "in"]):
        for one in going[: max(0, len(kept) - CONSENTS_KEPT_MAX)]:
            kept.remove(one)
    excess = len(kept) - CONSENTS_KEPT_MAX
    wide = kept[: excess + WIDENED_AT_ONCE] if excess > 0 else []
    rows[:] = [consent_row(one) for one in kept[len(wide) :]]
    for one in wide:
        add_consent(rows, replace(one, topic=EVERY))
