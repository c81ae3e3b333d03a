"""
The promises about what lasts: journeys, digests and experiments.

What backends were answered, what the stand-ins took, what the API says and what stands in the
store's rows must tell one story. None of the service's code is used here: where a message belongs
to, which way a journey has to go and which arm a person has are computed anew.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.verify.chaos import tours
from tests.verify.chaos.checker import DEADLINE_GRACE_SECONDS, Report
from tests.verify.chaos.counts import Counted
from tests.verify.chaos.ledger import Said, Tour
from tests.verify.chaos.stored import Stored
from tests.verify.chaos.witnesses import (
    START_WITHIN_SECONDS,
    TAKEN,
    Witnesses,
    seconds,
)

ENDS = frozenset({"completed", "goal_met", "exited", "expired", "failed"})
ENDED_BY = {"left": "exited", "bought": "goal_met"}
ROUTE = (
    ("0",),
    ("1",),
    ("2",),
    ("2.0.0", "2.1.0"),
    ("3",),
    ("3.then.0", "3.else.0"),
    ("4",),
    ("4.steps.0#1",),
    ("4.steps.1#1",),
    ("4.steps.0#2",),
    ("4.steps.1#2",),
)
SENDS = {
    "0": "tour_hello",
    "2.0.0": "tour_more",
    "2.1.0": "tour_again",
    "3.then.0": "tour_answer",
    "3.else.0": "tour_nudge",
    "4.steps.1#1": "tour_round",
    "4.steps.1#2": "tour_round",
}
WAITS = {"1": tours.HELLO_SECONDS, "4.steps.0#1": tours.ROUND_SECONDS}
WAITS |= {"4.steps.0#2": tours.ROUND_SECONDS}
OF_TOUR, OF_DIGEST, OF_ARM = (re.compile(text) for text in (r" t=(\S+)", r" of=(\S*)", r" a=(\S+)"))
OF_POLICY = re.compile(r"w=(\S+)")
ALREADY_WRITTEN_SECONDS = 0.002
"""Times are cut to a millisecond."""


@dataclass(slots=True)
class Told:
    """
    Everything that is known of what lasts: ``seen`` are the witnesses of messages, ``lines`` the
    stand-ins' record, ``runs`` the journeys as the API lists them, ``stored`` the store's rows.
    ``ends`` are the ends that status events reported, by journey; None where there is no sink.
    """

    seen: Witnesses
    lines: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    stored: Stored
    ends: Mapping[str, set[str]] | None = None
    sent: dict[str, list[str]] = field(default_factory=dict)
    """The messages of each journey in the store, the oldest first."""

    def __post_init__(self) -> None:
        for id, message in sorted(self.stored.messages.items()):
            if message.get("journey"):
                self.sent.setdefault(message["journey"], []).append(id)

    @property
    def tours(self) -> dict[tuple[str, str], Tour]:
        """The accepted starts by recipient and key."""
        return {(one.recipient, one.key): one for one in self.seen.ledger.tours.values()}

    def steps(self, run: str) -> list[str]:
        """The steps that a journey's history says were carried out."""
        row = self.stored.journeys.get(run, {"lines": ()})
        return [step for line in row["lines"] for step in line.get("steps", ())]

    def effects(self, run: str, kind: str) -> list[dict[str, Any]]:
        row = self.stored.journeys.get(run, {"lines": ()})
        return [
            effect
            for line in row["lines"]
            for effect in line.get("effects", ())
            if effect["kind"] == kind
        ]

    def at_step(self, run: str, step: str) -> float | None:
        """When a step was carried out, UTC seconds."""
        for line in self.stored.journeys.get(run, {"lines": ()})["lines"]:
            if step in line.get("steps", ()):
                return float(line["at"]) / 1000
        return None

    def of_policy(self, name: str) -> dict[str, dict[str, Any]]:
        return {id: one for id, one in self.stored.messages.items() if one["policy"] == name}


def check_tours(told: Told, counted: Counted, report: Report) -> None:
    """Every promise about journeys, digests and experiments, and the figures."""
    report.add("P1 a start without its one journey", unbegun(told))
    report.add("P1 a journey that did not end once", unended(told))
    report.add("P1 a trigger in no digest", ungathered(told))
    report.add("P2 a step of a journey done twice", repeated(told))
    report.add("P2 a trigger in two digests", gathered_twice(told))
    report.add("P3 a journey out of order", out_of_order(told))
    report.add("P3 a digest out of its window", out_of_window(told))
    report.add("P4 a journey went on after its end", went_on(told))
    report.add("P6 another arm than the person's", other_arms(told))
    report.add("P6 counts that are not those of a scan", miscounted(counted, told))
    report.figures["journeys by status"] = dict(Counter(run["status"] for run in told.runs))
    digests = told.of_policy(tours.DIGEST_POLICY)
    report.figures["digests, and their triggers"] = (
        f"{len(digests)}, {len(told.seen.ledger.triggers)}"
    )
    arms = Counter(one.get("arm") for one in told.of_policy(tours.TONE_POLICY).values())
    report.figures["messages by arm"] = dict(arms)


