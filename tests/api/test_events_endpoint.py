"""
``POST /v1/events``: what is answered is durable, what is refused says why, and a repeat does
nothing.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from orchestrator.engine.engine import Busy
from orchestrator.primitives.durations import rfc3339
from tests.api.site import OLENA, Site, event, is_problem, open_site

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


async def post(site: Site, body: Any, headers: dict[str, str] = STRUCTURED) -> httpx.Response:
    return await site.client.post("/v1/events", content=json.dumps(body), headers=headers)


async def test_an_accepted_event_is_answered_with_its_messages_which_are_there(site: Site) -> None:
    answer = await post(site, event())
    assert answer.status_code == 202
    [result] = answer.json()["results"]
    assert result["status"] == "accepted" and (result["source"], result["id"]) == ("shop", "1")
    assert (await site.message(result["messages"][0]))["policy"] == "reminder"


async def test_a_repeat_is_a_duplicate_with_the_same_messages(site: Site) -> None:
    first, again = (await post(site, event())).json(), (await post(site, event())).json()
    assert again["results"][0]["status"] == "duplicate"
    assert again["results"][0]["messages"] == first["results"][0]["messages"]


async def test_the_same_id_with_another_body_is_a_409(site: Site) -> None:
    await post(site, event(n=1))
    found = is_problem(await post(site, event(n=2)), 409, "conflict")
    assert found["results"][0]["error"]["code"] == "conflict"


async def test_an_event_that_no_policy_wants_is_unmatched(site: Site) -> None:
    [result] = (await post(site, event(type="weather"))).json()["results"]
    assert (result["status"], result["messages"]) == ("unmatched", [])


async def test_plain_json_and_a_missing_type_header_are_read_as_structured(site: Site) -> None:
    assert (
        await post(site, event(), {"Content-Type": "application/json; charset=utf-8"})
    ).status_code == 202
    assert (await site.client.post("/v1/events", content=json.dumps(event("2")))).status_code == 202


async def test_binary_mode_has_its_attributes_in_headers(site: Site) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "%D0%90", "ce-source": "shop", "ce-type": "cart"}
    answer = await post(site, {"recipient": OLENA}, headers | {"Content-Type": "application/json"})
    assert answer.json()["results"][0]["id"] == "А"
    is_problem(await post(site, {}, headers | {"ce-id": "%"}), 400, "bad_attribute")


async def test_an_attribute_that_comes_twice_is_refused(site: Site) -> None:
    names = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("CE-ID", "2"),
        ("ce-source", "s"),
        ("ce-type", "cart"),
    ]
    answer = await site.client.post("/v1/events", content=b"{}", headers=httpx.Headers(names))
    assert is_problem(answer, 400)["field"] == "id"


async def test_a_batch_has_a_result_for_each_event_in_its_place(site: Site) -> None:
    bad = event("3", recipient={"id": "", "phone": "123"})
    answer = await post(site, [event("1"), 7, bad, event("1"), event("4", n=1)], BATCH)
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [
        "accepted",
        "refused",
        "refused",
        "duplicate",
        "accepted",
    ]
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    assert results[2]["error"]["field"] == "data.recipient.id"


async def test_a_conflict_inside_a_batch_refuses_only_itself(site: Site) -> None:
    await post(site, event("1", n=1))
    results = (await post(site, [event("1", n=2), event("2")], BATCH)).json()["results"]
    assert results[0]["error"]["code"] == "conflict" and results[1]["status"] == "accepted"
    is_problem(await post(site, [event("1", n=3), event("2", n=3)], BATCH), 409, "conflict")


async def test_a_batch_without_one_good_event_is_a_400_that_lists_what_is_wrong(site: Site) -> None:
    found = is_problem(await post(site, [{}, 1], BATCH), 400, "refused")
    assert [result["status"] for result in found["results"]] == ["refused", "refused"]
    assert (await post(site, [], BATCH)).json() == {"results": []}


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", STRUCTURED, 400, "bad_json"),
        (b"", STRUCTURED, 400, "bad_json"),
        (b"{}", BATCH, 400, "not_a_batch"),
        (b"[", BATCH, 400, "bad_json"),
        (b'{"order": 1}', {"Content-Type": "application/json"}, 400, "not_a_cloudevent"),
        (b"<x/>", {"Content-Type": "text/xml"}, 415, "unsupported_media_type"),
        (
            b"{}",
            {"Content-Type": "application/json; charset=utf-16"},
            415,
            "unsupported_media_type",
        ),
        (b"{}", STRUCTURED | {"Content-Encoding": "gzip"}, 415, "compressed_body"),
        (b" " * (256 * 1024 + 1), STRUCTURED, 413, "too_large"),
        (b" " * (4 * 1024 * 1024 + 1), BATCH, 413, "too_large"),
        (b"[" + b"1," * 1000 + b"1]", BATCH, 413, "too_large"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_its_reason(
    site: Site, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    is_problem(await site.client.post("/v1/events", content=body, headers=headers), status, code)


async def test_a_body_without_a_length_is_bounded_too(site: Site) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b" " * 10_000

    is_problem(
        await site.client.post("/v1/events", content=endless(), headers=STRUCTURED),
        413,
        "too_large",
    )


async def test_plain_json_is_answered_with_the_event_that_would_have_been_accepted(
    site: Site,
) -> None:
    found = is_problem(await post(site, {"cart": 7}, {"Content-Type": "application/json"}), 400)
    assert (await post(site, found["example"])).status_code == 202


async def test_a_recipient_with_a_thousand_others_is_refused_by_number(site: Site) -> None:
    many = {**event(recipient=None), "data": {"recipients": [{"id": str(n)} for n in range(1001)]}}
    is_problem(await post(site, many), 413, "too_large")


async def test_with_too_many_requests_waiting_nothing_is_accepted_and_the_answer_says_when_to_retry(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(commands: Any) -> Any:
        raise Busy("full")

    monkeypatch.setattr(site.world.engine, "submit_many", full)
    answer = await post(site, event())
    is_problem(answer, 429, "busy")
    assert answer.headers["Retry-After"] == "1"


async def test_a_stopping_service_accepts_nothing_more(site: Site) -> None:
    await site.world.engine.stop()
    is_problem(await post(site, event()), 503, "unavailable")


async def test_an_event_whose_commit_fails_is_not_acknowledged_and_can_be_sent_again(
    site: Site,
) -> None:
    commit = site.world.open_store.commit

    async def broken(changes: Any) -> None:
        raise OSError("disk full")

    site.world.open_store.commit = broken
    is_problem(await post(site, [event("1"), event("2")], BATCH), 500, "internal_error")
    site.world.open_store.commit = commit
    results = (await post(site, [event("1"), event("2")], BATCH)).json()["results"]
    assert [result["status"] for result in results] == ["accepted", "accepted"]


async def test_many_at_once_are_all_accepted_once(site: Site) -> None:
    answers = await asyncio.gather(*(post(site, event(str(number % 20))) for number in range(60)))
    statuses = [answer.json()["results"][0]["status"] for answer in answers]
    assert (statuses.count("accepted"), statuses.count("duplicate")) == (20, 40)


async def test_events_are_counted_by_what_became_of_them(site: Site) -> None:
    await post(site, [event("1"), event("1"), event("2", type="weather"), 5], BATCH)
    text = (await site.admin.get("/metrics")).text
    for status in ("accepted", "duplicate", "unmatched", "refused"):
        assert f'kaskad_events_total{{source="http",status="{status}"}} 1.0' in text


async def test_http_takes_no_events_where_it_is_no_source() -> None:
    async with open_site(auth="keys", http_source=False) as site:
        await site.add_key("kk_all", "all")
        answer = await site.client.post(
            "/v1/events", json=event(), headers={"Authorization": "Bearer kk_all"}
        )
        is_problem(answer, 404)
    async with open_site(http_source=False) as local:
        assert (await post(local, event())).status_code == 202


async def test_an_event_from_the_future_is_refused_and_a_clock_may_differ(site: Site) -> None:
    now = site.world.now
    early = {**event("1"), "time": rfc3339(now + 5 * 60_000)}
    assert (await post(site, early)).json()["results"][0]["status"] == "accepted"
    late = {**event("2"), "time": rfc3339(now + 5 * 60_000 + 1)}
    is_problem(await post(site, late), 400, "time_in_future")
    results = (await post(site, [late, event("3")], BATCH)).json()["results"]
    assert (results[0]["error"]["code"], results[0]["error"]["field"]) == ("time_in_future", "time")
    assert results[1]["status"] == "accepted"


async def test_a_message_may_start_up_to_a_year_later(site: Site) -> None:
    now, day = site.world.now, 24 * 3_600_000
    at = rfc3339(now + 7 * day)
    [result] = (await post(site, {**event("1"), "kaskadnotbefore": at})).json()["results"]
    message = await site.message(result["messages"][0])
    assert (message["status"], message["starts_at"], message["step"]) == ("accepted", at, None)
    again = {**event("1"), "kaskadnotbefore": at.replace(".000Z", "+00:00")}
    assert (await post(site, again)).json()["results"][0]["status"] == "duplicate"
    far = {**event("2"), "kaskadnotbefore": rfc3339(now + 366 * day + 1)}
    is_problem(await post(site, far), 400, "not_before_too_far")
    bad = is_problem(await post(site, {**event("3"), "kaskadnotbefore": "noon"}), 400)
    assert (bad["code"], bad["field"]) == ("bad_attribute", "kaskadnotbefore")


async def test_warnings_stand_in_the_result_in_the_trace_and_in_a_metric(site: Site) -> None:
    bad = {"id": "olena", "phone": "12", "email": "olena@example.com", "lang": "uk"}
    [result] = (await post(site, event("1", recipient=bad))).json()["results"]
    assert [one["field"] for one in result["warnings"]] == [
        "data.recipient.phone",
        "data.recipient.lang",
    ]
    assert set(result["warnings"][0]) == {"recipient", "field", "what", "fix"}
    trace = (await site.message(result["messages"][0]))["trace"]
    assert trace[0]["fact"]["warnings"] == result["warnings"]
    shown = (await site.admin.get("/metrics")).text
    assert 'kaskad_event_warnings_total{field="phone",source="http"} 1.0' in shown
    assert 'kaskad_event_warnings_total{field="other",source="http"} 1.0' in shown
    await post(site, event("1", recipient=bad))
    assert (await site.admin.get("/metrics")).text.count('field="phone",source="http"} 1.0') == 1


async def test_an_unmatched_event_names_the_trigger_that_it_is_close_to(site: Site) -> None:
    [result] = (await post(site, event("1", type="crat"))).json()["results"]
    assert result["status"] == "unmatched" and "nearest" not in result
    [result] = (await post(site, event("2", type="carts"))).json()["results"]
    assert (result["status"], result["nearest"]) == ("unmatched", "cart")
    many = [event(f"m{n}", type=f"carts{n}") for n in range(40)]
    results = (await post(site, many, BATCH)).json()["results"]
    assert sum("nearest" in one for one in results) <= 10


@pytest.mark.parametrize(
    ("named", "field"),
    [({"type": "kaskad.message.exhausted"}, "type"), ({"source": "kaskad"}, "source")],
)
async def test_nobody_outside_may_publish_what_happens_inside(
    site: Site, named: dict[str, str], field: str
) -> None:
    forged = {**event("1"), **named}
    is_problem(answer := await post(site, forged), 422, "reserved")
    assert answer.json()["field"] == field
    results = (await post(site, [forged, event("2")], BATCH)).json()["results"]
    assert results[0]["error"]["code"] == "reserved"
    assert results[1]["status"] == "accepted"
