"""The project that `kaskad init` writes is in order as it stands, and overwrites nothing."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.channels.registry import channels
from orchestrator.cli import app
from orchestrator.starter import LocalPorts, free_ports
from orchestrator.starter.accounts import startable
from orchestrator.starter.examples import EXAMPLES

STARTABLE = startable()
SHOWN = [
    *(f"{one},{STARTABLE[at - 1]}" for at, one in enumerate(STARTABLE)),
    ",".join(STARTABLE),
    ",".join(reversed(STARTABLE)),
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each test is; what verbs read from a project's ``.env`` ends with the test."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kaskad(*words: str) -> Result:
    ran = CliRunner().invoke(app, list(words))
    assert isinstance(ran.exception, SystemExit | None), ran.exception
    return ran


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("shown", SHOWN)
def test_check_and_test_find_nothing_in_it(shown: str, example: str) -> None:
    assert kaskad("init", "--channels", shown, "--example", example).exit_code == 0
    checked, tested = kaskad("check"), kaskad("test")
    assert (checked.exit_code, checked.stdout) == (0, "everything is in order\n")
    assert tested.exit_code == 0, tested.output


@pytest.mark.parametrize("channel", channels())
def test_every_channel_starts_a_project_or_says_why_it_cannot(channel: str) -> None:
    ran = kaskad("init", "--channels", channel)
    if channel in STARTABLE:
        assert ran.exit_code == 0
        return
    assert ran.exit_code == 2
    assert f"no project can start with {channel}" in ran.stderr
    assert all(name in ran.stderr for name in STARTABLE)
    assert not texts(Path())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--channels", "smss"), "there is no channel 'smss'; did you mean 'sms'?"),
        (("--channels", " , "), "--channels names no channel"),
        (("--example", "shp"), "there is no example 'shp'; did you mean 'shop'?"),
        (("-o", "yaml"), "-o takes text or json"),
        (("notes.txt",), "notes.txt"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is(words: tuple[str, ...], said: str) -> None:
    Path("notes.txt").write_text("mine")
    ran = kaskad("init", *words)
    assert (ran.exit_code, said in ran.stderr) == (2, True), ran.stderr
    assert texts(Path()) == {"notes.txt": "mine"}


@pytest.mark.parametrize("mine", ["config/kaskad.yaml", ".env", "event.json"])
def test_a_file_that_is_there_is_named_and_stays_as_it_is(mine: str) -> None:
    Path(mine).parent.mkdir(exist_ok=True)
    Path(mine).write_text("mine")
    ran = kaskad("init")
    assert ran.exit_code == 2
    assert f"nothing was written, because there is {mine} already" in ran.stderr
    assert texts(Path()) == {mine: "mine"}


def test_what_a_repository_ignores_already_is_left_as_it_is() -> None:
    Path(".gitignore").write_text("mine\n")
    ran = kaskad("init")
    assert ran.exit_code == 0
    assert "Left .gitignore as it is; it should have the lines .env and data/" in ran.stdout
    assert Path(".gitignore").read_text() == "mine\n"


def test_secrets_are_for_their_owner_and_not_for_version_control() -> None:
    kaskad("init")
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert Path(".env").read_text() == Path(".env.example").read_text()
    assert ".env" in Path(".gitignore").read_text().splitlines()
    secrets = re.findall("^[A-Z_]+(?:TOKEN|PASSWORD)=(.+)$", Path(".env").read_text(), re.M)
    assert len(secrets) == 2
    assert not any(secret in Path("config/kaskad.yaml").read_text() for secret in secrets)


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    kaskad("init", "--channels", "sms")
    assert kaskad("check").exit_code == 0
    os.environ["TWILIO_ACCOUNT_SID"] = "nothing of Twilio's"
    assert "`account_sid`" in kaskad("check").stdout
    Path(".env").unlink()
    del os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
    assert "TWILIO_AUTH_TOKEN is not set" in kaskad("check").stdout


def test_an_editor_finds_the_schema_of_every_file() -> None:
    kaskad("init")
    files = [*Path("config").rglob("*.yaml")]
    assert len(files) == 4
    for file in files:
        first = file.read_text().splitlines()[0]
        named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert named is not None, file
        assert "properties" in json.loads((file.parent / named[1]).read_text())


def test_taken_ports_are_replaced_in_the_project() -> None:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", LocalPorts().http))
            one.listen()
        except OSError:
            pass  # somebody else has it: all the better
        assert free_ports().http != LocalPorts().http
        answer = json.loads(kaskad("init", "-o", "json").stdout)
    port = answer["phones"].rstrip("/").rpartition(":")[2]
    assert port != str(LocalPorts().http)
    assert f"base_url: http://127.0.0.1:{port} " in Path("config/kaskad.yaml").read_text()


def test_what_it_prints_fits_80_columns() -> None:
    printed = kaskad("init", "--example", "minimal").stdout.splitlines()
    assert all(len(line) <= 80 for line in printed if "/" not in line or "http" in line), printed


def test_the_commands_for_another_folder_go_there() -> None:
    answer = json.loads(kaskad("init", "my shop", "-o", "json").stdout)
    assert all(command.startswith("cd 'my shop' && ") for command in answer["next"])
    assert sorted(answer["files"]) == sorted(texts(Path("my shop")))
