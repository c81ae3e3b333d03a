"""
Tests of a journey: ``config/journeys/cart.test.yaml`` beside ``cart.yaml``, in the language of the
tests of policies.

    journey: cart
    tests:
      - name: who buys hears no more
        given: {now: …, recipient: …, event: {…}, then: [{at: 2d, event: {type: shop.paid}}]}
        expect:
          messages: [0s cart_hello, 1d cart_nudge]   every message, and no other
          outcome: goal_met                          or `running`, `failed because too_many_hops`
          attributes: {tier: gold}
          steps: [0s send viber]                     as for a policy, of all of its messages

``given`` is that of a policy which the journey's first event triggers, on all channels of its
messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.reading import Section, suggestion
from orchestrator.configuration.yaml_file import Node, Position
from orchestrator.core.journey.journey import Journey
from orchestrator.core.journey.state import JourneyReason, JourneyStatus
from orchestrator.core.policy import Policy
from orchestrator.policytests.times import ExpectedTime, read_time

END = re.compile(r"(?P<status>\w+)(?: +because +(?P<reason>\w+))?")
MESSAGE = re.compile(r"(?P<at>(?:by +)?\S+) +(?P<policy>\S+)")
NOWHERE = Position("<none>", 1, 1)
OWN = ("messages", "outcome", "attributes")
"""The keys of ``expect`` that only journeys have, or that mean something else there."""


@dataclass(frozen=True, slots=True)
class ExpectedMessage:
    """One line of ``messages``."""

    at: ExpectedTime
    policy: str
    text: str
    position: Position


@dataclass(frozen=True, slots=True)
class ExpectedRun:
    """What must become of the run; None means that the test does not care."""

    messages: tuple[ExpectedMessage, ...] | None = None
    end: tuple[JourneyStatus, JourneyReason | None, str, Position] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    position: Position = NOWHERE


def stand_in(journey: Journey, configuration: Configuration) -> Policy:
    """A policy with the first event of a journey, and with every step of its messages' policies."""
    policies = [configuration.rules.policies[name] for name in sorted(journey.sends)]
    return Policy(
        journey.name,
        journey.version,
        journey.enter.event,
        tuple(step for policy in policies for step in policy.plan),
        deadline_ms=journey.deadline_ms,
        codes={name: pool for policy in policies for name, pool in policy.codes.items()},
    )


def sent_by(journey: Journey, configuration: Configuration) -> tuple[Policy, ...]:
    """The policies whose messages a journey sends."""
    return tuple(configuration.rules.policies[name] for name in sorted(journey.sends))


def without_own(node: Node | None) -> Node | None:
    """The ``expect`` of a journey as far as it is that of a policy; None if nothing is left."""
    if node is None or node.kind != "map":
        return node
    value = {name: one for name, one in node.value.items() if name not in OWN}
    keys = {name: one for name, one in node.keys.items() if name not in OWN}
    return Node("map", value, node.position, keys=keys) if value else None


def read_run(node: Node | None, journey: Journey, section: Section, now: int) -> ExpectedRun:
    """Read the keys of ``expect`` that only journeys have."""
    if node is None or node.kind != "map":
        return ExpectedRun(position=section.position)
    given = Section(node, section.report, "`expect`")
    given.known.update(name for name in node.value if name not in OWN)
    messages: tuple[ExpectedMessage, ...] | None = None
    if given.has("messages"):
        lines = given.items("messages", "messages")
        read = [read_message(line, journey, given, now) for line in lines]
        messages = tuple(one for one in read if one is not None)
    attributes = given.get("attributes")
    plain = attributes.plain() if attributes is not None and attributes.kind == "map" else {}
    return ExpectedRun(messages, read_end(given), plain, node.position)


def read_message(
    node: Node, journey: Journey, section: Section, now: int
) -> ExpectedMessage | None:
    """One line of ``messages``."""
    match = MESSAGE.fullmatch(node.value) if node.kind == "str" else None
    at = read_time(match["at"], now) if match is not None else None
    if match is None or at is None:
        fix = "write TIME POLICY, such as 1d cart_nudge"
        section.report.error(node.position, "this is no message", fix)
        return None
    if match["policy"] not in journey.sends:
        fix = suggestion(match["policy"], journey.sends, f"it sends {', '.join(journey.sends)}")
        what = f"the journey sends no {match['policy']!r}"
        section.report.error(node.position, what, fix)
        return None
    return ExpectedMessage(at, match["policy"], node.value, node.position)


def read_end(
    section: Section,
) -> tuple[JourneyStatus, JourneyReason | None, str, Position] | None:
    """Read ``outcome``: a status of a journey, and its reason."""
    node = section.get("outcome")
    if node is None:
        return None
    match = END.fullmatch(node.value) if node.kind == "str" else None
    statuses, reasons = list(JourneyStatus), list(JourneyReason)
    if match is None or match["status"] not in statuses:
        fix = f"write one of {', '.join(statuses)}, and `because REASON` if you like"
        section.report.error(node.position, "this is no status of a journey", fix)
        return None
    if match["reason"] is not None and match["reason"] not in reasons:
        fix = suggestion(match["reason"], reasons, f"there are {', '.join(reasons)}")
        section.report.error(node.position, f"there is no reason {match['reason']!r}", fix)
        return None
    reason = JourneyReason(match["reason"]) if match["reason"] is not None else None
    return JourneyStatus(match["status"]), reason, node.value, node.position


def run_differences(
    expected: ExpectedRun, run: Any, sent: list[tuple[int, str]], document: Mapping[str, Any]
) -> Iterator[tuple[int, str, str]]:
    """
    The line, what is expected there, and what was found. ``sent`` are the messages of the run:
    when each was started after the test's event (ms), and its policy.
    """
    if expected.end is not None:
        status, reason, text, position = expected.end
        found = "no run: the event did not begin the journey"
        if run is not None:
            found = str(run.status) + (f" because {run.reason}" if run.reason is not None else "")
        same = run is not None and run.status == status and reason in (None, run.reason)
        if not same:
            yield position.line, text, found
    left = list(sent)
    for line in expected.messages or ():
        fitting = [one for one in left if one[1] == line.policy and line.at.holds(one[0])]
        if fitting:
            left.remove(fitting[0])
            continue
        others = [shown(*one) for one in sent if one[1] == line.policy]
        yield line.position.line, line.text, ", ".join(others) or f"{line.policy} was never sent"
    if expected.messages is not None:
        for one in left:
            yield expected.position.line, "", f"{shown(*one)}: nothing of `messages` expects it"
    attributes = document.get("attributes", {})
    for name, value in expected.attributes.items():
        if attributes.get(name) != value:
            line_of = expected.position.line
            yield line_of, f"attribute {name}: {value!r}", f"{attributes.get(name)!r}"


def shown(ms: int, policy: str) -> str:
    from orchestrator.primitives.durations import duration

    return f"{duration(ms) if ms else '0s'} {policy}"
