"""The samples in the documentation work."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from orchestrator.check.judge import load_configuration
from orchestrator.configuration.reading import Report
from orchestrator.policytests.file import read_test_file
from orchestrator.policytests.runner import PolicyTestRunner
from orchestrator.policytests.verdict import judge
from orchestrator.simulate.behaviour_file import read_behaviour
from orchestrator.virtual.shared_tools import SharedTools

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "kaskad.yaml"


def samples(page: str) -> list[str]:
    """The YAML blocks of a page."""
    text = (ROOT / "docs" / page).read_text()
    return [dedent(block) for block in re.findall(r"^ *```yaml\n(.*?)^ *```", text, re.S | re.M)]


def test_the_test_that_the_documentation_shows_holds(tmp_path: Path) -> None:
    path = tmp_path / "cart_abandoned.test.yaml"
    path.write_text(samples("testing-policies.md")[0])
    configuration, report = load_configuration(CONFIG, {}, secrets=False), Report()
    (test,) = read_test_file(path, configuration, report)
    assert report.problems == []
    assert judge(test, PolicyTestRunner(test, configuration, SharedTools()).run()).differences == ()


def test_the_behaviour_that_the_documentation_shows_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(samples("simulating-changes.md")[0])
    behaviour = read_behaviour(
        path, load_configuration(CONFIG, {}, secrets=False).settings.channels
    ).of("infobip", "viber")
    assert behaviour.delivered is not None
    assert (behaviour.delivered.share, behaviour.delivered.lag.at(0.5)) == (0.86, 6_000)
    assert abs(behaviour.delivered.lag.at(0.95) - 300_000) <= 1


def test_no_worked_policy_sends_a_person_the_same_message_twice_on_one_channel() -> None:
    configuration = load_configuration(CONFIG, {}, secrets=False)
    for policy in configuration.rules.policies.values():
        channels = [step.channel for step in policy.plan]
        assert len(channels) == len(set(channels)), policy.name
