"""Details of the gateways: check values, logins in the URL, settings that must be refused."""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydantic
import pytest

from adapters.email.sigv4 import signed_headers
from kaskad_testing import NOW, REFERENCE, Examples, changed, hook, outgoing
from kaskad_testing.finding import in_directory
from orchestrator import channels as ch
from tests.adapters import (
    examples_alphasms_sms,
    examples_mailgun,
    examples_postmark,
    examples_sendgrid,
    examples_turbosms_sms,
    examples_vonage_sms,
    mails,
)

# tables of codes


def test_a_code_with_two_meanings_is_refused() -> None:
    with pytest.raises(ValueError, match="7 is both address and content"):
        ch.CodeTable(address="5-8", content="7")


def test_ranges_and_words_are_codes() -> None:
    table = ch.CodeTable(address="1 2 5-7 GONE", personal="6")
    found = {code: table.refusal(code) for code in (2, 5, "6", 7, "GONE", 8, None, 10**4000)}
    assert [code for code, refusal in found.items() if refusal] == [2, 5, "6", 7, "GONE"]
    assert table.refusal(True) is None
    assert found["6"] is not None and found["6"].personal


# what receipts may be counted on

SIGNED = {
    one.EXAMPLES.adapter: one.EXAMPLES
    for one in in_directory(Path(__file__).parent)
    if one.EXAMPLES.sign is not None and one.EXAMPLES.hooks and one.EXAMPLES.adapter != "http"
}


@pytest.mark.parametrize("name", SIGNED)
def test_receipts_are_promised_only_where_a_webhook_can_be_believed(name: str) -> None:
    """With no more settings than it needs, and with all of the example."""
    examples: Examples = SIGNED[name]
    kind = examples.adapter_type
    fields = kind.settings_type.model_fields.items()
    needed = {"from", *(field.alias or name for name, field in fields if field.is_required())}
    few = {name: value for name, value in examples.settings.items() if name in needed}
    bare = kind(kind.settings_type(**few), "main")
    assert examples.sign is not None
    signed = examples.sign(examples.hooks[0].hook, examples.secret)
    assert believes(examples.built, signed) and examples.built.settings.believes_webhooks
    if not believes(bare, signed):
        assert not bare.settings.believes_webhooks and bare.reports() <= {"clicked"}


def believes(adapter: ch.Adapter[Any], signed: ch.Webhook) -> bool:
    try:
        adapter.verify(signed)
    except ch.Forged:
        return False
    return True


# AWS Signature Version 4


@pytest.mark.parametrize(
    ("token", "signature"),
    [
        (None, "9cdfbfe0570065ec67c5397c9469774b3befa88db10e8942a8c00a85488f8896"),
        ("session-token", "d1bbbd267e2f561725044206a68bc76787857f78ad12b7bcc400b0cfca65440c"),
    ],
)
def test_a_request_is_signed_as_amazons_own_library_signs_it(
    token: str | None, signature: str
) -> None:
    """The values come from botocore, for the same key, time and body."""
    headers = signed_headers(
        "https://email.eu-central-1.amazonaws.com/v2/email/outbound-emails",
        b'{"a":1}',
        now=NOW,
        region="eu-central-1",
        service="ses",
        key_id="AKIDEXAMPLE",
        secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session_token=token,
    )
    assert headers["Authorization"].endswith(f"Signature={signature}")


# Mailgun, SendGrid, Vonage, TurboSMS: signatures


def test_mailguns_published_signature_is_ours() -> None:
    proof = {
        "timestamp": "1534108637",
        "token": "651869375b9df3c98fc15c4889b102119add1235c38fc92824",
        "signature": "2a75affe24846ead9e37e614a5e7643a04abf4d5b49b34d224ede9af23a00ccc",
    }
    given = replace(hook(json_body={"signature": proof}), now=1534108640.0)
    examples_mailgun.EXAMPLES.build(webhook_signing_key="TEST_WEBHOOK_SIGNING_KEY").verify(given)


def test_a_key_of_sendgrids_that_is_none_is_refused_by_its_setting() -> None:
    with pytest.raises(pydantic.ValidationError, match="must be the base64 key"):
        examples_sendgrid.EXAMPLES.build(webhook_public_key="not a key")


def test_either_key_of_sendgrids_verifies_while_it_is_changed() -> None:
    keys = (examples_sendgrid.public("next"), examples_sendgrid.public(examples_sendgrid.SIGNER))
    adapter = examples_sendgrid.EXAMPLES.build(webhook_public_key=keys)
    for name in ("next", examples_sendgrid.SIGNER):
        adapter.verify(examples_sendgrid.sign(examples_sendgrid.event("delivered"), name))


