"""
Windows: in which a policy makes no second message for the same key, and in which what comes for one
person and key joins a digest.

Both are rows of one table, found by policy, person and a keyed hash. Of a digest, only its message
knows whether it still gathers: an event that comes in the batch in which the window ends, or after
a cancel, opens another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from orchestrator.core.digest import is_open
from orchestrator.core.message import Message
from orchestrator.core.policy import Policy
from orchestrator.core.recipient import Instant
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import WorkingMessage
from orchestrator.recipients.document import Person
from orchestrator.stores.rows import DedupeKey, WantedAddresses
from orchestrator.stores.window_rows import DedupeRow, DedupeWindow


def ask_for_windows(
    at_hand: Needs | BatchContext,
    policy: Policy,
    person: Person,
    scope: Mapping[str, Any],
    not_before: Instant | None,
    wanted: WantedAddresses,
) -> None:
    """Add the dedupe window and the digests that ``start`` may look at."""
    if (key := dedupe_key(at_hand, policy, scope)) is not None:
        wanted.dedupes.add((policy.name, person.id, key))
    if policy.digest is not None:
        for later in {None, not_before}:  # whether it is in the future is not known yet
            wanted.digests.add(digest_place(at_hand, policy, person, scope, later))


def dedupe_key(
    at_hand: Needs | BatchContext, policy: Policy, scope: Mapping[str, Any]
) -> str | None:
    """
    The value of a policy's dedupe key as it is stored, None without one: a keyed hash, because the
    value may be long, and may be an address.
    """
    if policy.dedupe is None:
        return None
    value = key_value(at_hand, policy, policy.dedupe.key, scope)
    return at_hand.address_hash("dedupe", value) if value is not None else None


def deduplicate(
    context: BatchContext, policy: Policy, message: Message, scope: Mapping[str, Any]
) -> str | None:
    """
    The earlier message with the same key if its window is still open; else open one for this
    message. One that has ended and left nothing protects nobody: its key is free.
    """
    key = dedupe_key(context, policy, scope)
    if key is None or policy.dedupe is None:
        return None
    place = (policy.name, message.recipient, key)
    known = context.work.dedupes.get(place)
    if known is not None and known.until > context.now:
        earlier = context.work.messages.rows.get(known.message)
        opener = earlier.message if earlier is not None else known.opener
        if opener is None or not opener.left_nothing:
            return known.message
    until = context.now + policy.dedupe.window_ms
    context.work.dedupes[place] = DedupeWindow(message.id, until)
    context.work.changes.dedupes.append(DedupeRow(*place, message.id, until))
    return None


def digest_place(
    at_hand: Needs | BatchContext,
    policy: Policy,
    person: Person,
    scope: Mapping[str, Any],
    not_before: Instant | None,
) -> DedupeKey:
    """
    Where the digest of an event is found. Events without a key, or whose key cannot be evaluated,
    are one; those that must not be sent before a time are of their own for each such time, so that
    nobody waits for them.
    """
    key = policy.digest.key if policy.digest is not None else None
    value = key_value(at_hand, policy, key, scope) if key is not None else None
    hash = at_hand.address_hash("digest", f"{not_before or ''} {value or ''}")
    return (policy.name, person.id, hash)


def key_value(
    at_hand: Needs | BatchContext, policy: Policy, key: str, scope: Mapping[str, Any]
) -> str | None:
    """The value of a key's expression as text; None without one, and if it has no value."""
    try:
        value = at_hand.value(key, scope, policy.name)
    except ValueError:
        return None
    if value is None:
        return None
    try:
        # Python refuses to write a number of more than 4 300 decimal digits
        return hex(value) if is_large(value) else orjson.dumps(value, default=str).decode()
    except TypeError:  # a large number within a list, or text that is not Unicode
        return None


def is_large(value: Any) -> bool:
    """Whether this is a whole number that JSON libraries do not write."""
    return isinstance(value, int) and value.bit_length() > 63


def later_than(now: Instant, not_before: Instant | None) -> Instant | None:
    """The time before which nothing of an event is sent, None if that is not in the future."""
    return not_before if not_before is not None and not_before > now else None


def open_digest(context: BatchContext, place: DedupeKey) -> WorkingMessage | None:
    """The message that gathers at a place now."""
    id = context.work.digests.get(place)
    entry = context.work.messages.rows.get(id) if id is not None else None
    return entry if entry is not None and is_open(entry.message, context.now) else None


def open_for_more(context: BatchContext, place: DedupeKey, message: Message) -> None:
    """Let further events find a message until it starts."""
    context.work.digests[place] = message.id
    context.work.changes.dedupes.append(DedupeRow(*place, message.id, message.starts_at))
