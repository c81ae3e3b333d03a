"""
P1 and P6 for what people write: each reply is emitted exactly once, with the choice that it means,
as an answer to what was written to its address; who is to be asked why is asked once. P4: an answer
leaves only to somebody who has written on that channel within a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

from orchestrator.core.policy import CONVERSATIONAL
from tests.simulation.checks.evidence import Evidence, Sent
from tests.simulation.questions import ASKED, ASKING_CHANNELS, MEANT, REPLY_EVENT, WHY

SESSION_SECONDS = 86_400.0
JUMPS_SECONDS = 7_200.0
"""The most by which a clock is set at once."""


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    emitted = [
        event for body in evidence.run.statuses if (event := reply_emitted(body)) is not None
    ]
    yield from once(evidence, emitted)
    for event in emitted:
        yield from understood(evidence, event)
    yield from followed(evidence, emitted)
    for sent in evidence.sent:
        if sent.message.message_class == CONVERSATIONAL:
            yield from within_session(evidence, sent)


def reply_emitted(body: bytes) -> dict[str, Any] | None:
    """The data of a status event about a reply; None for any other."""
    event = orjson.loads(body)
    return event["data"] if event["type"] == REPLY_EVENT else None


def once(evidence: Evidence, emitted: list[dict[str, Any]]) -> Iterator[str]:
    """
    What was taken over is emitted, what came twice is emitted once; that it had come is forgotten
    with the person.
    """
    found = Counter((event["channel"], event["text"]) for event in emitted)
    taken: Counter[tuple[str, str]] = Counter()
    posted: Counter[tuple[str, str]] = Counter()
    for deed in evidence.deeds("reply"):
        account = evidence.run.scenery.accounts[deed.what["provider"]]
        if account.stand_in.inbound(deed.what["address"], "", 0) is None:
            continue
        key = (deed.what["channel"], deed.what["text"])
        posted[key] += 1
        taken[key] += deed.answered is not None
    forgotten = any(evidence.deeds("erase"))
    for key in sorted(found.keys() | posted.keys()):
        if found[key] < taken[key] or (found[key] > posted[key] and not forgotten):
            yield f"P1 {key} was written {posted[key]} times and emitted {found[key]} times"


def understood(evidence: Evidence, event: dict[str, Any]) -> Iterator[str]:
    message = evidence.messages.get(event["message"] or "")
    asked = message is not None and evidence.policy(message).template == ASKED
    offered = asked and event["channel"] in ASKING_CHANNELS
    wanted = MEANT.get(event["text"]) if offered else None
    if event["choice"] != wanted:
        yield f"P6 {event['text']!r} is emitted as the choice {event['choice']}, not as {wanted}"
    if message is None:
        return
    ways = {one.address for one in message.attempts if one.channel == event["channel"]}
    if event["recipient"] is not None and event["address"] not in ways:
        yield f"P6 {evidence.name(message.id)} is answered from {event['address']}, not {ways}"


def followed(evidence: Evidence, emitted: list[dict[str, Any]]) -> Iterator[str]:
    """For each answer that a policy follows there is one message of it."""
    if WHY not in evidence.run.scenery.books[0].policies:
        return
    erased = {deed.what["recipient"] for deed in evidence.deeds("erase")}
    wanted: Counter[str] = Counter(
        event["message"]
        for event in emitted
        if event["choice"] == "1" and event["recipient"] not in (None, *erased)
    )
    made = Counter(
        one.caused_by or ""
        for one in evidence.messages.values()
        if one.policy == WHY and one.recipient not in erased
    )
    for key in sorted(wanted.keys() | made.keys()):
        if made[key] != wanted[key]:
            name = evidence.name(key)
            yield f"P1 {wanted[key]} answers to {name} made {made[key]} messages of {WHY}"


def within_session(evidence: Evidence, sent: Sent) -> Iterator[str]:
    write, slack = sent.write, JUMPS_SECONDS * len(evidence.ledger.jumps)
    wrote = [
        deed.tried
        for deed in evidence.deeds("reply")
        if (deed.what["channel"], deed.what["address"]) == (write.channel, write.address)
        and deed.tried is not None
        and deed.tried.order < write.moment.order
    ]
    if not any(write.moment.at - one.at <= SESSION_SECONDS + slack for one in wrote):
        name = evidence.name(sent.message.id)
        yield f"P4 {name} answers {write.address}, who has not written by {write.channel}"
