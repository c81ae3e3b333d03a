"""Opt-outs over HTTP: of recipients and of addresses, in any spelling."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from orchestrator.core.values import replace
from tests.api.site import Site, is_problem


async def test_an_opt_out_stops_the_next_message(site: Site) -> None:
    body = {
        "opt_outs": [{"recipient": "olena", "channel": "sms"}, {"address": "Olena@Example.com"}]
    }
    answer = (await site.client.post("/v1/opt-outs", json=body)).json()
    assert answer["recorded"] == 2
    assert answer["results"] == [
        {"index": 0, "status": "recorded", "recipient": "olena", "found": []},
        {
            "index": 1,
            "status": "recorded",
            "address": "Olena@example.com",
            "kinds": ["email"],
            "found": [],
        },
    ]
    [consent] = (await site.client.get("/v1/recipients/olena/consents")).json()["consents"]
    assert (consent["channel"], consent["topic"], consent["state"], consent["source"]) == (
        "sms",
        "*",
        "out",
        "api",
    )
    assert (await site.message(await site.publish(type="text")))["reason"] == "opted_out"


async def test_an_opt_out_of_a_bare_address_waits_for_whoever_has_it(site: Site) -> None:
    await site.client.post(
        "/v1/opt-outs", json={"opt_outs": [{"address": "+380 50 123 45 67", "topic": "texts"}]}
    )
    assert (await site.message(await site.publish(type="text")))["reason"] == "opted_out"


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({}, "opt_outs[1]"),
        (5, "opt_outs[1]"),
        ({"recipient": ""}, "opt_outs[1].recipient"),
        ({"address": "+1"}, "opt_outs[1].address"),
        ({"address": "x@"}, "opt_outs[1].address"),
        ({"recipient": "a", "chanel": "sms"}, "opt_outs[1].chanel"),
        ({"recipient": "a", "channel": "fax"}, "opt_outs[1].channel"),
        ({"recipient": "a", "topic": 5}, "opt_outs[1].topic"),
    ],
)
async def test_a_wrong_opt_out_is_refused_alone(site: Site, entry: Any, field: str) -> None:
    answer = await site.client.post(
        "/v1/opt-outs", json={"opt_outs": [{"recipient": "olena"}, entry]}
    )
    assert answer.status_code == 200 and answer.json()["recorded"] == 1
    good, bad = answer.json()["results"]
    assert (good["status"], bad["status"], bad["error"]["field"]) == ("recorded", "refused", field)
    alone = await site.client.post("/v1/opt-outs", json={"opt_outs": [entry]})
    problem = is_problem(alone, 400, "bad_field")
    assert problem["field"] == field.replace("[1]", "[0]") and len(problem["results"]) == 1


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("067 1000006", "+380671000006"),
        ("0671000006", "+380671000006"),
        ("(067) 100-00-06", "+380671000006"),
        ("380671000007", "+380671000007"),
        ("00380671000007", "+380671000007"),
        ("\u202a067\u00a01000006\u202c", "+380671000006"),
        ("48 512 345 678", "+48512345678"),
        ("tel:+380671000008", "+380671000008"),
        ("whatsapp:+380671000008", "+380671000008"),
        ("viber:380671000008", "+380671000008"),
        ("sms:0671000008", "+380671000008"),
    ],
)
async def test_a_number_in_another_dress_is_refused_with_its_right_form(
    site: Site, address: str, form: str
) -> None:
    rules = site.world.engine.rules
    governance = replace(rules.governance, sms_countries=("UA", "PL"))
    site.world.engine.rules = dataclasses.replace(rules, governance=governance)
    answer = await site.client.post("/v1/opt-outs", json={"address": address})
    assert form in is_problem(answer, 400, "bad_field")["detail"]
    again = await site.client.post("/v1/opt-outs", json={"address": form})
    assert again.json()["results"][0]["address"] == form


@pytest.mark.parametrize(
    "address",
    [
        "mailto:olena@example.com",
        "mailto:olena%40example.com?subject=x",
        "Olena <olena@example.com>",
    ],
)
async def test_a_mailbox_in_another_dress_is_refused_with_its_right_form(
    site: Site, address: str
) -> None:
    answer = await site.client.post("/v1/opt-outs", json={"address": address})
    assert 'write "olena@example.com"' in is_problem(answer, 400, "bad_field")["detail"]


@pytest.mark.parametrize("address", ["12345", "+380", "olena@", "@example.com", "0000000", "+x"])
async def test_what_is_no_address_is_never_recorded(site: Site, address: str) -> None:
    is_problem(await site.client.post("/v1/opt-outs", json={"address": address}), 400, "bad_field")


async def test_an_opt_out_names_whom_it_found_and_keeps_when_and_where_it_was_said(
    site: Site,
) -> None:
    await site.hand_off(await site.publish(type="text"))
    entry = {
        "address": "\u200e+380 50 123 45 67",
        "channel": "sms",
        "at": "2020-01-02T03:04:05Z",
        "source": "call centre",
    }
    [result] = (await site.client.post("/v1/opt-outs", json=entry)).json()["results"]
    assert (result["found"], result["address"]) == (["olena"], "+380501234567")
    [kept] = (await site.client.get("/v1/recipients/olena/consents")).json()["consents"]
    assert kept == {
        "channel": "sms",
        "topic": "*",
        "state": "out",
        "at": "2020-01-02T03:04:05.000Z",
        "source": "call centre",
        "address": "+380501234567",
    }
    export = (await site.client.get("/v1/recipients/olena/export")).json()
    assert [one["address"] for one in export["addresses"]] == ["+380501234567"]
    assert export["addresses"][0]["consents"][0]["source"] == "call centre"


async def test_an_id_that_looks_like_a_phone_is_taken_with_its_kind(site: Site) -> None:
    entry = {"address": "380671000007", "kind": "whatsapp_id"}
    [result] = (await site.client.post("/v1/opt-outs", json=entry)).json()["results"]
    assert result["kinds"] == ["whatsapp_id"]
    wrong = await site.client.post("/v1/opt-outs", json={**entry, "kind": "fax"})
    assert is_problem(wrong, 400, "bad_field")["field"].endswith(".kind")


async def test_both_spellings_of_a_mailbox_are_one_opt_out(site: Site) -> None:
    await site.client.post("/v1/opt-outs", json={"address": "ivan@Магазин.example"})
    ivan = {"id": "ivan", "email": "ivan@xn--80aairftm.example"}
    message = await site.message(await site.publish(type="cart", recipient=ivan))
    assert message["attempts"] == [] and message["reason"] == "opted_out"


async def test_opt_outs_are_a_list_of_at_most_a_thousand(site: Site) -> None:
    too_many: list[Any] = [[], [{"recipient": "a"}] * 1001, {}]
    for entries in too_many:
        is_problem(
            await site.client.post("/v1/opt-outs", json={"opt_outs": entries}), 400, "bad_field"
        )
