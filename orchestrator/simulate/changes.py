"""Two versions compared, message by message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.core.message import Status
from orchestrator.simulate.outcomes import MessageOutcome
from orchestrator.simulate.statistics import MILLIONTHS, Interval, interval

EXAMPLES_MAX = 5


@dataclass(slots=True)
class Change:
    """
    One kind of change: how many messages, what they cost more (or less), and a few recipients.
    """

    count: int = 0
    cost: float = 0.0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ChangeOver:
    """The same over several runs."""

    kind: str
    count: Interval
    cost: Interval
    examples: tuple[str, ...]


def changes(before: Iterable[MessageOutcome], after: Iterable[MessageOutcome]) -> dict[str, Change]:
    """The kinds of change between two runs of the same chances, the most frequent first."""
    old = {outcome.key: outcome for outcome in before}
    new = {outcome.key: outcome for outcome in after}
    found: dict[str, Change] = {}
    for key in dict.fromkeys((*old, *new)):
        left, right = old.get(key), new.get(key)
        kind = kind_of(left, right)
        if kind is None:
            continue
        change = found.setdefault(kind, Change())
        change.count += 1
        change.cost += ((right.cost if right else 0) - (left.cost if left else 0)) / MILLIONTHS
        recipient = key[1]
        if len(change.examples) < EXAMPLES_MAX and recipient not in change.examples:
            change.examples.append(recipient)
    return dict(sorted(found.items(), key=lambda item: (-item[1].count, item[0])))


def kind_of(old: MessageOutcome | None, new: MessageOutcome | None) -> str | None:
    """The kind of a message's change, in words; None if it did not change."""
    if old is None or new is None:
        if new is None:
            return "no message any more"
        return f"now a message, {ending_text(new)}"
    if ending(old) != ending(new):
        return f"{ending_text(new)} instead of {ending_text(old)}"
    old_sends, new_sends = (
        [channel for channel, _ in old.sends],
        [channel for channel, _ in new.sends],
    )
    if old_sends != new_sends:
        return f"{ending_text(new)} as before, {sends_changed(old_sends, new_sends)}"
    if old.cost != new.cost:
        return f"{ending_text(new)} as before, at another cost"
    if old.sends != new.sends:
        return f"{ending_text(new)} as before, at another time"
    return None


def ending(outcome: MessageOutcome) -> tuple[str, str, str]:
    return (outcome.status, outcome.by, outcome.reason)


def ending_text(outcome: MessageOutcome) -> str:
    """The end of a message: ``reached by viber``, ``expired (quiet_hours)``."""
    if outcome.status == Status.SUCCEEDED.value:
        return f"reached by {outcome.by}"
    return f"{outcome.status} ({outcome.reason})" if outcome.reason else outcome.status


def sends_changed(old: Sequence[str], new: Sequence[str]) -> str:
    """The sends that were added, and those that were dropped."""
    more = [channel for channel in dict.fromkeys(new) if new.count(channel) > old.count(channel)]
    fewer = [channel for channel in dict.fromkeys(old) if old.count(channel) > new.count(channel)]
    parts = [f"also sent on {', '.join(more)}"] if more else []
    parts += [f"no longer sent on {', '.join(fewer)}"] if fewer else []
    return " and ".join(parts) or "in another order"


def changes_over(runs: Sequence[dict[str, Change]]) -> tuple[ChangeOver, ...]:
    """
    The kinds of change over all runs, the most frequent first; examples are of the first run that
    has any.
    """
    kinds = dict.fromkeys(kind for run in runs for kind in run)
    found = [
        ChangeOver(
            kind,
            interval([run[kind].count if kind in run else 0 for run in runs], 0),
            interval([run[kind].cost if kind in run else 0.0 for run in runs]),
            next((tuple(run[kind].examples) for run in runs if kind in run), ()),
        )
        for kind in kinds
    ]
    return tuple(
        sorted(found, key=lambda change: (-change.count.median, -change.count.high, change.kind))
    )
