"""
Apps, from an event to a report: the real service, Firebase over HTTP/1.1, Apple over HTTP/2.
"""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.place import Place

APP = "  - channel: mobile_push\n    wait: {delivered: 20s, clicked: 20s}\n"
THEN_SMS = "  - channel: sms\n"


async def test_one_step_reaches_the_phones_of_both_platforms(tmp_path: Path) -> None:
    async with Place(tmp_path, APP) as place:
        await place.script(
            {
                "default": {"receipts": "never"},
                "providers": {"apns": {"receipts": [["delivered", 0.2], ["clicked", 0.4]]}},
            }
        )
        phones = [await place.install(platform) for platform in ("fcm", "apns", "fcm")]
        message = await place.ended(await place.notify(devices=phones))
        assert (message["status"], message["succeeded_by"]) == ("succeeded", "mobile_push")
        assert [one["provider"] for one in message["attempts"]] == ["google", "google", "apple"]
        assert {one["outcome"] for one in message["attempts"]} == {"accepted"}
        shown = [*await place.taken("fcm"), *await place.taken("apns")]
        assert [one["content"]["title"] for one in shown] == ["Вітання 1"] * 3


async def test_a_removed_app_is_marked_and_its_owner_is_not(tmp_path: Path) -> None:
    async with Place(tmp_path, "  - channel: mobile_push\n" + THEN_SMS) as place:
        gone, kept = await place.install("apns"), await place.install("apns")
        await place.control("POST", "devices/remove", {"token": gone["token"]})
        first = await place.ended(await place.notify(devices=[gone, kept]))
        reasons = [(one.get("error") or {}).get("reason") for one in first["attempts"]]
        assert sorted(map(str, reasons)) == ["None", "refused_address"]
        second = await place.ended(await place.notify())
        assert [one["outcome"] for one in second["attempts"]] == ["accepted"]
        assert len(await place.taken("apns")) == 2


async def test_a_withdrawn_access_token_and_a_server_that_goes_away_leave_nothing_unknown(
    tmp_path: Path,
) -> None:
    async with Place(tmp_path, "  - channel: mobile_push\n") as place:
        google, apple = await place.install("fcm"), await place.install("apns")
        await place.ended(await place.notify(devices=[google, apple]))
        place.sandbox.fcm.end_tokens()
        turns = [{"answer": "go_away"}, {"answer": "accept"}]
        await place.script({"addresses": {apple["token"]: turns}})
        message = await place.ended(await place.notify())
        assert message["status"] == "succeeded"
        outcomes = [(one["provider"], one["outcome"]) for one in message["attempts"]]
        assert outcomes == [("google", "not_sent"), ("google", "accepted"), ("apple", "accepted")]
        assert len(await place.taken("fcm")) == len(await place.taken("apns")) == 2
