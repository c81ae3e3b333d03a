"""Messages, recipients, consents and dead letters over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.channels import Delivery, Receipt
from orchestrator.core.outcomes import Refused
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import DeadLetter, RecordReceipt
from orchestrator.primitives.durations import rfc3339
from tests.api.site import OLENA, Site, event, is_problem
from tests.engine.world import START

# ---- messages


async def test_a_message_has_its_attempts_and_its_trace(site: Site) -> None:
    id = await site.publish()
    await site.hand_off(id)
    found = await site.message(id)
    assert found["event"] == {"source": "shop", "id": "1", "type": "cart"}
    assert (found["recipient"], found["policy"], found["class"]) == (
        "olena",
        "reminder",
        "transactional",
    )
    assert (found["status"], found["reason"], found["succeeded_by"], found["flags"]) == (
        "running",
        None,
        None,
        [],
    )
    assert found["step"] == 0 and found["cost"] == {"amount": "0.00", "currency": "UAH"}
    assert (found["created_at"], found["finished_at"]) == (rfc3339(START), None)
    [attempt] = found["attempts"]
    assert (attempt["channel"], attempt["provider"], attempt["provider_id"]) == (
        "email",
        "mail",
        "p-1",
    )
    assert (attempt["outcome"], attempt["state"], attempt["error"]) == (
        "accepted",
        "accepted",
        None,
    )
    assert attempt["times"]["intent"].endswith("Z") and "olena@" not in json.dumps(found)
    assert [entry["fact"]["kind"] for entry in found["trace"]] == [
        "Triggered",
        "Prepared",
        "Answered",
    ]
    gates = [check["gate"] for check in found["trace"][1]["checks"]]
    assert gates[:2] == ["deadline", "goal"]


async def test_every_instant_in_a_trace_is_a_time(site: Site) -> None:
    id = await site.publish()
    await site.hand_off(id)
    site.world.at(3601)
    await site.world.fire()

    def numbers(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [found for inner in value.values() for found in numbers(inner)]
        if isinstance(value, list):
            return [found for inner in value for found in numbers(inner)]
        return [value] if type(value) is int and value > START - 10**9 else []

    trace = (await site.message(id))["trace"]
    assert numbers(trace) == []
    deadline = trace[1]["checks"][0]
    assert deadline["gate"] == "deadline" and deadline["limit"].endswith("Z")
    assert all(
        check["until"] is None or check["until"].endswith("Z")
        for entry in trace
        for check in entry["checks"]
    )


async def test_an_unknown_message_is_a_404_everywhere(site: Site) -> None:
    is_problem(await site.client.get("/v1/messages/01K"), 404, "unknown_message")
    is_problem(await site.client.post("/v1/messages/01K/cancel"), 404, "unknown_message")
    assert len(is_problem(await site.client.get("/v1/messages/" + "x" * 3000), 404)["detail"]) < 200


async def test_lists_are_newest_first_and_paged_without_traces(site: Site) -> None:
    ids = [await site.publish(id=str(number)) for number in range(5)]
    first = (await site.client.get("/v1/messages?limit=2")).json()
    second = (await site.client.get(f"/v1/messages?limit=2&cursor={first['next_cursor']}")).json()
    last = (await site.client.get(f"/v1/messages?limit=2&cursor={second['next_cursor']}")).json()
    assert [item["id"] for item in [*first["items"], *second["items"], *last["items"]]] == ids[::-1]
    assert last["next_cursor"] is None and "trace" not in first["items"][0]
    assert (await site.client.get("/v1/messages?limit=5")).json()["next_cursor"] is None


async def test_lists_are_filtered(site: Site) -> None:
    kept = await site.publish(id="1", recipient={**OLENA, "id": "petro"})
    await site.publish(id="2", type="text")
    for query in (
        "recipient=petro",
        "policy=reminder",
        "recipient=petro&status=accepted&policy=reminder",
    ):
        found = (await site.client.get(f"/v1/messages?{query}")).json()["items"]
        assert [item["id"] for item in found] == [kept], query
    assert (await site.client.get("/v1/messages?status=exhausted")).json()["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=٣", "limit"),
        ("limit=x", "limit"),
        ("cursor=%27%20or%201", "cursor"),
        ("recipiant=x", "recipiant"),
        ("policy=a&policy=b", "policy"),
        ("recipient=%00", "recipient"),
        ("recipient=" + "x" * 300, "recipient"),
    ],
)
async def test_a_wrong_parameter_is_named(site: Site, query: str, field: str) -> None:
    assert (
        is_problem(await site.client.get(f"/v1/messages?{query}"), 400, "bad_parameter")["field"]
        == field
    )


async def test_cancelling_stops_what_has_not_left_and_is_harmless_twice(site: Site) -> None:
    id = await site.publish()
    for _ in range(2):
        answer = await site.client.post(f"/v1/messages/{id}/cancel")
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["reason"]) == ("cancelled", "cancelled")


async def test_what_has_ended_otherwise_cannot_be_cancelled(site: Site) -> None:
    id = await site.publish(type="text")
    await site.hand_off(id)
    await site.world.engine.submit(RecordReceipt("texts", Receipt(state=Delivery.DELIVERED), id, 0))
    answer = await site.client.post(f"/v1/messages/{id}/cancel")
    assert is_problem(answer, 409, "already_ended")["message_status"] == "succeeded"


# ---- recipients


async def test_a_profile_is_merged_and_null_removes(site: Site) -> None:
    url = "/v1/recipients/user%2042"
    await site.client.put(url, json={"first_name": "Олена", "phone": "+380501234567", "shoe": 38})
    answer = await site.client.put(
        url, json={"id": "user 42", "phone": None, "email": "O@EXAMPLE.com"}
    )
    assert answer.status_code == 200
    found = (await site.client.get(url)).json()
    assert found == answer.json()
    assert found["id"] == "user 42" and found["first_name"] == "Олена" and "phone" not in found
    assert (found["email"], found["attributes"], found["suppressions"]) == (
        "O@example.com",
        {"shoe": 38},
        [],
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"phone": "1"}, "phone"),
        ({"id": "other"}, "id"),
        ({"consents": [{"state": "in", "topik": "x"}]}, "consents[0].topik"),
        ([], ""),
        ("x", ""),
    ],
)
async def test_a_wrong_profile_is_refused_by_field_and_nothing_is_kept(
    site: Site, body: Any, field: str
) -> None:
    assert is_problem(await site.client.put("/v1/recipients/u", json=body), 400)["field"] == field
    is_problem(await site.client.get("/v1/recipients/u"), 404, "unknown_recipient")


async def test_bodies_of_the_api_are_bounded_and_strict(site: Site) -> None:
    is_problem(await site.client.put("/v1/recipients/u", content=b" " * 300_000), 413, "too_large")
    is_problem(
        await site.client.put("/v1/recipients/u", content=b'{"a":1,"a":2}'), 400, "duplicate_key"
    )
    is_problem(await site.client.put("/v1/recipients/u", content=b"{"), 400, "bad_json")
    is_problem(await site.client.put("/v1/recipients/" + "x" * 257, json={}), 400, "bad_field")
    is_problem(await site.client.put("/v1/recipients/%00", json={}), 400, "bad_field")


async def test_a_dead_address_is_suppressed_in_the_profile_until_it_is_put_again(
    site: Site,
) -> None:
    id = await site.publish(type="text")
    await site.hand_off(id)
    refused = Refused(Reason.REFUSED_ADDRESS, "30005", "unknown handset")
    await site.world.engine.submit(
        RecordReceipt("texts", Receipt(state=Delivery.FAILED, failure=refused), id, 0)
    )
    [suppressed] = (await site.client.get("/v1/recipients/olena")).json()["suppressions"]
    assert (suppressed["kind"], suppressed["address"], suppressed["provider"]) == (
        "phone",
        OLENA["phone"],
        "texts",
    )
    assert suppressed["at"].endswith("Z")
    again = await site.client.put("/v1/recipients/olena", json={"phone": OLENA["phone"]})
    assert again.json()["suppressions"] == []


async def test_consents_are_added_and_none_is_removed(site: Site) -> None:
    url = "/v1/recipients/olena/consents"
    is_problem(await site.client.get(url), 404)
    yes = {"channel": "sms", "state": "in", "at": "2026-01-01T00:00:00Z", "source": "form"}
    await site.client.put(url, json={"consents": [yes]})
    answer = await site.client.put(url, json={"consents": [{"state": "out"}]})
    first, second = answer.json()["consents"]
    assert first == {**yes, "topic": "*", "at": "2026-01-01T00:00:00.000Z"}
    assert (second["channel"], second["topic"], second["state"]) == ("*", "*", "out")
    assert (await site.client.get(url)).json() == answer.json()


async def test_consents_need_their_list(site: Site) -> None:
    for body in (
        {},
        {"consents": 5},
        {"consents": [], "more": 1},
        {"consents": [{"state": "yes"}]},
    ):
        is_problem(
            await site.client.put("/v1/recipients/olena/consents", json=body), 400, "bad_field"
        )


async def test_an_export_has_the_profile_and_every_message_with_its_data(site: Site) -> None:
    for number in range(120):
        await site.publish(id=str(number), cart=number)
    await site.publish(id="other", recipient={"id": "petro", "email": "p@example.com"})
    found = (await site.client.get("/v1/recipients/olena/export")).json()
    assert found["recipient"]["email"] == OLENA["email"] and found["recipient"]["consents"] == []
    assert sorted(message["event_data"]["cart"] for message in found["messages"]) == list(
        range(120)
    )
    assert all(message["trace"] for message in found["messages"])
    is_problem(await site.client.get("/v1/recipients/nobody/export"), 404, "unknown_recipient")


async def test_erasing_cancels_and_forgets(site: Site) -> None:
    id = await site.publish()
    answer = await site.client.delete("/v1/recipients/olena")
    assert (answer.status_code, answer.content) == (204, b"")
    is_problem(await site.client.get("/v1/recipients/olena"), 404)
    assert (await site.message(id))["reason"] == "erased"
    is_problem(await site.client.delete("/v1/recipients/nobody"), 404, "unknown_recipient")


# ---- dead letters


async def dead_letter(
    site: Site, body: bytes, headers: dict[str, str] | None = None, reason: str = "bad_json"
) -> str:
    letter = DeadLetter("kafka:events/0/7", reason, "what was wrong", body, headers or {})
    found: str = await site.world.engine.submit(letter)
    return found


async def test_dead_letters_are_listed_and_shown_with_their_bodies(site: Site) -> None:
    first, second = await dead_letter(site, b"{broken"), await dead_letter(site, b"\xff\xfe")
    page = (await site.client.get("/v1/dead-letters?limit=1")).json()
    assert [item["id"] for item in page["items"]] == [second] and page["next_cursor"] == second
    rest = (await site.client.get(f"/v1/dead-letters?cursor={second}")).json()
    assert [item["id"] for item in rest["items"]] == [first] and rest["next_cursor"] is None
    assert rest["items"][0]["body"] == "{broken" and page["items"][0]["body_base64"] == "//4="
    assert (await site.client.get(f"/v1/dead-letters/{first}")).json() == rest["items"][0]
    is_problem(await site.client.get("/v1/dead-letters/nope"), 404, "unknown_dead_letter")


async def test_a_dead_letter_that_is_good_by_now_is_replayed_once_however_often_it_is_asked(
    site: Site,
) -> None:
    headers = {"ce_specversion": "1.0", "ce_id": "9", "ce_source": "shop", "ce_type": "cart"}
    id = await dead_letter(site, json.dumps({"recipient": OLENA}).encode(), headers)
    answers = [await site.client.post(f"/v1/dead-letters/{id}/replay") for _ in range(2)]
    assert [answer.json()["status"] for answer in answers] == ["accepted", "duplicate"]
    assert answers[0].json()["messages"] == answers[1].json()["messages"]
    assert (await site.client.get(f"/v1/dead-letters/{id}")).json()["replayed_at"].endswith("Z")
    assert len((await site.client.get("/v1/messages")).json()["items"]) == 1


async def test_a_dead_letter_that_is_still_bad_stays_and_says_why(site: Site) -> None:
    id = await dead_letter(site, b"{broken")
    is_problem(await site.client.post(f"/v1/dead-letters/{id}/replay"), 422, "bad_json")
    assert (await site.client.get(f"/v1/dead-letters/{id}")).json()["replayed_at"] is None
    await site.publish(id="1", n=1)
    id = await dead_letter(site, json.dumps(event("1", n=2)).encode(), reason="conflict")
    is_problem(await site.client.post(f"/v1/dead-letters/{id}/replay"), 409, "conflict")
    id = await dead_letter(site, json.dumps({**event("2"), "type": "kaskad.opt_out"}).encode())
    is_problem(await site.client.post(f"/v1/dead-letters/{id}/replay"), 422, "reserved")
    is_problem(await site.client.post("/v1/dead-letters/nope/replay"), 404)
