"""``kaskad explain`` finds a message by whatever is known of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from tests.app.site import Site, lay_out, running

OLENA = {"id": "olena", "phone": "+380501234567", "email": "olena@example.com"}


@pytest.fixture(params=["sqlite", "postgres"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "sqlite":
        return lay_out(tmp_path)
    return lay_out(tmp_path, str(request.getfixturevalue("postgres_url")))


async def explain(config: Path, *words: str) -> Result:
    runner = CliRunner(env={"KASKAD_CONFIG": str(config)})
    return await asyncio.to_thread(runner.invoke, app, ["explain", *words])


async def publish(site: Site, id: str, **data: Any) -> list[str]:
    event = site.event(**data) | {"id": id, "source": "shop/cart"}
    status, answer = await site.post(event)
    assert status == 202, answer
    return list(answer["results"][0]["messages"])


async def test_a_message_is_found_by_whatever_is_known_of_it(config: Path) -> None:
    async with running(config) as site:
        [older] = await publish(site, "c/1", recipient=OLENA)
        [newer] = await publish(site, "c/2", recipient=OLENA)
        reference = (await site.ended(newer))["attempts"][0]["provider_id"]
        for words in (
            (newer,),
            ("shop/cart/c/2",),
            ("--event", "shop/cart/c/2"),
            ("olena",),
            ("--recipient", "olena"),
            ("+380 50 123-45-67",),
            ("Olena@Example.com",),
            ("--provider-id", reference),
        ):
            ran = await explain(config, *words, "-o", "json")
            assert ran.exit_code == 0, (words, ran.output)
            document = json.loads(ran.stdout)
            assert document["message"]["id"] == newer, words
            others = [one["id"] for one in document.get("others", ())]
            person = words[-1] not in (newer, "shop/cart/c/2", reference)
            assert others == ([older] if person else []), words
        text = (await explain(config, "olena")).stdout
        assert newer in text and older in text.partition("other messages")[2]


async def test_of_an_event_with_several_messages_none_is_chosen(config: Path) -> None:
    async with running(config) as site:
        event = site.event()
        del event["data"]["recipient"]
        people = [{"id": f"r{n}", "phone": f"+38050123456{n}"} for n in range(3)]
        status, answer = await site.post(event | {"data": {"n": 1, "recipients": people}})
        assert status == 202
        messages = answer["results"][0]["messages"]
        listed = await explain(config, f"shop/{event['id']}")
        assert listed.exit_code == 0 and "3 messages" in listed.stdout
        assert all(id in listed.stdout for id in (*messages, "r0", "r1", "r2"))
        found = json.loads(
            (await explain(config, "--event", f"shop/{event['id']}", "-o", "json")).stdout
        )
        assert sorted(one["id"] for one in found["messages"]) == sorted(messages)


async def test_what_is_not_found_is_said_with_what_was_looked_for(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    async with running(config) as site:
        _, unmatched = await site.post(site.event("nothing") | {"id": "lost"})
        assert unmatched["results"][0]["status"] == "unmatched"
        for words, code, said in (
            (("nobody",), 1, "nobody: there is no message with this id, no event"),
            (("shop/lost",), 1, "the event was accepted (unmatched), and made no message"),
            (("0501234567",), 1, '"+380501234567"'),
            (("--provider-id", "x"), 1, "x: there is no message with this id at a provider"),
            ((), 2, "say one of: WHAT, --event"),
            (("a", "--recipient", "b"), 2, "say one of"),
        ):
            ran = await explain(config, *words)
            assert (ran.exit_code, said in ran.stderr) == (code, True), (words, ran.output)