# -- journeys


def unbegun(told: Told) -> Iterator[str]:
    """
    Whatever repeats a start, and whatever comes later with its key: one journey, the same for the
    API, the store and whoever was answered.
    """
    listed: dict[tuple[str, str], list[str]] = defaultdict(list)
    for run in told.runs:
        listed[run["recipient"], run["key"]].append(run["id"])
    stored: dict[tuple[str, str], list[str]] = defaultdict(list)
    for id, row in told.stored.journeys.items():
        stored[row["recipient"], row["key"]].append(id)
    for place in told.tours.keys() | listed.keys() | stored.keys():
        tour = told.tours.get(place)
        ids = sorted(listed[place])
        if tour is None:
            yield f"{place}: journeys {ids}, stored {stored[place]}, and no accepted start"
        elif len(ids) != 1 or ids != sorted(stored[place]) or not tour.journeys <= set(ids):
            yield (
                f"{place} ({tour.event}): journeys {ids}, stored {stored[place]}, answers"
                f" {sorted(tour.journeys)}"
            )


def unended(told: Told) -> Iterator[str]:
    for run in told.runs:
        id, row = run["id"], told.stored.journeys.get(run["id"])
        if run["status"] not in ENDS or row is None:
            yield f"{id} is still {run['status']}, stored {row and row['status']}"
            continue
        said = [one["what"].rpartition(".")[2] for one in told.effects(id, "EmitJourneyStatus")]
        ends = [what for what in said if what in ENDS]
        if ends != [run["status"]] or row["status"] != run["status"]:
            yield f"{id} is {run['status']}, stored {row['status']}, its history ends in {ends}"
        if told.ends is not None and told.ends.get(id) != {run["status"]}:
            yield f"{id} is {run['status']}, status events say {told.ends.get(id)}"
        if row["due_at"] is not None or id in told.stored.timed:
            yield f"{id} has ended and is to be looked at again"
        deadline, finished = seconds(run["deadline_at"]), seconds(run["finished_at"])
        if finished - deadline - told.seen.dark(deadline, finished) > DEADLINE_GRACE_SECONDS:
            yield f"{id} ended {run['finished_at']}, deadline {run['deadline_at']}"


def repeated(told: Told) -> Iterator[str]:
    """By its history, by the messages in the store, and by what the stand-ins took."""
    for id in told.stored.journeys:
        steps = told.steps(id)
        if doubled := [step for step, count in Counter(steps).items() if count > 1]:
            yield f"{id} did {doubled} more than once: {steps}"
        started = [(one["message"], one["step"]) for one in told.effects(id, "StartMessage")]
        if len({step for _, step in started}) != len(started):
            yield f"{id} started two messages at one step: {started}"
        if sorted(message for message, _ in started) != told.sent.get(id, []):
            yield f"{id} started {started}; its messages are {told.sent.get(id)}"
    for id in told.sent.keys() - told.stored.journeys.keys():
        yield f"messages {told.sent[id]} belong to {id}, which is not there"
    taken: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in told.lines:
        text = line["content"]["text"]
        if (tour := OF_TOUR.search(text)) and (policy := OF_POLICY.search(text)):
            taken[tour[1], policy[1]].add(text.split()[0])
    often = Counter(SENDS.values())
    for place, messages in taken.items():
        if len(messages) > often[place[1]]:
            yield f"{place}: the stand-ins took {sorted(messages)}"
    for id in told.stored.twice:
        yield f"{id} has two rows"


def out_of_order(told: Told) -> Iterator[str]:
    for run in told.runs:
        id, steps = run["id"], told.steps(run["id"])
        fits = all(step in known for step, known in zip(steps, ROUTE, strict=False))
        if (
            not fits
            or len(steps) > len(ROUTE)
            or (run["status"] == "completed" and len(steps) != len(ROUTE))
        ):
            yield f"{id} ({run['status']}) did {steps}"
            continue
        sent = [told.seen.messages.get(message) for message in told.sent.get(id, ())]
        policies = [one and one["policy"] for one in sent]
        if policies != [SENDS[step] for step in steps if step in SENDS]:
            yield f"{id} did {steps} and sent {policies}"
            continue
        messages = [one for one in sent if one is not None]
        yield from (f"{id}: {words}" for words in too_early(told, id, steps, messages))
        yield from (f"{id}: {words}" for words in wrong_ways(told, id, steps, messages))


