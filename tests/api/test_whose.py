"""A phone or a mailbox in place of an id finds its person."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from tests.api.site import Site, is_problem

PHONE, MAILBOX = "+380671000001", "ivan@магазин.example"


async def introduce(site: Site, id: str = "ivan") -> None:
    await site.client.put(f"/v1/recipients/{id}", json={"phone": PHONE, "email": MAILBOX})
    yes = {"consents": [{"channel": "sms", "state": "in", "source": "form"}]}
    await site.client.put(f"/v1/recipients/{id}/consents", json=yes)


async def listed(site: Site, who: str) -> list[str]:
    answer = await site.client.get("/v1/messages", params={"recipient": who})
    assert answer.status_code == 200, answer.text
    return [item["recipient"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    "written",
    (PHONE, "+380 67 100-00-01", "\u202a+380671000001\u202c", MAILBOX, "ivan@МАГАЗИН.example"),
)
async def test_an_address_finds_its_person_who_was_never_written_to(
    site: Site, written: str
) -> None:
    await introduce(site)
    for call in ("", "/consents", "/export"):
        answer = await site.client.get(f"/v1/recipients/{written}{call}")
        assert answer.status_code == 200, (call, answer.text)
        assert '"ivan"' in answer.text or call == "/consents"
    opted_out = await site.client.post("/v1/opt-outs", json={"address": written})
    assert opted_out.json()["results"][0]["found"] == ["ivan"]
    assert (await site.client.delete(f"/v1/recipients/{written}")).status_code == 204
    is_problem(await site.client.get("/v1/recipients/ivan"), 404)
    is_problem(await site.client.get(f"/v1/recipients/{written}"), 404)


async def test_messages_are_listed_by_the_address_of_all_who_have_it(site: Site) -> None:
    await site.publish(id="1")
    profile = (await site.client.get("/v1/recipients/olena")).json()
    assert await listed(site, profile["phone"]) == ["olena"]
    # as it arrives where the plus sign was not escaped
    assert await listed(site, " " + profile["phone"][1:]) == ["olena"]
    assert await listed(site, profile["email"]) == ["olena"]
    assert await listed(site, "+380509999999") == []
    assert await listed(site, "olena") == ["olena"]


async def test_several_people_of_one_address_are_named_and_none_is_touched(site: Site) -> None:
    await introduce(site)
    await introduce(site, "maria")
    for method, call in (("GET", ""), ("GET", "/consents"), ("GET", "/export"), ("DELETE", "")):
        answer = await site.client.request(method, f"/v1/recipients/{PHONE}{call}")
        assert "ivan, maria" in is_problem(answer, 409, "several_recipients")["detail"]
    assert (await site.client.get("/v1/recipients/maria")).status_code == 200


async def test_an_address_that_was_replaced_finds_nobody(site: Site) -> None:
    await introduce(site)
    await site.client.put("/v1/recipients/ivan", json={"phone": "+380671000002", "email": None})
    for gone in (PHONE, MAILBOX):
        is_problem(await site.client.get(f"/v1/recipients/{gone}"), 404)
    assert (await site.client.get("/v1/recipients/+380671000002")).json()["id"] == "ivan"


@pytest.mark.parametrize("written", ["0671000001", "380671000001", "tel:+380671000001"])
async def test_a_national_number_is_refused_with_its_right_form(site: Site, written: str) -> None:
    rules = site.world.engine.rules
    governance = replace(rules.governance, sms_countries=("UA",))
    site.world.engine.rules = dataclasses.replace(rules, governance=governance)
    for call in ("/consents", "/export", ""):
        answer = await site.client.get(f"/v1/recipients/{written}{call}")
        assert PHONE in is_problem(answer, 400, "bad_field")["detail"]
    answer = await site.client.get("/v1/messages", params={"recipient": written})
    assert PHONE in is_problem(answer, 400, "bad_field")["detail"]


async def test_an_id_that_looks_like_a_number_stays_an_id(site: Site) -> None:
    await introduce(site, "0671000001")
    assert (await site.client.get("/v1/recipients/0671000001")).json()["id"] == "0671000001"
    assert await listed(site, "1234567") == []
