"""
Three `kaskad run` on one PostgreSQL whose messages get codes, a provider that writes the codes
down, and another provider that nobody can reach.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp

from tests.support.ports import free_port
from tests.support.postgres import Server
from tests.verify.chaos.processes import RUN, Worker, answers, spawn, tail
from tests.verify.code_provider import TEXT

POOL = "spring"
WORKERS = 3
CONFIG = """\
store: {store}
channels:
  sms:
    - {{provider: live, adapter: twilio_sms, base_url: "{live}", account_sid: ACcodes,
        auth_token: secret, from: "+15005550006", timeout: 3s}}
    - {{provider: away, adapter: twilio_sms, base_url: "{away}", account_sid: ACcodes,
        auth_token: secret, from: "+15005550006", timeout: 3s}}
http: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}",
        public_url: "http://127.0.0.1:{port}", auth: off}}
egress: {{allow: ["{live}", "{away}"]}}
policies: ./policies
templates: ./templates
governance: ./governance.yaml
log: {{level: warning, format: json}}
"""
POLICY = """\
policy: {name}
trigger: {{event: codes.{name}}}
class: transactional
deadline: {deadline}
codes: {{code: spring}}
cascade: [{{channel: sms, providers: [{provider}], on_unknown: advance}}]
"""
POLICIES = {
    "gift": POLICY.format(name="gift", deadline="30m", provider="live"),
    "later": POLICY.format(name="later", deadline="30m", provider="live"),
    "unreached": POLICY.format(name="unreached", deadline="5s", provider="away"),
}
"""``later`` waits for ``kaskadnotbefore``; ``unreached`` is tried, and never leaves."""


class Row(NamedTuple):
    """A code in the store: ``code`` is None once a message has it."""

    hash: str
    code: str | None
    message: str | None


class CodePlace:
    """
    ``seen`` is what the provider was told, whatever it has answered; ``rows`` is the pool in the
    store itself.
    """

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.record = folder / "seen.jsonl"
        self.workers = [Worker(f"worker{number}", folder) for number in range(WORKERS)]
        self._port = free_port()
        self._provider: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._url = await asyncio.to_thread(self.server.create_database)
        self._write()
        words = ["-m", "tests.verify.code_provider", str(self._port), str(self.record)]
        self._provider = spawn(words, self.folder / "provider.log")
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        try:
            log = self.folder / "provider.log"
            await answers(self.session, f"http://127.0.0.1:{self._port}/well", log)
            for worker in self.workers:
                worker.start()
            for worker in self.workers:
                await worker.ready(self.session)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        for worker in self.workers:
            worker.kill()
        if self._provider is not None:
            self._provider.kill()
            self._provider.wait()

    def _write(self) -> None:
        live, away = f"http://127.0.0.1:{self._port}", f"http://127.0.0.1:{free_port()}"
        for worker in self.workers:
            values = {"port": worker.port, "admin": worker.admin, "live": live, "away": away}
            worker.config.write_text(CONFIG.format(store=self._url, **values))
        (self.folder / "governance.yaml").write_text("sms_countries: [UA]\n")
        (self.folder / "policies").mkdir()
        for name, text in POLICIES.items():
            (self.folder / "policies" / f"{name}.yaml").write_text(text)
            (self.folder / "templates" / name).mkdir(parents=True)
            (self.folder / "templates" / name / "sms.text.j2").write_text(TEXT)

    async def call(self, method: str, path: str, body: Any = None, type: str = "json") -> Any:
        """
        The status and the JSON of the answer of a worker that there is; the same call again where
        nobody has answered, as every client must.
        """
        headers = {"content-type": f"application/{type}"}
        while True:
            url = random.choice(self.workers).url + path
            data = None if body is None else json.dumps(body)
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self.session.request(method, url, data=data, headers=headers) as answer:
                    if answer.status not in (429, 503):
                        return answer.status, await answer.json()
            await asyncio.sleep(0.1)

    async def publish(self, events: Sequence[dict[str, Any]]) -> list[str]:
        """The message of each event, once all of them are durable."""
        status, body = await self.call("POST", "/v1/events", events, "cloudevents-batch+json")
        assert status == 202, body
        return [str(one["messages"][0]) for one in body["results"]]

    async def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more = ""
        while True:
            status, page = await self.call("GET", f"/v1/messages?limit=1000{more}")
            assert status == 200, page
            found.extend(page["items"])
            if page["next_cursor"] is None:
                return found
            more = f"&cursor={page['next_cursor']}"

    def verb(self, *words: str) -> str:
        """What a verb of the command line prints."""
        log = self.folder / "verbs.log"
        log.write_text("")
        config = str(self.workers[0].config)
        done = spawn(["-c", RUN, *words, "--config", config], log).wait()
        assert done == 0, tail(log)
        return log.read_text()

    def rows(self) -> list[Row]:
        text = "SELECT hash, coalesce(code, ''), coalesce(message, '') FROM codes"
        found = self.server.sql(text, self._url.rpartition("/")[2])
        return [Row(hash, code or None, message or None) for hash, code, message in found]

    def open_messages(self) -> int:
        text = "SELECT count(*) FROM messages"
        return int(self.server.sql(text, self._url.rpartition("/")[2])[0][0])

    def seen(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]
