"""
OTPs have their own pump and slots, so they leave however busy the other messages are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app.app import App
from orchestrator.dispatch.provider import HINTS_MAX, ActiveProvider
from orchestrator.engine.commands import Publish
from orchestrator.events.cloudevents import parse_structured
from orchestrator.stores.rows import URGENT, ReadyRow
from tests.support.ports import free_port

CONFIG = """\
store: {store}
http: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}", auth: off}}
channels: {{sms: [{{provider: paper, adapter: log, path: {folder}/sent.jsonl, connections: 16}}]}}
policies: ./policies
templates: ./templates
governance: ./governance.yaml
log: {{level: error}}
"""
POLICY = """\
policy: {name}
trigger: {{event: shop.{name}}}
class: {message_class}
cascade: [{{channel: sms}}]
"""
CLASSES = {"code": "otp", "promo": "promotional"}


def lay_out(folder: Path, store: str) -> Path:
    """
    A configuration with one policy for OTPs and one for promotions, through the same account.
    """
    (folder / "policies").mkdir(parents=True)
    for name, message_class in CLASSES.items():
        (folder / "policies" / f"{name}.yaml").write_text(
            POLICY.format(name=name, message_class=message_class)
        )
        (folder / "templates" / name).mkdir(parents=True)
        (folder / "templates" / name / "sms.text.j2").write_text(name)
    (folder / "governance.yaml").write_text(
        "sms_countries: [UA]\nconsent: {promotional: opt_out}\n"
    )
    config = folder / "kaskad.yaml"
    config.write_text(
        CONFIG.format(store=store, port=free_port(), admin=free_port(), folder=folder)
    )
    return config


@pytest.fixture(params=["sqlite", "postgresql"])
async def app(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    store = (
        "sqlite:///./k.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    made = App(lay_out(tmp_path / "one", store), {})
    await made.start()
    yield made
    await made.stop()


async def publish(app: App, kind: str, number: int) -> str:
    """One event for a person of its own; the id of its message."""
    document = {
        "specversion": "1.0",
        "id": f"{kind}-{number}",
        "source": "shop",
        "type": f"shop.{kind}",
        "data": {"recipient": {"id": f"{kind}-{number}", "phone": f"+38050{number:07d}"}},
    }
    published = await app.runtime.engine.submit(
        Publish(parse_structured(json.dumps(document).encode()))
    )
    assert published.status == "accepted", published
    return str(published.messages[0])


async def succeeded(app: App, id: str) -> None:
    """Return when a message has ended well."""
    async with asyncio.timeout(30):
        while True:
            found = await app.store.message(id)
            if found is not None and found.message.status == "succeeded":
                return
            await asyncio.sleep(0.02)


def provider(app: App) -> ActiveProvider:
    return app.runtime.dispatcher.providers["paper"]


async def rested(app: App) -> ActiveProvider:
    """The provider once both its pumps have looked, found nothing, and rest."""
    paper = provider(app)
    async with asyncio.timeout(30):
        while paper.free < paper.slots or any(queue.wake.is_set() for queue in paper.queues):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return paper


async def test_a_code_leaves_while_the_claim_of_everything_else_hangs(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, hanging, released = app.store.claim, asyncio.Event(), asyncio.Event()

    async def slow(
        queue: str, limit: int, taken: Collection[Any], lanes: tuple[int, int]
    ) -> list[ReadyRow]:
        if lanes != (URGENT, URGENT):
            hanging.set()
            await released.wait()
        return await claim(queue, limit, taken, lanes)

    monkeypatch.setattr(app.store, "claim", slow)
    promo = await publish(app, "promo", 1)
    await hanging.wait()
    await succeeded(app, await publish(app, "code", 2))
    found = await app.store.message(promo)
    assert found is not None
    assert found.message.status == "accepted"
    released.set()
    await succeeded(app, promo)


async def test_a_code_leaves_while_everything_else_has_taken_all_slots_that_it_may(
    app: App,
) -> None:
    paper = await rested(app)
    held = paper.acquire(paper.others, 1_000)
    assert (held, paper.acquire(paper.others, 1)) == (paper.slots - paper.reserved, 0)
    assert paper.reserved == 2
    await succeeded(app, await publish(app, "code", 1))
    promo = await publish(app, "promo", 2)
    await asyncio.sleep(0.2)
    found = await app.store.message(promo)
    assert found is not None
    assert found.message.status == "accepted"
    paper.release(held)
    await succeeded(app, promo)


async def test_a_line_that_found_no_slot_is_woken_once_there_is_one_for_it(app: App) -> None:
    paper = await rested(app)
    paper.otp.wake.clear()
    paper.others.wake.clear()
    others, otp = paper.acquire(paper.others, 1_000), paper.acquire(paper.otp, paper.reserved)
    assert (paper.free, paper.acquire(paper.others, 1)) == (0, 0)
    paper.release(otp)
    assert not paper.others.wake.is_set(), "what has come back is reserved for OTPs"
    paper.release(others)
    assert paper.others.wake.is_set()


async def test_what_a_process_has_just_written_it_sends_without_asking_for_it(
    tmp_path: Path, postgres_url: str
) -> None:
    app = App(lay_out(tmp_path / "one", postgres_url), {})
    await app.start()
    try:
        app.store._share = ()  # type: ignore[attr-defined]  # as if every recipient fell to somebody else
        await succeeded(app, await publish(app, "code", 1))
        assert not provider(app).otp.hinted
    finally:
        await app.stop()


async def test_a_row_that_is_in_hand_is_kept_in_mind_and_there_are_never_too_many(app: App) -> None:
    paper = provider(app)
    rows = [ReadyRow("paper", URGENT, 0, f"m-{number}", 0) for number in range(3)]
    paper.otp.hinted.extend(rows)
    paper.taken.add(("m-1", 0))
    assert paper.take_hinted(paper.otp, 10) == [rows[0], rows[2]]
    assert list(paper.otp.hinted) == [rows[1]]
    paper.otp.hinted.clear()
    app.runtime.dispatcher._hint(paper, paper.otp, rows * HINTS_MAX)
    assert len(paper.otp.hinted) == (HINTS_MAX if app.store.shared else 0)
