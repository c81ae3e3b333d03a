"""
The stand-in for Twilio: requests as its reference shows them, its errors, its signed callbacks and
replies.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.parse

import pytest

from orchestrator.sandbox.twilio import segments, sign
from tests.sandbox.sandbox_kit import ACCOUNTS, OTHER, PHONE, Hook, basic, benched, twilio_login

PATH = f"/2010-04-01/Accounts/{ACCOUNTS.twilio_account_sid}/Messages.json"


def form_of(hook: Hook) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(hook.body.decode(), keep_blank_values=True))


def is_signed(hook: Hook) -> bool:
    """The signature, computed as Twilio's own validator describes it."""
    fields = form_of(hook)
    text = hook.url + "".join(f"{key}{fields[key]}" for key in sorted(fields))
    made = base64.b64encode(
        hmac.new(ACCOUNTS.twilio_auth_token.encode(), text.encode(), hashlib.sha1).digest()
    ).decode()
    return hook.headers["x-twilio-signature"] == made


def test_the_signature_is_the_documented_one() -> None:
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    made = sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", fields)
    assert made == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


async def test_a_message_is_created_and_kept_with_the_sender_s_reference() -> None:
    async with benched() as bench:
        status, _, body = await bench.sms(text="Ваш код 4821", ValidityPeriod="600")
        (entry,) = await bench.accepted("twilio")
        assert status == 201
        assert body["sid"].startswith("SM") and len(body["sid"]) == 34
        assert (body["status"], body["to"], body["error_code"], body["num_segments"]) == (
            "queued",
            PHONE,
            None,
            "1",
        )
        assert (entry["provider_id"], entry["reference"], entry["content"]["text"]) == (
            body["sid"],
            "r-1",
            "Ваш код 4821",
        )


async def test_a_messaging_service_accepts_before_it_has_chosen_a_sender() -> None:
    async with benched() as bench:
        form = {"To": PHONE, "MessagingServiceSid": "MG1", "Body": "x"}
        status, _, body = await bench.post(
            PATH, data=form, headers={"Authorization": twilio_login()}
        )
        assert (status, body["status"], body["from"]) == (201, "accepted", None)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"To": ""}, 400, 21604),
        ({"To": "0501234567"}, 400, 21211),
        ({"To": "+0501234567"}, 400, 21211),
        ({"From": ""}, 400, 21603),
        ({"From": "far too long a name"}, 400, 21212),
        ({"Body": ""}, 400, 21602),
        ({"Body": "x" * 1_601}, 400, 21617),
        ({"StatusCallback": "not a url"}, 400, 21609),
        ({"ValidityPeriod": "36001"}, 400, 20422),
    ],
)
async def test_a_bad_request_gets_twilio_s_own_error(
    fields: dict[str, str], status: int, code: int
) -> None:
    async with benched() as bench:
        form = {"To": PHONE, "From": "Shop", "Body": "x", **fields}
        got, _, body = await bench.post(PATH, data=form, headers={"Authorization": twilio_login()})
        assert (got, body["code"], body["status"]) == (status, code, status)
        assert body["more_info"] == f"https://www.twilio.com/docs/errors/{code}" and body["message"]
        assert await bench.accepted() == []


@pytest.mark.parametrize(
    ("path", "login", "status", "code"),
    [
        (PATH, None, 401, 20003),
        (PATH, basic(ACCOUNTS.twilio_account_sid, "wrong"), 401, 20003),
        (PATH, "Basic ???", 401, 20003),
        ("/2010-04-01/Accounts/AC9/Messages.json", twilio_login(), 404, 20404),
    ],
)
async def test_a_wrong_account_gets_nothing_sent(
    path: str, login: str | None, status: int, code: int
) -> None:
    async with benched() as bench:
        headers = {} if login is None else {"Authorization": login}
        got, _, body = await bench.post(
            path, data={"To": PHONE, "From": "Shop", "Body": "x"}, headers=headers
        )
        assert (got, body["code"]) == (status, code)


