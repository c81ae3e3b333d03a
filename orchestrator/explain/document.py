"""
The explanation as one document: everything that text, JSON and the page show. Its ``message`` is
what ``GET /v1/messages/{id}`` answers, with more keys.

``gather`` reads what is needed from the store; ``explanation`` makes the document of it, and looks
at nothing else. Its shape is documented in docs/explain.md and only ever grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.configuration.governance_file import governance_from_document
from orchestrator.configuration.policy_file import policy_from_document
from orchestrator.core.inputs import Inputs
from orchestrator.core.message import Attempt, Message, Run, Sending
from orchestrator.core.policy import Governance, Policy
from orchestrator.core.quiet_hours import valid_zone
from orchestrator.core.recipient import Instant
from orchestrator.engine.rules import Rules
from orchestrator.explain.asked import Asked
from orchestrator.explain.chain import chain_of, chain_view
from orchestrator.explain.checks import explain_check
from orchestrator.explain.experiment import experiment_view, outcome_view
from orchestrator.explain.moves import Cause, Known, because, moves
from orchestrator.explain.policies import policy_view
from orchestrator.explain.views import (
    ErrorView,
    answers_in,
    attempt_view,
    error_view,
    is_instant,
    message_view,
    times_of,
    trace_entry,
)
from orchestrator.explain.waiting import waiting_view
from orchestrator.explain.words import Place, effect_words, fact_words, local_instants
from orchestrator.history.codec import decode_inputs
from orchestrator.history.replay import Moment, as_left, moments
from orchestrator.primitives.durations import duration, rfc3339
from orchestrator.stores.port import Store
from orchestrator.stores.rows import StoredMessage


@dataclass(frozen=True, slots=True)
class Material:
    """
    What an explanation is made of. ``then`` and ``today`` are policy versions as the store keeps
    them; ``governances`` has those of the versions in the history that the store still has;
    ``governance_today`` is a version; ``before`` and ``after`` are the messages that have started
    this one by what became of them, the first one first, and those that this one has started so.
    """

    stored: StoredMessage
    then: Mapping[str, Any] | None
    today: Mapping[str, Any] | None
    version_today: str | None
    governances: Mapping[str, Governance]
    governance_today: str
    zone_today: str
    now: Instant
    before: tuple[Message, ...] = ()
    after: tuple[Message, ...] = ()


async def gather(store: Store, id: str, rules: Rules, now: Instant) -> Material | None:
    """Everything about one message, None if there is none. Raises ``StoreBusy``."""
    stored = await store.message(id)
    if stored is None:
        return None
    message = stored.message
    current = rules.policies.get(message.policy)
    version_today = current.version if current is not None else None
    then = await store.version("policy", message.policy, message.policy_version)
    today = (
        await store.version("policy", message.policy, version_today)
        if version_today is not None
        else None
    )
    governances = {}
    for version in versions_in(stored):
        document = await store.version("governance", "governance", version)
        if document is not None:
            governances[version] = governance_from_document(dict(document))
    governance = rules.governance
    return Material(
        stored,
        then,
        today,
        version_today,
        governances,
        governance.version,
        governance.time_zone,
        now,
        *await chain_of(store, message),
    )


def versions_in(stored: StoredMessage) -> list[str]:
    """The governance versions that a history's decisions rested on, in order."""
    found = (entry["inputs"]["governance"] for entry in stored.history if "inputs" in entry)
    return list(dict.fromkeys(found))


def explanation(material: Material) -> dict[str, Any]:
    """
    The whole document, as JSON types; instants in UTC, with the recipient's clock beside each as
    ``…_local``.
    """
    stored, message = material.stored, material.stored.message
    policy = (
        policy_from_document(dict(material.then["policy"])).variant(message.arm)
        if material.then is not None
        else None
    )
    place = place_of(material)
    replayed, sameness = replay_again(material, policy)
    asked: dict[tuple[int | None, str | None], str | None] = {}
    trace = list(trace_of(material, policy, place, replayed, asked))
    policy_shown = policy_view(
        message.policy,
        message.policy_version,
        material.then,
        material.today,
        material.version_today,
    )
    document = {
        "message": {
            **message_view(message, stored.event),
            **ending(message, policy, place, asked),
            **outcome_view(message),
            "attempts": [explain_attempt(attempt, stored, place) for attempt in message.attempts],
            "replies": list(answers_in(stored)),
            "trace": trace,
        },
        "experiment": experiment_view(message, policy, stored.history),
        "chain": chain_view(message, material.before, material.after),
        "zone": {"name": place.zone, "of": place.whose},
        "waiting": waiting_view(message, policy, material.now, place, asked),
        "steps": list(steps_of(message, policy, place, asked)),
        "policy": policy_shown,
        "governance": governance_view(material),
        "replay": sameness,
    }
    timed: dict[str, Any] = with_times(document, place)
    return timed


