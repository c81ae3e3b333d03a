"""
The actions of a test, before (``ago``) and after (``at``) its event: one per entry.

    event: {type, data}      an event for the same recipient; without a type it is the policy's
                             own trigger again, with `data` laid over the test's event
    opt_out: {channel, topic}
    reply: {channel, text}   the recipient writes to us: STOP is an opt-out
    receipt: {channel, state}  one more receipt for the last attempt on a channel
    recipient: {…}           the profile changes
    cancel: true             somebody cancels the message
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.channels import Delivery, Engagement, Misshapen
from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.reading import Report, Section, listed
from orchestrator.configuration.yaml_file import Node, Position
from orchestrator.core.policy import Policy
from orchestrator.events.event import Event
from orchestrator.policytests.event import make_event
from orchestrator.recipients.fields import checked_profile
from orchestrator.virtual.reactions import STATES
from orchestrator.virtual.spans import read_span


@dataclass(frozen=True, slots=True)
class Happens:
    event: Event


@dataclass(frozen=True, slots=True)
class OptsOut:
    channel: str
    topic: str


@dataclass(frozen=True, slots=True)
class Replies:
    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class Reports:
    channel: str
    state: Delivery | Engagement


@dataclass(frozen=True, slots=True)
class Becomes:
    profile: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cancels:
    pass


What = Happens | OptsOut | Replies | Reports | Becomes | Cancels
HISTORY = "ago"
KINDS = ("event", "opt_out", "reply", "receipt", "recipient", "cancel")


@dataclass(frozen=True, slots=True)
class Action:
    """``at_ms`` counts from the test's event; negative for what is history."""

    at_ms: int
    what: What
    position: Position


@dataclass(frozen=True, slots=True)
class GivenContext:
    """The test that an action belongs to, while it is read."""

    policy: Policy
    configuration: Configuration
    recipient: Mapping[str, Any]
    given: Section

    def trigger_data(self) -> dict[str, Any]:
        """The data of the test's event."""
        node = self.given.nodes.get("event")
        return node.plain() if node is not None and node.kind == "map" else {}


def read_actions(
    nodes: Sequence[Node], when: str, context: GivenContext, now: int, report: Report
) -> list[Action]:
    """The actions of a list; ``when`` is `ago` or `at`."""
    found: list[Action] = []
    for node in nodes:
        section = Section(node, report, "the entry")
        if section.broken:
            continue
        example = "ago: 3h" if when == HISTORY else "at: 20m"
        span_ms = read_span(section.need(when, f"say when: {example}"), f"`{when}`", report)
        at_ms = -(span_ms or 0) if when == HISTORY else span_ms or 0
        what = read_what(section, context, f"{when}-{len(found)}", now + at_ms)
        section.done()
        if what is not None:
            found.append(Action(at_ms, what, section.position))
    return found


def read_what(section: Section, context: GivenContext, id: str, at: int) -> What | None:
    """The one thing that happens."""
    section.known.update((*KINDS, "sent"))
    given = [kind for kind in KINDS if section.has(kind)]
    if len(given) != 1:
        what = f"there are {listed(given)}" if given else "nothing happens here"
        section.report.error(section.position, what, f"write one of {listed(KINDS)}")
        return None
    channels = list(context.configuration.settings.channels)
    inner = section.section(given[0]) if given[0] != "cancel" else section
    match given[0]:
        case "event":
            return read_happening(inner, context, id, at)
        case "opt_out":
            made = OptsOut(inner.word("channel", [*channels, "*"], "*"), inner.text("topic", "*"))
            inner.done()
            return made
        case "reply":
            inner.need("channel", "name the channel: channel: viber")
            inner.need("text", "say what they write: text: STOP")
            reply = Replies(inner.word("channel", channels, ""), inner.text("text", ""))
            inner.done()
            return reply if reply.channel else None
        case "receipt":
            return read_receipt(inner, channels)
        case "recipient":
            return read_change(section)
    section.boolean("cancel", True)
    return Cancels()


def read_happening(inner: Section, context: GivenContext, id: str, at: int) -> Happens | None:
    """
    An event; the policy's own trigger where no type is given. What comes after the test's event
    names the recipient by id only, so that it does not take back what has changed since.
    """
    type = inner.text("type", context.policy.event)
    node = inner.get("data")
    data: dict[str, Any] = {} if node is None else node.plain()
    if node is not None and node.kind != "map":
        inner.wrong(node, "data", "a mapping")
        return None
    if not inner.has("type"):
        data = context.trigger_data() | data
    inner.done()
    profile = context.recipient if id.startswith(HISTORY) else {"id": context.recipient["id"]}
    event = make_event(id, type, at, data, profile, inner)
    return Happens(event) if event is not None else None


def read_receipt(inner: Section, channels: list[str]) -> Reports | None:
    inner.need("channel", "name the channel: channel: viber")
    inner.need("state", f"say what it reports: {listed(list(STATES))}")
    channel, state = inner.word("channel", channels, ""), inner.word("state", STATES, "")
    inner.done()
    return Reports(channel, STATES[state]) if channel and state else None


def read_change(section: Section) -> Becomes | None:
    """Fields of the recipient, checked as the API checks them; null removes one."""
    node = section.get("recipient")
    if node is None or node.kind != "map":
        section.report.error(
            section.at("recipient"), "`recipient` is not a mapping", "write {phone: null}"
        )
        return None
    try:
        return Becomes(checked_profile(node.plain(), "recipient"))
    except Misshapen as problem:
        section.report.error(
            node.position, f"`{problem.field}` is not right: {problem.what}", problem.fix
        )
        return None