def test_vonage_may_post_a_form_or_call_by_get() -> None:
    fields = {"messageId": "1", "status": "delivered", "client-ref": REFERENCE}
    adapter = examples_vonage_sms.EXAMPLES.build()
    for given in (hook(form=fields), hook(query=fields, method="GET")):
        said = [one for one in adapter.receipts(given) if isinstance(one, ch.Receipt)]
        assert [(one.state, one.client_reference) for one in said] == [("delivered", REFERENCE)]


def test_vonage_signs_every_field_so_a_signed_callback_carries_no_login() -> None:
    """A token in the URL would be one more field of a receipt, which the signature lacks."""
    adapter = examples_vonage_sms.EXAMPLES.build(webhook_token="login")
    assert isinstance(adapter, ch.HttpAdapter)
    sent = adapter.request(outgoing())
    callback = json.loads(sent.body)["callback"]
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(callback).query))
    signed = examples_vonage_sms.sign(
        examples_vonage_sms.receipt_of(sent), examples_vonage_sms.SIGNATURE
    )
    adapter.verify(replace(signed, query=query))


@pytest.mark.parametrize(("age", "good"), [(0, True), (86_000, True), (90_000, False)])
def test_a_signed_callback_of_vonages_is_taken_as_long_as_it_is_repeated(
    age: int, good: bool
) -> None:
    fields = {"messageId": "1", "status": "delivered", "timestamp": str(int(NOW - age))}
    signed = examples_vonage_sms.sign(hook(json_body=fields), examples_vonage_sms.SIGNATURE)
    adapter = examples_vonage_sms.EXAMPLES.build()
    if good:
        adapter.verify(signed)
        return
    with pytest.raises(ch.Forged, match="more than a day off"):
        adapter.verify(signed)


def test_turbosms_may_put_the_secret_before_or_after_the_id() -> None:
    adapter, event = examples_turbosms_sms.EXAMPLES.build(), examples_turbosms_sms.EVENT
    for text in (
        f"{examples_turbosms_sms.SECRET}{event}",
        f"{event}{examples_turbosms_sms.SECRET}",
    ):
        signature = hashlib.sha1(text.encode()).hexdigest()
        adapter.verify(examples_turbosms_sms.callback("Delivered", signature=signature))


# logins


@pytest.mark.parametrize(
    ("query", "good"),
    [({"token": examples_alphasms_sms.TOKEN}, True), ({"token": "wrong"}, False), ({}, False)],
)
def test_a_token_in_the_webhooks_url_is_a_login(query: dict[str, str], good: bool) -> None:
    adapter = examples_alphasms_sms.EXAMPLES.build()
    given = hook(json_body={"status": "DELIVERED"}, query=query)
    if good:
        adapter.verify(given)
        return
    with pytest.raises(ch.Forged, match="webhook_token"):
        adapter.verify(given)


def test_a_token_in_the_url_does_not_help_a_wrong_header() -> None:
    adapter = examples_alphasms_sms.EXAMPLES.build()
    given = hook(query={"token": examples_alphasms_sms.TOKEN})
    with pytest.raises(ch.Forged):
        adapter.verify(changed(given, authorization="Bearer wrong"))


def test_half_a_login_is_refused_with_what_is_missing() -> None:
    settings: dict[str, Any] = {"webhook_username": "kaskad", "webhook_password": None}
    with pytest.raises(pydantic.ValidationError, match="give both or neither"):
        examples_postmark.EXAMPLES.build(**settings)


def test_a_gateway_without_any_login_takes_no_webhook() -> None:
    adapter = examples_alphasms_sms.EXAMPLES.build(webhook_token=None)
    for given in (hook(query={"token": ""}), hook(), changed(hook(), authorization="Bearer ")):
        with pytest.raises(ch.Forged):
            adapter.verify(given)


# what cannot be sent


@pytest.mark.parametrize("subject", ["", "a\r\nBcc: x@example.com", "=?UTF-8?Q?=0A?="])
def test_a_mail_with_an_unsafe_subject_never_reaches_a_gateway(subject: str) -> None:
    message = mails.mail(content={"subject": subject, "text": "x"})
    with pytest.raises(ch.Unsendable):
        examples_postmark.EXAMPLES.http().request(message)
