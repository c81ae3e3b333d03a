"""`kaskad simulate --fit`: behaviour learnt from the receipts in the store, embedded or served."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.channels import Accepted, Outgoing
from orchestrator.core.message import Attempt, Message, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery, Engagement
from orchestrator.primitives.ids import decode
from orchestrator.simulate.as_it_was import beside
from orchestrator.simulate.event_file import read_event_file
from orchestrator.simulate.fit import NothingToFit, fit, sqlite_messages
from orchestrator.stores.postgres.store import PostgresStore
from orchestrator.stores.rows import Changes, CreatedMessage
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.virtual.scripted_provider import Later, Reaction
from tests.simulate.place import CONFIG, POLICY, Place, event
from tests.simulate.really import really_run
from tests.support.ports import free_port

READ = Later(60_000, Engagement.READ)


def finished(
    number: int, outcome: OutcomeKind, state: Delivery, delivered_at: int | None
) -> Message:
    attempt = Attempt(0, 0, "viber", "infobip", "phone", "+380…", "h", 0, 1_000, 10_000)
    attempt.outcome, attempt.state, attempt.answered_at = outcome, state, 2_000
    attempt.reason = Reason.REFUSED_RECIPIENT if outcome is OutcomeKind.REFUSED else None
    if delivered_at is not None:
        attempt.times["delivered"] = 1_500  # by a clock that is slow
        attempt.arrivals["delivered"] = delivered_at
    return Message(
        f"01K{number:023d}",
        "s",
        str(number),
        "tale",
        f"u{number}",
        "tale",
        "v",
        "transactional",
        "tale",
        0,
        3_600_000,
        status=Status.EXHAUSTED,
        finished_at=5_000,
        attempts=[attempt],
    )


def history() -> list[Message]:
    """
    A hundred messages: ten refused, seventy-two delivered after one to ten seconds, the rest
    silent.
    """
    found = []
    for number in range(100):
        if number < 10:
            found.append(finished(number, OutcomeKind.REFUSED, Delivery.CREATED, None))
        elif number < 82:
            found.append(
                finished(
                    number, OutcomeKind.ACCEPTED, Delivery.DELIVERED, 3_000 + number % 10 * 1_000
                )
            )
        else:
            found.append(finished(number, OutcomeKind.ACCEPTED, Delivery.ACCEPTED, None))
    return found


def test_behaviour_is_learnt_from_recorded_receipts() -> None:
    behaviour = fit(history())
    viber = behaviour.of("infobip", "viber")
    assert [round(share, 2) for share, _ in viber.answers] == [0.1]
    assert viber.delivered is not None
    assert viber.delivered.share == pytest.approx(0.8)
    assert (viber.delivered.lag.at(0), viber.delivered.lag.at(1)) == (1_000, 10_000)
    assert "infobip (100 attempts)" in behaviour.source
    assert (
        "assumed for email, in_app, mobile_push, rcs, sms, telegram, web_push, whatsapp"
        in behaviour.source
    )
    few = history()
    for message in few[:5]:
        message.attempts[0].provider = "new"
    assert fit(few).assumption("new", "viber") == (
        "only 5 attempts of it are in the store: assumed to do as viber did in the store"
        " (95 attempts of infobip)"
    )
    with pytest.raises(NothingToFit, match="at most 20 finished attempts"):
        fit(history()[:20])


def test_a_receipt_that_is_dated_early_still_comes_when_it_came(place: Place) -> None:
    """
    Viber is waited for eight seconds. Its reports come after twenty-five and say that the message
    was there after two: every message goes by SMS, too, and so it is predicted.
    """
    place.write(
        "policies/tale.yaml",
        POLICY.replace("{delivered: 1m, read: 10m}", "{delivered: 8s}"),
    )

    def late(provider: str, message: Outgoing) -> Reaction:
        report = Later(25_000, Delivery.DELIVERED, dated_ms=2_000)
        return Reaction(Accepted(), receipts=(report,) if provider == "infobip" else ())

    file = place.events(event(number) for number in range(80))
    really_run(place.load(), read_event_file(file), late, place.folder / "kaskad.db")
    stored = list(sqlite_messages(place.folder / "kaskad.db"))
    assert {one.succeeded_by for one in stored} == {"sms"}
    viber = stored[0].attempts[0]
    answered_at = viber.answered_at or 0
    assert (viber.times["delivered"], viber.arrivals["delivered"]) == (
        answered_at + 2_000,
        answered_at + 25_000,
    )
    done = place.kaskad("simulate", "--events", file, "--fit", "--runs", "2", "-o", "json")
    found = json.loads(done.stdout)["versions"][0]["all"]
    assert found["reached_by"]["sms"]["median"] == 80
    assert found["total"]["cost"]["median"] == pytest.approx(80 * (0.70 + 1.20))


async def test_the_store_s_own_receipts_are_read_while_the_service_has_it_open(
    place: Place, tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path / "kaskad.db")
    await store.open()
    await store.commit(
        Changes(
            created=[CreatedMessage(message, {"ce": {}, "data": {}}, b"") for message in history()]
        )
    )
    assert len(list(sqlite_messages(tmp_path / "kaskad.db"))) == 100
    assert CONFIG.startswith("store: sqlite:///./kaskad.db")
    done = place.kaskad(
        "simulate", "--events", place.events([event(1)]), "--fit", "--runs", "1", "-o", "json"
    )
    await store.close()
    assert done.exit_code == 0, done.stderr
    assert "fitted from 100 messages of the store" in json.loads(done.stdout)["behaviour"]


def assumed_of(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["provider"], one["channel"], one["text"]) for one in found["assumed"]]


def test_a_provider_that_the_store_has_not_seen_does_as_its_channel_and_is_named(
    place: Place, tmp_path: Path
) -> None:
    """An account is renamed in another version: it still reaches people, and the report says so."""
    file = place.events(event(number) for number in range(60))

    def delivered(provider: str, message: Outgoing) -> Reaction:
        return Reaction(Accepted(), receipts=(Later(2_000, Delivery.DELIVERED), READ))

    really_run(place.load(), read_event_file(file), delivered, place.folder / "kaskad.db")
    other = Place(tmp_path / "other")
    other.write("kaskad.yaml", CONFIG.replace("provider: infobip\n", "provider: renamed\n"))
    arguments = ["simulate", "--events", file, "--fit", "--against", str(other.folder)]
    done = place.kaskad(*arguments, "--runs", "2", "-o", "json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    reached = [one["all"]["reached_by"]["viber"]["median"] for one in found["versions"]]
    assert min(reached) > 50
    like_viber = "assumed to do as viber did in the store (60 attempts of infobip)"
    assert ("renamed", "viber", f"nothing is known of it: {like_viber}") in assumed_of(found)
    assert ("twilio", "sms", "nothing is known of it: assumed as documented for sms") in assumed_of(
        found
    )
    assert found["as_it_was"]["real"]["all"]["reached_by"] == {"viber": 60}
    text = place.kaskad(*arguments, "--runs", "2").stdout
    assert f"renamed (viber): nothing is known of it: {like_viber}." in text
    assert "As it was, 60 messages of the store" in text
    assert "90 %" in text


def test_what_a_file_of_providers_does_not_name_is_assumed_and_said(place: Place) -> None:
    behaviour = place.write(
        "behaviour.yaml",
        "infobip: {delivered: {share: 1, median: 1s}, read: {share: 1, median: 1m}}",
    )
    done = place.kaskad(
        "simulate",
        *("--events", place.events(event(number) for number in range(3))),
        *("--providers", str(behaviour), "-o", "json"),
    )
    found = json.loads(done.stdout)
    assert [one[:2] for one in assumed_of(found)] == [("infobip_b", "viber"), ("twilio", "sms")]
    assert assumed_of(found)[0][2].startswith(
        "nothing is known of it: assumed to do as infobip does in"
    )
    assert "as_it_was" not in found


def test_events_that_are_not_in_the_store_cannot_be_compared_with_it(place: Place) -> None:
    file = place.events(event(number) for number in range(60))
    accepted = Reaction(Accepted(), receipts=(Later(2_000, Delivery.DELIVERED), READ))
    really_run(place.load(), read_event_file(file), lambda *_: accepted, place.folder / "kaskad.db")
    later = place.events((event(number) for number in range(100, 110)), "later.jsonl")
    done = place.kaskad("simulate", "--events", later, "--fit", "--runs", "2")
    assert "As it was: none of these events is in the store" in done.stdout


def test_a_past_that_is_not_reproduced_is_called_so() -> None:
    real = {("all", ""): {("total", "messages"): 100, ("total", "reach"): 0.84}}
    runs = [{("all", ""): {("total", "reach"): reach}} for reach in (0.74, 0.75, 0.76)]
    (miss,) = beside(real, runs).misses()
    assert miss[1:3] == (("total", "reach"), 0.84)
    near = [{("all", ""): {("total", "reach"): reach}} for reach in (0.83, 0.84, 0.86)]
    assert list(beside(real, near).misses()) == []


async def test_the_receipts_of_a_served_database_are_read_too(
    place: Place, postgres_url: str
) -> None:
    messages = history()
    store = PostgresStore(postgres_url, member="tests", now=lambda: decode(messages[0].id) >> 80)
    await store.open()
    async with store.unit() as unit:
        created: list[Any] = [(message, {"ce": {}, "data": {}}, b"") for message in messages]
        await unit.commit(Changes(created=created, buckets={message.id: 0 for message in messages}))
    await store.close()
    place.write(
        "kaskad.yaml", CONFIG.replace("store: sqlite:///./kaskad.db", f"store: {postgres_url}")
    )
    arguments = (
        "simulate",
        "--events",
        place.events([event(1)]),
        "--fit",
        "--runs",
        "1",
        "-o",
        "json",
    )
    done = await asyncio.to_thread(place.kaskad, *arguments)
    assert done.exit_code == 0, done.stderr  # though nobody has the providers' secrets here
    assert (
        "as fitted from 100 messages of the store: infobip (100 attempts)"
        in json.loads(done.stdout)["behaviour"]
    )


async def test_a_database_that_cannot_be_reached_is_reported_in_one_line(place: Place) -> None:
    place.write(
        "kaskad.yaml",
        CONFIG.replace(
            "sqlite:///./kaskad.db", f"postgresql://nobody@127.0.0.1:{free_port()}/none"
        ),
    )
    done = await asyncio.to_thread(
        place.kaskad, "simulate", "--events", place.events([event(1)]), "--fit"
    )
    assert (done.exit_code, len(done.stderr.splitlines())) == (3, 1)


async def test_a_database_is_not_changed_to_learn_from_it(
    place: Place, empty_postgres_url: str
) -> None:
    place.write(
        "kaskad.yaml",
        CONFIG.replace("store: sqlite:///./kaskad.db", f"store: {empty_postgres_url}"),
    )
    done = await asyncio.to_thread(
        place.kaskad, "simulate", "--events", place.events([event(1)]), "--fit"
    )
    assert (done.exit_code, "needs a migration" in done.stderr) == (3, True)


def test_a_store_whose_place_is_unknown_cannot_be_learnt_from(place: Place) -> None:
    place.write("kaskad.yaml", CONFIG.replace("sqlite:///./kaskad.db", "${env:NO_SUCH_STORE}"))
    done = place.kaskad("simulate", "--events", place.events([event(1)]), "--fit")
    assert (done.exit_code, "NO_SUCH_STORE is not set" in done.stderr) == (2, True)
