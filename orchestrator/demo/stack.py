"""
The demonstration's stack: the service on an embedded store, the sandbox, and a fast clock.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from datetime import datetime, time
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.app.app import App
from orchestrator.core.policy import Policy
from orchestrator.primitives.clock import FastClock
from orchestrator.sandbox import Accounts, Sandbox, SandboxConfig

MORNING = time(10, 0)
ZONE = ZoneInfo("Europe/Kyiv")
HOOK_USER, HOOK_PASSWORD = "infobip", "sandbox-infobip-hooks"
CONFIG = """\
store: sqlite:///./kaskad.db
channels:
  web_push:
    - provider: vapid
      adapter: web_push
      private_key: ${{file:vapid.pem}}
      subject: mailto:demo@example.com
      timeout: 50m
      cost: {{amount: "0", currency: UAH}}
  in_app:
    - {{provider: inbox, adapter: inbox}}
  mobile_push:
    - provider: google
      adapter: fcm
      base_url: {sandbox}
      service_account: ${{file:fcm.json}}
      timeout: 50m
      cost: {{amount: "0", currency: UAH}}
    - provider: apple
      adapter: apns
      base_url: {apns_url}
      ca: ${{file:apns-ca.pem}}
      key: ${{file:apns.p8}}
      key_id: {apns_key_id}
      team_id: {apns_team_id}
      topic: {apns_topic}
      timeout: 50m
      cost: {{amount: "0", currency: UAH}}
  viber:
    - provider: infobip
      adapter: infobip_viber
      base_url: {sandbox}
      api_key: {infobip_key}
      sender: Shop
      webhook_username: {hook_user}
      webhook_password: {hook_password}
      track_clicks: true
      timeout: 50m
      cost: {{amount: "0.70", currency: UAH}}
  whatsapp:
    - provider: meta
      adapter: whatsapp_cloud
      base_url: {sandbox}
      phone_number_id: "{meta_number}"
      access_token: {meta_token}
      app_secret: {meta_secret}
      verify_token: {meta_verify}
      timeout: 50m
      cost: {{amount: "1.90", currency: UAH}}
  telegram:
    - provider: telegram
      adapter: telegram_bot
      base_url: {sandbox}
      token: {telegram_token}
      secret_token: {telegram_secret}
      username: {telegram_bot}
      timeout: 50m
      cost: {{amount: "0", currency: UAH}}
  email:
    - provider: relay
      adapter: smtp
      host: 127.0.0.1
      port: {smtp_port}
      tls: none
      from: Крамниця <hello@shop.example.com>
      open_pixel: true
      timeout: 50m
      cost: {{amount: "0.01", currency: UAH}}
  sms:
    - provider: twilio
      adapter: twilio_sms
      base_url: {sandbox}
      account_sid: {twilio_sid}
      auth_token: {twilio_token}
      from: "{twilio_from}"
      timeout: 50m
      cost: {{amount: "1.20", currency: UAH, per: part}}
http:
  listen: "127.0.0.1:{port}"
  admin: "127.0.0.1:{admin_port}"
  public_url: "http://127.0.0.1:{port}"
  auth: off
  browser_origins: ["{sandbox}"]
