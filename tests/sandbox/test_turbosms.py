"""The stand-in for TurboSMS, asked by the adapters themselves."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.gateways.turbosms import TurboSms, TurboSmsViber
from kaskad_testing.examples import outgoing
from orchestrator.channels import HttpReply, Webhook
from orchestrator.core.outcomes import Accepted, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason
from tests.sandbox.sandbox_kit import ACCOUNTS, PHONE, Bench, benched


def adapter(bench: Bench, kind: type[TurboSms] = TurboSms, **changed: Any) -> TurboSms:
    settings = {
        "token": ACCOUNTS.turbosms_token,
        "sender": "Shop",
        "webhook_secret": ACCOUNTS.turbosms_webhook_secret,
        "base_url": bench.sandbox.url,
    }
    return kind(kind.settings_type(**{**settings, **changed}), kind.name)


async def send(bench: Bench, by: TurboSms, **changed: Any) -> Outcome:
    call = by.request(outgoing(value=PHONE, **changed))
    async with bench.client.post(call.url, data=call.body, headers=call.headers) as answer:
        status, headers = answer.status, {name.lower(): v for name, v in answer.headers.items()}
        reply = HttpReply(status=status, headers=headers, body=await answer.read(), now=0.0)
    return by.outcome(reply)


@pytest.mark.parametrize("kind", [TurboSms, TurboSmsViber])
async def test_a_message_is_taken_in_its_channel_and_its_states_are_signed(
    kind: type[TurboSms],
) -> None:
    states = [["sent", 0], ["delivered", 0], ["read", 0]]
    async with benched(script={"default": {"receipts": states}}) as bench:
        await bench.control("PUT", "callbacks", {"turbosms": bench.receiver.url})
        by = adapter(bench, kind)
        outcome = await send(bench, by)
        assert isinstance(outcome, Accepted)
        (taken,) = await bench.accepted("turbosms")
        assert (taken["channel"], taken["provider_id"]) == (
            by.supports.channel,
            outcome.provider_id,
        )
        reported = []
        for _ in range(3 if kind is TurboSmsViber else 2):
            got = await bench.receiver.next()
            hook = Webhook(
                method=got.method, url=got.url, headers=got.headers, query={}, body=got.body, now=0
            )
            by.verify(hook)
            reported += [(one.provider_id, str(one.state)) for one in by.receipts(hook)]
        names = ["sent", "delivered", "read"][: len(reported)]
        assert reported == [(outcome.provider_id, name) for name in names]


@pytest.mark.parametrize(
    ("changed", "settings", "reason"),
    [
        ({}, {"token": "wrong"}, Reason.REFUSED_CONFIGURATION),
        ({"content": {"text": ""}}, {}, Reason.REFUSED_CONTENT),
        ({"content": {"text": "я" * 2_000}}, {}, Reason.REFUSED_CONTENT),
    ],
)
async def test_what_is_wrong_is_refused_with_a_good_status(
    changed: dict[str, Any], settings: dict[str, Any], reason: Reason
) -> None:
    async with benched() as bench:
        outcome = await send(bench, adapter(bench, **settings), **changed)
        assert isinstance(outcome, Refused) and outcome.reason is reason


async def test_a_number_on_the_stop_list_has_opted_out() -> None:
    async with benched() as bench:
        bench.sandbox.inbox.opt("turbosms", PHONE, True)
        outcome = await send(bench, adapter(bench))
        assert isinstance(outcome, Refused) and outcome.reason is Reason.REFUSED_OPTED_OUT


async def test_the_same_sequence_is_taken_once_and_answered_alike() -> None:
    async with benched() as bench:
        first, again = [await send(bench, adapter(bench)) for _ in range(2)]
        assert isinstance(first, Accepted) and isinstance(again, Accepted)
        assert first.provider_id == again.provider_id
        assert len(await bench.accepted("turbosms")) == 1


async def test_a_scripted_failure_leaves_nobody_knowing() -> None:
    async with benched(script={"default": {"answer": {"refuse": "500"}}}) as bench:
        assert isinstance(await send(bench, adapter(bench)), Unknown)


async def test_the_probe_reads_the_balance() -> None:
    async with benched() as bench:
        for by, said in ((adapter(bench), None), (adapter(bench, token="wrong"), "105")):
            call = by.probe(0.0)
            async with bench.client.post(call.url, data=call.body, headers=call.headers) as answer:
                body = await answer.read()
            reply = HttpReply(status=answer.status, headers={}, body=body, now=0.0)
            found = by.probed(reply)
            assert found is None if said is None else found is not None and said in found
