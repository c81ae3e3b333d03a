"""An installation of one policy in a folder, none of whose secrets are to be had."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from orchestrator.check.judge import load_configuration
from orchestrator.cli import app
from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.reading import Report
from orchestrator.policytests.file import read_test_file
from orchestrator.policytests.runner import PolicyTestRunner
from orchestrator.policytests.verdict import Judgement, judge
from orchestrator.virtual.shared_tools import SharedTools

CONFIG = """\
store: sqlite:///./kaskad.db
channels:
  viber:
    - provider: infobip
      adapter: infobip_viber
      base_url: ${env:NO_SUCH_URL}
      api_key: ${env:NO_SUCH_KEY}
      webhook_token: ${env:NO_SUCH_TOKEN}
      sender: Shop
      cost: {amount: "0.70", currency: UAH}
    - provider: infobip_b
      adapter: infobip_viber
      base_url: ${env:NO_SUCH_URL}
      api_key: ${file:no_such_file}
      webhook_token: ${env:NO_SUCH_TOKEN}
      sender: Shop
  sms:
    - provider: twilio
      adapter: twilio_sms
      account_sid: ${env:NO_SUCH_SID}
      auth_token: ${env:NO_SUCH_TOKEN}
      from: Shop
      cost: {amount: "1.20", currency: UAH, per: part}
templates: ./templates
"""
GOVERNANCE = """\
time_zone: Europe/Kyiv
sms_countries: [UA]
quiet_hours: {night: {window: "21:00-09:00", classes: [promotional]}}
frequency_caps: {week: {classes: [promotional], limit: 2, per: 7d}}
"""
POLICY = """\
policy: tale
trigger: {event: tale, when: "event.n > 0"}
class: transactional
deadline: 1h
goal: {event: over}
cascade:
  - {channel: viber, wait: {delivered: 1m, read: 10m}}
  - {channel: sms}
"""
HEAD = """\
policy: tale
given:
  now: "2026-11-21T12:00:00+02:00"
  recipient: {phone: true, time_zone: Europe/Kyiv}
  event: {n: 1}
tests:
"""


class Place:
    """``test`` plays tests under the policy; ``kaskad`` runs the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "kaskad.yaml"
        self.write("kaskad.yaml", CONFIG)
        self.write("governance.yaml", GOVERNANCE)
        self.write("policies/tale.yaml", POLICY)
        self.write("templates/tale/viber.text.j2", "Hello {{ event.n }}")
        self.write("templates/tale/sms.text.j2", "Bye {{ event.n }}")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def load(self) -> Configuration:
        return load_configuration(self.config, {}, secrets=False)

    def verdicts(self, tests: str, head: str = HEAD) -> list[Judgement]:
        """The verdicts of tests written below the shared head."""
        path = self.write("policies/tale.test.yaml", head + tests)
        configuration, report = self.load(), Report()
        found = read_test_file(path, configuration, report)
        report.refuse()
        tools = SharedTools()
        return [judge(test, PolicyTestRunner(test, configuration, tools).run()) for test in found]

    def verdict(self, given: str, expect: str) -> Judgement:
        """The verdict of one test."""
        (found,) = self.verdicts(f"  - name: it\n    given: {given}\n    expect: {expect}\n")
        return found

    def problems(self, text: str) -> list[str]:
        """The problems of a test file, without its path."""
        path = self.write("policies/tale.test.yaml", text)
        report = Report()
        read_test_file(path, self.load(), report)
        return [str(problem).removeprefix(f"{path}:") for problem in dict.fromkeys(report.problems)]

    def kaskad(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [arguments[0], "--config", str(self.config), *arguments[1:]])

    def events(self, events: Iterable[Mapping[str, Any]], name: str = "events.jsonl") -> str:
        return str(self.write(name, "".join(json.dumps(event) + "\n" for event in events)))


def event(
    number: int, *, at: str = "2026-11-21T10:00:00Z", type: str = "tale", **more: Any
) -> dict[str, Any]:
    """One CloudEvent; every number is another recipient."""
    recipient = {
        "id": f"user-{number}",
        "phone": f"+38050{1_000_000 + number}",
        "locale": "uk-UA" if number % 2 else "en",
    }
    data = {"n": 1, "recipient": recipient, **more}
    return {
        "specversion": "1.0",
        "id": f"{type}-{number}",
        "source": "tests",
        "type": type,
        "time": at,
        "data": data,
    }