def place_of(material: Material) -> Place:
    """The recipient's zone as the latest decision knew it, else the installation's."""
    for entry in reversed(material.stored.history):
        zone = entry.get("inputs", {}).get("zone")
        if zone and valid_zone(zone):
            return Place(zone, "recipient")
    return Place(material.zone_today, "installation")


def replay_again(material: Material, policy: Policy | None) -> tuple[list[Moment], dict[str, Any]]:
    """Decide the history again, as far as possible; whether that leads to what is stored."""
    stored = material.stored
    missing = [version for version in versions_in(stored) if version not in material.governances]
    if policy is None or missing:
        gone = "the policy's version" if policy is None else f"governance version {missing[0]}"
        words = f"It cannot be decided again: the store no longer keeps {gone}."
        return [], {"same": None, "words": words}
    found: list[Moment] = []
    try:
        for moment in moments(
            policy, stored.message, stored.history, material.governances.__getitem__
        ):
            found.append(moment)
    except (ValueError, LookupError, AssertionError) as error:
        words = f"Deciding it again stops at fact {len(found) + 1}: {type(error).__name__}."
        return found, {"same": False, "words": words}
    if found and as_left(found[-1].decision.message, stored.message) == stored.message:
        words = "Decided again from its facts, it comes to the same state."
        return found, {"same": True, "words": words}
    words = (
        "Decided again from its facts, it comes to another state than the stored one: an older"
        " release decided it."
    )
    return found, {"same": False, "words": words}


def ending(message: Message, policy: Policy | None, place: Place, asked: Known) -> dict[str, Any]:
    """The end of a message in words, and what would have ended it otherwise."""
    reason, otherwise = message.reason, None
    if reason is not None and policy is not None:
        cause = Cause(policy, message, place, message.last_run, None, message.reason_detail)
        otherwise = asked.get(
            (cause.run.step if cause.run is not None else None, reason.value)
        ) or because(reason, cause)
    times = {
        "created_at": message.created_at,
        "starts_at": message.starts_at,
        "deadline_at": message.deadline_at,
        "finished_at": message.finished_at,
        "reached_at": message.reached_at,
    }
    return {"sentence": sentence(message), "otherwise": otherwise, **with_times(times, place)}


def sentence(message: Message) -> str:
    """The status in words."""
    if message.not_before is not None and not message.terminal and not message.sequence:
        return "Waits for its start, nothing sent yet."
    if not message.terminal:
        sends = len(message.attempts)
        return (
            f"Under way, {sends} send{'' if sends == 1 else 's'} so far."
            if sends
            else "Under way, nothing sent yet."
        )
    words = message.status.value.capitalize()
    if message.succeeded_by:
        words += f" by {message.succeeded_by}"
    if message.reached_at is not None:
        words += f" after {duration(message.reached_at - message.starts_at)}"
    elif message.finished_at is not None:
        words += f" after {duration(max(0, message.finished_at - message.starts_at))}"
    if message.reason is not None:
        words += f". {message.reason.describe()}"
    return words.removesuffix(".") + "."


def steps_of(
    message: Message, policy: Policy | None, place: Place, asked: Known
) -> Iterator[dict[str, Any]]:
    """Every step of the plan in the order in which it is tried, reached or not."""
    order = [
        *message.sequence,
        *(run.step for run in message.runs if run.step not in message.sequence),
    ]
    for step in order:
        run = message.run_of(step)
        channel = channel_of(step, policy, message)
        words, otherwise, state = "not reached", None, "not_reached"
        if run is not None and run.ended is not None:
            state, words = "left", run.ended.describe()
            if policy is not None:
                cause = Cause(policy, message, place, run, None, run.rule)
                otherwise = asked.get((step, run.ended.value)) or because(run.ended, cause)
        elif run is not None:
            state, words = state_of(run, message)
        yield {
            "step": step,
            "channel": channel,
            "companion": run.companion if run is not None else False,
            "state": state,
            "reason": run.ended.value if run is not None and run.ended is not None else None,
            "reason_detail": run.rule or None
            if run is not None and run.ended is not None
            else None,
            "attempts": [attempt.number for attempt in message.attempts_of(step)],
            "words": words,
            "otherwise": otherwise,
        }


