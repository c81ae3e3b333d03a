"""
The generic webhook signs as Standard Webhooks do, and the log adapter writes down what it is given.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pydantic
import pytest

from adapters.log.log import Log, LogFileSettings
from adapters.webhook.webhook import SignedWebhook, WebhookSettings
from kaskad_testing import NOW, REFERENCE, changed, hook, outgoing
from orchestrator import channels as ch

URL = "https://hooks.example.com/kaskad"
KNOWN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def webhook(secret: Any = KNOWN, url: str = URL) -> SignedWebhook:
    return SignedWebhook(WebhookSettings(url=url, secret=secret), "own")


def test_the_signature_is_the_one_that_the_standards_own_library_makes() -> None:
    made = ch.webhook_signature(
        ch.webhook_key(KNOWN), "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def receipt(signatures: str, at: int = int(NOW)) -> ch.Webhook:
    unsigned = hook(json_body={"reference": REFERENCE, "state": "delivered"})
    return changed(
        unsigned, webhook_id="m", webhook_timestamp=str(at), webhook_signature=signatures
    )


def test_one_right_signature_among_several_is_enough() -> None:
    right = ch.webhook_signature(ch.webhook_key(KNOWN), "m", str(int(NOW)), receipt("").body)
    webhook().verify(receipt(f"v1a,other v1,wrong= {right}"))
    with pytest.raises(ch.Forged):
        webhook().verify(receipt(f"v1a,other v1,wrong= {right[:-2]}"))


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_a_receipt_within_five_minutes_is_taken(off: int) -> None:
    at = int(NOW) + off
    webhook().verify(
        receipt(ch.webhook_signature(ch.webhook_key(KNOWN), "m", str(at), receipt("").body), at)
    )


def test_a_repeat_of_a_try_has_the_same_id_and_a_new_signature() -> None:
    first, later = webhook().request(outgoing()), webhook().request(outgoing(now=NOW + 60))
    assert first.headers["webhook-id"] == later.headers["webhook-id"]
    assert first.headers["webhook-signature"] != later.headers["webhook-signature"]


def test_the_first_of_several_secrets_signs() -> None:
    following = ch.new_webhook_secret()
    both = webhook([following, KNOWN]).request(outgoing())
    assert both == webhook(following).request(outgoing())


@pytest.mark.parametrize(
    "secret",
    ["", "short", "a text of more than 24 characters", "whsec_", "whsec_YWJj", "whsec_not base64!"],
)
def test_a_secret_that_protects_nothing_is_refused_without_being_repeated(secret: Any) -> None:
    with pytest.raises(pydantic.ValidationError) as refused:
        webhook(secret)
    assert {error["loc"][0] for error in refused.value.errors()} == {"secret"}
    assert not [
        error for error in refused.value.errors() if len(secret) > 6 and secret in error["msg"]
    ]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "ftp://x.example",
        "https://",
        "https://a b",
        "https://u:p@x.example/",
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        webhook(url=url)


def test_a_url_with_a_query_is_kept_as_it_is() -> None:
    assert webhook(url=f"{URL}?tenant=7").request(outgoing()).url == f"{URL}?tenant=7"


# the log


async def test_every_message_is_one_line_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    log = Log(LogFileSettings(path=path), "log")
    hostile = outgoing(content={"text": 'рядок\nдругий "\ud800"'})
    assert [await log.send(outgoing()), await log.send(hostile)] == [ch.Accepted(REFERENCE)] * 2
    first, second = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    assert first["to"] == {"kind": "phone", "value": "+380501234567"} and first["content"] == {
        "text": "Ваш кошик чекає"
    }
    assert second["content"] == {"text": 'рядок\nдругий "?"'}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_without_a_path_the_line_goes_to_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await Log(LogFileSettings(), "log").send(outgoing()) == ch.Accepted(REFERENCE)
    assert json.loads(capsys.readouterr().out)["reference"] == REFERENCE


async def test_a_file_that_cannot_be_written_refuses_the_configuration(tmp_path: Path) -> None:
    outcome = await Log(LogFileSettings(path=tmp_path / "none" / "x.jsonl"), "log").send(outgoing())
    assert isinstance(outcome, ch.Refused) and outcome.reason is ch.Reason.REFUSED_CONFIGURATION
    assert "cannot be written: No such file or directory" in outcome.detail
