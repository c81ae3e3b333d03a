"""Roles: one process accepts events, another sends the messages."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from orchestrator.app.app import App
from orchestrator.cli import app as command
from orchestrator.configuration.yaml_file import ConfigError
from tests.verify.installation import free_port

CONFIG = """\
store: {store}
http: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}", auth: off}}
channels: {{sms: [{{provider: paper, adapter: log, path: {folder}/sent.jsonl}}]}}
log: {{level: error}}
"""
POLICY = "policy: hello\ntrigger: {event: shop.hello}\ncascade: [{channel: sms}]\n"
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "shop",
    "type": "shop.hello",
    "data": {"recipient": {"id": "olena", "phone": "+380501234567"}},
}


def lay_out(folder: Path, store: str) -> tuple[Path, int]:
    """A configuration of its own for one process, and the port of its public listener."""
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "hello.yaml").write_text(POLICY)
    (folder / "templates" / "hello").mkdir(parents=True)
    (folder / "templates" / "hello" / "sms.text.j2").write_text("Hello")
    (folder / "governance.yaml").write_text("sms_countries: [UA]\n")
    port, config = free_port(), folder / "kaskad.yaml"
    text = CONFIG.format(store=store, port=port, admin=free_port(), folder=folder)
    config.write_text(text + "policies: ./policies\ntemplates: ./templates\n")
    return config, port


async def status(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        return str((await answer.json())["status"])


async def test_what_one_process_takes_in_another_sends(tmp_path: Path, postgres_url: str) -> None:
    acceptor, port = lay_out(tmp_path / "acceptor", postgres_url)
    sender, closed = lay_out(tmp_path / "sender", postgres_url)
    taking, working = App(acceptor, {}, roles=("http",)), App(sender, {}, roles=("work",))
    await taking.start()
    try:
        async with aiohttp.ClientSession(
            headers={"content-type": "application/cloudevents+json"}
        ) as session:
            async with session.post(f"http://127.0.0.1:{port}/v1/events", json=EVENT) as answer:
                assert answer.status == 202
                (message,) = (await answer.json())["results"][0]["messages"]
            url = f"http://127.0.0.1:{port}/v1/messages/{message}"
            await asyncio.sleep(0.5)
            assert await status(session, url) == "accepted"
            await working.start()
            for _ in range(300):
                if await status(session, url) == "succeeded":
                    break
                await asyncio.sleep(0.1)
            assert await status(session, url) == "succeeded"
            with pytest.raises(aiohttp.ClientConnectionError):
                await status(session, f"http://127.0.0.1:{closed}/v1/messages/{message}")
    finally:
        await taking.stop()
        await working.stop()


async def test_an_embedded_store_has_no_roles_to_split(tmp_path: Path) -> None:
    config, _ = lay_out(tmp_path / "one", "sqlite:///./k.db")
    lonely = App(config, {}, roles=("http",))
    with pytest.raises(ConfigError, match="leave --role away, or use PostgreSQL"):
        await lonely.start()
    await lonely.stop()


def test_a_role_that_is_none_is_refused() -> None:
    found = CliRunner().invoke(command, ["run", "--role", "sender"])
    assert found.exit_code == 2
    assert "--role takes http, kafka, work, not 'sender'" in found.output
