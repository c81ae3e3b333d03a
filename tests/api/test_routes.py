"""One row of the route table is all that a call needs: these follow a row of a toy call."""

from __future__ import annotations

from typing import TypedDict

import pytest
from aiohttp import web
from jsonschema_rs import validator_for

from orchestrator.api.app import Listener, build_app
from orchestrator.api.openapi import document
from orchestrator.api.reference import page
from orchestrator.api.route import JSON, Route, RouteAnswer, Scope
from orchestrator.api.routes import ROUTES
from tests.api.site import is_problem, open_site, serving
from tests.api.test_access import bearer


class SongView(TypedDict):
    """The song of a pigeon."""

    notes: list[str]


async def sing_song(request: web.Request) -> web.Response:
    return web.json_response({"notes": [request.match_info["id"]]})


TOY = Route(
    "POST",
    "/v1/pigeons/{id}/song",
    sing_song,
    "Have a pigeon sing",
    (RouteAnswer(200, "The song", SongView),),
    scope=Scope.MESSAGES,
    places=("The pigeon's ring.",),
    body={JSON: SongView},
    refusals=(404,),
    notes="Every repeat is another song.",
)
TABLE = (*ROUTES, TOY)


async def test_a_row_is_served_and_needs_its_scope() -> None:
    async with open_site(auth="keys") as site:
        for scope in (Scope.MESSAGES, Scope.EVENTS, Scope.ALL):
            await site.add_key(f"kk_{scope}", scope)
        async with serving(build_app(Listener.PUBLIC, site.deps(), TABLE)) as client:
            url = "/v1/pigeons/7/song"
            is_problem(await client.post(url), 401, "unauthorized")
            refused = await client.post(url, headers=bearer("kk_events"))
            assert is_problem(refused, 403, "forbidden")["scope"] == "messages"
            for key in ("kk_messages", "kk_all"):
                assert (await client.post(url, headers=bearer(key))).json() == {"notes": ["7"]}
            is_problem(await client.get(url, headers=bearer("kk_messages")), 405)
            is_problem(await client.get(url), 401)
            described = (await client.get("/openapi.json")).json()
    assert described == document(TABLE)


def test_a_row_is_in_the_openapi_document_with_every_answer() -> None:
    found = document(TABLE)
    operation = found["paths"][TOY.path]["post"]
    assert (operation["operationId"], operation["summary"]) == ("singSong", TOY.summary)
    assert (operation["x-scope"], operation["description"]) == ("messages", TOY.notes)
    assert set(operation["responses"]) == set(
        ["200", "400", "401", "403", "404", "408", "413", "415", "429", "503"]
    )
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Song"}
    validator = validator_for(found["components"]["schemas"]["Song"])
    assert validator.is_valid({"notes": []}) and not validator.is_valid({})


def test_a_row_is_in_the_reference() -> None:
    text = page(TABLE)
    assert "### `POST /v1/pigeons/{id}/song`" in text
    for words in (TOY.summary, TOY.notes, *TOY.places, "`messages`", "The song", "| `notes` |"):
        assert words in text, words
    assert "pigeons" not in page(ROUTES)


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.method} {row.path}")
def test_a_key_s_scope_is_the_first_word_of_the_path(row: Route) -> None:
    if row.scope is None:
        assert not row.path.startswith("/v1/") or row.path.startswith("/v1/receipts/")
        return
    word = row.path.split("/")[2].replace("-", "_")
    assert row.path.startswith("/v1/")
    assert row.scope == {"opt_outs": Scope.RECIPIENTS, "media": Scope.MESSAGES}.get(word, word)


def test_a_handler_answers_one_call_of_a_listener() -> None:
    for listener in Listener:
        names = [row.name for row in ROUTES if listener in row.listeners]
        assert len(names) == len(set(names))
