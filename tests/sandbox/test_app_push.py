"""The stand-ins for FCM and APNs, called as the service calls them: real adapters, real HTTP/2."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.mobile_push.apns import Apns, ApnsSettings
from adapters.mobile_push.fcm import Fcm, FcmSettings
from kaskad_testing import outgoing
from orchestrator import channels as ch
from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.login import Login
from orchestrator.dispatch.senders import Http2Sender
from tests.sandbox.sandbox_kit import Bench, benched

R = Reason


@dataclass
class Phones:
    """Both accounts, and a device of each platform."""

    bench: Bench
    sender: Http2Sender
    adapters: dict[str, Any]
    devices: dict[str, str]
    login: Login
    gateway: str
    authority: str
    """PEM of whom to trust at the gateway."""

    async def send(self, platform: str, **changed: Any) -> Outcome:
        adapter = self.adapters[platform]
        access = ""
        if platform == "fcm":
            found = await self.login.token(self.ask, time.monotonic, time.time, now() + 10)
            if not isinstance(found, str):
                return found
            access = found
        message = message_to(platform, self.devices[platform], access, self.bench, **changed)
        answer = await self.ask(adapter.request(message))
        if not isinstance(answer, HttpReply):
            failed: Outcome = answer
            return failed
        if platform == "fcm" and self.login.goes_again(answer, access):
            return NotSent(R.NOT_TAKEN, 0, "401")
        found_outcome: Outcome = adapter.outcome(answer)
        return found_outcome

    async def ask(self, call: HttpCall) -> Any:
        if call.url.startswith(self.gateway):
            call = dataclasses.replace(call, ca=self.authority)
        return await self.sender.call(call, timeout_ms=10_000, start_by=now() + 10, clock=time.time)


def now() -> float:
    return time.monotonic()


def message_to(platform: str, token: str, access: str, bench: Bench, **changed: Any) -> ch.Outgoing:
    fields: dict[str, Any] = {
        "address": ch.Address(f"{platform}_device", token, "hash"),
        "content": {"title": "Кошик", "text": "чекає", "yaml": {"url": "shop://cart"}},
        "receipt_token": "signed-token",
        "receipt_url": bench.receiver.url,
        "now": time.time(),
        "access_token": access,
    }
    return outgoing(**{**fields, **changed})


@asynccontextmanager
async def phones(http2: bool = True) -> AsyncIterator[Phones]:
    async with benched() as bench:
        accounts = await bench.control("GET", "apps")
        if http2:  # Firebase over HTTP/2 as well, through the same gateway
            accounts["fcm"]["base_url"] = accounts["apns"]["base_url"]
        accounts["fcm"]["service_account"] = json.dumps(accounts["fcm"]["service_account"])
        adapters: dict[str, Any] = {
            "fcm": Fcm(FcmSettings.model_validate(accounts["fcm"]), "google"),
            "apns": Apns(ApnsSettings.model_validate(accounts["apns"]), "apple"),
        }
        devices = {
            platform: (await bench.control("POST", "devices", {"platform": platform}, 201))["token"]
            for platform in adapters
        }
        sender = Http2Sender(guard=EgressGuard())
        await sender.open()
        try:
            apple = accounts["apns"]
            trusted = (apple["base_url"], apple["ca"])
            yield Phones(bench, sender, adapters, devices, Login(adapters["fcm"]), *trusted)
        finally:
            await sender.close()


@pytest.mark.parametrize("platform", ["fcm", "apns"])
async def test_a_notification_is_shown_and_the_app_reports(platform: str) -> None:
    async with phones() as at:
        await at.bench.script(default={"receipts": [["delivered", 0], ["clicked", 0]]})
        assert isinstance(await at.send(platform), Accepted)
        reports = [json.loads((await at.bench.receiver.next()).body) for _ in range(2)]
        assert [one["ev"] for one in reports] == ["delivered", "clicked"]
        assert {one["rt"] for one in reports} == {"signed-token"}
        shown = (await at.bench.accepted(platform))[0]
        assert shown["channel"] == "mobile_push" and shown["address"] == at.devices[platform]
        assert shown["content"]["title"] == "Кошик" and shown["content"]["url"] == "shop://cart"


async def test_firebase_is_spoken_to_over_http_1_where_the_server_has_no_more() -> None:
    async with phones(http2=False) as at:
        assert isinstance(await at.send("fcm"), Accepted)


@pytest.mark.parametrize(("platform", "code"), [("fcm", "UNREGISTERED"), ("apns", "Unregistered")])
async def test_an_app_that_was_removed_has_a_dead_token(platform: str, code: str) -> None:
    async with phones() as at:
        await at.bench.control("POST", "devices/remove", {"token": at.devices[platform]})
        outcome = await at.send(platform)
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.code, outcome.personal) == (R.REFUSED_ADDRESS, code, False)


@pytest.mark.parametrize("platform", ["fcm", "apns"])
async def test_a_token_that_the_provider_does_not_know_is_that_device(platform: str) -> None:
    async with phones() as at:
        at.devices[platform] = "ab" * 32
        outcome = await at.send(platform)
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.personal) == (R.REFUSED_ADDRESS, True)


@pytest.mark.parametrize("platform", ["fcm", "apns"])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"throttle": 7}, NotSent(R.THROTTLED, 7_000)),
        ({"status": 500}, Unknown(R.SERVER_ERROR)),
        ({"status": 500, "accepted": True}, Unknown(R.SERVER_ERROR)),
        ("cut_after_accept", Unknown(R.CONNECTION_LOST)),
    ],
)
async def test_what_a_provider_can_do_means_what_it_says(
    platform: str, answer: Any, outcome: NotSent | Unknown
) -> None:
    async with phones() as at:
        await at.bench.script(default={"answer": answer, "receipts": "never"})
        found = await at.send(platform)
        assert isinstance(found, NotSent | Unknown)
        assert (type(found), found.reason) == (type(outcome), outcome.reason)
        assert getattr(found, "retry_after_ms", None) == getattr(outcome, "retry_after_ms", None)


async def test_apple_going_away_loses_nothing_and_sends_nothing_twice() -> None:
    async with phones() as at:
        token = at.devices["apns"]
        await at.bench.script(addresses={token: [{"answer": "go_away"}, {"answer": "accept"}]})
        assert isinstance(await at.send("apns"), Accepted)
        assert len(await at.bench.accepted("apns")) == 1
        assert at.bench.sandbox.http2.server.connections == 2


async def test_an_access_token_that_was_withdrawn_is_asked_for_again() -> None:
    async with phones() as at:
        assert isinstance(await at.send("fcm"), Accepted)
        at.bench.sandbox.fcm.end_tokens()
        assert await at.send("fcm") == NotSent(R.NOT_TAKEN, 0, "401")
        assert isinstance(await at.send("fcm"), Accepted)
        assert len(await at.bench.accepted("fcm")) == 2


async def test_a_service_account_that_google_does_not_know_is_our_configuration() -> None:
    async with phones() as at:
        account = at.bench.sandbox.fcm.service_account() | {"client_email": "other@example.com"}
        settings = {"service_account": json.dumps(account), "base_url": at.bench.sandbox.url}
        at.login = Login(Fcm(FcmSettings.model_validate(settings), "google"))
        outcome = await at.send("fcm")
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.code) == (R.REFUSED_CONFIGURATION, "invalid_grant")


@pytest.mark.parametrize(
    ("minutes", "code"), [(-90, "ExpiredProviderToken"), (120, "InvalidProviderToken")]
)
async def test_apple_refuses_the_token_of_a_clock_that_is_wrong(minutes: int, code: str) -> None:
    async with phones() as at:
        wrong = time.time() + 60 * minutes
        outcomes = [await at.send("apns", now=wrong) for _ in range(2)]
        last = outcomes[-1]
        if code == "ExpiredProviderToken":
            assert outcomes[0] == NotSent(R.NOT_TAKEN, 0, code)
        else:
            assert isinstance(last, Refused) and last.reason is R.REFUSED_CONFIGURATION
            assert last.code == code


async def test_a_strange_platform_is_refused_with_the_way_out() -> None:
    async with benched() as bench:
        said = await bench.control("POST", "devices", {"platform": "palm"}, 400)
        assert said["error"] == "platform: fcm or apns is needed, found 'palm'"
        said = await bench.control("POST", "devices/remove", {"token": "x"}, 404)
        assert "POST /_sandbox/devices" in said["error"]
