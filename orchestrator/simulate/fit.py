"""
Behaviour learnt from the attempts and receipts of the installation's own store.

Only finished messages are read, the newest first, because what is still under way would look as if
it had failed. Lags are kept as they were measured, as quantiles, and not pressed into a formula.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.channels import NotSent, Outcome, Reason, Refused, Unknown
from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.reasons import REFUSALS
from orchestrator.core.status import FAILURES, reached
from orchestrator.history.codec import decode_message
from orchestrator.simulate.behaviour import Behaviour, ChannelBehaviour, Lag, Share, assumed
from orchestrator.stores.port import Store

MESSAGES_MAX = 100_000
ATTEMPTS_MIN = 50
QUANTILES = 101
PAGE = 500


class NothingToFit(Exception):
    """The store has not seen enough; the text says what is missing."""


@dataclass(slots=True)
class Seen:
    """Counts of one provider's attempts and receipts."""

    attempts: int = 0
    answers: Counter[tuple[OutcomeKind, Reason | None]] = field(default_factory=Counter)
    taken: int = 0
    states: Counter[str] = field(default_factory=Counter)
    lags_ms: dict[str, list[int]] = field(default_factory=dict)

    def take(self, attempt: Attempt) -> None:
        """Count one attempt and its receipts."""
        self.attempts += 1
        if not attempt.took:
            self.answers[attempt.outcome, attempt.reason] += 1
            return
        if attempt.outcome is OutcomeKind.UNKNOWN:
            self.answers[attempt.outcome, attempt.reason] += 1
        self.taken += 1
        states = reached(attempt.state, attempt.engagement)
        since = attempt.answered_at or attempt.intent_at
        for state in ("delivered", "read", "clicked", "replied"):
            if state in states:
                self.states[state] += 1
            at = attempt.times.get(state)
            if at is not None:
                self.lags_ms.setdefault(state, []).append(max(0, at - since))
                since = max(since, at)
        if attempt.state in FAILURES and not attempt.engagement:
            self.states["failed"] += 1
            failed_at = attempt.times.get(attempt.state.value)
            if failed_at is not None:
                self.lags_ms.setdefault("failed", []).append(max(0, failed_at - since))

    def behaviour(self) -> ChannelBehaviour:
        """The same as shares and lags."""
        reads = self.states["read"]
        basis = reads or self.states["delivered"]
        return ChannelBehaviour(
            answers=tuple(
                (count / self.attempts, outcome_of(*key)) for key, count in self.answers.items()
            ),
            delivered=self._share("delivered", self.taken),
            failed=self._share("failed", self.taken),
            read=self._share("read", self.states["delivered"]),
            clicked=self._share("clicked", basis),
            replied=self._share("replied", basis),
        )

    def _share(self, state: str, of: int) -> Share | None:
        count = self.states[state]
        if not count or not of:
            return None
        return Share(count / of, Lag(quantiles=quantiles(self.lags_ms.get(state, [0]))))


def outcome_of(kind: OutcomeKind, reason: Reason | None) -> Outcome:
    """An outcome that is no yes, as an adapter would give it."""
    if kind is OutcomeKind.REFUSED:
        return Refused(reason if reason in REFUSALS else Reason.REFUSED_RECIPIENT, "fitted")
    if kind is OutcomeKind.UNKNOWN:
        return Unknown(reason or Reason.CONNECTION_LOST)
    return NotSent(reason or Reason.NOT_TAKEN)


def quantiles(values: Sequence[int]) -> tuple[float, ...]:
    """Evenly spaced quantiles, the shortest and the longest included."""
    ordered = sorted(values)
    if len(ordered) == 1:
        return (float(ordered[0]),)
    places = [number * (len(ordered) - 1) / (QUANTILES - 1) for number in range(QUANTILES)]
    return tuple(float(ordered[round(place)]) for place in places)


def fit(messages: Iterable[Message]) -> Behaviour:
    """
    The behaviour that messages show. Channels of which too little was seen behave as assumed; the
    report says so. Raises ``NothingToFit`` where there is not enough of any.
    """
    seen: dict[str, Seen] = {}
    channel_of: dict[str, str] = {}
    count = 0
    for message in messages:
        if not message.terminal:
            continue
        count += 1
        for attempt in message.attempts:
            if attempt.outcome is not OutcomeKind.PENDING:
                seen.setdefault(attempt.provider, Seen()).take(attempt)
                channel_of[attempt.provider] = attempt.channel
    known = {name: one.behaviour() for name, one in seen.items() if one.attempts >= ATTEMPTS_MIN}
    if not known:
        most = max((one.attempts for one in seen.values()), default=0)
        raise NothingToFit(
            f"the store has at most {most} finished attempts of one provider, and {ATTEMPTS_MIN}"
            " are needed; say how providers behave with --providers"
        )
    fitted = {channel_of[name] for name in known}
    by_channel = {
        channel: behaviour
        for channel, behaviour in assumed().by_name.items()
        if channel not in fitted
    }
    rest = f"; assumed for {', '.join(sorted(by_channel))}" if by_channel else ""
    shown = ", ".join(f"{name} ({seen[name].attempts} attempts)" for name in sorted(known))
    return Behaviour(
        {**by_channel, **known}, f"as fitted from {count} messages of the store: {shown}{rest}"
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
