"""
The promises about digests, the arms of an experiment, and counts: what stands in the store, what
the stand-ins took and what backends were answered must agree. An arm is computed anew.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from tests.verify.chaos import tours
from tests.verify.chaos.counts import Counted
from tests.verify.chaos.known import ALREADY_WRITTEN_SECONDS, Known
from tests.verify.chaos.witnesses import seconds

OF_DIGEST, OF_ARM = re.compile(r" of=(\S*)"), re.compile(r" a=(\S+)")


# -- digests


def held(known: Known) -> dict[int, list[str]]:
    """The messages that each trigger is in, by the store."""
    found: dict[int, list[str]] = defaultdict(list)
    for id, numbers in gathered(known).items():
        for number in numbers:
            found[number].append(id)
    return found


def gathered(known: Known) -> dict[str, list[int]]:
    """The triggers of each digest: the one that opened it, and those that joined."""
    digests = known.of_policy(tours.DIGEST_POLICY)
    return {
        id: [
            int(one["event_id"].rpartition("-")[2]),
            *(int(data["n"]) for data in known.stored.joined.get(id, ())),
        ]
        for id, one in digests.items()
    }


def ungathered(known: Known) -> Iterator[str]:
    found = held(known)
    for number, trigger in known.seen.ledger.triggers.items():
        if not found.get(number):
            yield f"{trigger} was accepted and is in no message"
    counted = sum(
        message["digest"]["events"] + message["digest"]["more"]
        for message in known.seen.messages.values()
        if message["digest"] is not None
    )
    stored = sum(len(messages) for messages in found.values())
    if counted != stored:
        yield f"the API counts {counted} events of digests, the store has {stored}"


def gathered_twice(known: Known) -> Iterator[str]:
    triggers, inside = known.seen.ledger.triggers, gathered(known)
    for number, messages in held(known).items():
        trigger = triggers.get(number)
        if trigger is None:
            yield f"{number} is in {messages} and was never accepted"
        elif len(messages) > 1 or not trigger.messages <= set(messages):
            yield f"{trigger} is in {messages}"
        elif known.stored.messages[messages[0]]["recipient"] != trigger.recipient:
            yield f"{trigger} is in {messages} of somebody else"
    for record, text in known.texts(OF_DIGEST):
        numbers = [int(number) for number in text.split(".") if number]
        if numbers != inside.get(record):
            yield f"{record} was taken with {numbers}, the store has {inside.get(record)}"


def out_of_window(known: Known) -> Iterator[str]:
    """A digest starts when its window ends, and only then does the next one of its kind open."""
    triggers = known.seen.ledger.triggers
    by_place: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for id, numbers in gathered(known).items():
        message, topics = (
            known.seen.messages.get(id),
            {triggers[number].topic for number in numbers if number in triggers},
        )
        if message is None or len(topics) != 1:
            yield f"{id} is not there, or of topics {sorted(topics)}"
            continue
        by_place[message["recipient"], topics.pop()].append(message)
        starts, created = seconds(message["starts_at"]), seconds(message["created_at"])
        if abs(starts - created - tours.WINDOW_SECONDS) > ALREADY_WRITTEN_SECONDS:
            yield f"{id} gathers from {message['created_at']} to {message['starts_at']}"
        for attempt in message["attempts"]:
            if attempt["times"]["intent"] < message["starts_at"]:
                yield f"{id}: {message['starts_at']}, intent {attempt['times']['intent']}"
    for place, messages in by_place.items():
        messages.sort(key=lambda one: str(one["created_at"]))
        for one, other in itertools.pairwise(messages):
            if other["created_at"] < one["starts_at"]:
                yield f"{place}: {one['id']} starts {one['starts_at']}; {other['id']} opened before"


# -- experiments


def arm_of(pepper: bytes, person: str) -> str:
    """The arm of a person, as docs/experiments.md says it: a keyed hash, stretched by weights."""

    def distance(arm: str) -> float:
        text = f"experiment\0{tours.EXPERIMENT}/{arm}/{person}"
        digest = hmac.new(pepper, text.encode(), hashlib.sha256).hexdigest()
        share = (int(digest[:13], 16) + 0.5) / 16**13
        return -math.log(share) / tours.ARMS[arm]

    return min(tours.ARMS, key=distance)


def other_arms(known: Known) -> Iterator[str]:
    messages = known.of_policy(tours.TONE_POLICY)
    for id, message in messages.items():
        arm = arm_of(known.stored.pepper, message["recipient"])
        if message.get("arm") != arm:
            yield f"{id} of {message['recipient']} has {message.get('arm')}, the hash gives {arm}"
    for record, arm in known.texts(OF_ARM):
        if arm != messages.get(record, {}).get("arm"):
            yield f"{record} was taken as {arm}; {messages.get(record, {}).get('arm')} is stored"


def miscounted(counted: Counted, known: Known) -> Iterator[str]:
    """Where what was counted differs from what a scan of the store finds, in words."""
    verified, stored = counted.verified, known.stored
    yield from (str(one) for one in verified["differences"])
    yield from (f"day {day} was not compared" for day in verified["busy"])
    if verified["messages"] != len(stored.messages):
        yield f"{verified['messages']} messages compared, {len(stored.messages)} stored"
    by_status = Counter(row["status"] for row in stored.journeys.values())
    if by_status != counted.journeys:
        yield f"journeys counted {dict(counted.journeys)}, stored {dict(by_status)}"
    toned = known.of_policy(tours.TONE_POLICY).values()
    met = {(str(one.get("arm")), one["recipient"]) for one in toned}
    people = Counter(arm for arm, _ in met)
    if people != Counter(counted.people):
        yield f"people by arm counted {counted.people}, in messages {dict(people)}"
