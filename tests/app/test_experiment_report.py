"""The report of an experiment as its users ask for it: while it runs, and once it has ended."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from tests.app.site import POLICY, lay_out, put_policy, running

TONE = """\
experiment:
  name: tone
  arms: {{control: {{weight: 1}}, warm: {{weight: 1}}}}
  metric: goal
convert: {{event: shop.paid}}
"""


def kaskad(config: Path, *words: str) -> Result:
    return CliRunner(env={"KASKAD_CONFIG": str(config)}).invoke(app, [*words])


@pytest.fixture(params=["sqlite", "postgres"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    url = "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    path = lay_out(tmp_path, url) if url else lay_out(tmp_path)
    put_policy(tmp_path, "order", "Order {{ event.n }}", POLICY + TONE)
    return path


async def test_an_experiment_has_a_report_while_it_runs_and_once_it_has_ended(
    config: Path,
) -> None:
    async def run(*words: str) -> Result:
        return await asyncio.to_thread(kaskad, config, "report", "experiment", *words)

    async with running(config) as site:
        ran = await run("tone")
        assert "No winner is named: nobody has met this experiment yet." in ran.stdout
        for _ in range(8):
            await site.publish()
        ran = await run("tone", "-o", "json")
        assert ran.exit_code == 0, ran.output
        found = json.loads(ran.stdout)
        assert found["conclusion"]["state"] == "too_few"
        people, *_, messages = found["tables"]
        assert sum(row[2] for row in people["rows"]) == 8
        assert sum(row[1] for row in messages["rows"]) == 8
        page = config.with_name("tone.html")
        assert (await run("tone", "-o", "html", "--out", str(page))).exit_code == 0
        assert "<svg" in page.read_text("utf-8")
        wrong = await run("tune")
        assert wrong.exit_code != 0
        assert "there is no experiment 'tune'; did you mean 'tone'?" in wrong.stderr

    put_policy(config.parent, "order", "Order {{ event.n }}")
    ended = await run("tone")
    words = " ".join(ended.stdout.split())
    assert "No winner is named: too few people yet" in words, ended.output
    assert "the configuration no longer has this experiment" in words
    assert "messages of these days" in words