async def test_status_callbacks_are_signed_forms_for_the_whole_url_with_its_query() -> None:
    async with benched(script={"default": {"receipts": [["sent", 0], ["delivered", 1]]}}) as bench:
        _, _, body = await bench.sms()
        for state in ("sent", "delivered"):
            hook = await bench.receiver.next()
            assert (hook.method, hook.query) == ("POST", {"ref": "r-1"})
            assert is_signed(hook)
            form = form_of(hook)
            assert (form["MessageSid"], form["MessageStatus"], form["To"]) == (
                body["sid"],
                state,
                PHONE,
            )
            assert (form["AccountSid"], form["ApiVersion"]) == (
                ACCOUNTS.twilio_account_sid,
                "2010-04-01",
            )
            assert "ErrorCode" not in form


async def test_a_failure_names_its_code() -> None:
    async with benched(
        script={"default": {"receipts": [["failed", 0, 30005], ["expired", 1]]}}
    ) as bench:
        await bench.sms()
        failed, expired = form_of(await bench.receiver.next()), form_of(await bench.receiver.next())
        assert (failed["MessageStatus"], failed["ErrorCode"]) == ("undelivered", "30005")
        assert (expired["MessageStatus"], expired["ErrorCode"]) == ("failed", "30036")


async def test_without_a_callback_nothing_is_reported() -> None:
    async with benched(script={"default": {"receipts": [["delivered", 0]]}}) as bench:
        await bench.post(
            PATH,
            data={"To": PHONE, "From": "Shop", "Body": "x"},
            headers={"Authorization": twilio_login()},
        )
        (entry,) = await bench.accepted()
        await bench.control("POST", "act", {"seq": entry["seq"], "state": "delivered"})
        assert {receipt["result"] for receipt in await bench.control("GET", "receipts")} == {
            "not reported"
        }


async def test_a_click_opens_the_tracked_link_of_the_text() -> None:
    async with benched(script={"default": {"receipts": [["clicked", 0]]}}) as bench:
        await bench.sms(text=f"Дивіться: {bench.receiver.url}/c/token-1\nДякуємо")
        hook = await bench.receiver.next()
        assert (hook.method, hook.url) == ("GET", f"{bench.receiver.url}/c/token-1")


async def test_somebody_who_texts_stop_is_blocked_until_they_text_start() -> None:
    async with benched() as bench:
        await bench.sms()
        await bench.control(
            "POST", "inbound", {"provider": "twilio", "from": PHONE, "text": " stop "}
        )
        hook = await bench.receiver.next()
        form = form_of(hook)
        assert hook.url == bench.receiver.url and is_signed(hook)
        assert (form["From"], form["Body"], form["OptOutType"], form["NumMedia"]) == (
            PHONE,
            " stop ",
            "STOP",
            "0",
        )
        status, _, body = await bench.sms()
        assert (status, body["code"]) == (400, 21610)
        assert (await bench.sms(OTHER))[0] == 201
        await bench.control(
            "POST", "inbound", {"provider": "twilio", "from": PHONE, "text": "START"}
        )
        assert (await bench.sms())[0] == 201


async def test_stop_inside_a_sentence_blocks_nobody() -> None:
    async with benched() as bench:
        await bench.sms()
        await bench.control(
            "POST", "inbound", {"provider": "twilio", "from": PHONE, "text": "please stop it"}
        )
        assert "OptOutType" not in form_of(await bench.receiver.next())
        assert (await bench.sms())[0] == 201


async def test_a_reply_goes_to_the_configured_url_when_there_is_one() -> None:
    async with benched() as bench:
        await bench.control("PUT", "callbacks", {"twilio": f"{bench.receiver.url}/replies"})
        await bench.control("POST", "inbound", {"provider": "twilio", "from": PHONE, "text": "Так"})
        assert (await bench.receiver.next()).url == f"{bench.receiver.url}/replies"


async def test_a_reply_with_nowhere_to_go_says_what_to_do() -> None:
    async with benched() as bench:
        answer = await bench.control(
            "POST", "inbound", {"provider": "twilio", "from": PHONE, "text": "Так"}, 409
        )
        assert "PUT /_sandbox/callbacks" in answer["error"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A" * 160, 1),
        ("A" * 161, 2),
        ("A" * 158 + "€", 1),
        ("A" * 159 + "€", 2),
        ("A" * 306, 2),
        ("A" * 307, 3),
        ("A" * 152 + "€" + "A" * 152, 3),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("я" * 134, 2),
        ("я" * 135, 3),
        ("я" * 69 + "🙂", 2),
    ],
)
def test_segments_are_counted_as_phones_count_them(text: str, parts: int) -> None:
    assert segments(text) == parts
