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
from tests.verify.chaos.told import ALREADY_WRITTEN_SECONDS, Told
from tests.verify.chaos.witnesses import seconds

OF_DIGEST, OF_ARM = re.compile(r" of=(\S*)"), re.compile(r" a=(\S+)")


# -- digests


def held(told: Told) -> dict[int, list[str]]:
    """The messages that each trigger is in, by the store."""
    found: dict[int, list[str]] = defaultdict(list)
    for id, numbers in gathered(told).items():
        for number in numbers:
            found[number].append(id)
    return found


def gathered(told: Told) -> dict[str, list[int]]:
    """The triggers of each digest: the one that opened it, and those that joined."""
    digests = told.of_policy(tours.DIGEST_POLICY)
    return {
        id: [
            int(one["event_id"].rpartition("-")[2]),
            *(int(data["n"]) for data in told.stored.joined.get(id, ())),
        ]
        for id, one in digests.items()
    }


def ungathered(told: Told) -> Iterator[str]:
    found = held(told)
    for number, trigger in told.seen.ledger.triggers.items():
        if not found.get(number):
            yield f"{trigger} was accepted and is in no message"
    counted = sum(
        message["digest"]["events"] + message["digest"]["more"]
        for message in told.seen.messages.values()
        if message["digest"] is not None
    )
    stored = sum(len(messages) for messages in found.values())
    if counted != stored:
        yield f"the API counts {counted} events of digests, the store has {stored}"


def gathered_twice(told: Told) -> Iterator[str]:
    triggers, inside = told.seen.ledger.triggers, gathered(told)
    for number, messages in held(told).items():
        trigger = triggers.get(number)
        if trigger is None:
            yield f"{number} is in {messages} and was never accepted"
        elif len(messages) > 1 or not trigger.messages <= set(messages):
            yield f"{trigger} is in {messages}"
        elif told.stored.messages[messages[0]]["recipient"] != trigger.recipient:
            yield f"{trigger} is in {messages} of somebody else"
    for record, text in told.texts(OF_DIGEST):
        numbers = [int(number) for number in text.split(".") if number]
        if numbers != inside.get(record):
            yield f"{record} was taken with {numbers}, the store has {inside.get(record)}"


def out_of_window(told: Told) -> Iterator[str]:
    """A digest starts when its window ends, and only then does the next one of its kind open."""
    triggers = told.seen.ledger.triggers
    by_place: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for id, numbers in gathered(told).items():
        message, topics = (
            told.seen.messages.get(id),
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


def other_arms(told: Told) -> Iterator[str]:
    messages = told.of_policy(tours.TONE_POLICY)
    for id, message in messages.items():
        arm = arm_of(told.stored.pepper, message["recipient"])
        if message.get("arm") != arm:
            yield f"{id} of {message['recipient']} has {message.get('arm')}, the hash gives {arm}"
    for record, arm in told.texts(OF_ARM):
        if arm != messages.get(record, {}).get("arm"):
            yield f"{record} was taken as {arm}; {messages.get(record, {}).get('arm')} is stored"


def miscounted(counted: Counted, told: Told) -> Iterator[str]:
    """Where what was counted differs from what a scan of the store finds, in words."""
    verified, stored = counted.verified, told.stored
    yield from (str(one) for one in verified["differences"])
    yield from (f"day {day} was not compared" for day in verified["busy"])
    if verified["messages"] != len(stored.messages):
        yield f"{verified['messages']} messages compared, {len(stored.messages)} stored"
    by_status = Counter(row["status"] for row in stored.journeys.values())
    if by_status != counted.journeys:
        yield f"journeys counted {dict(counted.journeys)}, stored {dict(by_status)}"
    toned = told.of_policy(tours.TONE_POLICY).values()
    met = {(str(one.get("arm")), one["recipient"]) for one in toned}
    people = Counter(arm for arm, _ in met)
    if people != Counter(counted.people):
        yield f"people by arm counted {counted.people}, in messages {dict(people)}"
