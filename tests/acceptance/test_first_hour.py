"""From an empty folder and the wheel to an SMS at the stand-in, by the printed commands."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.starter import LocalPorts

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 120


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a shell that finds the `kaskad` of a wheel, and no other."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(folder / "site"), str(wheel)], check=True)
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "PATH": f"{folder / 'site' / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": str(folder / "site"),
        "COLUMNS": "80",
    }


@contextmanager
def usual_ports_taken() -> Iterator[None]:
    """Have the project choose ports of its own, so that this runs beside anything."""
    with ExitStack() as held:
        for name in LocalPorts.__slots__:
            one = held.enter_context(socket.socket())
            try:
                one.bind(("127.0.0.1", getattr(LocalPorts(), name)))
            except OSError:
                continue
        yield


def run(command: str, folder: Path, env: dict[str, str]) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@contextmanager
def running(command: str, folder: Path, env: dict[str, str]) -> Iterator[None]:
    """A command in another terminal, ended as by Ctrl-C."""
    with (folder / "service.txt").open("w") as log:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"], cwd=folder, env=env, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            ended = process.wait(SECONDS_MAX)
    assert ended == 0, (folder / "service.txt").read_text()


def accepted(phones: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{phones}_sandbox/accepted", timeout=30) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())
    return found


def test_the_commands_that_init_prints_lead_to_an_sms_that_is_explained(
    installed: dict[str, str], tmp_path: Path
) -> None:
    with usual_ports_taken():
        said = run("kaskad init", tmp_path, installed)
    service, send, test = re.findall(r"^    (kaskad .*)$", said, re.M)
    [phones] = re.findall(r"http://127\.0\.0\.1:\d+/", said)
    with running(service, tmp_path, installed):
        explained = run(send, tmp_path, installed)
        [message] = accepted(phones)
    assert (message["channel"], message["address"]) == ("sms", "+380501234567")
    assert "70001" in message["content"]["text"]
    assert "Succeeded by sms" in explained
    assert "receipt for attempt 0 (sms by twilio): delivered" in explained
    assert "0 failed" in run(test, tmp_path, installed)
