"""The waits of an unfinished message, each with its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.core.cascade.decide import ANSWER_GRACE_MS
from orchestrator.core.message import Message, Run, Sending
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import Policy
from orchestrator.core.recipient import Instant
from orchestrator.core.status import reached
from orchestrator.explain.moves import Known
from orchestrator.explain.otherwise import OTHERWISE
from orchestrator.explain.words import Place, listed, plural
from orchestrator.primitives.durations import duration

UNTIL_THEN = (
    "Every gate is asked then, and its deadline counts from then; its goal, a cancel or an erasure"
    " still ends it before."
)
NOT_BEFORE = f"The event's `kaskadnotbefore` says so. {UNTIL_THEN}"
SENT_AT = (
    "The policy's `send_at` says so; the trace has the hour and why. Every gate is asked then; its"
    " goal, a cancel or an erasure still ends it before."
)
GATHERS = f"The policy's `digest` says so: what comes for the same key joins it. {UNTIL_THEN}"


def waiting_view(
    message: Message, policy: Policy | None, now: Instant, place: Place, asked: Known
) -> dict[str, Any] | None:
    """
    None if nothing of the message is open; ``asked`` has the gates' latest explanations of holds.
    """
    live = [run for run in message.runs if not run.over and (run.companion or not message.terminal)]
    waits = [scheduled(message, now, place)] if message.is_scheduled(now) else []
    waits += [found for run in live for found in waits_of(message, run, policy, now, place, asked)]
    if not waits and message.terminal:
        return None
    return {
        "at": now,
        "for": waits,
        "next_look_at": message.due_at,
        "deadline_at": message.deadline_at,
    }


def scheduled(message: Message, now: Instant, place: Place) -> dict[str, Any]:
    """The wait for the start of a message."""
    at = message.starts_at
    words, note = f"It starts at {place.words(at)}{soon(at, now)}.", NOT_BEFORE
    if message.send_at is not None:
        note = SENT_AT
    elif message.gathers:
        more = f", and {message.left_out} more are only counted" if message.left_out else ""
        count = plural(message.joined + 1, "event")
        words = f"It gathers until {place.words(at)}{soon(at, now)}: {count} so far{more}."
        note = GATHERS
    return {
        "step": None,
        "channel": None,
        "companion": False,
        "state": "scheduled",
        "reason": None,
        "rule": None,
        "provider": None,
        "until": at,
        "words": words,
        "note": note,
    }


def waits_of(
    message: Message, run: Run, policy: Policy | None, now: Instant, place: Place, asked: Known
) -> Iterator[dict[str, Any]]:
    """The waits of a run: its sending first, then its receipts, as both can be open at once."""
    name = f"step {run.step + 1} ({run.channel})"
    if run.sending is Sending.HELD and run.held_for is not None:
        until = run.until if run.until is not None else message.deadline_at
        rule = f" ({run.rule})" if run.rule else ""
        words = (
            f"{name} is held until {place.words(until)}{soon(until, now)}:"
            f" {run.held_for.value}{rule}."
        )
        otherwise = asked.get((run.step, run.held_for.value)) or OTHERWISE[run.held_for]
        note = f"{run.held_for.describe()} {otherwise} Every gate is asked again then."
        yield view(run, "held", until, words, note, run.held_for.value)
    elif run.sending is Sending.READY:
        words = f"{name} waits for a slot of {run.provider}, at the latest until the deadline."
        since = (
            f" It stands in the backlog since {place.words(run.ready_since)}."
            if run.ready_since is not None
            else ""
        )
        note = (
            "Every gate lets it pass; the provider's `rate`, or work in front of it,"
            f" decides.{since}"
        )
        yield view(run, "ready", message.deadline_at, words, note)
    elif run.sending is Sending.OPEN:
        ends = [
            a.intent_at + a.timeout_ms
            for a in message.attempts_of(run.step)
            if a.outcome is OutcomeKind.PENDING
        ]
        until = max(ends, default=now) + ANSWER_GRACE_MS
        words = (
            f"{name} is being sent by {run.provider}; its answer counts as lost after"
            f" {place.words(until)}."
        )
        yield view(
            run, "open", until, words, "The provider has been called and has not answered yet."
        )
    if run.handed_off_at is not None and not run.companion:
        yield from receipts_of(message, run, policy, now, place)


def receipts_of(
    message: Message, run: Run, policy: Policy | None, now: Instant, place: Place
) -> Iterator[dict[str, Any]]:
    """
    The missing receipt states, each with its time; without the policy, only the next look is known.
    """
    since = run.handed_off_at or 0
    taken = [attempt for attempt in message.attempts_of(run.step) if attempt.took]
    states: frozenset[str] = frozenset().union(*(reached(a.state, a.engagement) for a in taken))
    waits = policy.plan[run.step].wait if policy is not None else ()
    if policy is not None and not waits:
        waits = (("sent", policy.default_wait_ms),)
    missing = [(state, since + wait_ms) for state, wait_ms in waits if state not in states]
    until = min((at for _, at in missing), default=message.due_at)
    name = f"step {run.step + 1} ({run.channel})"
    if not missing or until is None:
        yield view(run, "receipts", until, f"{name} was handed off and waits for receipts.", "")
        return
    wanted = listed([f"{state} until {place.words(at)}{soon(at, now)}" for state, at in missing])
    note = (
        f"Handed off at {place.words(since)}. What is missing when its time is up moves the"
        " cascade on."
    )
    yield view(run, "receipts", until, f"{name} waits to be {wanted}.", note)


def soon(at: Instant, now: Instant) -> str:
    return f", in {duration(at - now)}" if at > now else ", which is over: it is looked at next"


def view(
    run: Run, state: str, until: Instant | None, words: str, note: str, reason: str | None = None
) -> dict[str, Any]:
    return {
        "step": run.step,
        "channel": run.channel,
        "companion": run.companion,
        "state": state,
        "reason": reason,
        "rule": run.rule or None,
        "provider": run.provider,
        "until": until,
        "words": words,
        "note": note,
    }
