"""One screen for operators; both stores answer alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orchestrator import __version__
from orchestrator.api.status import status
from orchestrator.cli.status import screen
from orchestrator.core.inputs import UNTIL_RESUMED
from orchestrator.core.outcomes import Unknown
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import DeadLetter, EndPause, StartPause
from tests.api.site import MAIL, TEXT, Site
from tests.engine.world import World


@pytest.fixture(params=["sqlite", "postgresql"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    site = Site(world=World(MAIL, TEXT, url=url))
    async with site.world:
        yield site


async def publish(site: Site, number: int, type: str = "text") -> str:
    published = await site.world.publish(
        str(number), type=type, id=f"p{number}", phone=f"+38050{number:07}", email=f"p{number}@x.ua"
    )
    return published.messages[0]


async def look(site: Site) -> tuple[dict[str, Any], dict[str, list[str]]]:
    found: dict[str, Any] = {**await status(site.deps())}
    return found, dict(screen(found))


async def test_an_idle_installation_needs_nobody(site: Site) -> None:
    found, shown = await look(site)
    assert found["under_way"] == {
        "messages": 0,
        "held": {},
        "calls_open": 0,
        "unknown": 0,
        "overdue": 0,
        "whole": True,
    }
    assert shown["backlog"] == ["empty"] and shown["paused"] == shown["needs you"] == ["nothing"]
    assert shown["release"] == [__version__]
    shared = site.world.store.shared
    assert [one["release"] for one in found["processes"]] == [__version__] * shared


async def test_what_waits_stands_by_its_reason_and_what_stands_still_is_named(site: Site) -> None:
    world = site.world
    await publish(site, 1)
    await world.engine.submit(StartPause("channel", "email", UNTIL_RESUMED, "a wrong sender"))
    await publish(site, 2, "cart")
    await world.send(await publish(site, 3), Unknown(Reason.TIMED_OUT))
    await world.engine.submit(DeadLetter("kafka:t/0/1", "bad_json", "no JSON", b"{"))
    found, shown = await look(site)
    assert found["under_way"]["held"] == {"paused": 1} and found["under_way"]["unknown"] == 1
    assert {one["provider"]: one["waiting"] for one in found["backlog"]} == {"texts": 1}
    assert found["dead_letters"] == 1
    assert shown["needs you"] == [
        "sends with an unknown outcome and no receipt: 1",
        "dead letters: 1; kaskad dlq list",
    ]
    world.at(2 * 3600)
    found, shown = await look(site)
    assert found["under_way"]["overdue"] == 1
    assert "kaskad resume channel email" in shown["needs you"][0]
    assert "overdue" in shown["needs you"][1]
    await world.engine.submit(EndPause("channel", "email"))
    assert (await look(site))[1]["paused"] == ["nothing"]
