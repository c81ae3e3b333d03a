"""What verbs and API keys do is in the audit log, by name, and no person can be read out of it."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from tests.app.site import Site, lay_out, running

ME = f"user:{pwd.getpwuid(os.getuid()).pw_name}"
PHONE = "+380501234567"


class Verbs:
    def __init__(self, config: Path) -> None:
        self._runner = CliRunner(env={"KASKAD_CONFIG": str(config)})

    async def __call__(self, *words: str, code: int = 0) -> str:
        done: Result = await asyncio.to_thread(self._runner.invoke, app, list(words))
        assert done.exit_code == code, (words, done.output)
        return done.output

    async def json(self, *words: str) -> Any:
        return json.loads(await self(*words, "-o", "json"))


@pytest.fixture(params=["sqlite", "postgres"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Site, Verbs]]:
    url = "sqlite:///./k.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    config = lay_out(tmp_path, url)
    config.write_text(config.read_text().replace("auth: off", "auth: keys"))
    async with running(config) as site:
        yield site, Verbs(config)


async def called(site: Site, method: str, path: str, key: str, body: Any = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, site.public + path, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_who_did_what_is_listed_and_verified(place: tuple[Site, Verbs]) -> None:
    site, kaskad = place
    words = ("--scope", "all", "--name", "shop", "--expires", "90d", "--rate", "1000/1s")
    key = (await kaskad.json("keys", "create", *words))["key"]
    assert "a key 'shop' is valid already" in await kaskad("keys", "create", *words, code=1)
    person = {"phone": PHONE, "first_name": "Olena"}
    assert (await called(site, "PUT", "/v1/recipients/olena", key, person))[0] == 200
    await kaskad("pause", "channel", "sms", "--for", "1h", "--why", "wrong sender")
    assert (await called(site, "DELETE", "/v1/pauses/channel/sms", key))[0] == 200
    await kaskad("optout", "--channel", "sms", PHONE)
    assert await site.app.reload() == []
    await kaskad("subject", "export", PHONE)
    assert (await called(site, "GET", "/v1/recipients/olena/export", key))[0] == 200
    await kaskad("subject", "erase", "olena", "--yes")

    listed = await kaskad.json("audit", "list")
    did = [(one["actor"], one["action"]) for one in reversed(listed)]
    assert did == [
        (ME, "key.created"),
        (ME, "pause.started"),
        ("key:shop", "pause.ended"),
        (ME, "opt_outs.recorded"),
        ("signal", "configuration.reloaded"),
        (ME, "recipient.exported"),
        ("key:shop", "recipient.exported"),
        (ME, "recipient.erased"),
    ]
    text = json.dumps(listed).lower()
    assert not [word for word in ("olena", PHONE[1:], "kk_") if word in text.replace(ME, "")]
    about = await kaskad.json("audit", "list", "--recipient", "olena")
    assert len(about) == 3
    shown = await kaskad("audit", "list", "--actor", "key:shop", "--action", "pause.ended")
    assert "key:shop  pause.ended\n  3  channel:sms" in shown

    assert "8 entries since" in await kaskad("audit", "verify")
    head = (await kaskad.json("audit", "verify"))["head"]
    assert (await called(site, "GET", "/v1/audit?limit=1", key))[1]["items"][0]["sequence"] == 8
    await kaskad("audit", "verify", "--expect", head)
    wrong = f"7{head[1:]}"
    assert "the log was rewritten" in await kaskad("audit", "verify", "--expect", wrong, code=1)
    statement = "update audit set subject = 'recipient:1' where action = 'recipient.erased'"
    await site.app.store.transact([(statement, ())])  # type: ignore[attr-defined]
    assert "entry 8 was changed" in await kaskad("audit", "verify", code=1)


async def test_a_look_by_a_verb_is_one_entry_and_a_publishers_poll_is_none(
    place: tuple[Site, Verbs],
) -> None:
    site, kaskad = place
    key = (await kaskad.json("keys", "create", "--scope", "events,messages,recipients"))["key"]
    event = site.event()
    _, answer = await called(site, "POST", "/v1/events", key, event)
    [id] = answer["results"][0]["messages"]
    for _ in range(2):
        assert (await called(site, "GET", f"/v1/messages/{id}", key))[0] == 200
    await kaskad("messages", "show", id)
    assert (await called(site, "POST", f"/v1/messages/{id}/cancel", key))[0] == 409
    assert "ended already" in await kaskad("messages", "cancel", id, code=1)
    listed = await kaskad.json("audit", "list")
    assert [one["action"] for one in listed] == [
        "message.cancelled",
        "message.read",
        "messages.searched",
        "key.created",
    ]
    assert listed[0]["subject"] == listed[1]["subject"] == f"message:{id}"
    assert (await called(site, "GET", "/v1/audit", key))[0] == 403


async def test_a_key_ends_has_its_own_rate_and_says_when_it_was_used(
    place: tuple[Site, Verbs],
) -> None:
    site, kaskad = place
    made = await kaskad.json("keys", "create", "--scope", "messages", "--rate", "2/1m")
    brief = await kaskad.json("keys", "create", "--scope", "messages", "--expires", "1ms")
    assert (await called(site, "GET", "/v1/messages", brief["key"]))[1]["code"] == "key_expired"
    statuses = [(await called(site, "GET", "/v1/messages", made["key"]))[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await kaskad.json("keys", "list"))[0]["used_at"] is None
    assert site.app.maintenance is not None
    await site.app.maintenance.stop()
    first, second = await kaskad.json("keys", "list")
    assert abs(first["used_at"] - site.app.clock.now()) < 600_000
    assert (first["rate"], second["used_at"]) == ("2/1m", None)
    for words in (["--name", "Ілля"], ["--expires", "soon"], ["--rate", "many"]):
        await kaskad("keys", "create", "--scope", "messages", *words, code=1)
    lines = (await kaskad("keys", "list")).splitlines()
    assert max(map(len, lines)) <= 80
