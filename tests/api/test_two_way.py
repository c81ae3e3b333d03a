"""Answers over HTTP, on real sockets: a link of a mail, and an agent's text."""

from __future__ import annotations

from typing import Any

from orchestrator.channels import Inbound
from orchestrator.configuration.conversation import conversation_policy
from orchestrator.core.replies import Choice
from orchestrator.engine.commands import RecordInbound
from tests.api.site import OLENA, Site
from tests.engine.world import CHANNELS

TALK = conversation_policy(CHANNELS)
assert TALK is not None


async def asked(site: Site) -> str:
    id = await site.publish(recipient=OLENA)
    await site.hand_off(id, choices=(Choice("5", "Чудово"), Choice("1", "<b>Погано</b>")))
    return id


async def choice_of(site: Site, id: str) -> Any:
    return (await site.client.get(f"/v1/messages/{id}")).json()["attempts"][0]["choice"]


async def test_a_link_of_a_mail_answers_once_its_button_is_pressed(site: Site) -> None:
    id = await asked(site)
    path = f"/a/{site.keys.answer(id, 0, '1')}"
    page = await site.client.get(path)
    assert page.status_code == 200
    assert "&lt;b&gt;Погано&lt;/b&gt;" in page.text and "<b>Погано" not in page.text
    await site.client.head(path)
    assert await choice_of(site, id) is None, "looking answers nothing"
    for _ in range(2):
        assert (await site.client.post(path)).status_code == 200
    assert await choice_of(site, id) == "1"
    view = (await site.client.get(f"/v1/messages/{id}")).json()
    assert [one["choice"] for one in view["replies"]] == ["1"]
    await site.client.post(f"/a/{site.keys.answer(id, 0, '5')}")
    assert await choice_of(site, id) == "5", "who thinks again may"


async def test_no_other_link_answers(site: Site) -> None:
    id = await asked(site)
    for token in ("x" * 40, site.keys.answer(id, 0, "7"), site.keys.answer(id, 9, "5")):
        assert (await site.client.get(f"/a/{token}")).status_code == 404
        assert (await site.client.post(f"/a/{token}")).status_code == 404
    assert await choice_of(site, id) is None


async def test_an_agent_answers_within_the_session(site: Site) -> None:
    assert TALK is not None
    site.world.rules.policies[TALK.name] = TALK  # type: ignore[index]
    await site.client.put("/v1/recipients/olena", json=OLENA)
    wrote = Inbound(kind="phone", value=str(OLENA["phone"]), text="Агов", id="r1")
    body = {"channel": "sms", "text": "Вітаємо"}
    place, key = "/v1/recipients/olena/messages", {"Idempotency-Key": "t1"}
    early = (await site.client.post(place, json=body)).json()
    assert (early["status"], early["reason"]) == ("suppressed", "no_session")
    await site.world.engine.submit(RecordInbound("texts", "sms", wrote, recipient="olena"))
    first = await site.client.post(place, json=body, headers=key)
    assert first.status_code == 202, first.text
    assert first.json() == (await site.client.post(place, json=body, headers=key)).json()
    assert first.json()["reason"] is None
    other = await site.client.post(place, json={**body, "text": "інше"}, headers=key)
    assert other.status_code == 409
    shown = (await site.client.get(f"/v1/messages/{first.json()['message']}")).json()
    assert (shown["class"], shown["policy"]) == ("conversational", "conversation")


async def test_an_answer_says_what_is_wrong_with_it(site: Site) -> None:
    await site.client.put("/v1/recipients/olena", json=OLENA)
    place = "/v1/recipients/olena/messages"
    for body, field in (
        ({"channel": "pigeon", "text": "x"}, "channel"),
        ({"channel": "sms", "text": " "}, "text"),
        ({"channel": "sms", "text": "x", "to": "y"}, "to"),
    ):
        answer = await site.client.post(place, json=body)
        assert (answer.status_code, answer.json()["field"]) == (400, field)
