"""A small installation for the doctor to examine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.doctor import Finding, Result, examine
from tests.support.ports import free_port

LOG = "{provider: notes, adapter: log}"


class Setup:
    """
    An installation in a folder of its own; nothing in it needs the network unless a test says so.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config" / "kaskad.yaml"
        self.env = {"SECRET": "a-secret-of-the-environment"}
        self.write(
            "config/policies/p.yaml", "policy: p\ntrigger: {event: e}\ncascade: [{channel: sms}]\n"
        )
        self.write("templates/p/sms.text.j2", "Hello")
        self.write("config/governance.yaml", "sms_countries: [UA]\n")
        self.configure()

    def write(self, name: str, text: str, mode: int = 0o640) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def configure(self, more: str = "", channels: str = f"sms: [{LOG}]") -> None:
        """Write the configuration; ports are any that are free."""
        listen = f'http: {{listen: "127.0.0.1:{free_port()}", admin: "127.0.0.1:{free_port()}"}}\n'
        http = "" if "http:" in more else listen
        self.write("config/kaskad.yaml", f"channels: {{{channels}}}\n{http}{more}")

    async def findings(self, processes: int = 1) -> list[Finding]:
        return await examine(self.config, {**os.environ, **self.env}, processes)

    async def found(self, area: str, check: str, processes: int = 1) -> Finding:
        """The one finding of a check."""
        findings = [
            one for one in await self.findings(processes) if (one.area, one.check) == (area, check)
        ]
        assert len(findings) == 1, findings
        return findings[0]


MEASURED = frozenset({"fsync", "commit", "clock", "space"})
"""Checks whose result depends on how busy this machine is."""


def wrong(findings: Sequence[Finding]) -> list[str]:
    """Every finding that is not fine, as area, check and result, without the measured ones."""
    some = [one for one in findings if one.check not in MEASURED]
    return [f"{one.area} {one.check} {one.result}" for one in some if one.result is not Result.FINE]
