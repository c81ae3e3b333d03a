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
from orchestrator.core.status import Delivery
from orchestrator.primitives.ids import decode
from orchestrator.simulate.event_file import read_event_file
from orchestrator.simulate.fit import NothingToFit, fit, sqlite_messages
from orchestrator.stores.postgres.store import PostgresStore
from orchestrator.stores.rows import Changes, CreatedMessage
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.virtual.scripted_provider import Later, Reaction
from tests.simulate.place import CONFIG, POLICY, Place, event
from tests.simulate.really import really_run
from tests.support.ports import free_port


def finished(
    number: int, outcome: OutcomeKind, state: Delivery, delivered_at: int | None
) -> Message:
    attempt = Attempt(0, 0, "viber", "infobip", "phone", "+380…", "h", 0, 1_000, 10_000)
    attempt.outcome, attempt.state, attempt.answered_at = outcome, state, 2_000
    attempt.reason = Reason.REFUSED_RECIPIENT if outcome is OutcomeKind.REFUSED else None
    if delivered_at is not None:
        attempt.times["delivered"] = delivered_at
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
    assert "assumed for email, sms, web_push, whatsapp" in behaviour.source
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


async def test_a_database_is_not_changed_to_learn_from_it(place: Place, postgres_url: str) -> None:
    place.write(
        "kaskad.yaml", CONFIG.replace("store: sqlite:///./kaskad.db", f"store: {postgres_url}")
    )
    done = await asyncio.to_thread(
        place.kaskad, "simulate", "--events", place.events([event(1)]), "--fit"
    )
    assert (done.exit_code, "needs a migration" in done.stderr) == (3, True)


def test_a_store_whose_place_is_unknown_cannot_be_learnt_from(place: Place) -> None:
    place.write("kaskad.yaml", CONFIG.replace("sqlite:///./kaskad.db", "${env:NO_SUCH_STORE}"))
    done = place.kaskad("simulate", "--events", place.events([event(1)]), "--fit")
    assert (done.exit_code, "NO_SUCH_STORE is not set" in done.stderr) == (2, True)
