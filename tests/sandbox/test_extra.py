"""The sandbox's dependencies are an extra; the verbs that need them say how to install it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_a_verb_without_its_extra_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "aiosmtpd", None)
    ended = CliRunner().invoke(app, ["demo"])
    assert ended.exit_code == 2
    assert "pip install 'kaskad[sandbox]'" in ended.stderr


def test_the_service_itself_does_not_need_it() -> None:
    assert not any(one.startswith("aiosmtpd") for one in PROJECT["dependencies"])
    ours = [one for one in PROJECT["optional-dependencies"]["test"] if one.startswith("kaskad[")]
    assert {"sandbox", "testing"} <= {name for one in ours for name in one[7:-1].split(",")}
