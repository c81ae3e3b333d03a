"""
P1 for what happens inside: whatever was published of a message or a person has started exactly one
message of each policy that is triggered by it, and a chain of them ends.

What happened is read from the status events, whatever starts messages.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

from orchestrator.core.message import Message
from orchestrator.core.policy import Policy
from tests.simulation.checks.evidence import Evidence, follows
from tests.simulation.questions import REPLY_EVENT

HOPS_MAX = 8
OPT_OUT = "kaskad.opt_out"
Key = tuple[str, str, str]
"""A policy, and the event that started a message of it: its type, and what it happened to."""


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    policies = [
        policy
        for policy in evidence.run.scenery.books[0].policies.values()
        if policy.event.startswith("kaskad.") and policy.event != REPLY_EVENT
    ]
    if not policies:
        return
    erased = {deed.what["recipient"] for deed in evidence.deeds("erase")}
    made = Counter(
        key_of(one)
        for one in evidence.messages.values()
        if follows(one) and one.event_type != REPLY_EVENT and one.recipient not in erased
    )
    wanted = Counter(
        key for key, recipient in followers(evidence, policies) if recipient not in erased
    )
    for key in sorted(wanted.keys() | made.keys()):
        if made[key] != wanted[key]:
            policy, type, subject = key
            yield f"P1 {type} of {subject} made {made[key]} messages of {policy}, not {wanted[key]}"
    for message in evidence.messages.values():
        if hops(evidence, message) > HOPS_MAX and message.reason != "too_many_hops":
            yield f"P4 {evidence.name(message.id)} goes on a chain of more than {HOPS_MAX}"


def key_of(message: Message) -> Key:
    if message.event_type == OPT_OUT:
        return message.policy, OPT_OUT, message.recipient
    subject, _, rest = message.event_id.partition("/")
    number = rest.partition("/")[0]
    place = f"{subject}/{number}" if number.isdecimal() else subject
    return message.policy, message.event_type, place


def followers(evidence: Evidence, policies: list[Policy]) -> Iterator[tuple[Key, str]]:
    """Each message that must be there, with its recipient; a success counts once."""
    seen: set[Key] = set()
    for body in evidence.run.statuses:
        event: dict[str, Any] = orjson.loads(body)
        type, data, subject = event["type"], event["data"], event["subject"]
        before = evidence.messages.get(subject)
        if before is not None and hops(evidence, before) > HOPS_MAX:
            continue
        place = f"{subject}/{data['attempt']}" if "attempt" in data else subject
        for policy in policies:
            of = re.search(r"'(\w+)'", policy.when or "")
            if policy.event != type or (of is not None and of[1] != data["policy"]):
                continue
            key = (policy.name, type, place)
            if type == OPT_OUT or key not in seen:
                seen.add(key)
                yield key, data["recipient"]


def hops(evidence: Evidence, message: Message) -> int:
    """How many messages have started each other up to this one."""
    count = 0
    while message.caused_by is not None:
        count, message = count + 1, evidence.messages[message.caused_by]
    return count
