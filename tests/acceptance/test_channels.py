"""
Every channel, from an event to a receipt, over real sockets with the providers' real wire formats.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.place import Place

DELIVERED = "    wait: {delivered: 20s}\n"


@pytest.mark.parametrize(
    ("channel", "provider"), [("sms", "twilio"), ("viber", "infobip"), ("whatsapp", "meta")]
)
async def test_a_message_is_sent_and_its_signed_receipt_closes_it(
    tmp_path: Path, channel: str, provider: str
) -> None:
    async with Place(tmp_path, f"  - channel: {channel}\n{DELIVERED}") as place:
        await place.script({"default": {"receipts": [["sent", 0.05], ["delivered", 0.2]]}})
        message = await place.ended(await place.notify())
        assert (message["status"], message["succeeded_by"]) == ("succeeded", channel)
        assert message["attempts"][0]["provider_id"]
        assert len(await place.taken(provider)) == 1


async def test_a_push_is_encrypted_signed_shown_and_reported_by_the_service_worker(
    tmp_path: Path,
) -> None:
    async with Place(
        tmp_path, "  - channel: web_push\n    wait: {delivered: 10s, clicked: 20s}\n"
    ) as place:
        await place.script({"default": {"receipts": [["delivered", 0.1], ["clicked", 0.3]]}})
        message = await place.ended(await place.notify(web_push=[await place.subscribe()]))
        assert (message["status"], message["succeeded_by"]) == ("succeeded", "web_push")
        (taken,) = await place.taken("push")
        assert taken["content"]["title"] == "Вітання 1"


async def test_a_mail_is_read_by_its_pixel_and_clicked_by_its_link(tmp_path: Path) -> None:
    async with Place(tmp_path, "  - channel: email\n    wait: {read: 20s}\n") as place:
        await place.script({"default": {"receipts": [["read", 0.2]]}})
        message = await place.ended(await place.notify())
        assert (message["status"], message["succeeded_by"]) == ("succeeded", "email")
        (taken,) = await place.taken("smtp")
        assert "/c/" in str(taken)


async def test_a_dead_subscription_is_marked_and_left_alone(tmp_path: Path) -> None:
    async with Place(tmp_path, "  - channel: web_push\n  - channel: sms\n") as place:
        subscription = await place.subscribe()
        await place.control("POST", "push/expire", {"endpoint": subscription["endpoint"]})
        first = await place.ended(await place.notify(web_push=[subscription]))
        assert first["attempts"][0]["error"]["reason"] == "refused_address"
        second = await place.ended(await place.notify(web_push=[subscription]))
        assert [attempt["channel"] for attempt in second["attempts"]] == ["sms"]


async def test_a_stop_by_sms_ends_sms_for_that_number(tmp_path: Path) -> None:
    async with Place(tmp_path, "  - channel: sms\n") as place:
        await place.ended(await place.notify())
        await place.control(
            "POST", "inbound", {"provider": "twilio", "from": "+380501234567", "text": "СТОП"}
        )
        message = await place.ended(await place.notify(id="petro"))
        assert (message["status"], message["reason"]) == ("suppressed", "opted_out")


async def test_an_answer_that_never_comes_is_unknown_and_the_next_channel_takes_over(
    tmp_path: Path,
) -> None:
    async with Place(
        tmp_path, "  - channel: viber\n    wait: {delivered: 2s}\n  - channel: sms\n"
    ) as place:
        await place.script({"providers": {"infobip": {"answer": "cut_after_read"}}})
        message = await place.ended(await place.notify())
        assert [attempt["outcome"] for attempt in message["attempts"]] == ["unknown", "accepted"]
        assert message["succeeded_by"] == "sms"


async def test_what_was_taken_though_the_answer_was_lost_is_found_by_its_receipt(
    tmp_path: Path,
) -> None:
    async with Place(tmp_path, "  - channel: sms\n    wait: {delivered: 20s}\n") as place:
        await place.script(
            {"default": {"answer": "cut_after_accept", "receipts": [["delivered", 0.3]]}}
        )
        message = await place.ended(await place.notify())
        assert (message["status"], len(await place.taken("twilio"))) == ("succeeded", 1)


async def test_a_receipt_before_the_response_and_one_that_comes_twice_do_no_harm(
    tmp_path: Path,
) -> None:
    async with Place(tmp_path, f"  - channel: sms\n{DELIVERED}") as place:
        await place.script(
            {"default": {"receipts": [["delivered", 0]], "before_response": True, "twice": True}}
        )
        message = await place.ended(await place.notify())
        assert (message["status"], message["flags"]) == ("succeeded", [])


async def test_a_throttled_send_waits_as_long_as_it_was_asked_to(tmp_path: Path) -> None:
    async with Place(tmp_path, "  - channel: sms\n") as place:
        await place.script(
            {"addresses": {"+380501234567": [{"answer": {"throttle": 1}}, {"answer": "accept"}]}}
        )
        message = await place.ended(await place.notify())
        assert [attempt["outcome"] for attempt in message["attempts"]] == ["not_sent", "accepted"]
        first, second = (attempt["times"] for attempt in message["attempts"])
        assert second["intent"] > first["answered"]


async def test_a_late_receipt_of_an_earlier_step_closes_the_message(tmp_path: Path) -> None:
    cascade = (
        "  - channel: viber\n    wait: {delivered: 1s}\n  - channel: sms\n    wait: {delivered:"
        " 30s}\n"
    )
    async with Place(tmp_path, cascade) as place:
        script = {"infobip": {"receipts": [["delivered", 2.0]]}, "twilio": {"receipts": "never"}}
        await place.script({"providers": script})
        message = await place.ended(await place.notify())
        assert (message["succeeded_by"], message["flags"]) == ("viber", ["late"])


async def test_a_forged_receipt_moves_nothing(tmp_path: Path) -> None:
    async with Place(tmp_path, f"  - channel: sms\n{DELIVERED}") as place:
        await place.script({"default": {"receipts": "never"}})
        id = await place.notify()
        message = await place.until(
            id, lambda found: found["attempts"] and found["attempts"][0]["provider_id"]
        )
        form = {"MessageSid": message["attempts"][0]["provider_id"], "MessageStatus": "delivered"}
        async with place.session.post(f"{place.url}/v1/receipts/twilio", data=form) as answer:
            assert answer.status == 403
        assert (await place.get(f"/v1/messages/{id}"))["status"] == "running"


async def test_a_telegram_message_is_answered_by_its_button_and_stopped_by_stop(
    tmp_path: Path,
) -> None:
    async with Place(tmp_path, "  - channel: telegram\n    wait: {clicked: 20s}\n") as place:
        await place.control("PUT", "callbacks", {"telegram": f"{place.url}/v1/receipts/telegram"})
        await place.script({"default": {"receipts": [["clicked", 0.1]]}})
        message = await place.ended(await place.notify(telegram_id=712345678))
        assert (message["status"], message["succeeded_by"]) == ("succeeded", "telegram")
        stop = {"provider": "telegram", "from": "712345678", "text": "/stop"}
        await place.control("POST", "inbound", stop)
        message = await place.ended(await place.notify(telegram_id="712345678"))
        assert (message["status"], message["reason"]) == ("suppressed", "opted_out")
