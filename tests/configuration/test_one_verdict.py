"""
`check`, `run`, a reload, `test` and `simulate` say the same of a bad configuration: the same files,
lines and texts.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
from typer.testing import CliRunner, Result

from orchestrator.app.app import App
from orchestrator.cli import app as cli
from orchestrator.configuration.yaml_file import ConfigError, Problem
from tests.app.site import lay_out
from tests.configuration import bad_policies, bad_settings, test_governance, test_yaml
from tests.configuration.mistakes.project import environment
from tests.configuration.place import Place
from tests.configuration.test_mistakes import MISTAKES

SAMPLE = 40
LENIENT_SHARE = 5
PARTS = 4


class Bad(NamedTuple):
    """A configuration that an installation in a folder gets."""

    name: str
    make: Callable[[Path], None]


def written(kind: str, path: str, texts: list[str]) -> list[Bad]:
    """Bad texts of one file of a small installation."""

    def make(text: str) -> Callable[[Path], None]:
        return lambda folder: Place(folder).write(path, text)

    return [Bad(f"{kind} {number}", make(text)) for number, text in enumerate(texts)]


BAD = [
    *(Bad(one.name, one.make) for one in MISTAKES),
    *written("policy", "config/policies/p.yaml", [one[0] for one in bad_policies.BAD]),
    *written("settings", "config/kaskad.yaml", [one[0] for one in bad_settings.BAD]),
    *written("governance", "config/governance.yaml", [one[0] for one in test_governance.BAD]),
    *(
        bad
        for path in ("kaskad.yaml", "governance.yaml", "policies/p.yaml")
        for bad in written(
            f"YAML of {path}", f"config/{path}", [one[0] for one in test_yaml.REFUSED]
        )
    ),
]


async def test_every_verb_says_the_same_of_a_sample_of_bad_configurations(tmp_path: Path) -> None:
    await compare(tmp_path, random.Random(3).sample(BAD, SAMPLE), LENIENT_SHARE)


@pytest.mark.verify
@pytest.mark.parametrize("part", range(PARTS))
async def test_check_run_and_reload_say_the_same_of_every_bad_configuration(
    tmp_path: Path, part: int
) -> None:
    await compare(tmp_path, BAD[part::PARTS], LENIENT_SHARE)


async def compare(folder: Path, configurations: list[Bad], share: int) -> None:
    """
    Play each configuration through a running service, the start of another and `check`, over the
    same files; one of ``share`` through `test` and `simulate`, too.
    """
    config = lay_out(folder / "config")
    service = App(config, environment())
    await service.start()
    try:
        url = f"http://{service.configuration.settings.http.admin}/-/reload"
        async with aiohttp.ClientSession() as session:
            for number, bad in enumerate(configurations):
                for part in ("config", "templates"):
                    shutil.rmtree(folder / part, ignore_errors=True)
                bad.make(folder)
                errors = await check(config)
                async with session.post(url) as answer:
                    reloaded = await answer.json() if answer.status == 422 else {}
                    assert answer.status == (422 if errors else 200), (bad.name, errors)
                assert set(reloaded.get("problems", ())) == errors, bad.name
                await start_says_the_same(config, bad, errors)
                if number % share == 0:
                    await say_the_same_without_secrets(config, bad)
    finally:
        await service.stop()


async def start_says_the_same(config: Path, bad: Bad, errors: set[str]) -> None:
    """The start of `run` ends with the errors that `check` has found."""
    if errors:
        with pytest.raises(ConfigError) as refused:
            await App(config, environment()).start()
        assert {str(one) for one in refused.value.problems} == errors, bad.name


async def say_the_same_without_secrets(config: Path, bad: Bad) -> None:
    """`test` and `simulate` end with the errors that `check --no-secrets` has found."""
    errors = await check(config, "--no-secrets")
    if errors:
        for verb in (["test"], ["simulate", "--events", "nothing.jsonl"]):
            ran = await kaskad(*verb, "-c", str(config))
            assert (ran.exit_code, set(ran.stderr.splitlines())) == (2, errors), (bad.name, verb)


async def check(config: Path, *options: str) -> set[str]:
    """The errors that `check` finds, as lines."""
    ran = await kaskad("check", "-o", "json", "-c", str(config), *options)
    problems = [Problem(**one) for one in json.loads(ran.stdout)]
    found = {str(one) for one in problems if one.severity == "error"}
    assert ran.exit_code == (1 if found else 0)
    return found


async def kaskad(*words: str) -> Result:
    """What a verb answers; in a thread, because verbs start loops of their own."""
    ran = await asyncio.to_thread(CliRunner(env=dict(environment())).invoke, cli, list(words))
    assert isinstance(ran.exception, SystemExit | None), ran.exception
    return ran
