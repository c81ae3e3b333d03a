"""Every account that the stand-ins accept is shown, and written in settings that adapters have."""

from __future__ import annotations

import itertools
import re
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from orchestrator.channels.registry import load_adapter
from orchestrator.cli import app
from orchestrator.configuration.adapter_settings import keys_of
from orchestrator.sandbox import Accounts, Sandbox, SandboxConfig
from orchestrator.sandbox.accounts import DIALECTS, STAND_INS
from orchestrator.sandbox.control import Control
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sandbox.md").read_text()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    running = Sandbox()
    await running.start(SandboxConfig())
    yield running
    await running.stop()


async def text_of(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_page_and_environment_file_have_every_account_and_address(sandbox: Sandbox) -> None:
    env = await text_of(f"{sandbox.url}/_sandbox/env")
    known = dict(line.split("=", 1) for line in env.splitlines())
    accounts = Accounts()
    for one in fields(accounts):
        assert known.pop(one.name.upper()) == getattr(accounts, one.name)
    assert known == {
        "SANDBOX_URL": sandbox.url,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(sandbox.smtp_port),
        "SMPP_HOST": "127.0.0.1",
        "SMPP_PORT": str(sandbox.center.port),
    }
    assert f'<pre tabindex="0">{env}</pre>' in await text_of(f"{sandbox.url}/")


@pytest.mark.parametrize("one", fields(Accounts), ids=lambda one: str(one.name))
def test_an_account_is_written_in_settings_that_there_are(one: Any) -> None:
    for adapter, key in one.metadata.items():
        assert adapter in STAND_INS
        assert key in keys_of(load_adapter(adapter).settings_type)


@pytest.mark.parametrize("adapter", DIALECTS)
def test_how_a_stand_in_speaks_is_a_setting_that_there_is(adapter: str) -> None:
    assert set(DIALECTS[adapter]) <= set(keys_of(load_adapter(adapter).settings_type))


@pytest.mark.parametrize("config", ["config/kaskad.yaml", "deploy/config/kaskad.yaml"])
def test_the_worked_configurations_read_the_names_that_are_printed(config: str) -> None:
    written = YAML(typ="safe").load((ROOT / config).read_text())
    for provider in itertools.chain.from_iterable(written["channels"].values()):
        for key, (name, _) in Accounts().settings_of(provider["adapter"]).items():
            value = str(provider.get(key, ""))
            assert not value.startswith("${env:") or value == f"${{env:{name}}}"


async def test_every_stand_in_has_its_adapter_and_both_are_documented(sandbox: Sandbox) -> None:
    assert {*sandbox.stand_ins, "smtp", "smsc"} == set(STAND_INS.values())
    section = PAGE.partition("## Accounts")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    for adapter, stand_in in STAND_INS.items():
        [(_, stand_ins, settings)] = [row for row in rows if f"`{adapter}`" in row[0]]
        assert f"`{stand_in}`" in stand_ins
        for key in (*Accounts().settings_of(adapter), *DIALECTS.get(adapter, ())):
            assert re.search(rf"`{key}\b", settings), (adapter, key)


async def test_every_call_of_the_control_api_is_documented_and_no_other(sandbox: Sandbox) -> None:
    there = {f"{route.method} {route.path}" for route in Control(sandbox).routes()}
    there.add("GET /_sandbox/env")
    assert set(re.findall(r"^\| `([A-Z]+ /_sandbox/[\w/]+)` \|", PAGE, re.M)) == there


@pytest.mark.parametrize("option", ["--port", "--smtp-port", "--smpp-port"])
def test_an_address_that_is_taken_is_named(option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {one: str(free_port()) for one in ("--port", "--smtp-port", "--smpp-port")}
        ports[option] = str(port)
        words = [word for pair in ports.items() for word in pair]
        ran = CliRunner().invoke(app, ["sandbox", *words])
    assert ran.exit_code == 3
    assert f"cannot listen on 127.0.0.1:{port}" in ran.stderr
    assert option in ran.stderr


async def test_without_aiosmtpd_everything_but_the_mail_server_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "aiosmtpd", None)
    sandbox = Sandbox()
    await sandbox.start(SandboxConfig())
    try:
        env = await text_of(f"{sandbox.url}/_sandbox/env")
    finally:
        await sandbox.stop()
    assert sandbox.smtp_port == 0
    assert "SMTP_PORT" not in env
    assert "SMPP_PORT" in env
