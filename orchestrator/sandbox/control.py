"""
The sandbox's own API, under ``/_sandbox/``: scripts in, the truth out.

    GET      env          every account that is accepted, as an environment file (see page.py)
    GET/PUT  script       the behaviours in force (see script.py); PUT replaces them all
    GET      accepted     what was accepted: ?provider=&address=
    GET      requests     counts by provider and outcome, and the newest: ?provider=&address=
    GET      receipts     what became of each receipt
    GET/PUT  callbacks    webhook URLs by provider: {"meta": URL, "twilio": URL (replies only), …}
    POST     verify       {"provider"}: call its webhook as the provider does when it is set
    POST     inbound      {"provider", "from", "text"}: the person writes
    POST     act          {"seq", "state", "detail"?}: a message reaches a state now
    PUT      people       {"Olena": ["+380501234567", ENDPOINT]}: whose phone is whose, for the page
    PUT      in_app       {"service": URL, "people": {"Olena": "user-1"}}: inboxes for the page
    POST     push/subscribe  {"application_server_key"?, "owner"?}  →  a PushSubscription
    POST     push/expire     {"endpoint"}: the browser unsubscribes
    GET      apps         settings for the adapters fcm and apns
    POST     devices      {"platform": "fcm" | "apns", "owner"?}  →  a device for a profile
    POST     devices/remove  {"token"}: the app is removed
    POST     reset        forget traffic, opt-outs and the script; subscriptions and callbacks stay

Requests that change something are JSON with ``Content-Type: application/json``, which keeps strange
web pages out. Errors are ``{"error": "what is wrong and how to fix it"}``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol

from aiohttp import web

from orchestrator.sandbox.app_push import ApnsStandIn, FcmStandIn
from orchestrator.sandbox.courier import Make
from orchestrator.sandbox.meta import Meta
from orchestrator.sandbox.push import Push
from orchestrator.sandbox.script import STATES, Planned, ScriptError, canonical
from orchestrator.sandbox.standin import Common, NoReplies, StandIn, as_json, is_web_url, read_json
from orchestrator.sandbox.viber_bot import ViberBotStandIn

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Body = dict[str, Any]


class Wrong(Exception):
    """A request that cannot be done; the text says why and how to fix it."""

    def __init__(self, what: str, status: int = 400) -> None:
        super().__init__(what)
        self.status = status


class Controlled(Protocol):
    """The part of the sandbox that the control API uses."""

    common: Common
    push: Push
    fcm: FcmStandIn
    apns: ApnsStandIn
    meta: Meta
    viber_bot: ViberBotStandIn
    stand_ins: dict[str, StandIn]

    def use_script(self, value: Any) -> None: ...
    def use_callbacks(self, value: Mapping[str, str]) -> None: ...
    def app_accounts(self) -> dict[str, Any]: ...
    def receipt_maker(self, provider: str) -> Make: ...
    async def reset(self) -> None: ...


class Control:
    """The handlers of one sandbox."""

    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox
        self._common = sandbox.common

    def routes(self) -> Iterator[web.RouteDef]:
        """All paths of the control API."""
        yield web.get("/_sandbox/script", self.script)
        yield web.put("/_sandbox/script", _changes(self.put_script))
        yield web.get("/_sandbox/accepted", self.accepted)
        yield web.get("/_sandbox/requests", self.requests)
        yield web.get("/_sandbox/receipts", self.receipts)
        yield web.get("/_sandbox/callbacks", self.callbacks)
        yield web.put("/_sandbox/callbacks", _changes(self.put_callbacks))
        yield web.post("/_sandbox/verify", _changes(self.verify))
        yield web.post("/_sandbox/inbound", _changes(self.inbound))
        yield web.post("/_sandbox/act", _changes(self.act))
        yield web.put("/_sandbox/people", _changes(self.people))
        yield web.put("/_sandbox/in_app", _changes(self.in_app))
        yield web.post("/_sandbox/push/subscribe", _changes(self.subscribe))
        yield web.post("/_sandbox/push/expire", _changes(self.expire))
        yield web.get("/_sandbox/apps", self.apps)
        yield web.post("/_sandbox/devices", _changes(self.device))
        yield web.post("/_sandbox/devices/remove", _changes(self.remove_app))
        yield web.post("/_sandbox/reset", _changes(self.reset))

    async def script(self, request: web.Request) -> web.Response:
        return as_json(200, self._common.script.value)

    async def put_script(self, body: Body) -> web.Response:
        try:
            self._sandbox.use_script(body)
        except ScriptError as error:
            raise Wrong(str(error)) from error
        return as_json(200, self._common.script.value)

    async def accepted(self, request: web.Request) -> web.Response:
        provider, address = _filters(request)
        entries = self._common.inbox.accepted(provider)
        found = ({**entry.record(), "states": entry.states} for entry in entries)
        return as_json(200, [one for one in found if _fits(one, provider, address)])

    async def requests(self, request: web.Request) -> web.Response:
        inbox, (provider, address) = self._common.inbox, _filters(request)
        body = {
            "total": sum(sum(counts.values()) for counts in inbox.counts.values()),
            "by_provider": {name: dict(counts) for name, counts in inbox.counts.items()},
            "pending_receipts": self._common.courier.pending,
            "requests": [entry for entry in inbox.requests if _fits(entry, provider, address)],
        }
        return as_json(200, body)

    async def receipts(self, request: web.Request) -> web.Response:
        receipts, filters = self._common.inbox.receipts, _filters(request)
        return as_json(200, [entry for entry in receipts if _fits(entry, *filters)])

    async def callbacks(self, request: web.Request) -> web.Response:
        return as_json(200, self._common.callbacks)

    async def put_callbacks(self, body: Body) -> web.Response:
        self._sandbox.use_callbacks(body)
        return as_json(200, self._common.callbacks)

    async def verify(self, body: Body) -> web.Response:
        provider = self._provider(body)
        standin = self._sandbox.stand_ins[provider]
        if provider not in self._common.callbacks:
            raise Wrong(f"{provider} has no webhook yet; set it with PUT /_sandbox/callbacks", 409)
        if standin is self._sandbox.meta:
            verified = await self._sandbox.meta.probe(provider)
        elif standin is self._sandbox.viber_bot:
            verified = await self._sandbox.viber_bot.probe(self._common.callbacks[provider])
        else:
            raise Wrong(f"{provider} does not verify its webhooks; meta and viber_bot do")
        return as_json(200, {"provider": provider, "verified": verified})

    async def inbound(self, body: Body) -> web.Response:
        provider, sender, text = self._provider(body), _text(body, "from"), _text(body, "text")
        address = self._sandbox.stand_ins[provider].spelling(sender)
        entry = self._common.inbox.last(provider, address)
        try:
            post = self._sandbox.stand_ins[provider].inbound(provider, address, text, entry)
        except NoReplies as error:
            raise Wrong(str(error), 409) from error
        self._common.inbox.replied(provider, address, text)
        if entry is not None:
            self._common.inbox.mark(entry, "replied")
        return as_json(200, {"answered": await self._common.courier.offer(post, entry, "inbound")})

    async def act(self, body: Body) -> web.Response:
        seq, state, detail = body.get("seq"), body.get("state"), body.get("detail")
        if state not in STATES:
            raise Wrong(f"state: one of {', '.join(STATES)} is needed, found {state!r}")
        entry = self._common.inbox.find(seq) if isinstance(seq, int) else None
        if entry is None:
            raise Wrong(f"seq: no message {seq!r} is kept; see GET /_sandbox/accepted", 404)
        planned = Planned(state, 0, None if detail is None else str(detail))
        maker = self._sandbox.receipt_maker(entry.provider)
        try:
            answered = await self._common.courier.deliver(entry, planned, maker)
        except NoReplies as error:
            raise Wrong(str(error), 409) from error
        return as_json(200, {"answered": answered})

    async def people(self, body: Body) -> web.Response:
        for name, addresses in body.items():
            if not isinstance(addresses, list) or not all(
                isinstance(address, str) for address in addresses
            ):
                raise Wrong(f"{name}: a list of addresses is needed, found {addresses!r}")
        self._common.inbox.group(
            {
                name: list(
                    dict.fromkeys(form for each in given for form in (canonical(each), each))
                )
                for name, given in body.items()
            }
        )
        return as_json(200, self._common.inbox.people)

    async def in_app(self, body: Body) -> web.Response:
        service, people = body.get("service"), body.get("people")
        if not is_web_url(service):
            raise Wrong(f"service: the http(s) URL of Kaskad is needed, found {service!r}")
        if not isinstance(people, dict) or not all(isinstance(id, str) for id in people.values()):
            raise Wrong(f"people: recipients' ids by name are needed, found {people!r}")
        self._common.inbox.show_in_app({"service": service.rstrip("/"), "people": people})
        return as_json(200, self._common.inbox.in_app)

    async def subscribe(self, body: Body) -> web.Response:
        key, owner = body.get("application_server_key"), body.get("owner")
        inbox = self._common.inbox
        if key is not None and not isinstance(key, str):
            raise Wrong(f"application_server_key: base64url text is needed, found {key!r}")
        if owner is not None and not isinstance(owner, str):
            raise Wrong(f"owner: a name of PUT /_sandbox/people is needed, found {owner!r}")
        try:
            subscription = self._sandbox.push.subscribe(key)
        except ValueError as error:
            raise Wrong(
                f"application_server_key: the 65 bytes of a P-256 public key in base64url: {error}"
            ) from error
        if owner is not None:
            inbox.group(
                {**inbox.people, owner: [*inbox.people.get(owner, []), subscription["endpoint"]]}
            )
        return as_json(201, subscription)

    async def expire(self, body: Body) -> web.Response:
        endpoint = _text(body, "endpoint")
        if not self._sandbox.push.expire(endpoint):
            known = "POST /_sandbox/push/subscribe"
            raise Wrong(f"endpoint: {endpoint} is not one of this sandbox; see {known}", 404)
        return as_json(200, {"endpoint": endpoint, "gone": True})

    async def apps(self, request: web.Request) -> web.Response:
        return as_json(200, self._sandbox.app_accounts())

    async def device(self, body: Body) -> web.Response:
        platform = body.get("platform")
        if platform not in ("fcm", "apns"):
            raise Wrong(f"platform: fcm or apns is needed, found {platform!r}")
        app = self._sandbox.fcm if platform == "fcm" else self._sandbox.apns
        device, inbox, owner = app.register(), self._common.inbox, body.get("owner")
        if isinstance(owner, str):
            inbox.group({**inbox.people, owner: [*inbox.people.get(owner, []), device["token"]]})
        return as_json(201, device)

    async def remove_app(self, body: Body) -> web.Response:
        token = _text(body, "token")
        if not (self._sandbox.fcm.remove(token) or self._sandbox.apns.remove(token)):
            raise Wrong("token: there is no such device; see POST /_sandbox/devices", 404)
        return as_json(200, {"token": token, "gone": True})

    async def reset(self, body: Body) -> web.Response:
        await self._sandbox.reset()
        return as_json(200, {})

    def _provider(self, body: Body) -> str:
        known = self._sandbox.stand_ins
        name = body.get("provider")
        if name not in known:
            raise Wrong(f"provider: one of {', '.join(known)} is needed, found {name!r}")
        return str(name)


def _changes(handler: Callable[[Body], Awaitable[web.Response]]) -> Handler:
    """A handler of the request's JSON object; ``Wrong`` becomes a JSON error."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            error = "send JSON with the header Content-Type: application/json"
            return as_json(415, {"error": error})
        body = read_json(await request.read() or b"{}")
        if not isinstance(body, dict):
            return as_json(400, {"error": "the body is not a JSON object"})
        try:
            return await handler(body)
        except Wrong as error:
            return as_json(error.status, {"error": str(error)})

    return handle


def _text(body: Body, key: str) -> str:
    value = body.get(key)
    if isinstance(value, str) and value.strip():
        return value
    raise Wrong(f"{key}: text is needed, found {value!r}")


def _filters(request: web.Request) -> tuple[str | None, str | None]:
    """The filters of a list."""
    return request.query.get("provider"), request.query.get("address")


def _fits(entry: Body, provider: str | None, address: str | None) -> bool:
    """An unescaped ``+`` arrives as a space, which is put right; an id may look like a number."""
    known = (address, canonical(address)) if address is not None else (entry["address"],)
    return provider in (None, entry["provider"]) and entry["address"] in known


def checked_callbacks(given: Body, known: Iterator[str] | list[str]) -> dict[str, str]:
    """Webhook URLs by provider. Raises ``Wrong``."""
    names = list(known)
    for name, url in given.items():
        if name not in names:
            raise Wrong(f"unknown provider {name!r}; known are {', '.join(names)}")
        if not is_web_url(url):
            raise Wrong(f"{name}: an absolute http(s) URL is needed, found {url!r}")
    return dict(given)
