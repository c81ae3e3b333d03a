"""
The public and the admin listener on real sockets, in front of the real engine and store, with real
adapters.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from adapters.email.smtp import Smtp, SmtpSettings
from adapters.gateways.infobip import InfobipSettings, InfobipViber
from adapters.sms.twilio_sms import TwilioSettings, TwilioSms
from adapters.web_push.vapid import WebPush, WebPushSettings
from adapters.whatsapp.account import WhatsAppSettings
from adapters.whatsapp.whatsapp_cloud import WhatsAppCloud
from orchestrator.api.app import ApiDeps, Listener, build_app
from orchestrator.api.fast_path import open_runner
from orchestrator.channels import Adapter
from orchestrator.configuration.effective import EffectiveConfiguration
from orchestrator.configuration.settings import HttpSettings, Settings, Sources, StoreSettings
from orchestrator.core.facts import Answered, Prepared
from orchestrator.core.inputs import Provider
from orchestrator.core.outcomes import Accepted, InboxItem
from orchestrator.core.policy import Policy, Step
from orchestrator.core.replies import Choice
from orchestrator.engine.commands import ApplyFact
from orchestrator.primitives.tokens import SigningKeys
from orchestrator.recipients.document import Person
from orchestrator.stores.rows import ApiKeyRow, Wanted
from orchestrator.telemetry.metrics import Metrics
from tests.engine.world import CHANNELS, PROVIDERS, World, address_hash

PUBLIC_URL = "https://kaskad.example.com"
MINUTE = 60_000
EFFECTIVE: EffectiveConfiguration = {
    "hash": "0",
    "settings": {},
    "governance": {},
    "policies": {},
    "templates": {},
}
MAIL = Policy(
    "reminder",
    "v1",
    "cart",
    (Step("email", wait=(("read", 60 * MINUTE),)), Step("sms")),
    topic="cart_reminders",
)
TEXT = Policy(
    "text", "v1", "text", (Step("sms", wait=(("delivered", 10 * MINUTE),)),), topic="texts"
)
PUSH = Policy(
    "push", "v1", "push", (Step("web_push", wait=(("delivered", 10 * MINUTE),)),), topic="pushes"
)
TWILIO_TOKEN, META_SECRET, META_TOKEN = "twilio-token", "meta-secret", "meta-verify"
BOUNCE_SECRET = "bounce-secret"
OLENA = {
    "id": "olena",
    "phone": "+380501234567",
    "email": "olena@example.com",
    "web_push": [{"endpoint": "https://push.example/1", "keys": {"p256dh": "B", "auth": "a"}}],
}


def event(id: str = "1", type: str = "cart", recipient: Any = OLENA, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": "shop",
        "type": type,
        "data": {**data, **({"recipient": recipient} if recipient else {})},
    }


def adapters() -> Mapping[str, tuple[Adapter[Any], str]]:
    key = ec.derive_private_key(7, ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    twilio = TwilioSettings.model_validate(
        {"account_sid": "AC1", "auth_token": TWILIO_TOKEN, "from": "Shop"}
    )
    meta = WhatsAppSettings.model_validate(
        {
            "phone_number_id": "1",
            "access_token": "t",
            "app_secret": META_SECRET,
            "verify_token": META_TOKEN,
        }
    )
    infobip = InfobipSettings.model_validate(
        {"api_key": "k", "sender": "Shop", "base_url": "https://x.example", "allow_unsigned": True}
    )
    mail = SmtpSettings.model_validate(
        {"host": "127.0.0.1", "from": "hello@shop.example", "bounce_secret": BOUNCE_SECRET}
    )
    vapid = WebPushSettings(private_key=SecretStr(key.decode()), subject="mailto:ops@example.com")
    return {
        "texts": (TwilioSms(twilio, "texts"), "sms"),
        "meta": (WhatsAppCloud(meta, "meta"), "whatsapp"),
        "mail": (Smtp(mail, "mail"), "email"),
        "viber_a": (InfobipViber(infobip, "viber_a"), "viber"),
        "push": (WebPush(vapid, "push"), "web_push"),
    }


class Site:
    """
    ``client`` speaks to the public listener, ``admin`` to the other; ``world`` is what stands
    behind them.
    """

    client: httpx.AsyncClient
    admin: httpx.AsyncClient

    def __init__(
        self, auth: str = "off", http_source: bool = True, world: World | None = None
    ) -> None:
        self.world = world or World(MAIL, TEXT, PUSH)
        rules = self.world.rules
        providers = {**PROVIDERS, "push": Provider("push", "web_push", ("web_push",), fan_out=True)}
        self.world.rules = replace(
            rules, providers=providers, channels={**CHANNELS, "web_push": ("push",)}
        )
        self.keys = SigningKeys([(1, b"k" * 32, self.world.now)], lambda: self.world.now)
        self.metrics = Metrics()
        self.is_ready = True
        self._ids = itertools.count()
        self.reload_problems: list[str] = []
        self.left_open = {"old": 2}
        self.rotations = 0
        self.auth = auth
        self.settings = Settings(
            path=Path("kaskad.yaml"),
            store=StoreSettings("sqlite", SecretStr("")),
            channels={},
            sources=Sources(http=http_source),
            http=HttpSettings(public_url=PUBLIC_URL),
        )
        self._adapters = adapters()

    def also(self, provider: str, adapter: Adapter[Any], channel: str) -> None:
        """One more provider."""
        self._adapters = {**self._adapters, provider: (adapter, channel)}

    def deps(self) -> ApiDeps:
        return ApiDeps(
            engine=self.world.engine,
            reader=self.world.store,
            keys=self.keys,
            adapters=lambda: self._adapters,
            settings=lambda: self.settings,
            auth=self.auth,
            metrics=self.metrics,
            now=lambda: self.world.now,
            new_id=lambda: f"unused-{next(self._ids)}",
            is_ready=lambda: self.is_ready,
            reload=self._reload,
            left_open=lambda: self.left_open,
            effective=lambda: EFFECTIVE,
            rotated=self._rotated,
            address_hash=address_hash,
        )

    async def _reload(self, actor: str) -> list[str]:
        return self.reload_problems

    async def _rotated(self) -> None:
        self.rotations += 1

    async def add_key(self, key: str, *scopes: str, **more: Any) -> None:
        await self.world.store.add_api_key(
            ApiKeyRow(
                key, hashlib.sha256(key.encode()).hexdigest(), scopes, self.world.now, None
            )._replace(**more)
        )

    async def publish(self, **kinds: Any) -> str:
        """Publish one event; the id of its message."""
        answer = await self.client.post("/v1/events", json=event(**kinds))
        assert answer.status_code == 202, answer.text
        found: str = answer.json()["results"][0]["messages"][0]
        return found

    async def hand_off(
        self,
        message: str,
        provider_id: str = "p-1",
        item: InboxItem | None = None,
        choices: tuple[Choice, ...] = (),
    ) -> None:
        """Do dispatch's part for the step that is ready, with a provider that accepts it."""
        row = (await self.world.store.load(Wanted(messages={message}))).messages[message]
        people = await self.world.store.load(Wanted(recipients={row.message.recipient}))
        person = Person(
            row.message.recipient, people.recipients.get(row.message.recipient), address_hash
        )
        run = row.message.ready()[0]
        provider = self.world.rules.providers[run.provider or ""]
        targets = person.usable_addresses(provider.kinds)
        what = (run.step, provider.name, targets, "c", 1, provider.cost)
        applied = await self.world.engine.submit(
            ApplyFact(message, Prepared(*what, choices=choices))
        )
        for call in applied.calls:
            await self.world.engine.submit(
                ApplyFact(message, Answered(call.attempt, Accepted(provider_id, item=item)))
            )

    async def message(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/v1/messages/{id}")).json()
        return found

    async def twilio(self, reference: str | None = None, **fields: str) -> httpx.Response:
        """A webhook of Twilio's, signed as Twilio signs the public address."""
        fields["AccountSid"] = "AC1"
        query = f"?ref={reference}" if reference else ""
        signed = f"{PUBLIC_URL}/v1/receipts/texts{query}" + "".join(
            name + fields[name] for name in sorted(fields)
        )
        digest = hmac.new(TWILIO_TOKEN.encode(), signed.encode(), hashlib.sha1).digest()
        headers = {
            "X-Twilio-Signature": base64.b64encode(digest).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return await self.client.post(
            f"/v1/receipts/texts{query}", content=urlencode(fields), headers=headers
        )


@asynccontextmanager
async def open_site(
    auth: str = "off", http_source: bool = True, world: World | None = None
) -> AsyncIterator[Site]:
    site = Site(auth, http_source, world)
    async with site.world:
        deps = site.deps()
        async with (
            serving(build_app(Listener.PUBLIC, deps)) as site.client,
            serving(build_app(Listener.ADMIN, deps)) as site.admin,
        ):
            yield site


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[httpx.AsyncClient]:
    runner = await open_runner(app)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        # nothing here speaks TLS, and the certificates that a client would trust take long to load
        async with httpx.AsyncClient(
            base_url=f"http://{host}:{port}/", trust_env=False, verify=False
        ) as client:
            yield client
    finally:
        await runner.cleanup()


def is_problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem document of an answer, checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    found: dict[str, Any] = json.loads(answer.content)
    assert {"type", "title", "status", "code", "detail"} <= found.keys() and found[
        "status"
    ] == status
    assert code is None or found["code"] == code
    return found
