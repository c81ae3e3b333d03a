"""`kaskad simulate --tune wait` and `-o html`: proposals from receipts, and pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.message import Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.status import Delivery
from orchestrator.stores.rows import Changes, CreatedMessage
from orchestrator.stores.sqlite.store import SqliteStore
from tests.simulate.place import Place, event
from tests.simulate.test_fit import finished


def receipts(count: int) -> list[Message]:
    """
    Of ten messages on Viber nine are delivered: after 0.1 s, 0.2 s, … and the slowest 2 % of all
    after five minutes.
    """
    found = []
    for number in range(count):
        slow, lost = number % 50 == 1, number % 10 == 9
        lag = 300_000 if slow else 100 * (number % 100)
        state = Delivery.ACCEPTED if lost else Delivery.DELIVERED
        at = None if lost else 2_000 + lag
        found.append(finished(number, OutcomeKind.ACCEPTED, state, at))
    return found


async def store(folder: Path, messages: list[Message]) -> None:
    opened = SqliteStore(folder / "kaskad.db")
    await opened.open()
    created = [CreatedMessage(one, {"ce": {}, "data": {}}, b"") for one in messages]
    await opened.commit(Changes(created=created))
    await opened.close()


def rows(view: dict[str, Any], place: int) -> list[dict[str, Any]]:
    names = [one["name"] for one in view["tables"][place]["columns"]]
    return [dict(zip(names, row, strict=True)) for row in view["tables"][place]["rows"]]


async def test_the_shortest_wait_is_proposed_with_which_few_messages_come_twice(
    place: Place,
) -> None:
    await store(place.folder, receipts(1_000))
    done = place.kaskad("simulate", "--tune", "wait", "-o", "json")
    assert done.exit_code == 0, done.stderr
    view = json.loads(done.stdout)
    delivered, read = rows(view, 0)
    assert (delivered["wait"], delivered["proposed"]) == ("1m", "5m")
    assert (delivered["twice_now"], delivered["twice_then"]) == (0.02, 0.0)
    assert (read["state"], read["proposed"]) == ("read", None)
    assert any("0 read receipts of viber" in note for note in view["notes"])
    trades = {one["wait"]: one for one in rows(view, 1)}
    assert trades["1m"]["moves_on"] == pytest.approx(0.12)
    assert trades["1m"]["cost"] == "144.00"  # of a thousand messages 120 go on to an SMS of 1.20
    assert trades["5m"]["cost"] == "120.00"
    assert (trades["1m"]["mark"], trades["5m"]["mark"]) == ("now", "proposed")
    text = place.kaskad("simulate", "--tune", "wait").stdout
    assert max(map(len, text.splitlines())) <= 80


async def test_too_few_receipts_propose_nothing(place: Place) -> None:
    await store(place.folder, receipts(100))
    done = place.kaskad("simulate", "--tune", "wait")
    assert "the store has 90 delivered receipts of viber, and 200 are" in done.stdout
    assert done.exit_code == 0
    assert place.kaskad("simulate", "--tune", "order").exit_code == 2
    assert (
        "did you mean 'tale'"
        in place.kaskad("simulate", "--tune", "wait", "--policy", "tael").output
    )


def test_a_simulation_is_one_page_with_charts(place: Place) -> None:
    file = place.events(event(number) for number in range(20))
    page = place.folder / "page.html"
    done = place.kaskad(
        "simulate", "--events", file, "--runs", "1", "-o", "html", "--out", str(page)
    )
    assert done.exit_code == 0, done.stderr
    text = page.read_text()
    assert text.count("<svg") == 2
    assert "share reached" in text
    assert "<script" not in text
