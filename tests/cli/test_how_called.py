"""What the printed commands begin with: what the shell that called this one finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.common import how_called

SCRIPT = Path(sys.executable).with_name("kaskad")


@pytest.mark.parametrize(
    ("prefix", "called"),
    [
        ("/home/olena/.cache/uv/archive-v0/Xy3-q", "uvx --from 'kaskad[sandbox]' kaskad"),
        ("/home/olena/.local/pipx/.cache/9f8c1", "pipx run --spec 'kaskad[sandbox]' kaskad"),
    ],
)
def test_an_environment_that_no_shell_finds_is_made_again(
    prefix: str, called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    assert how_called() == called


def hints(path: str, folder: Path) -> str:
    """What `kaskad init`, called by the path of its script, prints."""
    env = {**os.environ, "PATH": path}
    done = subprocess.run(
        [str(SCRIPT), "init", "shop", "--example", "minimal"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_script_on_the_path_is_called_by_its_name(tmp_path: Path) -> None:
    assert "\n    cd shop && kaskad run --sandbox\n" in hints(str(SCRIPT.parent), tmp_path)


def test_a_script_that_is_not_on_the_path_is_called_by_its_place(tmp_path: Path) -> None:
    [line] = [one for one in hints("/usr/bin:/bin", tmp_path).splitlines() if "--sandbox" in one]
    command = line.strip().removesuffix(" run --sandbox")
    done = subprocess.run(
        ["sh", "-c", f"{command} --version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("kaskad ")
