"""Pauses over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.api import pauses
from orchestrator.primitives.durations import rfc3339
from tests.api.site import Site, is_problem
from tests.engine.world import START


@pytest.fixture(autouse=True)
def no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "START_WITHIN_SECONDS", 0.0)


async def test_a_pause_is_begun_listed_changed_and_ended(site: Site) -> None:
    body = {"for": "2h", "why": "a wrong sender"}
    begun = (await site.client.put("/v1/pauses/channel/email", json=body)).json()
    assert begun == {
        "kind": "channel",
        "name": "email",
        "at": rfc3339(START),
        "until": rfc3339(START + 7_200_000),
        "why": "a wrong sender",
    }
    message = await site.message(await site.publish())
    assert (message["status"], message["attempts"]) == ("accepted", [])
    held = message["trace"][0]["checks"][-1]
    assert (held["gate"], held["reason"]) == ("paused", "paused")
    site.world.at(60)
    longer = (await site.client.put("/v1/pauses/channel/email", json={})).json()
    assert longer == {**begun, "until": None, "why": ""}
    assert (await site.client.get("/v1/pauses")).json() == {"items": [longer]}
    ended = (await site.client.delete("/v1/pauses/channel/email")).json()
    assert ended == {**longer, "until": rfc3339(site.world.now)}
    assert (await site.client.get("/v1/pauses")).json() == {"items": []}
    is_problem(await site.client.delete("/v1/pauses/channel/email"), 404, "not_paused")
    assert (await site.message(await site.publish(id="2")))["step"] == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "words"),
    [
        ("channel/viberr", {}, 404, "unknown_channel", "did you mean viber"),
        ("provider/zzz", {}, 404, "unknown_provider", "there are: "),
        ("policy/remindr", {}, 404, "unknown_policy", "did you mean reminder?"),
        ("journey/x", {}, 400, "bad_parameter", "provider, channel, policy"),
        ("channel/sms", {"for": "soon"}, 400, "bad_field", "write 30m or 2h"),
        ("channel/sms", {"for": "0s"}, 400, "bad_field", "write 30m or 2h"),
        ("channel/sms", {"for": "400d"}, 400, "bad_field", "at most 366d"),
        ("channel/sms", {"for": 5}, 400, "bad_field", "write 30m or 2h"),
        ("channel/sms", {"why": "x" * 501}, 400, "bad_field", "at most 500 characters"),
        ("channel/sms", {"until": "2h"}, 400, "bad_field", "send `for` and `why`"),
    ],
)
async def test_what_cannot_be_paused_is_refused_with_its_fix(
    site: Site, path: str, body: dict[str, Any], status: int, code: str, words: str
) -> None:
    found = is_problem(await site.client.put(f"/v1/pauses/{path}", json=body), status, code)
    assert words in found["detail"]
    assert (await site.client.get("/v1/pauses")).json() == {"items": []}
