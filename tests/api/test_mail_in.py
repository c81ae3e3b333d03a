"""Mail and large webhooks by HTTP: what is taken, what is refused, and before what is read."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from base64 import b64encode

import httpx
import pytest

from tests.api.site import BOUNCE_SECRET, META_SECRET, Site, is_problem

HEADERS = {"Authorization": f"Bearer {BOUNCE_SECRET}", "Content-Type": "message/rfc822"}
MIB = 2**20


async def mailed(site: Site, provider_id: str = "relay-1", id: str = "1") -> str:
    message = await site.publish(id=id)
    await site.hand_off(message, provider_id)
    return message


async def post(site: Site, mail: bytes) -> httpx.Response:
    return await site.client.post("/v1/receipts/mail", content=mail, headers=HEADERS)


def reply(site: Site, message: str, text: str, sender: str = "olena@example.com") -> bytes:
    logo = b64encode(b"\x89PNG" * 80_000).decode()
    return (
        f"From: Olena <{sender}>\nMessage-ID: <r1@example.com>\nSubject: Re: Sale\n"
        f"In-Reply-To: <{site.keys.reference(message, 0)}@shop.example>\n"
        f"Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/plain\n\n{text}\n"
        f"--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n{logo}\n--b--\n"
    ).encode()


def bounced(named: str, returned: str = "", diagnostic: str = "smtp; 550 5.1.1 no") -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example.com\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nAction: failed\n"
        f"Final-Recipient: rfc822; olena@example.com\nDiagnostic-Code: {diagnostic}\n"
        "Status: 5.1.1\n\n--b\nContent-Type: message/rfc822\n\n"
        f"Message-ID: <{named}>\n\n{returned}\n--b--\n"
    ).encode()


async def test_a_stop_with_a_large_logo_opts_out(site: Site) -> None:
    message = await mailed(site)
    mail = reply(site, message, "STOP\n\n> Sale")
    assert len(mail) > 300 * 1024
    assert (await post(site, mail)).status_code == 200
    found = await site.message(message)
    assert "unsubscribed" in found["attempts"][0]["engagement"]
    [consent] = (await site.client.get("/v1/recipients/olena/consents")).json()["consents"]
    assert (consent["channel"], consent["topic"], consent["state"]) == ("email", "*", "out")


async def test_a_stop_from_another_mailbox_counts_for_whom_we_wrote_to(site: Site) -> None:
    older, newer = await mailed(site), await mailed(site, "relay-2", "2")
    await post(site, reply(site, older, "STOP", "alias@work.example"))
    assert "unsubscribed" in (await site.message(older))["attempts"][0]["engagement"]
    assert (await site.message(newer))["attempts"][0]["engagement"] == {}
    assert (await site.message(await site.publish(id="3")))["attempts"] == []


async def test_a_bounce_that_returns_a_mail_of_20_mib_is_taken(site: Site) -> None:
    message = await mailed(site)
    reference = site.keys.reference(message, 0)
    mail = bounced(f"{reference}@shop.example", "Sale sale sale sale\n" * MIB)
    assert len(mail) > 20 * MIB and (await post(site, mail)).status_code == 200
    found = await site.message(message)
    assert found["attempts"][0]["state"] == "failed"


async def test_a_bounce_that_names_the_relays_own_id_finds_its_mail(site: Site) -> None:
    ses = "0102019a8b7c6d5e-11112222-3333-4444-5555-666677778888-000000"
    message = await mailed(site, ses)
    await post(site, bounced(f"{ses}@eu-west-1.amazonses.com"))
    assert (await site.message(message))["attempts"][0]["state"] == "failed"


async def test_a_bounce_of_a_strangers_mail_moves_nothing(site: Site) -> None:
    message = await mailed(site)
    assert (await post(site, bounced("nobodys-nobodys-nobodys@x.example"))).status_code == 200
    assert (await site.message(message))["attempts"][0]["state"] != "failed"


async def test_an_absence_note_is_no_reply_and_a_reply_is(site: Site) -> None:
    message = await mailed(site)
    note = reply(site, message, "Мене немає").replace(
        b"Subject: Re: Sale", b"Subject: =?utf-8?b?0JDQstGC0L7QstGW0LTQv9C+0LLRltC00Yw6IFNhbGU=?="
    )
    await post(site, note)
    assert (await site.message(message))["attempts"][0]["engagement"] == {}
    await post(site, reply(site, message, "Дякую"))
    assert (await site.message(message))["status"] == "succeeded", "a reply implies a delivery"


async def test_a_mail_over_26_mib_is_refused(site: Site) -> None:
    is_problem(await post(site, b"From: a@b.example\n\n" + b"x" * (26 * MIB)), 413, "too_large")


async def test_a_mail_without_the_secret_is_refused_before_it_is_read(site: Site) -> None:
    url = site.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST /v1/receipts/mail HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {20 * MIB}\r\n"
    writer.write(f"{head}Authorization: Bearer guess\r\n\r\nFrom: a@b.example".encode())
    assert b" 403 " in await reader.readline()
    writer.close()


async def test_a_signed_batch_of_600_statuses_is_taken(site: Site) -> None:
    statuses = [
        {
            "id": f"wamid.{number:060d}",
            "status": "delivered",
            "timestamp": "1750091045",
            "recipient_id": "380501234567",
            "conversation": {"id": "x" * 200, "origin": {"type": "utility"}},
            "pricing": {"billable": True, "pricing_model": "PMP", "category": "utility"},
        }
        for number in range(600)
    ]
    value = {"metadata": {"phone_number_id": "1"}, "statuses": statuses}
    body = json.dumps({"entry": [{"id": "1", "changes": [{"value": value}]}]}).encode()
    assert len(body) > 256 * 1024
    signature = hmac.new(META_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}"}
    answer = await site.client.post("/v1/receipts/meta", content=body, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_a_browser_s_report_is_at_most_2_kib(site: Site) -> None:
    report = json.dumps({"rt": "x", "ev": "clicked", "more": "x" * 2_100})
    is_problem(await site.client.post("/v1/receipts/push", content=report), 413, "too_large")


LARGE = {
    "a mail of blank lines": ("mail", b"\n"),
    "a mail of short lines": ("mail", b"a\n"),
    "a mail of delimiters": ("mail", b"--b\n"),
    "a bounce of one long word": ("mail", b"a"),
    "json of empty objects": ("viber_a", b"{},"),
    "json of numbers": ("viber_a", b"1,"),
    "json of one text": ("viber_a", b"\\u0041"),
    "json of nested lists": ("viber_a", b"[[[[[[]]]]]],"),
}


@pytest.mark.parametrize("shape", LARGE)
async def test_nobody_waits_long_while_a_large_body_is_read(site: Site, shape: str) -> None:
    """
    The longest time for which the loop does not turn must not grow with the body: a body four times
    as large keeps the others waiting about as long. What all the work takes may grow.
    """
    provider, unit = LARGE[shape]
    held: list[float] = []
    for size in (MIB, 2 * MIB, 4 * MIB - 200):
        many = unit * (size // len(unit))
        if provider == "mail":
            body = bounced("x@y.example")[:-7] + b"\n" + many
        else:
            body = (b'{"results":["' if unit[:1] == b"\\" else b'{"results":[') + many
        held.append(min([await longest_pause(site, provider, body) for _ in range(2)]))
    assert held[2] <= 4 * max(held[0], 0.03), held


async def longest_pause(site: Site, provider: str, body: bytes) -> float:
    """Seconds for which the loop did not turn while a webhook was answered."""
    longest, last, done = 0.0, time.perf_counter(), False

    async def turn() -> None:
        nonlocal longest, last
        while not done:
            last = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - last)

    turning = asyncio.create_task(turn())
    answer = await site.client.post(f"/v1/receipts/{provider}", content=body, headers=HEADERS)
    done = True
    await turning
    assert answer.status_code in (200, 400, 413), answer.text
    return longest
