"""The sandbox's page, its stream, and the control API's manners."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
import aiosmtplib
import pytest

import orchestrator.sandbox
from tests.sandbox.sandbox_kit import OTHER, PHONE, WAIT_SECONDS, Bench, benched

FOLDER = Path(orchestrator.sandbox.__file__).parent


async def events(reply: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    kind = ""
    async for line in reply.content:
        text = line.decode().strip()
        if text.startswith("event: "):
            kind = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield kind, json.loads(text.removeprefix("data: "))


async def following(stream: AsyncIterator[tuple[str, Any]]) -> tuple[str, Any]:
    return await asyncio.wait_for(anext(stream), WAIT_SECONDS)


async def test_the_page_runs_only_its_own_files_and_asks_nobody_else() -> None:
    async with benched() as bench, bench.client.get(bench.sandbox.url) as reply:
        page = await reply.text()
        policy = reply.headers["Content-Security-Policy"]
        assert (
            "default-src 'none'" in policy
            and "script-src 'self'" in policy
            and "unsafe" not in policy
        )
        assert (
            "frame-ancestors 'none'" in policy
            and reply.headers["X-Content-Type-Options"] == "nosniff"
        )
        own = page.replace("<!doctype html>", "").replace(bench.sandbox.url, "")
        assert "//" not in own, "no address of another host"
        assert "style=" not in page and "onclick" not in page
        for name in ("page.css", "page.js"):
            assert f"/_sandbox/{name}" in page
            async with bench.client.get(f"{bench.sandbox.url}/_sandbox/{name}") as part:
                assert part.status == 200


@pytest.mark.parametrize(
    ("header", "query", "language"),
    [
        ("uk-UA,uk;q=0.9,en;q=0.8", "", "uk"),
        ("en-US,en;q=0.9,uk;q=0.8", "", "en"),
        ("en;q=0.5, uk;q=0.8", "", "uk"),
        ("de-DE, fr;q=0.9", "", "en"),
        ("uk;q=0, en;q=0.1", "", "en"),
        ("uk;q=much", "", "en"),
        ("en", "?lang=uk", "uk"),
    ],
)
async def test_the_page_speaks_the_reader_s_language(
    header: str, query: str, language: str
) -> None:
    wanted: dict[str, Any] = {"headers": {"Accept-Language": header}}
    async with (
        benched() as bench,
        bench.client.get(f"{bench.sandbox.url}/{query}", **wanted) as reply,
    ):
        assert f'<html lang="{language}">' in await reply.text()


def test_nothing_that_arrives_is_ever_put_into_the_page_as_markup() -> None:
    code = (FOLDER / "static/page.js").read_text("utf-8")
    for door in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert door not in code


async def test_the_stream_begins_with_everything_and_goes_on_with_changes() -> None:
    async with benched() as bench:
        await bench.sms(text="перше")
        async with bench.client.get(f"{bench.sandbox.url}/_sandbox/stream") as reply:
            stream = events(reply)
            kind, snapshot = await following(stream)
            assert kind == "snapshot"
            assert [message["content"]["text"] for message in snapshot["messages"]] == ["перше"]
            await bench.sms(OTHER, "друге")
            kind, message = await following(stream)
            assert (kind, message["address"], message["content"]["text"]) == (
                "message",
                OTHER,
                "друге",
            )
            await bench.control("POST", "act", {"seq": 1, "state": "read"})
            kind, change = await following(stream)
            assert (kind, change["seq"]) == ("state", 1) and {"accepted", "read"} <= set(
                change["states"]
            )
            await bench.control(
                "POST", "inbound", {"provider": "twilio", "from": PHONE, "text": "STOP"}
            )
            streamed = dict([await following(stream) for _ in range(3)])
            assert streamed["opted"] == {"provider": "twilio", "address": PHONE, "out": True}
            assert streamed["reply"]["text"] == "STOP" and "replied" in streamed["state"]["states"]
            await bench.control("PUT", "people", {"Олена": [PHONE]})
            assert await following(stream) == ("people", {"Олена": [PHONE]})
            await bench.control("POST", "reset", {})
            assert await following(stream) == ("reset", {})


async def test_a_page_that_is_open_does_not_keep_the_sandbox_from_stopping() -> None:
    async with (
        benched() as bench,
        bench.client.get(f"{bench.sandbox.url}/_sandbox/stream") as reply,
    ):
        stream = events(reply)
        await following(stream)
        await bench.sandbox.stop()
        with pytest.raises(StopAsyncIteration):
            await following(stream)


async def test_a_listener_that_falls_behind_is_let_go_and_nothing_piles_up() -> None:
    async with benched() as bench:
        inbox = bench.sandbox.inbox
        with inbox.listen() as queue:
            for number in range(5_000):
                inbox.replied("twilio", PHONE, str(number))
            assert queue.qsize() <= 1_000
            drained = [queue.get_nowait() for _ in range(queue.qsize())]
        assert None in drained


async def mailed(bench: Bench, markup: str) -> int:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "shop@example.com",
        "olena@example.com",
        "x",
    )
    message.set_content("x")
    message.add_alternative(markup, subtype="html")
    await aiosmtplib.send(
        message, hostname="127.0.0.1", port=bench.sandbox.smtp_port, start_tls=False
    )
    return int((await bench.accepted("smtp"))[-1]["seq"])


async def test_a_mail_is_shown_where_it_can_run_and_load_nothing() -> None:
    async with benched() as bench:
        seq = await mailed(bench, "<h1>Олено!</h1><script>alert(1)</script>")
        async with bench.client.get(f"{bench.sandbox.url}/_sandbox/mail/{seq}") as reply:
            assert "Олено!" in await reply.text()
            policy = reply.headers["Content-Security-Policy"]
            assert policy.startswith("sandbox; default-src 'none'") and "script-src" not in policy
        async with bench.client.get(f"{bench.sandbox.url}/_sandbox/mail/999") as reply:
            assert reply.status == 404


async def test_the_page_gets_no_mail_markup_with_the_stream() -> None:
    async with benched() as bench:
        await mailed(bench, "<h1>Олено!</h1>")
        async with bench.client.get(f"{bench.sandbox.url}/_sandbox/stream") as reply:
            _, snapshot = await following(events(reply))
            (message,) = snapshot["messages"]
            assert message["content"]["html"] is True and "raw" not in message


async def test_a_change_needs_json_so_that_a_strange_web_page_cannot_make_one() -> None:
    async with benched() as bench:
        for headers in (
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
        ):
            status, _, answer = await bench.post("/_sandbox/reset", data=b"{}", headers=headers)
            assert status == 415 and "Content-Type: application/json" in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        (
            "PUT",
            "script",
            {"default": {"answer": "acept"}},
            400,
            "default.answer: unknown answer 'acept'",
        ),
        ("PUT", "script", [], 400, "not a JSON object"),
        ("PUT", "callbacks", {"metta": "http://x"}, 400, "unknown provider 'metta'"),
        ("PUT", "callbacks", {"meta": "x"}, 400, "meta: an absolute http(s) URL"),
        ("PUT", "people", {"Олена": "x"}, 400, "Олена: a list of addresses"),
        (
            "POST",
            "inbound",
            {"provider": "fax", "from": PHONE, "text": "x"},
            400,
            "provider: one of twilio",
        ),
        ("POST", "inbound", {"provider": "twilio", "text": "x"}, 400, "from: text is needed"),
        (
            "POST",
            "inbound",
            {"provider": "push", "from": PHONE, "text": "x"},
            409,
            "push has no inbound messages",
        ),
        (
            "POST",
            "inbound",
            {"provider": "meta", "from": PHONE, "text": "x"},
            409,
            "PUT /_sandbox/callbacks",
        ),
        ("PUT", "in_app", {"people": {}}, 400, "service: the http(s) URL of Kaskad"),
        (
            "PUT",
            "in_app",
            {"service": "http://127.0.0.1:1", "people": {"Олена": 5}},
            400,
            "people: recipients' ids by name",
        ),
        ("POST", "verify", {"provider": "twilio"}, 409, "no webhook yet"),
        ("POST", "act", {"seq": 1, "state": "seen"}, 400, "state: one of sent"),
        ("POST", "act", {"seq": 1, "state": "read"}, 404, "no message 1 is kept"),
        ("POST", "push/subscribe", {"application_server_key": 5}, 400, "base64url text is needed"),
        ("POST", "push/subscribe", {"owner": 5}, 400, "owner: a name"),
        ("POST", "push/expire", {}, 400, "endpoint: text is needed"),
    ],
)
async def test_a_wrong_request_is_refused_with_a_fix(
    method: str, path: str, body: Any, status: int, said: str
) -> None:
    async with benched() as bench:
        answer = await bench.control(method, path, body, status)
        assert said in answer["error"]


async def test_a_wrong_script_leaves_the_old_one_in_force() -> None:
    async with benched() as bench:
        await bench.script(default={"answer": {"refuse": 21610}})
        await bench.control("PUT", "script", {"default": {"answer": "acept"}}, 400)
        assert (await bench.sms())[2]["code"] == 21610


async def test_a_subscription_can_be_given_to_a_person() -> None:
    async with benched() as bench:
        await bench.control("PUT", "people", {"Олена": [PHONE]})
        subscription = await bench.control("POST", "push/subscribe", {"owner": "Олена"}, 201)
        assert bench.sandbox.inbox.people == {"Олена": [PHONE, subscription["endpoint"]]}


async def test_the_page_may_load_the_inbox_of_the_service_it_was_given() -> None:
    async with benched() as bench:
        given = {"service": "http://127.0.0.1:1/", "people": {"Олена": "olena"}}
        await bench.control("PUT", "in_app", given)
        async with bench.client.get(bench.sandbox.url) as reply:
            policy = reply.headers["Content-Security-Policy"]
        assert "script-src 'self' http://127.0.0.1:1;" in policy and "unsafe" not in policy
        async with bench.client.get(f"{bench.sandbox.url}/_sandbox/stream") as reply:
            _, snapshot = await following(events(reply))
        assert snapshot["in_app"] == {**given, "service": "http://127.0.0.1:1"}
        async with bench.client.get(f"{bench.sandbox.url}/_sandbox/token?person=maria") as reply:
            assert reply.status == 404, "tokens are for those who were named"


def test_the_stand_ins_share_nothing_with_the_code_they_check() -> None:
    allowed = {"aiohttp", "aiosmtpd", "cryptography", "h2", "structlog", "orchestrator"}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                root = name.partition(".")[0]
                assert root in allowed or root in sys.stdlib_module_names, (
                    f"{path.name} imports {name}"
                )
                assert root != "orchestrator" or name.startswith("orchestrator.sandbox"), (
                    f"{path.name} imports {name}"
                )
