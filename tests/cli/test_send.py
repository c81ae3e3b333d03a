"""`kaskad send`: an event under a new id, and the explanation of what became of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.app.app import App
from orchestrator.cli import app, client
from tests.app.site import lay_out, put_policy

KASKAD = [sys.executable, "-m", "orchestrator.cli"]
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "shop",
    "type": "shop.order",
    "data": {"n": 1, "recipient": {"id": "p1", "phone": "+380501234567"}},
}


def words_of(config: Path, *words: str) -> list[str]:
    return ["send", str(config.with_name("event.json")), *words, "-c", str(config)]


async def send_alone(config: Path, *words: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error of the command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *KASKAD,
        *words_of(config, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def send(config: Path, *words: str) -> tuple[int, str, str]:
    """The same in this process, which has loaded everything; in a thread, for its own loop."""
    ran = await asyncio.to_thread(CliRunner().invoke, app, words_of(config, *words))
    return ran.exit_code, ran.stdout, ran.stderr


def lay_out_event(folder: Path, body: Any = EVENT) -> Path:
    (folder / "event.json").write_text(json.dumps(body))
    return lay_out(folder)


async def test_a_message_is_followed_to_its_end_and_explained(tmp_path: Path) -> None:
    config = lay_out_event(tmp_path)
    service = App(config, os.environ)
    await service.start()
    try:
        code, out, _ = await send_alone(config, "--explain")
        repeat = await send(config)
        again = await send(config, "--new", "--explain", "-o", "json")
    finally:
        await service.stop()
    assert code == 0
    assert out.startswith("accepted   1  ")
    assert "Succeeded by sms" in out
    assert repeat[1].startswith("duplicate  1  ")
    assert "--new sends it under a new id" in repeat[1]
    answer = json.loads(again[1])
    [result], [story] = answer["results"], answer["explained"]
    assert (result["status"], result["id"] == "1") == ("accepted", False)
    assert story["message"]["id"] == result["messages"][0]
    assert story["message"]["status"] == "succeeded"


def test_without_a_service_nothing_is_published_and_the_fix_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "START_SECONDS", 0.3)
    config = lay_out_event(tmp_path)
    words = ["send", str(tmp_path / "event.json"), "--explain", "--config", str(config)]
    ran = CliRunner().invoke(app, words)
    assert (ran.exit_code, ran.stdout) == (3, "")
    assert f"no service runs on {tmp_path / 'k.db'}; start one: " in ran.stderr
    assert not (tmp_path / "k.db").exists()


async def test_new_ids_go_to_every_event_of_a_batch_and_spoil_none(tmp_path: Path) -> None:
    config = lay_out_event(tmp_path, [EVENT, EVENT, 7])
    code, out, _ = await send(config, "--new", "-o", "json")
    first, second, refused = json.loads(out)["results"]
    assert code == 0
    assert first["status"] == second["status"] == "accepted"
    assert first["id"] != second["id"]
    assert refused["status"] == "refused"


async def test_a_journey_that_an_event_began_is_named_and_explained(tmp_path: Path) -> None:
    put_policy(
        tmp_path, "hello", "Hello", "policy: {name}\ndeadline: 1h\ncascade: [{{channel: sms}}]\n"
    )
    config = lay_out_event(tmp_path, {**EVENT, "type": "app.joined"})
    (tmp_path / "journeys").mkdir()
    (tmp_path / "journeys" / "welcome.yaml").write_text(
        "journey: welcome\nenter: {event: app.joined}\nsteps: [{send: hello}, {wait: 3d}]\n"
    )
    config.write_text(config.read_text() + "journeys: ./journeys\n")
    service = App(config, os.environ)
    await service.start()
    try:
        code, out, err = await send(config, "--explain", "-o", "json")
    finally:
        await service.stop()
    assert (code, err.count("\n")) == (0, err.count("waiting for the end"))
    answer = json.loads(out)
    [story] = answer["explained"]
    assert answer["results"][0]["journeys"] == [story["journey"]["id"]]
    assert [one["policy"] for one in story["messages"]] == ["hello"]
    assert story["journey"]["waits"]["for"] == "time"