def state_of(run: Run, message: Message) -> tuple[str, str]:
    """Where a run that was not left stands; a companion is over once it was sent."""
    if message.succeeded_by == run.channel and not run.companion:
        return "reached", "reached the recipient"
    if run.companion and run.handed_off_at is not None and run.sending is Sending.IDLE:
        return "over", "sent beside the cascade"
    return ("over", "ended with the message") if run.over else ("running", "running")


def explain_attempt(attempt: Attempt, stored: StoredMessage, place: Place) -> dict[str, Any]:
    """An attempt with every receipt for it, in the order in which they came."""
    receipts = [
        {"at": entry["at"], "happened_at": fact["at"], "state": fact["state"]}
        | {"error": failure_view(fact)}
        for entry in stored.history
        if (fact := entry["fact"])["kind"] == "ReceiptReceived"
        and fact["attempt"] == attempt.number
    ]
    return {
        **attempt_view(attempt),
        "times_local": local_times(times_of(attempt), place),
        "engagement_local": local_times(attempt.engagement, place),
        "try": attempt.try_number,
        "sentence": attempt.reason.describe() if attempt.reason is not None else None,
        "receipts": receipts,
    }


def local_times(times: Mapping[str, Instant], place: Place) -> dict[str, str]:
    return {name: place.iso(at) for name, at in times.items()}


def failure_view(fact: Mapping[str, Any]) -> ErrorView | None:
    failure = fact.get("failure") or {}
    return error_view(failure.get("reason"), failure.get("code"), failure.get("detail"))


def trace_of(
    material: Material,
    policy: Policy | None,
    place: Place,
    replayed: list[Moment],
    asked: dict[tuple[int | None, str | None], str | None],
) -> Iterator[dict[str, Any]]:
    """Every fact in its order; ``asked`` collects what would have let a step pass each gate."""
    message = material.stored.message
    for position, entry in enumerate(material.stored.history):
        moment = replayed[position] if position < len(replayed) else None
        inputs = moment.inputs if moment is not None else inputs_of(entry, material)
        checks = [
            explain_check(
                Asked(
                    check=check,
                    at=entry["at"],
                    place=place,
                    message=moment.before if moment is not None else message,
                    channel=channel_of(check.get("step"), policy, message),
                    policy=policy,
                    inputs=inputs,
                )
            )
            for check in entry.get("checks", ())
        ]
        asked |= {
            (check["step"], check["reason"]): check["otherwise"]
            for check in checks
            if check["otherwise"]
        }
        moved = (
            list(moves(moment, policy, place, asked))
            if moment is not None and policy is not None
            else []
        )
        yield {
            **trace_entry(entry),
            "at_local": place.iso(entry["at"]),
            "since_start": duration(entry["at"] - message.created_at),
            "words": fact_words(entry["fact"], message, place),
            "governance": entry.get("inputs", {}).get("governance"),
            "checks": checks,
            "decision_local": [local_instants(said, place) for said in entry["decision"]],
            "moves": moved,
            "done": [words for effect in entry["effects"] if (words := effect_words(effect))],
        }


def inputs_of(entry: Mapping[str, Any], material: Material) -> Inputs | None:
    """An entry's inputs; they can be decoded without the policy, but not without governance."""
    given = entry.get("inputs")
    governance = material.governances.get(given["governance"]) if given is not None else None
    return (
        decode_inputs(given, governance) if given is not None and governance is not None else None
    )


def channel_of(step: int | None, policy: Policy | None, message: Message) -> str:
    if step is None:
        return "?"
    run = message.run_of(step)
    return (
        run.channel if run is not None else policy.plan[step].channel if policy is not None else "?"
    )


def governance_view(material: Material) -> dict[str, Any]:
    """The versions that decided, beside today's."""
    versions = versions_in(material.stored)
    differs = any(version != material.governance_today for version in versions)
    now = (
        f"and today's is version {material.governance_today}"
        if differs
        else "which is still today's"
    )
    return {
        "versions": versions,
        "version_today": material.governance_today,
        "differs": differs,
        "words": (
            f"The governance of each moment decided: version {', then '.join(versions) or 'none'},"
            f" {now}."
        ),
    }


def with_times(value: Any, place: Place) -> Any:
    """A copy with every instant as a time in UTC, and beside it the recipient's local time."""
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for name, inner in value.items():
            if is_instant(name, inner):
                found[name] = rfc3339(inner)
                found[f"{name}_local"] = place.iso(inner)
            else:
                found[name] = with_times(inner, place)
        return found
    if isinstance(value, list | tuple):
        return [with_times(inner, place) for inner in value]
    return value