egress: {{allow: ["{sandbox}"]}}
policies: ./policies
journeys: ./journeys
templates: ./templates
governance: ./governance.yaml
log: {{level: error, format: console}}
"""
CHANCES: dict[str, Any] = {
    "infobip": {"refused": 0.08, "failed": 0.05, "delivered": 0.72, "read": 0.45, "clicked": 0.25},
    "meta": {"refused": 0.04, "failed": 0.06, "delivered": 0.6, "read": 0.4, "clicked": 0},
    "telegram": {"refused": 0.03, "delivered": 0.4, "read": 0.4, "clicked": 0.4},
    "push": {"refused": 0.1, "delivered": 0.7, "read": 0.3, "clicked": 0.3},
    "fcm": {"refused": 0.05, "delivered": 0.8, "read": 0.3, "clicked": 0.2},
    "apns": {"refused": 0.05, "delivered": 0.8, "read": 0.3, "clicked": 0.2},
    "twilio": {"refused": 0.03, "failed": 0.05, "delivered": 0.9},
    "smtp": {"refused": 0.05, "delivered": 0.9, "read": 0.45, "clicked": 0.2},
}

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "demo-1",
    "source": "shop/orders",
    "type": "shop.order.shipped",
    "data": {
        "order_id": "70001",
        "carrier": "Нова пошта",
        "tracking_number": "20450000000001",
        "tracking_url": "https://shop.example.com/track/20450000000001",
        "eta": "2026-11-24",
        "recipient": {
            "id": "user-42",
            "first_name": "Олена",
            "gender": "female",
            "locale": "uk-UA",
            "phone": "+380501234567",
            "email": "olena@example.com",
        },
    },
}
"""An event for people to publish while the show is kept running."""


class DemoStack:
    """
    ``directory`` holds everything of one show: configuration, database, keys, a sample event.
    ``command`` is how `kaskad` is called here.
    """

    def __init__(self, directory: Path, seed: int, command: str = "kaskad") -> None:
        self.directory = directory
        self.command = command
        self.seed = seed
        self.begins = datetime.combine(datetime.now(ZONE).date(), MORNING, ZONE)
        self.began_at = int(self.begins.timestamp() * 1000)
        self.clock = FastClock(self.began_at, 1.0)

    async def __aenter__(self) -> Self:
        accounts = Accounts(
            infobip_webhook_username=HOOK_USER, infobip_webhook_password=HOOK_PASSWORD
        )
        self.sandbox = Sandbox()
        await self.sandbox.start(
            SandboxConfig(seed=self.seed, accounts=accounts, now=lambda: self.clock.now() / 1000)
        )
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._write_files()
        self.app = App(self.directory / "kaskad.yaml", os.environ, self.clock)
        await self.app.start()
        self.session = aiohttp.ClientSession()
        await self._script()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self.app.stop()
        await self.sandbox.stop()

    def speed(self, factor: float) -> None:
        """
        How many times faster than ours the show's time runs, for the service and the sandbox alike.
        """
        self.clock.set_speed(factor)
        self.sandbox.common.courier.use_time_scale(1 / factor)

    def _write_files(self) -> None:
        source = demo_files()
        for name in ("policies", "journeys"):
            shutil.copytree(source / "config" / name, self.directory / name)
        shutil.copytree(source / "templates", self.directory / "templates")
        shutil.copy(source / "config" / "governance.yaml", self.directory / "governance.yaml")
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (self.directory / "vapid.pem").write_bytes(pem)
        accounts = self.sandbox.common.accounts
        apps = self.sandbox.app_accounts()
        google, apple = apps["fcm"], apps["apns"]
        (self.directory / "fcm.json").write_text(json.dumps(google["service_account"]))
        (self.directory / "apns.p8").write_text(apple["key"])
        (self.directory / "apns-ca.pem").write_text(apple["ca"])
        (self.directory / "event.json").write_text(json.dumps(EVENT, ensure_ascii=False, indent=2))
        (self.directory / "kaskad.yaml").write_text(
            CONFIG.format(
                sandbox=self.sandbox.url,
                smtp_port=self.sandbox.smtp_port,
                port=self.port,
                admin_port=self.admin_port,
                apns_url=apple["base_url"],
                apns_key_id=apple["key_id"],
                apns_team_id=apple["team_id"],
                apns_topic=apple["topic"],
                infobip_key=accounts.infobip_api_key,
                hook_user=HOOK_USER,
                hook_password=HOOK_PASSWORD,
                meta_number=accounts.meta_phone_number_id,
                meta_token=accounts.meta_access_token,
                meta_secret=accounts.meta_app_secret,
                meta_verify=accounts.meta_verify_token,
                telegram_token=accounts.telegram_token,
                telegram_secret=accounts.telegram_secret_token,
                telegram_bot=accounts.telegram_bot,
                twilio_sid=accounts.twilio_account_sid,
                twilio_token=accounts.twilio_auth_token,
                twilio_from=accounts.twilio_from,
            )
        )

    async def _script(self) -> None:
        """People answer, read and click as chance has it, the same in every run of a seed."""
        script = {
            "providers": {name: {"random": random} for name, random in CHANCES.items()},
        }
        await self._control("PUT", "script", script)
        names = ("meta", "telegram")
        hooks = {name: f"{self.url}/v1/receipts/{name}" for name in names}
        await self._control("PUT", "callbacks", hooks)

    async def _control(self, method: str, what: str, body: Any) -> Any:
        async with self.session.request(
            method, f"{self.sandbox.url}/_sandbox/{what}", json=body
        ) as answer:
            found = await answer.json(content_type=None)
            if answer.status >= 400:
                raise RuntimeError(f"the sandbox refused {what}: {found}")
            return found

    async def introduce(self, people: list[dict[str, Any]]) -> None:
        """Give the sandbox's page the names behind the phones."""
        phones, inboxes = {}, {}
        for person in people:
            pushes = [subscription["endpoint"] for subscription in person.get("web_push", ())]
            pushes += [device["token"] for device in person.get("devices", ())]
            addresses = [
                address
                for address in (*map(person.get, ("phone", "email", "telegram_id")), *pushes)
                if address
            ]
            name = f"{person['first_name']} ({person['id']})"
            phones[name], inboxes[name] = addresses, person["id"]
        await self._control("PUT", "people", phones)
        await self._control("PUT", "in_app", {"service": self.url, "people": inboxes})

    async def read_inbox(self, person: str) -> None:
        """Somebody opens their inbox and reads what is there."""
        inbox = f"{self.url}/v1/inbox/{person}"
        async with self.session.get(inbox) as answer:
            shown = (await answer.json())["seq"]
        async with self.session.post(f"{inbox}/all/read", json={"up_to": shown}) as answer:
            await answer.read()

    async def reply(self, provider: str, phone: str, text: str) -> None:
        """Somebody writes back."""
        await self._control("POST", "inbound", {"provider": provider, "from": phone, "text": text})

    async def fill_pool(self, pool: str, codes: list[str]) -> None:
        """Add codes to a pool, as `kaskad codes import` does."""
        url = f"{self.url}/v1/codes/{pool}/import"
        async with self.session.post(url, json={"codes": codes}) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the service refused the codes: {await answer.text()}")

    @property
    def policies(self) -> list[Policy]:
        """The worked policies, as the service has read them."""
        return list(self.app.configuration.rules.policies.values())

    async def settled(self) -> bool:
        """Whether nothing will happen until a timer is due: no send, no receipt is under way."""
        if self.sandbox.common.courier.pending or self.app.runtime.dispatcher.in_flight:
            return False
        due = await self.next_due()
        return not await self.app.store.depths() and (due is None or due > self.clock.now())

    async def next_due(self) -> int | None:
        """When the next timer is due (UTC milliseconds), a one-time code's or another."""
        found = [await self.app.store.next_due(otp) for otp in (True, False)]
        return min((due for due in found if due is not None), default=None)

    def skip_to(self, at: int) -> None:
        """Let it be ``at`` now."""
        self.clock.skip_to(at)
        for otp in (True, False):
            self.app.runtime.timers.poke(0, urgent=otp)

    def taken_in_all(self) -> int:
        """How many messages the stand-ins have taken; none of an inbox, which is our own."""
        counts = self.sandbox.common.inbox.counts.values()
        return sum(outcomes["accepted"] for outcomes in counts)

    async def subscribe(self) -> Any:
        """A browser of the sandbox that allows notifications; its subscription."""
        return await self._control("POST", "push/subscribe", {})

    async def install(self, platform: str) -> Any:
        """A phone of the sandbox with the shop's app; its entry in a profile."""
        return await self._control("POST", "devices", {"platform": platform})

    async def publish(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Publish a batch over HTTP, as a backend would; the results."""
        headers = {"content-type": "application/cloudevents-batch+json"}
        async with self.session.post(
            f"{self.url}/v1/events", json=events, headers=headers
        ) as answer:
            found = await answer.json()
            if answer.status != 202:
                raise RuntimeError(f"the service refused a batch: {found}")
            results: list[dict[str, Any]] = found["results"]
            return results


def demo_files() -> Path:
    """The folder of the worked policies and templates: in the package, or the source tree."""
    packaged = Path(__file__).parent.parent / "demo_files"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent.parent


def free_port() -> int:
    """A port of the loopback that is free right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
