"""Every scripted behaviour, observed on the socket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import urllib.parse
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from orchestrator.sandbox import Sandbox, SandboxConfig, ScriptError, serve
from orchestrator.sandbox.inbox import RecordFile
from tests.sandbox.sandbox_kit import (
    ACCOUNTS,
    OTHER,
    PHONE,
    WAIT_SECONDS,
    Bench,
    benched,
    twilio_login,
    until,
)


def request_bytes(bench: Bench) -> bytes:
    body = urllib.parse.urlencode(
        {"To": PHONE, "From": "Shop", "Body": "x", "StatusCallback": bench.receiver.url}
    ).encode()
    head = (
        f"POST /2010-04-01/Accounts/{ACCOUNTS.twilio_account_sid}/Messages.json HTTP/1.1\r\nHost:"
        f" sandbox\r\nAuthorization: {twilio_login()}\r\nContent-Type:"
        f" application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def raw_request(bench: Bench) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request written by hand, so that what happens to the connection is seen as it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.sandbox.http_port)
    writer.write(request_bytes(bench))
    await writer.drain()
    return reader, writer


async def is_cut(bench: Bench) -> bool:
    """True where the connection breaks without a byte of an answer."""
    reader, writer = await raw_request(bench)
    return await ends_silently(reader, writer)


async def ends_silently(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), WAIT_SECONDS) == b""
    except ConnectionResetError:
        return True
    finally:
        writer.close()


async def outcome_is(bench: Bench, outcome: str) -> None:
    async def seen() -> bool:
        return outcome in (await bench.control("GET", "requests"))["by_provider"].get("twilio", {})

    await until(seen)


async def test_cut_after_read_takes_nothing_and_breaks_the_connection() -> None:
    async with benched(script={"default": {"answer": "cut_after_read"}}) as bench:
        assert await is_cut(bench)
        assert await bench.accepted() == []
        assert (await bench.control("GET", "requests"))["by_provider"] == {
            "twilio": {"cut_after_read": 1}
        }


async def test_cut_after_accept_takes_the_message_and_still_sends_receipts() -> None:
    behaviour = {"answer": "cut_after_accept", "receipts": [["delivered", 0]]}
    async with benched(script={"default": behaviour}) as bench:
        assert await is_cut(bench)
        assert [entry["address"] for entry in await bench.accepted()] == [PHONE]
        assert b"MessageStatus=delivered" in (await bench.receiver.next()).body


async def test_hang_reads_the_request_and_says_nothing_until_the_sender_gives_up() -> None:
    async with benched(script={"default": {"answer": "hang"}}) as bench:
        reader, writer = await raw_request(bench)
        await outcome_is(bench, "hang")
        answer = asyncio.ensure_future(reader.read(1))
        await bench.control("GET", "accepted")
        assert not answer.done(), (
            "the request was read, others are answered meanwhile, and this one is not"
        )
        answer.cancel()
        writer.close()
        assert await bench.accepted() == []


async def test_a_hanging_request_does_not_keep_the_sandbox_from_stopping() -> None:
    async with benched(script={"default": {"answer": "hang"}}) as bench:
        reader, writer = await raw_request(bench)
        await outcome_is(bench, "hang")
        await bench.sandbox.stop()
        assert await ends_silently(reader, writer)


async def test_late_takes_the_message_at_once_and_answers_after_its_receipts_were_sent() -> None:
    order: list[str] = []
    behaviour = {"answer": {"late": 60}, "receipts": [["delivered", 0]]}
    async with benched(script={"default": behaviour}) as bench:
        bench.receiver.on_hook = lambda hook: order.append("receipt")
        status, _, body = await bench.sms()
        order.append("answer")
        assert (status, body["status"]) == (201, "queued")
        assert order == ["receipt", "answer"]


async def test_before_response_means_that_receipts_are_answered_before_the_answer() -> None:
    order: list[str] = []
    behaviour = {"before_response": True, "receipts": [["sent", 0], ["delivered", 3_600]]}
    async with benched(script={"default": behaviour}) as bench:
        bench.receiver.on_hook = lambda hook: order.append(
            hook.body.decode().split("MessageStatus=")[1].split("&")[0]
        )
        await bench.sms()
        order.append("answer")
        assert order == ["sent", "delivered", "answer"]


async def test_receipts_otherwise_leave_only_after_the_answer_is_written() -> None:
    arrived: list[bytes] = []
    async with benched(script={"default": {"receipts": [["delivered", 0]]}}) as bench:
        with socket.create_connection(("127.0.0.1", bench.sandbox.http_port)) as plain:
            plain.setblocking(False)
            bench.receiver.on_hook = lambda hook: arrived.append(
                plain.recv(65_536, socket.MSG_PEEK)
            )
            await asyncio.get_running_loop().sock_sendall(plain, request_bytes(bench))
            await bench.receiver.next()
        assert arrived[0].startswith(b"HTTP/1.1 201") and arrived[0].endswith(b"}")


async def test_twice_sends_every_receipt_twice() -> None:
    async with benched(
        script={"default": {"twice": True, "receipts": [["sent", 0], ["delivered", 1]]}}
    ) as bench:
        await bench.sms()
        bodies = [(await bench.receiver.next()).body for _ in range(4)]
        assert bodies[0] == bodies[1] != bodies[2] == bodies[3]


async def test_reversed_receipts_arrive_reversed() -> None:
    behaviour = {"order": "reversed", "receipts": [["sent", 0], ["delivered", 1], ["read", 2]]}
    async with benched(script={"default": behaviour}) as bench:
        await bench.sms()
        states = [
            dict(urllib.parse.parse_qsl((await bench.receiver.next()).body.decode()))[
                "MessageStatus"
            ]
            for _ in range(3)
        ]
        assert states == ["read", "delivered", "sent"]


async def test_throttle_takes_nothing_and_says_when_to_come_back() -> None:
    async with benched(script={"default": {"answer": {"throttle": 7}}}) as bench:
        status, headers, body = await bench.sms()
        assert (status, headers["retry-after"], body["code"]) == (429, "7", 20429)
        assert await bench.accepted() == []


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_status_may_hide_that_the_message_was_taken(accepted: bool) -> None:
    async with benched(
        script={"default": {"answer": {"status": 502, "accepted": accepted}}}
    ) as bench:
        status, _, _ = await bench.sms()
        assert status == 502
        assert len(await bench.accepted()) == accepted


async def test_a_refusal_is_the_provider_s_own_and_only_for_the_address_it_is_scripted_for() -> (
    None
):
    async with benched(script={"addresses": {PHONE: {"answer": {"refuse": 21610}}}}) as bench:
        assert (await bench.sms(PHONE))[2]["code"] == 21610
        assert (await bench.sms(OTHER))[0] == 201
        counts = await bench.control("GET", "requests")
        assert counts["by_provider"] == {"twilio": {"refused": 1, "accepted": 1}}
        assert [entry["code"] for entry in counts["requests"]] == ["21610", None]


async def test_a_list_of_behaviours_is_taken_request_by_request() -> None:
    turns = [{"answer": {"status": 503}}, {"answer": {"throttle": 1}}, {"answer": "accept"}]
    async with benched(script={"addresses": {PHONE: turns}}) as bench:
        assert [(await bench.sms())[0] for _ in range(4)] == [503, 429, 201, 201]


async def test_a_receipt_that_is_not_taken_is_offered_again() -> None:
    async with benched(script={"default": {"receipts": [["delivered", 0]]}}) as bench:
        bench.receiver.statuses = [500, 503]
        await bench.sms()
        first, second, third = [(await bench.receiver.next()).body for _ in range(3)]
        assert first == second == third

        async def all_reported() -> bool:
            return len(await bench.control("GET", "receipts")) == 3

        await until(all_reported)
        receipts = await bench.control("GET", "receipts")
        assert [(entry["attempt"], entry["result"]) for entry in receipts] == [
            (1, "500"),
            (2, "503"),
            (3, "200"),
        ]


# ---- the ground truth


async def test_an_accepted_message_is_on_the_disk_before_a_byte_of_its_answer_leaves(
    tmp_path: Path,
) -> None:
    record = tmp_path / "accepted.jsonl"
    behaviour = {"before_response": True, "receipts": [["delivered", 0]]}
    async with benched(record=record, script={"default": behaviour}) as bench:
        seen: list[str] = []
        bench.receiver.on_hook = lambda hook: seen.append(record.read_text("utf-8"))
        await bench.sms()
        line = json.loads(seen[0])
        assert (line["seq"], line["provider"], line["address"], line["reference"]) == (
            1,
            "twilio",
            PHONE,
            "r-1",
        )
        assert line["content"]["text"] == "Ваш код 4821" and "Body=" in line["raw"]


async def test_lines_are_synced_before_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        real(handle)
        events.append("synced")

    monkeypatch.setattr(os, "fsync", fsync)
    file = RecordFile(tmp_path / "lines")
    await file.open()
    await file.append("one\n")
    events.append("returned")
    await file.close()
    assert events[:2] == ["synced", "returned"]


async def test_many_messages_at_once_are_each_one_line(tmp_path: Path) -> None:
    record = tmp_path / "accepted.jsonl"
    async with benched(record=record) as bench:
        await asyncio.gather(*(bench.sms(f"+38050{number:07}") for number in range(200)))
        lines = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
        assert sorted(line["seq"] for line in lines) == list(range(1, 201))
        assert {line["provider_id"] for line in lines} == {
            entry["provider_id"] for entry in await bench.accepted()
        }


async def test_memory_keeps_the_last_messages_and_the_file_all_of_them(tmp_path: Path) -> None:
    record = tmp_path / "accepted.jsonl"
    async with benched(record=record, keep_last=3) as bench:
        for _ in range(5):
            await bench.sms()
        assert [entry["seq"] for entry in await bench.accepted()] == [3, 4, 5]
        assert len(record.read_text("utf-8").splitlines()) == 5


async def test_a_full_disk_is_an_error_and_never_an_acceptance(tmp_path: Path) -> None:
    async with benched(record=Path("/dev/full")) as bench:
        status, _, _ = await bench.sms()
        assert status == 500
        assert await bench.accepted() == []
        assert (await bench.control("GET", "requests"))["by_provider"] == {}


async def test_lines_that_the_disk_refuses_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RecordFile(tmp_path / "lines")
    await file.open()
    await file.append("one\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space left"):
            await file.append("two\n")
    await file.append("three\n")
    await file.close()
    assert (tmp_path / "lines").read_text() == "one\nthree\n"


async def test_accepted_can_be_asked_by_provider_and_address() -> None:
    async with benched() as bench:
        await bench.sms(PHONE)
        await bench.sms(OTHER)
        found = await bench.control(
            "GET", f"accepted?provider=twilio&address={urllib.parse.quote(OTHER)}"
        )
        assert [entry["address"] for entry in found] == [OTHER]
        assert await bench.control("GET", "accepted?provider=meta") == []


async def test_a_second_account_of_a_provider_has_its_own_script_and_its_own_records() -> None:
    async with benched(aliases={"twilio_b": "twilio"}) as bench:
        await bench.script(providers={"twilio_b": {"answer": {"refuse": 20003}}})
        path = f"/as/twilio_b/2010-04-01/Accounts/{ACCOUNTS.twilio_account_sid}/Messages.json"
        form = {"To": PHONE, "From": "Shop", "Body": "x"}
        assert (await bench.post(path, data=form, headers={"Authorization": twilio_login()}))[
            0
        ] == 401
        assert (await bench.sms())[0] == 201
        counts = await bench.control("GET", "requests")
        assert counts["by_provider"] == {"twilio_b": {"refused": 1}, "twilio": {"accepted": 1}}


# ---- starting and stopping


async def test_the_sandbox_refuses_a_wrong_script_at_start() -> None:
    with pytest.raises(ScriptError, match="did you mean 'default'"):
        await Sandbox().start(SandboxConfig(script={"defaults": {}}))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"callbacks": {"metta": "http://x"}}, "unknown provider 'metta'"),
        ({"callbacks": {"meta": "x"}}, "absolute http"),
        ({"aliases": {"b": "twillio"}}, "a new name of letters, digits, _ for one of twilio"),
    ],
)
async def test_the_sandbox_refuses_wrong_settings_at_start(
    config: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        await Sandbox().start(SandboxConfig(**config))


async def test_a_taken_port_is_an_error_and_leaves_nothing_listening() -> None:
    async with benched() as bench:
        second = Sandbox()
        with pytest.raises(OSError):
            await second.start(SandboxConfig(smtp_port=bench.sandbox.smtp_port))
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", second.http_port)


async def test_serve_announces_itself_and_is_gone_once_cancelled() -> None:
    started: asyncio.Future[Sandbox] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(SandboxConfig(), started.set_result))
    sandbox = await asyncio.wait_for(started, WAIT_SECONDS)
    async with aiohttp.ClientSession() as client, client.get(sandbox.url) as reply:
        assert reply.status == web.HTTPOk.status_code
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", sandbox.http_port)
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", sandbox.smtp_port)


async def test_reset_forgets_traffic_and_script_but_keeps_subscriptions_and_callbacks() -> None:
    async with benched() as bench:
        subscription = await bench.control("POST", "push/subscribe", {}, 201)
        await bench.control("PUT", "callbacks", {"meta": bench.receiver.url})
        await bench.script(default={"answer": "hang", "receipts": [["delivered", 3_600]]})
        await bench.script(default={"receipts": [["delivered", 3_600]]})
        await bench.sms()
        assert (await bench.control("GET", "requests"))["pending_receipts"] == 1
        await bench.control("POST", "reset", {})
        counts = await bench.control("GET", "requests")
        assert (counts["total"], counts["pending_receipts"]) == (0, 0)
        assert await bench.accepted() == [] and await bench.control("GET", "script") == {}
        assert (await bench.control("GET", "callbacks")) == {"meta": bench.receiver.url}
        assert (await bench.post(subscription["endpoint"], headers={"TTL": "0"}))[0] == 201
