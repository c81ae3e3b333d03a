"""
A reload of a real process, by verb, signal and HTTP: what `check` refuses is refused, every error
is listed, and the old configuration stays in force.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.configuration.yaml_file import Problem
from tests.app.site import lay_out, put_policy

COMMAND = [sys.executable, "-m", "orchestrator.cli"]
STARTED_SECONDS = 60


def kaskad(config: Path, *words: str) -> Result:
    """A verb in this process: to start another for each of them takes most of the time."""
    return CliRunner().invoke(app, [*words, "-c", str(config)])


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STARTED_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Running:
    """``kaskad run`` over a configuration, with its log in a file."""

    def __init__(self, folder: Path) -> None:
        self.config = lay_out(folder)
        text = self.config.read_text()
        self.admin = "http://" + text.split('admin: "')[1].split('"')[0]
        self.log = folder / "log.jsonl"
        with self.log.open("wb") as log:
            command = [*COMMAND, "run", "-c", str(self.config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.admin}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def reloads_refused(self) -> list[list[str]]:
        """The problems of each reload that the log says was refused."""
        lines = [line for line in self.log.read_text().splitlines() if "reload_failed" in line]
        return [json.loads(line)["problems"] for line in lines]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path)
    try:
        eventually(found.ready)
        yield found
    finally:
        found.process.send_signal(signal.SIGTERM)
        assert found.process.wait(STARTED_SECONDS) == 0


def test_a_reload_is_refused_by_verb_http_and_signal_with_every_error_of_check(
    running: Running,
) -> None:
    policy = running.config.parent / "policies/order.yaml"
    policy.write_text(policy.read_text() + "deadlin: 3\nclass: prmotional\n")
    checked = kaskad(running.config, "check", "-o", "json")
    lines = [str(Problem(**one)) for one in json.loads(checked.stdout)]
    assert (checked.exit_code, len(lines)) == (1, 2)

    command = [*COMMAND, "reload", "-c", str(running.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        *lines,
        "refused: 2 error(s); the old configuration stays in force",
    ]
    answer = httpx.post(f"{running.admin}/-/reload")
    assert (answer.status_code, answer.json()["problems"]) == (422, lines)
    running.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(running.reloads_refused()) == 3)
    assert running.reloads_refused()[2] == lines
    in_force = httpx.get(f"{running.admin}/-/config").json()
    assert "deadlin" not in in_force["policies"]["order"]


def test_what_the_files_change_is_shown_before_it_is_in_force_and_gone_after(
    running: Running,
) -> None:
    config = running.config
    assert kaskad(config, "config", "diff").stdout == "nothing differs\n"
    before = kaskad(config, "config", "hash").stdout
    put_policy(config.parent, "order", "Parcel {{ event.n }}")
    put_policy(config.parent, "survey", "How was it?")
    policy = config.parent / "policies/order.yaml"
    policy.write_text(policy.read_text().replace("deadline: 1h", "deadline: 2h"))
    changed = kaskad(config, "config", "diff")
    assert changed.exit_code == 1
    assert "~ policies.order.deadline: 1h -> 2h" in changed.stdout.splitlines()
    assert "+ policies.survey.policy: survey" in changed.stdout.splitlines()
    assert "\n~ templates.order.sms.text.j2: " in changed.stdout
    done = kaskad(config, "reload", "--url", running.admin)
    assert (done.exit_code, done.stdout) == (0, "reloaded\n")
    assert kaskad(config, "config", "diff", "-o", "json").stdout == "[]\n"
    after = kaskad(config, "config", "hash").stdout
    assert after != before
    assert httpx.get(f"{running.admin}/-/config").json()["hash"] == after.strip()


def test_a_verb_for_a_running_service_says_so_where_none_runs(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    for words in (["reload"], ["config", "diff"]):
        done = kaskad(config, *words)
        assert done.exit_code == 3
        assert "no service answers at http://127.0.0.1:" in done.stderr
    assert not (tmp_path / "k.db").exists()


def test_a_file_that_cannot_be_read_at_all_is_refused_and_nobody_asked(
    tmp_path: Path,
) -> None:
    config = lay_out(tmp_path)
    config.write_text("channels: [")
    done = kaskad(config, "reload")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{config}:1:")
    assert "No service was asked" in done.stderr
