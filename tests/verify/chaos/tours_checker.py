"""
The promises about what lasts: journeys, digests and experiments.

What backends were answered, what the stand-ins took, what the API says and what stands in the
store's rows must tell one story. None of the service's code is used here: where a message belongs
to, which way a journey has to go and which arm a person has are computed anew.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tests.verify.chaos import tours
from tests.verify.chaos.checker import DEADLINE_GRACE_SECONDS, Report
from tests.verify.chaos.counts import Counted
from tests.verify.chaos.digests_checker import (
    gathered_twice,
    miscounted,
    other_arms,
    out_of_window,
    ungathered,
)
from tests.verify.chaos.known import ALREADY_WRITTEN_SECONDS, Known
from tests.verify.chaos.ledger import Said
from tests.verify.chaos.witnesses import (
    START_WITHIN_SECONDS,
    TAKEN,
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
OF_TOUR, OF_POLICY = re.compile(r" t=(\S+)"), re.compile(r" w=(\S+)")


def check_tours(known: Known, counted: Counted, report: Report) -> None:
    """Every promise about journeys, digests and experiments, and the figures."""
    report.add("P1 a start without its one journey", unbegun(known))
    report.add("P1 a journey that did not end once", unended(known))
    report.add("P1 a trigger in no digest", ungathered(known))
    report.add("P2 a step of a journey done twice", repeated(known))
    report.add("P2 a trigger in two digests", gathered_twice(known))
    report.add("P3 a journey out of order", out_of_order(known))
    report.add("P3 a digest out of its window", out_of_window(known))
    report.add("P4 a journey went on after its end", went_on(known))
    report.add("P6 another arm than the person's", other_arms(known))
    report.add("P6 counts that are not those of a scan", miscounted(counted, known))
    report.figures["journeys by status"] = dict(Counter(run["status"] for run in known.runs))
    digests = known.of_policy(tours.DIGEST_POLICY)
    report.figures["digests, and their triggers"] = (
        f"{len(digests)}, {len(known.seen.ledger.triggers)}"
    )
    arms = Counter(one.get("arm") for one in known.of_policy(tours.TONE_POLICY).values())
    report.figures["messages by arm"] = dict(arms)


# -- journeys


def unbegun(known: Known) -> Iterator[str]:
    """
    Whatever repeats a start, and whatever comes later with its key: one journey, the same for the
    API, the store and the answers to publishers.
    """
    listed: dict[tuple[str, str], list[str]] = defaultdict(list)
    for run in known.runs:
        listed[run["recipient"], run["key"]].append(run["id"])
    stored: dict[tuple[str, str], list[str]] = defaultdict(list)
    for id, row in known.stored.journeys.items():
        stored[row["recipient"], row["key"]].append(id)
    for place in known.tours.keys() | listed.keys() | stored.keys():
        tour = known.tours.get(place)
        ids = sorted(listed[place])
        if tour is None:
            yield f"{place}: journeys {ids}, stored {stored[place]}, and no accepted start"
        elif len(ids) != 1 or ids != sorted(stored[place]) or not tour.journeys <= set(ids):
            yield (
                f"{place} ({tour.event}): journeys {ids}, stored {stored[place]}, answers"
                f" {sorted(tour.journeys)}"
            )


def unended(known: Known) -> Iterator[str]:
    for run in known.runs:
        id, row = run["id"], known.stored.journeys.get(run["id"])
        if run["status"] not in ENDS or row is None:
            yield f"{id} is still {run['status']}, stored {row and row['status']}"
            continue
        said = [one["what"].rpartition(".")[2] for one in known.effects(id, "EmitJourneyStatus")]
        ends = [what for what in said if what in ENDS]
        if ends != [run["status"]] or row["status"] != run["status"]:
            yield f"{id} is {run['status']}, stored {row['status']}, its history ends in {ends}"
        if known.ends is not None and known.ends.get(id) != {run["status"]}:
            yield f"{id} is {run['status']}, status events say {known.ends.get(id)}"
        if row["due_at"] is not None or id in known.stored.timed:
            yield f"{id} has ended and is to be looked at again"
        deadline, finished = seconds(run["deadline_at"]), seconds(run["finished_at"])
        if finished - deadline - known.seen.dark(deadline, finished) > DEADLINE_GRACE_SECONDS:
            yield f"{id} ended {run['finished_at']}, deadline {run['deadline_at']}"


def repeated(known: Known) -> Iterator[str]:
    """By its history, by the messages in the store, and by what the stand-ins took."""
    for id in known.stored.journeys:
        steps = known.steps(id)
        if doubled := [step for step, count in Counter(steps).items() if count > 1]:
            yield f"{id} did {doubled} more than once: {steps}"
        started = [(one["message"], one["step"]) for one in known.effects(id, "StartMessage")]
        if len({step for _, step in started}) != len(started):
            yield f"{id} started two messages at one step: {started}"
        if sorted(message for message, _ in started) != known.sent.get(id, []):
            yield f"{id} started {started}; its messages are {known.sent.get(id)}"
    for id in known.sent.keys() - known.stored.journeys.keys():
        yield f"messages {known.sent[id]} belong to {id}, which is not there"
    taken: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in known.lines:
        text = line["content"]["text"]
        if (tour := OF_TOUR.search(text)) and (policy := OF_POLICY.search(text)):
            taken[tour[1], policy[1]].add(text.split()[0])
    often = Counter(SENDS.values())
    for place, messages in taken.items():
        if len(messages) > often[place[1]]:
            yield f"{place}: the stand-ins took {sorted(messages)}"
    for id in known.stored.twice:
        yield f"{id} has two rows"


def out_of_order(known: Known) -> Iterator[str]:
    for run in known.runs:
        id, steps = run["id"], known.steps(run["id"])
        fits = all(step in known for step, known in zip(steps, ROUTE, strict=False))
        if (
            not fits
            or len(steps) > len(ROUTE)
            or (run["status"] == "completed" and len(steps) != len(ROUTE))
        ):
            yield f"{id} ({run['status']}) did {steps}"
            continue
        sent = [known.seen.messages.get(message) for message in known.sent.get(id, ())]
        policies = [one and one["policy"] for one in sent]
        if policies != [SENDS[step] for step in steps if step in SENDS]:
            yield f"{id} did {steps} and sent {policies}"
            continue
        messages = [one for one in sent if one is not None]
        yield from (f"{id}: {words}" for words in too_early(known, id, steps, messages))
        yield from (f"{id}: {words}" for words in wrong_ways(known, id, steps, messages))


def too_early(
    known: Known, run: str, steps: Sequence[str], messages: list[dict[str, Any]]
) -> Iterator[str]:
    """Steps that came before the end of the message, or of the wait, before them."""
    times = [known.at_step(run, step) or 0.0 for step in steps]
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
    known: Known, run: str, steps: Sequence[str], messages: list[dict[str, Any]]
) -> Iterator[str]:
    """The branch by what became of the greeting, the other by whether it was asked in time."""
    if not messages:
        return
    if "2.0.0" in steps and messages[0]["status"] != "succeeded":
        yield f"went the way of who was reached; the greeting is {messages[0]['status']}"
    finished, reached = messages[0]["finished_at"], messages[0]["reached_at"]
    if "2.1.0" in steps and reached is not None and reached <= finished:
        yield f"went the way of who was not reached; the greeting reached them {reached}"
    since = known.at_step(run, "3")
    if since is None:
        return
    asked = [one for one in known.said(run) if one.kind == "asked"]
    until = since + tours.ASKED_SECONDS
    if "3.then.0" in steps and not any(one.first_at <= until and one.at >= since for one in asked):
        yield f"went the way of who asked, from {since} to {until}: {asked}"
    if "3.else.0" in steps and any(since < one.first_at and one.at < until for one in asked):
        yield f"went the way of who did not ask, from {since} to {until}: {asked}"


def went_on(known: Known) -> Iterator[str]:
    """After the answer to an exit or a goal nothing more is sent, by any process."""
    for run in known.runs:
        id, row = run["id"], known.stored.journeys.get(run["id"])
        ends = [one for one in known.said(id) if one.kind in ENDED_BY] if row else []
        said = {ENDED_BY[one.kind] for one in ends}
        if run["status"] in ENDED_BY.values() and run["status"] not in said:
            yield f"{id} is {run['status']}, and nothing was said that ends it so: {ends}"
        for end in ends:
            if run["finished_at"] is None or seconds(run["finished_at"]) > end.at:
                yield f"{id} ended {run['finished_at']}; {end.kind} was answered {end.at:.3f}"
            if run["status"] == "completed" or run["status"] not in ENDS:
                continue  # of what has completed, messages go on
            yield from (
                f"{id}, {end.kind} {end.at:.3f}: {one}" for one in sent_after(known, id, end)
            )


def sent_after(known: Known, run: str, end: Said) -> Iterator[str]:
    late = known.seen.late_allowance
    messages = set(known.sent.get(run, ()))
    for id in messages:
        message = known.seen.messages.get(id)
        if message is None:
            yield f"{id} is not there"
            continue
        times = [one["times"]["intent"] for one in message["attempts"] if one["outcome"] in TAKEN]
        yield from (f"{id} has an intent of {at}" for at in times if seconds(at) > end.at)
        if seconds(message["created_at"]) > end.at:
            yield f"{id} was made {message['created_at']}"
    for record in known.seen.records:
        if record.message not in messages or record.at <= end.at + late(record.at):
            continue
        if not known.seen.woken(end.at + START_WITHIN_SECONDS, record.at):
            yield f"taken at {record.at:.3f}: {record}"
