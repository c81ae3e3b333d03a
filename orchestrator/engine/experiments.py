"""
Experiments: which arm a person gets, and what is counted of it.

A person's arm is drawn by a keyed hash of the person and the experiment, so it is the same in every
process, after every restart and under every version of the policy. Each arm draws a number of its
own, and the weights only stretch these: when a weight changes, people move to or from that arm
alone (weighted rendezvous hashing).

With `allocate: thompson` the arm is drawn once, at the first exposure, from what is known of the
arms by then (a beta distribution for each), and is remembered with the person.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from orchestrator.core.facts import Fact, ReceiptReceived
from orchestrator.core.inside import is_inside
from orchestrator.core.message import Message
from orchestrator.core.policy import Arm, Experiment, Policy
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.engine.batch import BatchContext
from orchestrator.primitives.shares import share_of
from orchestrator.recipients.document import AddressHash, Person
from orchestrator.recipients.exposures import (
    arm_remembered,
    await_event,
    note_success,
    remember_arm,
)

EXPERIMENT_KIND = "experiment"
"""What a person's keyed hash in an experiment is made with."""
NOT_EXPOSED = (Reason.DEDUPLICATED, Reason.TOO_MANY_HOPS, Reason.GOAL_MET)
"""A message that ended so at once never was one of its experiment."""


def arm_for(context: BatchContext, policy: Policy, person: Person) -> tuple[str, dict[str, float]]:
    """The arm of a person in a policy's experiment, and what was drawn for it if anything was."""
    experiment = policy.experiment
    if experiment is None:
        return "", {}
    drawn_for = drawn_arm(experiment, experiment.arms, person.id, context.address_hash)
    if experiment.allocate == "fixed" or drawn_for.hold_out:
        return drawn_for.name, {}
    tried = [arm for arm in experiment.arms if not arm.hold_out]
    known = arm_remembered(person, experiment.name)
    if any(arm.name == known for arm in tried):
        return str(known), {}
    seed = context.address_hash(EXPERIMENT_KIND, f"{experiment.name}/{person.id}")
    draws = thompson_draws(experiment.name, tried, context.exposures, seed)
    return max(draws, key=lambda name: draws[name]), draws


def drawn_arm(
    experiment: Experiment, arms: Sequence[Arm], person: str, address_hash: AddressHash
) -> Arm:
    """The arm that a keyed hash gives to a person."""

    def distance(arm: Arm) -> float:
        text = f"{experiment.name}/{arm.name}/{person}"
        return -math.log(share_of(address_hash(EXPERIMENT_KIND, text))) / arm.weight

    return min(arms, key=distance)


def thompson_draws(
    experiment: str, arms: Sequence[Arm], counts: Mapping[tuple[str, str], list[int]], seed: str
) -> dict[str, float]:
    """A draw from the rate of each arm as the counts so far suggest it."""
    chance = random.Random(seed)
    draws: dict[str, float] = {}
    for arm in arms:
        exposed, succeeded = counts.get((experiment, arm.name), (0, 0))
        draws[arm.name] = round(
            chance.betavariate(1 + succeeded, 1 + max(0, exposed - succeeded)), 6
        )
    return draws


def expose(context: BatchContext, policy: Policy, message: Message, person: Person) -> None:
    """Count a person who has met an experiment for the first time, and remember the arm."""
    experiment = policy.experiment
    if experiment is None or not message.arm or message.reason in NOT_EXPOSED:
        return
    if arm_remembered(person, experiment.name) is not None:
        return
    remember_arm(person, experiment.name, message.arm, context.now)
    convert = policy.conversion
    if experiment.metric == "goal" and convert is not None:
        until = context.now + experiment.within_ms
        await_event(person, message.id, convert.event, until, context.now)
    count(context, experiment.name, message.arm, exposed=1)


def succeed(context: BatchContext, policy: Policy, person: Person, at: int) -> None:
    """Count that an experiment has reached with a person what it measures: once, and in time."""
    experiment = policy.experiment
    if experiment is None:
        return
    arm = note_success(person, experiment.name, at, experiment.within_ms)
    if arm is not None:
        count(context, experiment.name, arm, succeeded=1)


def count(
    context: BatchContext, experiment: str, arm: str, exposed: int = 0, succeeded: int = 0
) -> None:
    """Add to the counts of an arm, for this batch and for the store."""
    for counts in (context.exposures, context.work.changes.exposures):
        row = counts.setdefault((experiment, arm), [0, 0])
        row[0] += exposed
        row[1] += succeeded


def note_outcome(context: BatchContext, policy: Policy, fact: Fact, person: Person) -> None:
    """Count a click or a reply that the experiment of a message measures."""
    measured = policy.experiment.metric if policy.experiment is not None else ""
    if isinstance(fact, ReceiptReceived) and fact.state == measured:
        succeed(context, policy, person, context.now)


def await_conversion(
    context: BatchContext, policy: Policy, message: Message, person: Person, since: Instant
) -> None:
    """Look out for what a message is for, in what happens outside."""
    convert = policy.conversion
    if convert is not None and not is_inside(convert.event):
        await_event(person, message.id, convert.event, since + convert.within_ms, context.now)
