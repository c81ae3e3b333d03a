"""
A real installation in a folder: configuration, policies, the sandbox in its own process, and
`kaskad run` in another.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp

from orchestrator.sandbox import Accounts
from tests.support.ports import free_port

__all__ = ["Installation", "free_port"]

START_SECONDS = 90.0
CONFIG = """\
store: sqlite:///./kaskad.db
channels:
{channels}  viber:
    - provider: infobip
      adapter: infobip_viber
      base_url: {sandbox}
      api_key: {infobip_key}
      sender: Shop
      allow_unsigned: true
      timeout: 2s
  sms:
    - provider: twilio
      adapter: twilio_sms
      base_url: {sandbox}
      account_sid: {twilio_sid}
      auth_token: {twilio_token}
      from: "{twilio_from}"
      timeout: 2s
      cost: {{amount: "1.20", currency: UAH, per: part}}
http: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}",
        public_url: "http://127.0.0.1:{port}", auth: off, browser_origins: ["*"]}}
egress: {{allow: ["{sandbox}"]}}
policies: ./policies
templates: ./templates
governance: ./governance.yaml
log: {{level: warning, format: json}}
{more}
"""


class Installation:
    """
    ``record`` is what the stand-ins wrote down, fsynced before they answered: the ground truth.
    """

    def __init__(
        self, folder: Path, policies: dict[str, str], templates: dict[str, str], more: str = ""
    ) -> None:
        self.folder = folder
        self.record = folder / "accepted.jsonl"
        self.port, self.admin = free_port(), free_port()
        self.sandbox_port, self.smtp_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        self.config = folder / "kaskad.yaml"
        self._policies, self._templates, self._more = policies, templates, more
        self._channels = ""
        self._processes: list[subprocess.Popen[bytes]] = []
        self.kaskad: subprocess.Popen[bytes] | None = None
        self._log = (folder / "kaskad.log").open("ab")

    def add_channel(self, text: str) -> None:
        """One more channel of the configuration, as it stands below ``channels:``."""
        self._channels += text

    async def __aenter__(self) -> Self:
        self._write()
        self._start_sandbox()
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        await self._answers(f"{self.sandbox_url}/_sandbox/accepted")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self._log.close()

    def _write(self) -> None:
        accounts = Accounts()
        values = {
            "sandbox": self.sandbox_url,
            "infobip_key": accounts.infobip_api_key,
            "twilio_sid": accounts.twilio_account_sid,
            "twilio_token": accounts.twilio_auth_token,
            "twilio_from": accounts.twilio_from,
            "port": self.port,
            "admin": self.admin,
            "smtp_port": self.smtp_port,
        }
        self.config.write_text(CONFIG.format(more=self._more, channels=self._channels, **values))
        (self.folder / "governance.yaml").write_text("sms_countries: [UA]\n")
        (self.folder / "policies").mkdir()
        for name, text in self._policies.items():
            (self.folder / "policies" / f"{name}.yaml").write_text(text)
        for path, text in self._templates.items():
            file = self.folder / "templates" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def _start_sandbox(self) -> None:
        ports = ["--port", str(self.sandbox_port), "--smtp-port", str(self.smtp_port)]
        self._spawn(
            ["sandbox", *ports, "--smpp-port", str(free_port()), "--record", str(self.record)]
        )

    def _spawn(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """A process whose log, and no other output, is in ``kaskad.log``."""
        command = [sys.executable, "-c", "from orchestrator.cli import main; main()", *arguments]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._processes.append(process)
        return process

    async def start(self) -> None:
        """Start the service and wait until it is ready."""
        self.kaskad = self._spawn(["run", "--config", str(self.config)])
        await self._answers(f"http://127.0.0.1:{self.admin}/readyz")

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        assert self.kaskad is not None
        self.kaskad.kill()
        self.kaskad.wait()

    async def drain(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.kaskad is not None
        self.kaskad.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.kaskad.wait, 40)

    async def _answers(self, url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                async with self.session.get(url) as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            if self.kaskad is not None and self.kaskad.poll() not in (None, -signal.SIGKILL):
                raise AssertionError(
                    f"kaskad ended with {self.kaskad.returncode}: {self.log_tail()}"
                )
            assert time.monotonic() < deadline, f"{url} does not answer: {self.log_tail()}"
            await asyncio.sleep(0.05)

    def log_tail(self) -> str:
        return (self.folder / "kaskad.log").read_text()[-4000:]

    async def script(self, script: dict[str, Any]) -> None:
        async with self.session.put(f"{self.sandbox_url}/_sandbox/script", json=script) as answer:
            assert answer.status < 300, await answer.text()

    async def publish(self, event: dict[str, Any]) -> str | None:
        """
        The message's id once the event is accepted; None where nobody answered, so nobody knows.
        """
        result = await self.accept(event)
        return str(result["messages"][0]) if result is not None else None

    async def accept(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """
        The event's result once it is accepted; None where nobody answered, so nobody knows.
        """
        headers = {"content-type": "application/cloudevents+json"}
        try:
            async with self.session.post(
                f"{self.url}/v1/events", data=json.dumps(event), headers=headers
            ) as answer:
                body = await answer.json()
                assert answer.status == 202, body
                result: dict[str, Any] = body["results"][0]
                return result
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return None

    async def message(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.get(f"/v1/messages/{id}")
        return found

    async def get(self, path: str) -> Any:
        """The JSON of a path of the API."""
        async with self.session.get(f"{self.url}{path}") as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def pages(self, path: str) -> list[dict[str, Any]]:
        """Everything that a path of the API lists, page after page."""
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self.get(f"{path}?limit=1000{cursor}")
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = f"&cursor={page['next_cursor']}"

    def accepted(self) -> list[dict[str, Any]]:
        """Everything that the stand-ins took, in their own words."""
        if not self.record.exists():
            return []
        return [json.loads(line) for line in self.record.read_text().splitlines() if line.strip()]
