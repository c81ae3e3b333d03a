"""Journeys over HTTP: listed, explained, ended, and moved to today's version."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from orchestrator.api.app import Listener, build_app
from orchestrator.configuration.journey_file import journey_to_document
from orchestrator.core.journey.journey import (
    BranchArm,
    BranchStep,
    Entrance,
    Journey,
    JourneyEnd,
    SendStep,
    UntilEventStep,
    WaitStep,
)
from orchestrator.core.values import replace
from orchestrator.explain import as_page, as_text
from orchestrator.explain.document import explanation, gather
from orchestrator.explain.journeys import gather_journey, journey_explanation
from tests.api.site import Site, is_problem, serving

HOUR, DAY = 3_600_000, 86_400_000
TREK = Journey(
    "trek",
    "v1",
    Entrance("goal.set", key="event.goal"),
    (
        BranchStep((BranchArm((), "recipient.tier == 'vip'"), BranchArm((SendStep("reminder"),)))),
        UntilEventStep("mile", "event.goal == journey.event.goal", DAY, (WaitStep(HOUR),)),
    ),
    exits=(JourneyEnd("goal.dropped"),),
)


async def use(site: Site, journey: Journey) -> None:
    document = {"journey": journey_to_document(journey)}
    await site.world.store.keep_version("journey", journey.name, journey.version, document)
    site.world.journey_versions[journey.name, journey.version] = journey
    rules = site.world.engine.rules
    site.world.engine.rules = dataclasses.replace(rules, journeys={journey.name: journey})


async def begin(site: Site, id: str = "1") -> str:
    body: dict[str, Any] = {"specversion": "1.0", "id": id, "source": "app", "type": "goal.set"}
    body |= {"data": {"goal": id, "recipient": {"id": "olena", "email": "olena@example.com"}}}
    headers = {"content-type": "application/cloudevents+json"}
    (result,) = (await site.client.post("/v1/events", json=body, headers=headers)).json()["results"]
    assert (result["status"], result["messages"]) == ("accepted", [])
    (made,) = result["journeys"]
    return str(made)


async def test_journeys_are_listed_shown_and_ended_once(site: Site) -> None:
    await use(site, TREK)
    first, second = await begin(site), await begin(site, "2")
    page = (await site.client.get("/v1/journeys?recipient=olena&limit=1")).json()
    assert ([one["id"] for one in page["items"]], page["next_cursor"]) == ([second], second)
    rest = (await site.client.get(f"/v1/journeys?cursor={second}")).json()
    assert ([one["id"] for one in rest["items"]], rest["next_cursor"]) == ([first], None)
    shown = (await site.client.get(f"/v1/journeys/{first}")).json()
    assert (shown["status"], shown["waits"]["for"], shown["key"]) == ("running", "message", "1")
    assert "is accepted" in shown["waiting"]
    ended = await site.client.post(f"/v1/journeys/{first}/exit")
    assert (ended.json()["status"], ended.json()["reason"]) == ("exited", "exit_asked")
    assert (await site.client.post(f"/v1/journeys/{first}/exit")).json() == ended.json()
    running = (await site.client.get("/v1/journeys?journey=trek&status=running")).json()
    assert [one["id"] for one in running["items"]] == [second]
    is_problem(await site.client.get("/v1/journeys/J0"), 404, "unknown_journey")
    is_problem(await site.client.post("/v1/journeys/J0/exit"), 404, "unknown_journey")
    is_problem(await site.client.get("/v1/journeys?status=lost"), 400, "bad_parameter")


async def test_an_explanation_says_what_happened_why_and_what_is_waited_for(site: Site) -> None:
    await use(site, TREK)
    id = await begin(site)
    world = site.world
    (message,) = await world.store.messages()
    full = (await site.client.get(f"/v1/messages/{message.message.id}")).json()
    assert full["journey"] == id
    found = await gather(world.store, message.message.id, world.engine.rules, world.now)
    assert found is not None
    assert f"  journey   {id}\n" in as_text(explanation(found))
    await world.send(message.message.id)
    world.at(7_200)
    await world.fire()
    material = await gather_journey(world.store, id, world.engine.rules, world.now)
    assert material is not None
    document = journey_explanation(material)
    text = as_text(document)
    for words in (
        "trek of olena: running",
        "It began by the event 1 of app, with the key '1'.",
        "step 1: takes way 2, which is for everybody else",
        "because recipient.tier == 'vip' is false",
        f"sends reminder: message {message.message.id}",
        "waits for an event mile with event.goal == journey.event.goal, at step 2, until",
        "an exit: an event goal.dropped",
        "comes to the same state",
    ):
        assert words in text, text
    assert all(len(line) < 140 for line in text.splitlines())
    assert id in as_page(document)


async def test_a_history_that_does_not_lead_to_its_state_is_reported(site: Site) -> None:
    await use(site, TREK)
    id = await begin(site)
    world = site.world
    material = await gather_journey(world.store, id, world.engine.rules, world.now)
    assert material is not None
    wrong = dataclasses.replace(material, run=replace(material.run, steps=9))
    assert journey_explanation(wrong)["replays"] is False
    lost = dataclasses.replace(material, versions={})
    assert journey_explanation(lost)["replays"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("where", 5),
        ("where", ["true"]),
        ("after", ["x"]),
        ("after", 5),
        ("dry_run", "no"),
        ("to", 1),
    ],
)
async def test_a_move_refuses_what_it_cannot_mean(site: Site, field: str, value: Any) -> None:
    await use(site, TREK)
    await begin(site)
    async with serving(build_app(Listener.CONTROL, site.deps())) as control:
        answer = await control.post("/control/journeys/trek/move", json={field: value})
    assert is_problem(answer, 400, "bad_field")["field"] == field
