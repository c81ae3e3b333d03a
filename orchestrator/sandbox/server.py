"""
The sandbox as one server: all HTTP stand-ins on one port, mail on another.

    sandbox = Sandbox()
    await sandbox.start(SandboxConfig(record=Path("accepted.jsonl"), seed=7, time_scale=0.1))
    …    # an adapter's base_url: sandbox.url; of a second account: sandbox.url + "/as/<alias>"
    await sandbox.stop()
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from orchestrator.sandbox import page
from orchestrator.sandbox.accounts import MAIL, SMSC, Accounts
from orchestrator.sandbox.app_push import ApnsStandIn, FcmStandIn
from orchestrator.sandbox.control import Control, Wrong, checked_callbacks
from orchestrator.sandbox.courier import Courier, Make
from orchestrator.sandbox.gateway import Http2Gateway
from orchestrator.sandbox.inbox import Inbox
from orchestrator.sandbox.infobip import Infobip
from orchestrator.sandbox.meta import Meta
from orchestrator.sandbox.push import Push
from orchestrator.sandbox.script import Script
from orchestrator.sandbox.smsc import MessageCenter
from orchestrator.sandbox.standin import Common, StandIn
from orchestrator.sandbox.telegram import Telegram
from orchestrator.sandbox.tls import own_certificate
from orchestrator.sandbox.turbosms import TurboSmsStandIn
from orchestrator.sandbox.twilio import Twilio
from orchestrator.sandbox.viber_bot import ViberBotStandIn

if TYPE_CHECKING:
    from orchestrator.sandbox.smtp import MailRelay

BODY_BYTES_MAX = 4 * 1024 * 1024
SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """
    The settings of a sandbox. A port of 0 means any free one.

    ``record``: a file that gets one JSON line per accepted message before its sender is answered.
    ``seed`` makes chance and push endpoints the same in every run. ``receipts`` (seconds) follow a
    message that no script covers; ``time_scale`` multiplies every delay. ``keep_last`` messages
    stay in memory; a refused receipt is sent ``receipt_tries`` times. ``aliases`` are second
    accounts (``{"infobip_b": "infobip"}``) with their own scripts and records. ``callbacks`` are
    webhook URLs by provider, ``script`` the first behaviours. ``public_url``: the origin for
    others, if it is not the listener's. ``smtp_tls`` offers STARTTLS. ``now`` is the clock (UTC
    seconds) of push keys and WhatsApp sessions.
    """

    host: str = "127.0.0.1"
    http_port: int = 0
    smtp_port: int = 0
    http2_port: int = 0
    smpp_port: int = 0
    record: Path | None = None
    seed: int | None = None
    receipts: tuple[tuple[str, float], ...] = (("sent", 0.2), ("delivered", 1.0))
    time_scale: float = 1.0
    keep_last: int = 5_000
    receipt_tries: int = 6
    accounts: Accounts = field(default_factory=Accounts)
    aliases: Mapping[str, str] = field(default_factory=dict)
    callbacks: Mapping[str, str] = field(default_factory=dict)
    script: Mapping[str, Any] = field(default_factory=dict)
    public_url: str | None = None
    smtp_tls: bool = False
    now: Callable[[], float] = time.time


class Unbindable(OSError):
    """An address that cannot be listened on; the text names it."""


class Sandbox:
    """
    The stand-in providers. ``http_port``, ``smtp_port`` (0: there is no mail server, because
    aiosmtpd is not installed), ``http2`` (HTTP/2 with TLS in front of the same stand-ins) and
    ``url`` are known after ``start``; ``smtp_certificate`` is the PEM to trust if ``smtp_tls`` is
    on.
    """

    common: Common
    push: Push
    fcm: FcmStandIn
    apns: ApnsStandIn
    center: MessageCenter
    meta: Meta
    viber_bot: ViberBotStandIn

    def __init__(self) -> None:
        self.http_port = 0
        self.smtp_port = 0
        self.url = ""
        self.smtp_certificate: str | None = None
        self.stand_ins: dict[str, StandIn] = {}
        self._config = SandboxConfig()
        self.host = ""
        self._runner: web.AppRunner | None = None
        self._mail: MailRelay | None = None
        self.http2 = Http2Gateway()

    @property
    def inbox(self) -> Inbox:
        """The accepted messages, requests and receipts so far."""
        return self.common.inbox

    async def start(self, config: SandboxConfig) -> None:
        """
        Listen. Raises ``Unbindable`` for an address, OSError for the record file,
        ``ScriptError`` for the script, ValueError for any other wrong setting.
        """
        self._config = config
        self._build(config)
        await self.inbox.open()
        try:
            await self.common.courier.open()
            await self._listen(config)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every connection, drop unsent receipts, and finish the record file."""
        self.common.stopping.set()
        self.inbox.hang_up()
        await self.http2.stop()
        if self._mail is not None:
            await self._mail.stop()
        await self.center.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.common.courier.close()
        await self.inbox.close()

    def use_script(self, value: Any) -> None:
        """Replace the behaviours. Raises ``ScriptError``, and then keeps the old ones."""
        self.common.script = Script(
            value, providers=self._names(), receipts=self._config.receipts, seed=self._config.seed
        )

    def use_callbacks(self, value: Mapping[str, str]) -> None:
        """Set webhook URLs by provider; the others stay. Raises ``Wrong``."""
        self.common.callbacks.update(checked_callbacks(dict(value), list(self.stand_ins)))

    def receipt_maker(self, provider: str) -> Make:
        """The function that makes the receipts of a provider."""
        if provider == MAIL:
            assert self._mail is not None
            return self._mail.handler.receipt
        if provider == SMSC:
            return self.center.receipt
        return self.stand_ins[provider].receipt

    async def reset(self) -> None:
        """Forget traffic, opt-outs and unsent receipts, and take the first script again."""
        await self.common.courier.drop()
        self.inbox.clear()
        self.use_script(self._config.script)

    def _names(self) -> list[str]:
        return [*self.stand_ins, MAIL, SMSC]

    def _build(self, config: SandboxConfig) -> None:
        inbox = Inbox(config.record, config.keep_last)
        courier = Courier(inbox, time_scale=config.time_scale, tries=config.receipt_tries)
        self.common = Common(
            accounts=config.accounts,
            inbox=inbox,
            courier=courier,
            script=Script({}, providers=(), receipts=config.receipts, seed=config.seed),
            callbacks={},
            new_id=lambda: secrets.token_hex(16),
            seed=config.seed,
            now=config.now,
        )
        common = self.common
        self.center = MessageCenter(common)
        self.push, self.meta, self.viber_bot = Push(common), Meta(common), ViberBotStandIn(common)
        self.fcm, self.apns = FcmStandIn(common), ApnsStandIn(common)
        apps = (self.push, self.fcm, self.apns, Telegram(common))
        gateways = (Twilio(common), Infobip(common), TurboSmsStandIn(common))
        kinds = (*gateways, self.viber_bot, self.meta, *apps)
        known = {kind.name: kind for kind in kinds}
        self.stand_ins = dict(known)
        for alias, name in config.aliases.items():
            fresh = alias not in self.stand_ins and alias.replace("_", "").isalnum()
            if not fresh or name not in known:
                raise ValueError(
                    f"aliases: {alias!r}: {name!r}: a new name of letters, digits, _ for one of"
                    f" {', '.join(known)}"
                )
            self.stand_ins[alias] = known[name]
        self.use_script(config.script)
        try:
            self.use_callbacks(config.callbacks)
        except Wrong as error:
            raise ValueError(f"callbacks: {error}") from error

    async def _listen(self, config: SandboxConfig) -> None:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.add_routes(Control(self).routes())
        app.add_routes(page.routes(self.common, self.environment_file))
        for name, kind in self.stand_ins.items():
            prefix = "" if name == kind.name else f"/as/{{alias:{name}}}"
            for route in kind.routes():
                assert isinstance(route, web.RouteDef)
                app.router.add_route(route.method, prefix + route.path, route.handler)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, config.host, config.http_port)
        with listening("the HTTP providers and the page", config.host, config.http_port):
            await site.start()
        self.http_port = self._runner.addresses[0][1]
        everywhere = config.host in ("0.0.0.0", "::", "")
        self.host = reachable = "127.0.0.1" if everywhere else config.host
        self.url = (config.public_url or f"http://{reachable}:{self.http_port}").rstrip("/")
        self.common.url = self.url
        if find_spec("aiosmtpd") is not None:
            await self._listen_for_mail(config, reachable)
        with listening("the SMSC", config.host, config.smpp_port):
            await self.center.start(config.host, config.smpp_port)
        with listening("HTTP/2", reachable, config.http2_port):
            behind = f"http://{reachable}:{self.http_port}"
            await self.http2.start(reachable, config.http2_port, behind)

    async def _listen_for_mail(self, config: SandboxConfig, reachable: str) -> None:
        from orchestrator.sandbox.smtp import MailRelay

        certificate = None
        if config.smtp_tls:
            certificate, self.smtp_certificate = await asyncio.to_thread(own_certificate, reachable)
        self._mail = MailRelay(self.common, certificate)
        with listening("the mail server", config.host, config.smtp_port):
            await self._mail.start(config.host, config.smtp_port)
        self.smtp_port = self._mail.port

    def environment_file(self) -> str:
        """Where the stand-ins listen and every account they know, as an environment file."""
        host = self.host
        places = {"SANDBOX_URL": self.url, "SMPP_HOST": host, "SMPP_PORT": self.center.port}
        if self.smtp_port:
            places |= {"SMTP_HOST": host, "SMTP_PORT": self.smtp_port}
        pairs = (*places.items(), *self.common.accounts.environment())
        return "".join(f"{name}={value}\n" for name, value in pairs)

    def app_accounts(self) -> dict[str, dict[str, Any]]:
        """The settings of the adapters fcm and apns for this sandbox."""
        apple = f"https://{self._config.host}:{self.http2.port}"
        return {
            "fcm": {"service_account": self.fcm.service_account(), "base_url": self.url},
            "apns": {
                **self.apns.settings(),
                "base_url": apple,
                "ca": self.http2.certificate,
            },
        }


@contextmanager
def listening(what: str, host: str, port: int) -> Iterator[None]:
    """Raise the error of an address that cannot be listened on in words that name it."""
    try:
        yield
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "another program listens there" if taken else error.strerror or str(error)
        raise Unbindable(f"cannot listen on {host}:{port} ({what}): {why}") from error


async def serve(config: SandboxConfig, announce: Callable[[Sandbox], None]) -> None:
    """
    Run until cancelled. ``announce`` is called once both ports listen. Raises as ``start`` does.
    """
    sandbox = Sandbox()
    await sandbox.start(config)
    try:
        announce(sandbox)
        await asyncio.Event().wait()
    finally:
        await sandbox.stop()
