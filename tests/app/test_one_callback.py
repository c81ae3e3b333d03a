"""Two providers on an account that has one callback: the receipts of both come to one of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.app.site import Site, lay_out, put_policy, running, until

POLICY = """\
policy: {name}
trigger: {{event: shop.{name}}}
deadline: 1h
cascade: [{{channel: viber, wait: {{delivered: 30m}}}}]
"""
ID = "f83f8868-5e46-c6cf-e4fb-615e5a293754"


async def taken(request: web.Request) -> web.Response:
    result = [{"response_code": 0, "message_id": ID}]
    return web.json_response({"response_code": 800, "response_result": result})


async def report(site: Site, provider: str) -> int:
    """The status of the callback that the message was delivered."""
    signature = hashlib.sha1(b"secretevent").hexdigest()
    said = {"event_id": "event", "signature": signature, "message_id": ID, "status": "Delivered"}
    url = f"{site.public}/v1/receipts/{provider}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=json.dumps(said)) as answer,
    ):
        return answer.status


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(("token", "status"), [("a", "succeeded"), ("b", "running")])
async def test_receipts_are_those_of_every_provider_on_the_account(
    tmp_path: Path, token: str, status: str, early: bool
) -> None:
    app = web.Application()
    app.router.add_post("/message/send.json", taken)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    own = f'sender: Shop, webhook_secret: secret, base_url: "{url}"'
    config = lay_out(
        tmp_path,
        more=f"  viber: [{{provider: viber_a, adapter: turbosms_viber, token: {token}, {own}}}]",
    )
    sms = f"sms: [{{provider: sms_a, adapter: turbosms_sms, token: a, {own}}}, "
    config.write_text(config.read_text().replace("sms: [", sms))
    put_policy(tmp_path, "parcel", "Parcel", POLICY, "viber")
    async with running(config) as site:
        if early:
            assert await report(site, "sms_a") == 200
        id = await site.publish("parcel")

        async def accepted() -> bool:
            attempts = (await site.message(id))["attempts"]
            return bool(attempts) and attempts[0]["outcome"] == "accepted"

        await until(accepted)
        if not early:
            assert await report(site, "sms_a") == 200
        assert (await site.message(id))["status"] == status
    await runner.cleanup()
