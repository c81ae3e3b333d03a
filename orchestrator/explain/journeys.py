"""
Why a journey went where it went: its history, decided again, in plain words.

    gather_journey       everything there is about one run    (store → JourneyMaterial)
    journey_explanation  one document of it                   (JourneyMaterial → JSON types)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from orchestrator.configuration.journey_file import journey_from_document
from orchestrator.core.journey.effects import StartMessage
from orchestrator.core.journey.journey import Journey
from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.message import Message
from orchestrator.core.recipient import Instant
from orchestrator.engine.rules import Rules
from orchestrator.explain.journey_words import (
    fact_words,
    message_words,
    steps_words,
    waiting_words,
)
from orchestrator.explain.words import Place
from orchestrator.history.journeys import (
    JourneyEntry,
    JourneyMoment,
    decode_journey_history,
    decode_run,
    journey_moments,
)
from orchestrator.primitives.durations import rfc3339
from orchestrator.stores.port import Store
from orchestrator.stores.rows import Wanted


@dataclass(frozen=True, slots=True)
class JourneyMaterial:
    """
    One run and everything it was made of. ``versions`` are those definitions that the store still
    has, ``messages`` the run's messages that are still kept, ``place`` the person's time zone.
    """

    run: JourneyRun
    events: Mapping[str, Any]
    history: list[JourneyEntry]
    versions: Mapping[str, Journey]
    messages: Mapping[str, Message]
    place: Place
    today: str | None
    now: Instant


async def gather_journey(
    store: Store, id: str, rules: Rules, now: Instant
) -> JourneyMaterial | None:
    """Everything about one run, None if there is none. Raises ``StoreBusy``."""
    stored = await store.journey(id)
    if stored is None:
        return None
    run, history = decode_run(stored.row.state), decode_journey_history(stored.history)
    versions: dict[str, Journey] = {}
    for version in {run.version, *(entry.version for entry in history if entry.version)}:
        document = await store.version("journey", run.journey, version)
        if document is not None:
            versions[version] = journey_from_document(document["journey"])
    sent = {
        effect.message
        for entry in history
        for effect in entry.effects
        if isinstance(effect, StartMessage)
    }
    loaded = await store.load(Wanted(messages=sent, recipients={run.recipient}))
    zone = (loaded.recipients.get(run.recipient) or {}).get("time_zone")
    place = Place(zone, "recipient") if zone else Place(rules.governance.time_zone, "installation")
    current = rules.journeys.get(run.journey)
    messages = {id: row.message for id, row in loaded.messages.items()}
    today = current.version if current is not None else None
    return JourneyMaterial(
        run, orjson.loads(stored.row.events), history, versions, messages, place, today, now
    )


def journey_explanation(material: JourneyMaterial) -> dict[str, Any]:
    """The explanation of one run; docs/explain.md has its shape."""
    run, place = material.run, material.place
    story, replays = story_of(material)
    journey = material.versions.get(run.version)
    return {
        "journey": journey_run_view(run),
        "now": rfc3339(material.now),
        "time_zone": place.zone,
        "event": material.events.get("", {}),
        "version_today": material.today,
        "waiting": waiting_words(run, journey, place, material.messages),
        "ends_by": ends_by(run, journey, place),
        "story": story,
        "messages": [
            {"id": id, "policy": one.policy, "status": str(one.status), "said": message_words(one)}
            for id, one in sorted(material.messages.items())
        ],
        "replays": replays,
    }


def story_of(material: JourneyMaterial) -> tuple[list[dict[str, Any]], bool | None]:
    """
    The facts of a run in words, and whether they lead to its stored state; None if the store lacks
    a version, so that nobody can tell.
    """
    words: list[dict[str, Any]] = []
    moments: list[JourneyMoment] = []
    replays: bool | None
    try:
        moments = list(
            journey_moments(
                lambda version: material.versions[version], material.run, material.history
            )
        )
        replays = bool(moments) and moments[-1].decision.run == material.run
    except KeyError:
        replays = None
    except (LookupError, ValueError, AssertionError):
        replays = False
    for number, entry in enumerate(material.history):
        moment = moments[number] if number < len(moments) else None
        words.append(
            {
                "at": material.place.iso(entry.at),
                "fact": type(entry.fact).__name__,
                "said": fact_words(entry.fact, material.run, material.messages),
                "then": steps_words(entry, moment, material.place)
                if moment is not None
                else [{"step": "", "said": words, "because": []} for words in entry.decision],
                "decision": list(entry.decision),
            }
        )
    return words, replays


def ends_by(run: JourneyRun, journey: Journey | None, place: Place) -> list[str]:
    """What would end a running journey, in words."""
    if run.terminal:
        return []
    found = [f"its deadline, {place.words(run.deadline_at)}"]
    if journey is not None:
        if journey.goal is not None:
            match = f" with {journey.goal.match}" if journey.goal.match else ""
            found.append(f"its goal: an event {journey.goal.event}{match}")
        for one in journey.exits:
            match = f" with {one.match}" if one.match else ""
            found.append(f"an exit: an event {one.event}{match}")
    return [*found, f"somebody: kaskad journeys exit {run.id}"]


def journey_run_view(run: JourneyRun) -> dict[str, Any]:
    """A run as the API shows it."""
    waits = None
    if run.waiting_for:
        waits = {
            "for": run.waiting_for,
            "step": run.step,
            "since": rfc3339(run.since) if run.since is not None else None,
            "until": rfc3339(run.due_at) if run.due_at is not None else None,
        }
    return {
        "id": run.id,
        "journey": run.journey,
        "version": run.version,
        "recipient": run.recipient,
        "key": run.key,
        "status": str(run.status),
        "reason": str(run.reason) if run.reason is not None else None,
        "reason_detail": run.reason_detail or None,
        "event": {"source": run.event_source, "id": run.event_id, "type": run.event_type},
        "created_at": rfc3339(run.created_at),
        "deadline_at": rfc3339(run.deadline_at),
        "finished_at": rfc3339(run.finished_at) if run.finished_at is not None else None,
        "waits": waits,
        "last": run.last.view() if run.last is not None else None,
        "open_messages": list(run.open),
        "caused_by": run.caused_by,
        "hops": run.hops,
    }
