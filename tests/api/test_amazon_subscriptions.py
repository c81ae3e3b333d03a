"""
Amazon's notifications: the certificate that signed them is fetched once from an Amazon host, and
the subscription of our own topic is confirmed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from aiohttp import web

from adapters.email.ses import Ses, SesSettings
from kaskad_testing import changed
from orchestrator.api import outbound, receipts
from orchestrator.channels import Webhook
from tests.adapters import examples_ses as ses
from tests.api.site import Site, is_problem

CERTIFICATE = ses.CERTIFICATE.removeprefix(ses.HOST)


@dataclass
class Amazon:
    """Serves the certificate and takes confirmations; ``asked`` are the paths that were fetched."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    status: int = 200

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        return web.Response(status=self.status, body=ses.certificate(ses.SIGNER))


@pytest.fixture
async def amazon(site: Site) -> AsyncIterator[Amazon]:
    server, app = Amazon(), web.Application()
    app.router.add_get("/{any:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    outbound.kept.clear()
    settings = {**ses.EXAMPLES.settings, "sns_url": server.url}
    site._adapters = {
        **site._adapters,
        "ses": (Ses(SesSettings.model_validate(settings), "ses"), "email"),
    }
    yield server
    await runner.cleanup()


async def post(
    site: Site, amazon: Amazon, hook: Webhook, secret: str = ses.SIGNER
) -> httpx.Response:
    """Post a notification, signed, with every address of Amazon's replaced by the stand-in's."""
    local = json.loads(hook.body.decode().replace(ses.HOST, amazon.url))
    signed = json.loads(ses.sign(changed(hook, json.dumps(local).encode()), secret).body)
    body = json.dumps(signed).replace(ses.CERTIFICATE, f"{amazon.url}{CERTIFICATE}")
    headers = {"Content-Type": "text/plain; charset=UTF-8"}
    return await site.client.post("/v1/receipts/ses", content=body, headers=headers)


async def test_a_subscription_of_our_topic_is_confirmed(site: Site, amazon: Amazon) -> None:
    assert (await post(site, amazon, ses.CONFIRM)).status_code == 200
    assert amazon.asked == [
        CERTIFICATE,
        "/?Action=ConfirmSubscription&Token=2336412f37",
    ]


async def test_the_certificate_is_fetched_once(site: Site, amazon: Amazon) -> None:
    for _ in range(3):
        assert (await post(site, amazon, ses.event("Send", "send"))).status_code == 200
    assert amazon.asked == [CERTIFICATE]


async def test_a_notification_of_another_signer_is_forged_and_confirms_nothing(
    site: Site, amazon: Amazon
) -> None:
    is_problem(await post(site, amazon, ses.CONFIRM, "somebody"), 403, "forged")
    assert amazon.asked == [CERTIFICATE]


async def test_another_topic_is_refused_before_anything_is_fetched(
    site: Site, amazon: Amazon
) -> None:
    hook = ses.notice({}, TopicArn="arn:aws:sns:eu-central-1:1:other")
    is_problem(await post(site, amazon, hook), 403, "forged")
    assert amazon.asked == []


async def test_a_large_notification_is_read_in_a_thread_from_its_first_look_on(
    site: Site, amazon: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    for name in ("evidence", "verify", "receipts", "follow_up"):
        read = getattr(Ses, name)

        def noted(adapter: Ses, hook: Webhook, read: Any = read) -> Any:
            threads.append(threading.current_thread())
            return read(adapter, hook)

        monkeypatch.setattr(Ses, name, noted)
    large = ses.notice({}, Subject="x" * (receipts.AT_ONCE_BYTES_MAX + 1))
    assert (await post(site, amazon, large)).status_code == 200
    assert len(threads) == 4 and threading.current_thread() not in threads
    assert (await post(site, amazon, ses.CONFIRM)).status_code == 200
    assert threads[4:] == [threading.current_thread()] * 4


async def test_a_body_of_too_many_levels_is_refused_before_anything_reads_it(
    site: Site, amazon: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Webhook, "json")
    answer = await site.client.post("/v1/receipts/ses", content=b"[" * 40 + b"]" * 40)
    is_problem(answer, 400, "too_deep")


async def test_a_certificate_that_cannot_be_fetched_has_the_notification_sent_again(
    site: Site, amazon: Amazon
) -> None:
    amazon.status = 500
    is_problem(await post(site, amazon, ses.CONFIRM), 503, "unavailable")
    amazon.status = 200
    assert (await post(site, amazon, ses.CONFIRM)).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.evil.example/x.pem",
        "http://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/x.pem",
        "https://user@sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com:444/x.pem",
        "https://evil.example/?sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com/x.txt",
        "https://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com/?Action=Publish&x=.pem",
        f"{ses.CERTIFICATE}?x=.pem",
        f"{ses.HOST}/?x={CERTIFICATE}",
        f"{ses.CERTIFICATE}#x.pem",
        f"{ses.HOST}/other{CERTIFICATE}",
        f"https://sns.s3.amazonaws.com{CERTIFICATE}",
        f"https://sns.s3-us-west-2.amazonaws.com{CERTIFICATE}",
        f"https://sns.us-east-1.amazonaws.com{CERTIFICATE}",
        f"https://sns.eu-central-1.amazonaws.com.cn{CERTIFICATE}",
    ],
)
def test_a_certificate_of_any_other_host_is_never_fetched(url: str) -> None:
    body = json.loads(ses.notice({}).body)
    hook = changed(ses.notice({}), json.dumps({**body, "SigningCertURL": url}).encode())
    assert ses.EXAMPLES.build().evidence(hook) is None


def test_the_host_is_that_of_the_topics_region_and_partition() -> None:
    url = f"https://sns.cn-north-1.amazonaws.com.cn{CERTIFICATE}"
    body = json.loads(ses.notice({}).body)
    topic = "arn:aws-cn:sns:cn-north-1:123456789012:kaskad"
    signed = {**body, "TopicArn": topic, "SigningCertURL": url}
    hook = changed(ses.notice({}), json.dumps(signed).encode())
    assert ses.EXAMPLES.build(topic=topic).evidence(hook) == url


@pytest.mark.parametrize(
    "changes",
    [
        {"SubscribeURL": "https://sns.s3.amazonaws.com/?Action=ConfirmSubscription"},
        {"TopicArn": "arn:aws:sns:eu-central-1:1:other"},
        {"Type": "Notification"},
    ],
)
def test_only_the_confirmation_of_our_topic_at_its_host_is_followed(
    changes: dict[str, str],
) -> None:
    adapter, body = ses.EXAMPLES.build(), json.loads(ses.CONFIRM.body)
    assert adapter.follow_up(ses.CONFIRM) == body["SubscribeURL"]
    hook = changed(ses.CONFIRM, json.dumps({**body, **changes}).encode())
    assert adapter.follow_up(hook) is None


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_are_taken(version: str) -> None:
    ses.EXAMPLES.build().verify(ses.sign(ses.event("Send", "send"), ses.SIGNER, version))
