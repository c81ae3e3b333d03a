"""
Webhooks: the provider's own signature over the public address, durable before the answer, and only
its own attempts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from orchestrator.engine.handlers.receipts import ReceiptHandler
from tests.api.site import META_SECRET, META_TOKEN, Site, is_problem


async def sent_text(site: Site, provider_id: str = "SM1") -> str:
    id = await site.publish(type="text")
    await site.hand_off(id, provider_id)
    return id


async def test_a_signed_receipt_moves_its_message_before_it_is_answered(site: Site) -> None:
    id = await sent_text(site)
    answer = await site.twilio(MessageSid="SM1", MessageStatus="delivered")
    assert answer.status_code == 200
    found = await site.message(id)
    assert (found["status"], found["succeeded_by"]) == ("succeeded", "sms")


async def test_a_receipt_is_found_by_our_own_reference_where_its_id_is_not_known(
    site: Site,
) -> None:
    id = await sent_text(site)
    assert (
        await site.twilio(
            site.keys.reference(id, 0), MessageSid="SM-other", MessageStatus="delivered"
        )
    ).status_code == 200
    assert (await site.message(id))["status"] == "succeeded"


async def test_a_forged_receipt_is_refused_counted_and_moves_nothing(site: Site) -> None:
    id = await sent_text(site)
    headers = {"X-Twilio-Signature": "AAAA", "Content-Type": "application/x-www-form-urlencoded"}
    body = "MessageSid=SM1&MessageStatus=delivered"
    is_problem(
        await site.client.post("/v1/receipts/texts", content=body, headers=headers), 403, "forged"
    )
    is_problem(await site.client.post("/v1/receipts/texts", content=body), 403, "forged")
    assert (await site.message(id))["status"] == "running"
    assert (
        'kaskad_webhook_signature_failures_total{provider="texts"} 2.0'
        in (await site.admin.get("/metrics")).text
    )


async def test_a_provider_cannot_move_the_attempts_of_another(site: Site) -> None:
    id = await sent_text(site, "shared-id")
    report = {"results": [{"messageId": "shared-id", "status": {"groupName": "DELIVERED"}}]}
    assert (await site.client.post("/v1/receipts/viber_a", json=report)).status_code == 200
    assert (await site.message(id))["status"] == "running"


async def test_an_unsigned_receipt_is_taken_where_the_operator_allows_it(site: Site) -> None:
    assert (await site.client.post("/v1/receipts/viber_a", json={"results": []})).status_code == 200


async def test_a_provider_that_nobody_configured_is_a_404(site: Site) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        is_problem(
            await site.client.request(method, "/v1/receipts/nobody"), 404, "unknown_provider"
        )


async def test_a_stop_by_reply_opts_out_of_the_channel(site: Site) -> None:
    id = await sent_text(site)
    fields = {
        "From": "+380501234567",
        "To": "Shop",
        "Body": "«Стоп»",
        "MessageSid": "SMin",
        "SmsStatus": "received",
    }
    answer = await site.twilio(**fields)
    assert answer.status_code == 200, answer.text
    [consent] = (await site.client.get("/v1/recipients/olena/consents")).json()["consents"]
    assert (consent["channel"], consent["topic"], consent["state"]) == ("sms", "*", "out")
    assert "unsubscribed" in (await site.message(id))["attempts"][0]["engagement"]


async def test_meta_verifies_the_address_by_a_get(site: Site) -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": META_TOKEN}
    answer = await site.client.get("/v1/receipts/meta", params=query)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    is_problem(
        await site.client.get("/v1/receipts/meta", params=query | {"hub.verify_token": "guess"}),
        403,
        "forged",
    )


async def test_meta_signs_the_raw_body(site: Site) -> None:
    body = json.dumps({"object": "whatsapp_business_account", "entry": []}, indent=3).encode()
    headers = {
        "X-Hub-Signature-256": "sha256="
        + hmac.new(META_SECRET.encode(), body, hashlib.sha256).hexdigest()
    }
    assert (
        await site.client.post("/v1/receipts/meta", content=body, headers=headers)
    ).status_code == 200
    is_problem(
        await site.client.post("/v1/receipts/meta", content=body + b" ", headers=headers), 403
    )


# ---- browsers


async def test_a_browser_may_report_from_the_shops_origin(site: Site) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    answer = await site.client.options("/v1/receipts/push", headers=asked)
    assert answer.status_code == 204
    assert (
        answer.headers["Access-Control-Allow-Origin"] == "*"
        and "POST" in answer.headers["Access-Control-Allow-Methods"]
    )
    assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"
    is_problem(await site.client.options("/v1/receipts/texts", headers=asked), 405)


@pytest.mark.parametrize("kind", ["text/plain;charset=UTF-8", "application/json"])
async def test_a_browsers_report_is_found_by_its_token(site: Site, kind: str) -> None:
    id = await site.publish(type="push")
    await site.hand_off(id)
    report = json.dumps({"mid": id, "rt": site.keys.receipt_token(id, 0), "ev": "delivered"})
    answer = await site.client.post(
        "/v1/receipts/push", content=report, headers={"Content-Type": kind}
    )
    assert answer.status_code in (200, 204) and answer.headers["Access-Control-Allow-Origin"] == "*"
    assert (await site.message(id))["status"] == "succeeded"


async def test_a_browsers_report_with_any_other_token_moves_nothing(site: Site) -> None:
    id = await site.publish(type="push")
    await site.hand_off(id)
    good = site.keys.receipt_token(id, 0)
    for token in (
        site.keys.reference(id, 0),
        site.keys.pixel(id, 0),
        good[:-1],
        good + "A",
        "",
        "💥",
    ):
        report = json.dumps({"mid": id, "rt": token, "ev": "delivered"})
        assert (await site.client.post("/v1/receipts/push", content=report)).status_code in (
            200,
            204,
            403,
        )
    assert (await site.message(id))["status"] == "running"


async def test_a_token_names_one_attempt_and_no_other_message(site: Site) -> None:
    first, second = await site.publish(id="1", type="push"), await site.publish(id="2", type="push")
    await site.hand_off(first)
    await site.hand_off(second)
    report = json.dumps({"mid": second, "rt": site.keys.receipt_token(first, 0), "ev": "delivered"})
    await site.client.post("/v1/receipts/push", content=report)
    assert (await site.message(first))["status"] == "succeeded"
    assert (await site.message(second))["status"] == "running"


async def raw_receipts(site: Site) -> list[bytes]:
    return [
        row[0] for row in site.world.open_store._reader.execute("select body from raw_receipts")
    ]


async def test_a_raw_webhook_is_stored_but_not_what_anybody_can_send(
    site: Site,
) -> None:
    await site.client.post("/v1/receipts/viber_a", content=b'{"results": [] }')
    await site.client.post("/v1/receipts/push", json={"rt": "made up", "ev": "delivered"})
    await site.client.post("/v1/receipts/texts", content=b"forged=1")
    assert await raw_receipts(site) == [b'{"results":[]}']


async def test_a_browser_s_report_is_small_and_leaves_nothing_however_often_it_comes(
    site: Site,
) -> None:
    id = await site.publish(type="push")
    await site.hand_off(id)
    report = {"rt": site.keys.receipt_token(id, 0), "ev": "delivered"}
    grown = []
    for n in range(20):
        answer = await site.client.post("/v1/receipts/push", json={**report, "n": f"{n:01000}"})
        assert answer.status_code in (200, 204)
        grown.append(len((await site.world.stored(id)).history))
    assert len(set(grown)) == 1
    assert await raw_receipts(site) == []
    big = {**report, "x": "x" * 2_048}
    is_problem(await site.client.post("/v1/receipts/push", json=big), 413)


# ---- limits


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b" " * (4 * 1024 * 1024 + 1), {}, 413),
        (b"[" + b"{}," * 400_000 + b"{}]", {}, 413),
        (b"{}", {"Content-Encoding": "gzip"}, 415),
        (b"[" * 33 + b"]" * 33, {}, 400),
        (b"[" * 100_000, {}, 400),
    ],
)
async def test_webhooks_are_bounded(
    site: Site, body: bytes, headers: dict[str, str], status: int
) -> None:
    is_problem(
        await site.client.post("/v1/receipts/viber_a", content=body, headers=headers), status
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"7", b"\xff", b"{", b'{"results": 5}', b'{"results": [null, {}]}'],
)
@pytest.mark.parametrize("provider", ["viber_a", "push", "texts", "meta"])
async def test_nonsense_is_answered_and_never_an_error(
    site: Site, provider: str, body: bytes
) -> None:
    assert (await site.client.post(f"/v1/receipts/{provider}", content=body)).status_code in (
        200,
        204,
        400,
        403,
    )


async def test_a_receipt_whose_commit_fails_is_not_acknowledged(site: Site) -> None:
    await sent_text(site)
    commit = site.world.open_store.commit

    async def broken(changes: Any) -> None:
        raise OSError("disk full")

    site.world.open_store.commit = broken
    is_problem(await site.twilio(MessageSid="SM1", MessageStatus="delivered"), 500)
    site.world.open_store.commit = commit
    assert (await site.twilio(MessageSid="SM1", MessageStatus="delivered")).status_code == 200


async def test_a_webhook_whose_reports_fail_is_refused_and_stored_raw(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: ReceiptHandler, context: Any, command: Any) -> None:
        raise ValueError("nobody thought of this")

    await sent_text(site)
    monkeypatch.setattr(ReceiptHandler, "handle", broken)
    is_problem(await site.twilio(MessageSid="SM1", MessageStatus="delivered"), 500)
    assert len(await raw_receipts(site)) == 1
    monkeypatch.undo()
    assert (await site.twilio(MessageSid="SM1", MessageStatus="delivered")).status_code == 200


async def test_the_address_of_the_signature_is_the_public_one_with_its_query_as_it_was_sent(
    site: Site,
) -> None:
    id = await sent_text(site)
    reference = site.keys.reference(id, 0) + "&x=%7Eа%20b".replace("а", "%d0%b0")
    assert (await site.twilio(reference, MessageSid="SM1", MessageStatus="sent")).status_code == 200
