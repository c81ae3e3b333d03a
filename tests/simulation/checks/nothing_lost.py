"""
P1: nothing is lost. Every event that was acknowledged makes, for each recipient and policy, exactly
one message, and that ends exactly once, by its deadline and a minute; a later receipt may correct
it once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

from orchestrator.core.message import TERMINAL, Message
from tests.simulation.checks.evidence import Evidence, follows
from tests.simulation.policies import DIGEST_EVENT
from tests.simulation.truth import Committed

GRACE_SECONDS = 60.0
AFTER_BREAK_SECONDS = 20.0
ENDS = frozenset(status.value for status in TERMINAL)
CORRECTED = ("exhausted", "expired")


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    yield from each_event_has_its_messages(evidence)
    commits: dict[str, list[Committed]] = {}
    for commit in evidence.ledger.commits:
        commits.setdefault(commit.message, []).append(commit)
    for message in evidence.messages.values():
        name = evidence.name(message.id)
        if not message.terminal:
            yield f"P1 {name} is still {message.status} after everything has settled"
            continue
        yield from ends_once(name, commits.get(message.id, []))
        yield from ends_in_time(evidence, name, message, commits.get(message.id, []))
    yield from is_published_once(evidence)


def each_event_has_its_messages(evidence: Evidence) -> Iterator[str]:
    made = Counter(
        (one.event_id, one.recipient, one.policy)
        for one in evidence.messages.values()
        if not follows(one) and one.event_type != DIGEST_EVENT and one.journey is None
    )
    wanted: set[tuple[str, str, str]] = set()
    policies = evidence.run.scenery.books[0].policies.values()
    for deed in evidence.deeds("publish"):
        what = deed.what
        for policy in policies if what["type"] != DIGEST_EVENT else ():
            if policy.event == what["type"] and (policy.when is None or what["total"] >= 300):
                wanted |= {(what["id"], person, policy.name) for person in what["people"]}
    for key in sorted(wanted | made.keys()):
        if made[key] != (key in wanted):
            event, person, name = key
            yield (
                f"P1 event {event} made {made[key]} messages of {name} for {person}, not"
                f" {int(key in wanted)}"
            )


def ends_once(name: str, commits: list[Committed]) -> Iterator[str]:
    """A message that has ended stays as it is, but for the one correction."""
    ended: list[str] = []
    for commit in commits:
        if not ended and commit.status in ENDS:
            ended.append(commit.status)
        elif ended and commit.status != ended[-1]:
            ended.append(commit.status)
            if not (
                ended[-2] in CORRECTED and commit.status == "succeeded" and "late" in commit.flags
            ):
                yield f"P1 {name} went from {ended[-2]} to {commit.status}"


def ends_in_time(
    evidence: Evidence, name: str, message: Message, commits: list[Committed]
) -> Iterator[str]:
    ended = next((commit for commit in commits if commit.status in ENDS), None)
    if ended is None:
        return
    limit = latest_end(evidence, message, commits[0])
    if ended.moment.at > limit:
        yield (
            f"P1 {name} ended {ended.moment.at - limit:.0f} s later than a minute after its"
            " deadline"
        )


def latest_end(evidence: Evidence, message: Message, first: Committed) -> float:
    """
    The virtual second by which a message must have ended; while the service is down or frozen
    nothing can end.
    """
    due = max(first.moment.at, shows(evidence, message.deadline_at))
    limit = due + GRACE_SECONDS
    for start, end in sorted(evidence.ledger.breaks):
        if start < limit and end > due - AFTER_BREAK_SECONDS:
            limit += end - start + AFTER_BREAK_SECONDS
    return limit


def shows(evidence: Evidence, wall: int) -> float:
    """The virtual second from which on the wall clock shows a time, however it is set meanwhile."""
    start = evidence.run.options.start
    moments = [(0.0, start), *((jump.at, jump.wall) for jump in evidence.ledger.jumps)]
    at, shown = moments[-1]
    return max(0.0, at + (wall - shown) / 1000) if wall > shown else at


def is_published_once(evidence: Evidence) -> Iterator[str]:
    """Every end is published once, and a correction once more."""
    by_message: dict[str, list[str]] = {}
    for body in evidence.run.statuses:
        event: dict[str, Any] = orjson.loads(body)
        status = event["type"].removeprefix("kaskad.message.")
        if status in ENDS:
            by_message.setdefault(event["subject"], []).append(status)
    for message in evidence.messages.values():
        published = by_message.get(message.id, [])
        allowed = [[message.status.value], [*published[:1], "succeeded"]]
        if (
            not published
            or published not in allowed
            or (len(published) == 2 and not {"late", "undelivered"} & set(message.flags))
        ):
            yield (
                f"P1 {evidence.name(message.id)} is {message.status}, and the ends published of it"
                f" are {published}"
            )
