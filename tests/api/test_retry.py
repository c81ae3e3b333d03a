"""Finding the messages that a mistake has ended, and starting them again, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orchestrator.core.facts import Unpreparable
from orchestrator.core.outcomes import Unknown
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import ApplyFact, DeadLetter
from orchestrator.primitives.durations import rfc3339
from orchestrator.primitives.ids import IdMaker
from tests.api.site import Site, is_problem, open_site
from tests.engine.world import START

HOUR = 3600


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as site:
        yield site


async def broken(site: Site, event: str = "1") -> str:
    """A message that its template has ended."""
    id = await site.publish(id=event, type="text")
    await site.world.engine.submit(ApplyFact(id, Unpreparable(0, Reason.TEMPLATE_ERROR, "broken")))
    return id


async def test_a_message_is_retried_once_and_both_name_the_other(site: Site) -> None:
    id = await broken(site)
    asked = await site.client.post(f"/v1/messages/{id}/retry", json={"dry_run": True})
    assert asked.json() == {"status": "would_start", "message": None}
    first = await site.client.post(f"/v1/messages/{id}/retry")
    again = await site.client.post(f"/v1/messages/{id}/retry", json={"deadline": "1h"})
    made = first.json()["message"]
    assert (first.json()["status"], again.json()) == (
        "started",
        {"status": "already_retried", "message": made},
    )
    old, new = await site.message(id), await site.message(made)
    assert (old["retried_as"], old["retry_of"]) == (made, None)
    assert (new["retry_of"], new["retried_as"], new["status"]) == (id, None, "accepted")


@pytest.mark.parametrize(
    ("given", "deadline"),
    [("90m", START + 2 * 3_600_000 + 90 * 60_000), ("original", START + 24 * 3_600_000)],
)
async def test_a_retry_may_have_another_deadline(site: Site, given: str, deadline: int) -> None:
    id = await broken(site)
    site.world.at(2 * HOUR)
    answer = await site.client.post(f"/v1/messages/{id}/retry", json={"deadline": given})
    assert (await site.message(answer.json()["message"]))["deadline_at"] == rfc3339(deadline)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"deadline": "soon"}, "deadline"),
        ({"deadline": "0s"}, "deadline"),
        ({"deadline": "367d"}, "deadline"),
        ({"deadline": 5}, "deadline"),
        ({"dry_run": 1}, "dry_run"),
        ({"force": True}, "force"),
    ],
)
async def test_a_wrong_field_is_named(site: Site, body: dict[str, Any], field: str) -> None:
    id = await broken(site)
    answer = await site.client.post(f"/v1/messages/{id}/retry", json=body)
    assert is_problem(answer, 400, "bad_field")["field"] == field


async def test_what_may_not_be_retried_says_why(site: Site) -> None:
    running = await site.publish(id="2", type="text")
    found = is_problem(await site.client.post(f"/v1/messages/{running}/retry"), 409, "not_ended")
    assert running in found["detail"]
    is_problem(await site.client.post("/v1/messages/01K/retry"), 404, "unknown_message")


async def test_lists_are_filtered_by_reason_and_time() -> None:
    site = Site()
    ids = IdMaker(lambda: site.world.now)
    site.world.new_id = ids.next
    async with open_site(world=site.world) as site:
        made = []
        for hours in range(4):
            site.world.at(hours * HOUR)
            made.append(await broken(site, str(hours)))
        await site.publish(id="5", type="text")

        async def found(query: str) -> list[str]:
            page = (await site.client.get(f"/v1/messages?{query}")).json()
            return [item["id"] for item in page["items"]]

        at = [rfc3339(START + hours * HOUR * 1000) for hours in range(4)]
        reason = "reason=template_error"
        assert await found(reason) == made[::-1]
        assert await found(f"{reason}&since={at[1]}&until={at[3]}") == [made[2], made[1]]
        assert await found(f"{reason}&until={at[3]}&cursor={made[2]}") == [made[1], made[0]]
        assert await found(f"{reason}&until={at[1]}&cursor={made[2]}") == [made[0]]
        assert await found("reason=too_long") == []


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("reason=template_eror", "reason", "did you mean template_error?"),
        ("status=suppresed", "status", "did you mean suppressed?"),
        ("since=2h", "since", "RFC 3339"),
        ("until=2026-11-21", "until", "RFC 3339"),
    ],
)
async def test_a_wrong_filter_is_named(site: Site, query: str, field: str, says: str) -> None:
    found = is_problem(await site.client.get(f"/v1/messages?{query}"), 400, "bad_parameter")
    assert found["field"] == field and says in found["detail"]


async def test_dead_letters_are_found_by_reason_and_deleted_one_by_one(site: Site) -> None:
    ids = [
        await site.world.engine.submit(DeadLetter("kafka:a/0/1", reason, "why", b"{"))
        for reason in ("bad_json", "no_recipient", "bad_json")
    ]
    page = (await site.client.get("/v1/dead-letters?reason=bad_json")).json()
    assert [item["id"] for item in page["items"]] == [ids[2], ids[0]]
    assert (await site.client.delete(f"/v1/dead-letters/{ids[2]}")).status_code == 204
    is_problem(await site.client.delete(f"/v1/dead-letters/{ids[2]}"), 404, "unknown_dead_letter")
    page = (await site.client.get("/v1/dead-letters")).json()
    assert [item["id"] for item in page["items"]] == [ids[1], ids[0]]


@pytest.mark.parametrize(
    ("delivered", "state", "status"),
    [(True, "delivered", "succeeded"), (False, "failed", "exhausted")],
)
async def test_an_unknown_outcome_is_resolved_as_its_receipt_would(
    site: Site, delivered: bool, state: str, status: str
) -> None:
    id = await site.publish(type="text")
    await site.world.send(id, Unknown(Reason.TIMED_OUT))
    path = f"/v1/messages/{id}/attempts/0/resolve"
    answer = await site.client.post(path, json={"delivered": delivered})
    assert (answer.json()["status"], answer.json()["attempts"][0]["state"]) == (status, state)
    again = await site.client.post(path, json={"delivered": delivered})
    is_problem(again, 409, "not_unknown")


async def test_only_an_unknown_outcome_is_open(site: Site) -> None:
    id = await site.publish(type="text")
    await site.hand_off(id)
    path = f"/v1/messages/{id}/attempts/"
    said = {"delivered": True}
    is_problem(await site.client.post(f"{path}0/resolve", json=said), 409, "not_unknown")
    is_problem(await site.client.post(f"{path}1/resolve", json=said), 404, "unknown_attempt")
    is_problem(await site.client.post(f"{path}0/resolve", json={}), 400, "bad_field")
    nobody = await site.client.post("/v1/messages/01K/attempts/0/resolve", json=said)
    is_problem(nobody, 404, "unknown_message")
