"""An installation to be checked: well, until a test writes something over it."""

from __future__ import annotations

from pathlib import Path

from orchestrator.check.judge import judge
from orchestrator.configuration.yaml_file import Problem

ENV = {"T": "token-token", "SID": "ACcafe"}
TWILIO = (
    "{provider: twilio, adapter: twilio_sms, account_sid: '${env:SID}', auth_token: '${env:T}',"
    " from: Shop}"
)
INFOBIP = (
    "{provider: infobip, adapter: infobip_viber, api_key: '${env:T}', sender: Shop, "
    "base_url: 'https://x.api.infobip.com', webhook_token: '${env:T}'}"
)
BOT = "{provider: bot, adapter: viber_bot, auth_token: '${env:T}', sender: Shop}"
CONFIG = f"channels:\n  viber: [{INFOBIP}]\n  sms: [{TWILIO}]\n"
GOVERNANCE = "sms_countries: [UA]\n"
HEAD = "policy: p\ntrigger: {event: e}\n"
POLICY = HEAD + "cascade:\n"
WELL = POLICY + "  - {channel: viber, wait: 10m}\n  - {channel: sms}\n"


class Place:
    """An installation in a folder of its own, well unless something is written over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("config/kaskad.yaml", CONFIG)
        self.write("config/governance.yaml", GOVERNANCE)
        self.write("config/policies/p.yaml", WELL)
        self.write("templates/p/sms.text.j2", "Hello")
        self.write("templates/p/viber.text.j2", "Hello")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def problems(self, env: dict[str, str] | None = None) -> list[Problem]:
        verdict = judge(self.folder / "config/kaskad.yaml", ENV if env is None else env)
        return list(verdict.problems)

    def said(self) -> list[str]:
        return [str(problem).replace(f"{self.folder}/config/", "") for problem in self.problems()]
