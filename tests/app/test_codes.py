"""Codes as their users have them: a file, a pool, a message, and where each went."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from tests.app.site import POLICY, lay_out, put_policy, running


def kaskad(config: Path, *words: str, input: str | None = None) -> Result:
    return CliRunner(env={"KASKAD_CONFIG": str(config)}).invoke(app, [*words], input=input)


@pytest.fixture(params=["sqlite", "postgres"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    url = "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    path = lay_out(tmp_path, url) if url else lay_out(tmp_path)
    text = POLICY + "codes: {{code: spring}}\n"
    put_policy(tmp_path, "order", "Your code: {{ codes.code }}", text)
    return path


async def test_a_file_of_codes_is_imported_given_found_and_imported_again(config: Path) -> None:
    file = config.with_name("codes.txt")
    file.write_text("A-1\n\nA-1\nB-2\n bad\x07\n", "utf-8")
    async with running(config) as site:

        async def run(*words: str, input: str | None = None) -> Result:
            return await asyncio.to_thread(kaskad, config, *words, input=input)

        ran = await run("codes", "import", str(file), "--pool", "spring")
        assert (ran.exit_code, ran.stderr) == (1, "")
        assert ran.stdout.startswith("recorded: 2 codes in the pool spring\nrefused: 2;")
        lines = config.with_name("codes.refused.csv").read_text("utf-8-sig").splitlines()
        assert lines[0] == "refused_line,refused_reason,code"
        assert [line.split(",")[0] for line in lines[1:]] == ["3", "5"]

        message = await site.publish()
        listed = await run("codes", "list", "-o", "json")
        (pool,) = json.loads(listed.stdout)
        assert (pool["free"], pool["taken"], pool["policies"]) == (1, 1, ["order"])
        shown = await run("codes", "show", "-", input="A-1\n")
        assert f"by message {message}" in shown.stdout
        plain = await run("explain", message)
        assert plain.exit_code == 0, plain.output
        assert "A-1" not in plain.output
        again = await run("codes", "import", str(file), "--pool", "spring", "-o", "json")
        assert json.loads(again.stdout) | {"refused_file": ""} == {
            "recorded": 0,
            "known": 2,
            "refused": 2,
            "refused_file": "",
            "policies": ["order"],
        }


def test_a_file_that_is_no_list_of_codes_is_refused(config: Path) -> None:
    file = config.with_name("codes.csv")
    for text, words in (
        ("", "it is empty"),
        ("name,number\na,1\n", "none is 'code'"),
    ):
        file.write_text(text)
        ran = kaskad(config, "codes", "import", str(file), "--pool", "spring")
        assert (ran.exit_code, words in ran.stderr) == (2, True), ran.output


def test_a_csv_file_has_its_codes_in_the_column_code(config: Path) -> None:
    file = config.with_name("codes.csv")
    file.write_text("partner;Code\nkava;K-1\nkava;K-2\n")
    ran = kaskad(config, "codes", "import", str(file), "--pool", "kava", "-o", "json")
    assert (ran.exit_code, json.loads(ran.stdout)["recorded"]) == (0, 2), ran.output
    assert "no policy gives codes of it yet" not in ran.stdout
