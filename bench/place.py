"""
An installation to measure: its configuration in a folder, and `kaskad run` in a process of its own.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine
from bench.poster import ACCOUNT
from bench.worker import BenchError, environment

START_SECONDS = 60.0
STOP_SECONDS = 40.0
WORDS_CHARS_MAX = 400
SECRET = "bench-secret"
COMMAND = (sys.executable, "-c", "from orchestrator.cli import main; main()")

CONFIG = """\
store: {store}
channels:
  viber:
    - {{provider: infobip, adapter: infobip_viber, base_url: "http://127.0.0.1:{sink}",
       api_key: bench, sender: Shop,
       allow_unsigned: true, connections: {connections}{rate}}}
  sms:
    - {{provider: twilio, adapter: twilio_sms, base_url: "http://127.0.0.1:{sink}",
       account_sid: {account},
       auth_token: {secret}, from: Shop}}
http:
  listen: "127.0.0.1:{port}"
  admin: "127.0.0.1:{admin}"
  public_url: "http://127.0.0.1:{port}"
  auth: off
policies: ./policies
templates: ./templates
governance: ./governance.yaml
receipt_outage: {{hold: false}}
limits: {{}}
log: {{level: warning, format: json}}
{more}
"""
GOVERNANCE = """\
time_zone: Europe/Kyiv
quiet_hours:
  night: {window: "21:00-09:00", zone: recipient, classes: [service], on_hit: defer, max_defer: 14h}
frequency_caps:
  promo_week: {classes: [promotional], limit: 3, per: 7d}
  sms_day: {channels: [sms], classes: [promotional, service], limit: 2, per: calendar_day}
consent: {promotional: opt_out}
sms_countries: [UA]
"""
POLICIES = {
    "order": ("bench.order.shipped", "transactional", "1d", [("viber", "1h")]),
    "code": ("bench.code", "otp", "10m", [("viber", "5m")]),
    "promo": ("bench.promo", "promotional", "1d", [("viber", "1h")]),
    "cascade": ("bench.cascade", "transactional", "1d", [("viber", "1h"), ("sms", "1h")]),
    "far": ("bench.far", "transactional", "14d", [("viber", "7d")]),
    "step": ("bench.step", "transactional", "14d", [("viber", "7d"), ("sms", "5d")]),
}
"""Name: event, class, deadline, steps with the time for `delivered`."""
TEXT = """\
{{ recipient.first_name }}, замовлення №{{ event.order }} на {{ event.total | money('UAH') }} \
вже в дорозі: {% for item in event.items %}{{ item.name }}{{ ", " if not loop.last }}{% endfor %}. \
Код {{ event.code }} [{{ event.n }}]
"""
SMS = "Замовлення {{ event.order }}: код {{ event.code }}\n"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn(command: Sequence[str | Path], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a program that writes what it says to ``log``."""
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, **options)


def last_words(log: Path) -> str:
    """The end of what it has said, in one line."""
    said = log.read_text(errors="replace").strip()[-WORDS_CHARS_MAX:] if log.exists() else ""
    return " ".join(said.split()) or "it said nothing"


def policy(name: str) -> str:
    """One of ``POLICIES`` as its file says it."""
    event, message_class, deadline, steps = POLICIES[name]
    cascade = "".join(
        f"  - {{channel: {channel}, wait: {{delivered: {wait}}}}}\n" for channel, wait in steps
    )
    head = (
        f"policy: bench_{name}\ntrigger: {{event: {event}}}\nclass: {message_class}\ntopic:"
        " bench\ntemplate: bench\n"
    )
    return f"{head}deadline: {deadline}\ncascade:\n{cascade}"


def lay_out(folder: Path, config: str, policies: dict[str, str]) -> Path:
    """Write a configuration with its policies and one template; where the configuration is."""
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    (folder / "templates" / "bench").mkdir(parents=True, exist_ok=True)
    (folder / "kaskad.yaml").write_text(config)
    (folder / "governance.yaml").write_text(GOVERNANCE)
    for name, text in policies.items():
        (folder / "policies" / f"{name}.yaml").write_text(text)
    (folder / "templates" / "bench" / "viber.text.j2").write_text(TEXT)
    (folder / "templates" / "bench" / "sms.text.j2").write_text(SMS)
    return folder / "kaskad.yaml"


class Service:
    """One `kaskad run`. ``store`` is a URL; by default a file in the folder."""

    def __init__(
        self,
        folder: Path,
        sink_port: int,
        *,
        store: str = "sqlite:///./kaskad.db",
        connections: int = 64,
        rate: str = "",
        more: str = "",
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.folder = folder
        self.port, self.admin = free_port(), free_port()
        self.database = folder / "kaskad.db"
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        values = {
            "store": store,
            "sink": sink_port,
            "port": self.port,
            "admin": self.admin,
            "connections": connections,
        }
        rates = f", rate: {rate}" if rate else ""
        text = CONFIG.format(**values, rate=rates, account=ACCOUNT, secret=SECRET, more=more)
        self.config = lay_out(folder, text, {name: policy(name) for name in POLICIES})

    async def start(self) -> None:
        """Run it and wait until it is ready. Raises ``BenchError`` with its last words."""
        self.spawn()
        await self.ready()

    def spawn(self) -> None:
        """Run it, without waiting."""
        command = [*self._command, "run", "--config", str(self.config)]
        self._process = spawn(command, self.folder / "kaskad.log", env=environment())

    async def ready(self) -> None:
        """Wait for /readyz."""
        deadline = time.monotonic() + START_SECONDS
        while not await self._is_ready():
            if self._process is None or self._process.poll() is not None:
                raise BenchError(f"kaskad run ended: {self.last_words()}")
            if time.monotonic() > deadline:
                raise BenchError(
                    f"kaskad run is not ready after {START_SECONDS:.0f} s: {self.last_words()}"
                )
            await asyncio.sleep(0.05)

    async def _is_ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.admin)
        except OSError:
            return False
        try:
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return b" 200 " in await asyncio.wait_for(reader.readline(), 5)
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()

    @property
    def pid(self) -> int:
        """The process's id. Raises ``BenchError`` where it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise BenchError(f"kaskad run has ended: {self.last_words()}")
        return self._process.pid

    @property
    def cpu_seconds(self) -> float:
        return machine.cpu_seconds(self.pid)

    @property
    def rss_bytes(self) -> int:
        return machine.rss_bytes(self.pid)

    def last_words(self) -> str:
        """The end of its log."""
        return last_words(self.folder / "kaskad.log")

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that is not enough."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self._process.wait, STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None