def too_early(
    told: Told, run: str, steps: Sequence[str], messages: list[dict[str, Any]]
) -> Iterator[str]:
    """Steps that came before the end of the message, or of the wait, before them."""
    times = [told.at_step(run, step) or 0.0 for step in steps]
    sending = iter(messages)
    for number, (step, at) in enumerate(zip(steps, times, strict=True)):
        following = times[number + 1] if number + 1 < len(times) else None
        message = next(sending) if step in SENDS else None
        if message is not None and abs(seconds(message["created_at"]) - at) > 0.002:
            yield f"{step} at {at}, its message created {message['created_at']}"
        if following is None:
            continue
        if following < at + WAITS.get(step, 0) - ALREADY_WRITTEN_SECONDS:
            yield f"{step} at {at}, and the next step already at {following}"
        if message is None or step.startswith("4."):
            continue
        if following < seconds(message["finished_at"]) - ALREADY_WRITTEN_SECONDS:
            yield f"{step} until {message['finished_at']}, the next step already at {following}"


def wrong_ways(
    told: Told, run: str, steps: Sequence[str], messages: list[dict[str, Any]]
) -> Iterator[str]:
    """The branch by what became of the greeting, the other by whether it was asked in time."""
    if "2.0.0" in steps and messages[0]["status"] != "succeeded":
        yield f"went the way of who was reached; the greeting is {messages[0]['status']}"
    finished, reached = messages[0]["finished_at"], messages[0]["reached_at"]
    if "2.1.0" in steps and reached is not None and reached <= finished:
        yield f"went the way of who was not reached; the greeting reached them {reached}"
    since = told.at_step(run, "3")
    if since is None:
        return
    asked = [one for one in said_of(told, run) if one.kind == "asked"]
    until = since + tours.ASKED_SECONDS
    if "3.then.0" in steps and not any(one.first_at <= until and one.at >= since for one in asked):
        yield f"went the way of who asked, from {since} to {until}: {asked}"
    if "3.else.0" in steps and any(since < one.first_at and one.at < until for one in asked):
        yield f"went the way of who did not ask, from {since} to {until}: {asked}"


def said_of(told: Told, run: str) -> list[Said]:
    row = told.stored.journeys[run]
    tour = told.tours.get((row["recipient"], row["key"]))
    return tour.said if tour is not None else []


def went_on(told: Told) -> Iterator[str]:
    """Whoever has left or bought by the answer of a process gets nothing more, from any process."""
    for run in told.runs:
        id, row = run["id"], told.stored.journeys.get(run["id"])
        ends = [one for one in said_of(told, id) if one.kind in ENDED_BY] if row else []
        said = {ENDED_BY[one.kind] for one in ends}
        if run["status"] in ENDED_BY.values() and run["status"] not in said:
            yield f"{id} is {run['status']}, and nothing was said that ends it so: {ends}"
        for end in ends:
            if run["finished_at"] is None or seconds(run["finished_at"]) > end.at:
                yield f"{id} ended {run['finished_at']}; {end.kind} was answered {end.at:.3f}"
            if run["status"] == "completed" or run["status"] not in ENDS:
                continue  # of what has completed, messages go on
            yield from (
                f"{id}, {end.kind} {end.at:.3f}: {one}" for one in sent_after(told, id, end)
            )


def sent_after(told: Told, run: str, end: Said) -> Iterator[str]:
    late = told.seen.late_allowance
    messages = set(told.sent.get(run, ()))
    for id in messages:
        message = told.seen.messages.get(id)
        if message is None:
            yield f"{id} is not there"
            continue
        times = [one["times"]["intent"] for one in message["attempts"] if one["outcome"] in TAKEN]
        yield from (f"{id} has an intent of {at}" for at in times if seconds(at) > end.at)
        if seconds(message["created_at"]) > end.at:
            yield f"{id} was made {message['created_at']}"
    for record in told.seen.records:
        if record.message not in messages or record.at <= end.at + late(record.at):
            continue
        if not told.seen.woken(end.at + START_WITHIN_SECONDS, record.at):
            yield f"taken at {record.at:.3f}: {record}"


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
    for record, text in texts(told, OF_DIGEST):
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
    for record, arm in texts(told, OF_ARM):
        if arm != messages.get(record, {}).get("arm"):
            yield f"{record} was taken as {arm}; {messages.get(record, {}).get('arm')} is stored"


def texts(told: Told, pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """What the texts that were taken say of something, with their messages."""
    for line in told.lines:
        text = line["content"]["text"]
        if (found := pattern.search(text)) is not None:
            yield text.split()[0].removeprefix("m="), found[1]


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
