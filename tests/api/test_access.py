"""Access rights by route, headers of every answer, and the operators' routes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
from aiohttp import web

from orchestrator.api.app import Listener, build_app
from orchestrator.api.auth import CACHE_MAX, KeyRing, count_call
from tests.api.site import MAIL, Site, event, is_problem, open_site, serving
from tests.engine.world import World

ROUTES = {
    "events": [("POST", "/v1/events")],
    "messages": [
        ("GET", "/v1/messages"),
        ("GET", "/v1/messages/x"),
        ("POST", "/v1/messages/x/cancel"),
    ],
    "recipients": [
        ("GET", "/v1/recipients/x"),
        ("PUT", "/v1/recipients/x"),
        ("DELETE", "/v1/recipients/x"),
        ("GET", "/v1/recipients/x/export"),
        ("GET", "/v1/recipients/x/consents"),
        ("PUT", "/v1/recipients/x/consents"),
        ("POST", "/v1/opt-outs"),
    ],
    "dead_letters": [
        ("GET", "/v1/dead-letters"),
        ("GET", "/v1/dead-letters/x"),
        ("POST", "/v1/dead-letters/x/replay"),
    ],
    "reports": [("GET", "/v1/reports/policies"), ("GET", "/v1/reports/journeys/x")],
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("scope", ROUTES)
async def test_every_route_needs_a_key_with_its_own_scope(scope: str) -> None:
    async with open_site(auth="keys") as site:
        for one in ROUTES:
            await site.add_key(f"kk_{one}", one)
        await site.add_key("kk_all", "all")
        for method, path in ROUTES[scope]:
            none = await site.client.request(method, path)
            is_problem(none, 401, "unauthorized")
            assert none.headers["WWW-Authenticate"].startswith("Bearer")
            is_problem(
                await site.client.request(method, path, headers=bearer("kk_guess")),
                401,
                "unauthorized",
            )
            for other in ROUTES.keys() - {scope}:
                refused = await site.client.request(method, path, headers=bearer(f"kk_{other}"))
                assert is_problem(refused, 403, "forbidden")["scope"] == scope
            for key in (f"kk_{scope}", "kk_all"):
                assert (
                    await site.client.request(method, path, headers=bearer(key))
                ).status_code not in (401, 403)


async def test_a_key_is_only_taken_as_a_bearer_token() -> None:
    async with open_site(auth="keys") as site:
        await site.add_key("kk_all", "all")
        for value in ("kk_all", "Basic kk_all", "Bearer", "Bearer kk_all x", "bearer\tkk_all"):
            is_problem(await site.client.get("/v1/messages", headers={"Authorization": value}), 401)
        assert (
            await site.client.get("/v1/messages", headers={"Authorization": "bearer  kk_all"})
        ).status_code == 200
        is_problem(await site.client.get("/v1/messages?key=kk_all"), 401)


async def test_a_revoked_key_is_not_taken_any_more_once_the_cache_has_run_out() -> None:
    async with open_site(auth="keys") as site:
        await site.add_key("kk_all", "all")
        assert (await site.client.get("/v1/messages", headers=bearer("kk_all"))).status_code == 200
        await site.world.store.revoke_api_key("kk_all", site.world.now)
        site.world.at(3)
        is_problem(await site.client.get("/v1/messages", headers=bearer("kk_all")), 401)


async def test_guessing_keys_is_throttled_for_nobody_else() -> None:
    async with open_site(auth="keys") as site:
        await site.add_key("kk_all", "all")
        answers = [
            await site.client.get("/v1/messages", headers=bearer(f"kk_{n}")) for n in range(70)
        ]
        statuses = [answer.status_code for answer in answers]
        assert (
            statuses[0] == 401
            and statuses[-1] == 429
            and answers[-1].headers["Retry-After"] == "60"
        )
        assert (await site.client.get("/v1/messages", headers=bearer("kk_all"))).status_code == 200
        site.world.at(61)
        is_problem(await site.client.get("/v1/messages", headers=bearer("kk_0")), 401)


async def test_pages_tokens_probes_and_receipts_need_no_key() -> None:
    async with open_site(auth="keys") as site:
        for path in (
            "/u/x",
            "/o/x",
            "/c/x",
            "/livez",
            "/readyz",
            "/openapi.json",
            "/asyncapi.json",
            "/docs",
            "/v1/receipts/texts",
        ):
            assert (await site.client.get(path)).status_code not in (401, 429), path


async def test_paths_and_methods_that_are_not_there_are_problems(site: Site) -> None:
    for path in (
        "/",
        "/v1",
        "/v1/inboxes/olena",
        "/v1/messages/",
        "/v2/messages",
        "/metrics",
        "/-/reload",
    ):
        is_problem(await site.client.get(path), 404)
    answer = await site.client.patch("/v1/recipients/x")
    is_problem(answer, 405)
    assert answer.headers["Allow"] == "DELETE,GET,HEAD,PUT"


async def test_no_answer_goes_without_its_safe_headers(site: Site) -> None:
    for path in (
        "/v1/messages",
        "/v1/messages/x",
        "/nowhere",
        "/u/x",
        "/o/x",
        "/livez",
        "/openapi.json",
    ):
        headers = (await site.client.get(path)).headers
        assert (
            headers["X-Content-Type-Options"] == "nosniff"
            and headers["Cache-Control"] == "no-store"
        )
        assert (
            headers["Referrer-Policy"] == "no-referrer"
            and "default-src 'none'" in headers["Content-Security-Policy"]
        )
        assert headers["Server"] == "kaskad"


async def test_an_unexpected_error_reveals_nothing(site: Site) -> None:
    async def broken(id: str) -> None:
        raise RuntimeError("secret words")

    site.world.store.message = broken  # type: ignore[method-assign]
    answer = await site.client.get("/v1/messages/x")
    is_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text


async def test_a_body_that_never_ends_is_given_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.bodies.BODY_SECONDS", 0.1)
    url = site.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length:"
        b" 50\r\n\r\n{"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 408") and b"close" in head.lower()


async def test_broken_chunks_are_a_400(site: Site) -> None:
    url = site.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type:"
        b" application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head + b"zz\r\n")
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.split()[1] == b"400"


# ---- the admin listener


async def test_probes_are_on_both_listeners_and_not_ready_is_a_503(site: Site) -> None:
    for client in (site.client, site.admin):
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
    site.is_ready = False
    for client in (site.client, site.admin):
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503


async def test_a_reload_answers_with_what_was_wrong(site: Site) -> None:
    good = await site.admin.post("/-/reload")
    assert (good.status_code, good.json()) == (
        200,
        {"problems": [], "open_attempts": {"old": 2}},
    )
    site.reload_problems = ["kaskad.yaml:1:1: broken"]
    bad = await site.admin.post("/-/reload")
    assert bad.status_code == 422
    assert bad.json() == {"problems": ["kaskad.yaml:1:1: broken"], "open_attempts": {}}
    is_problem(await site.admin.get("/-/reload"), 405)


async def test_metrics_are_prometheus_text_and_the_api_is_not_on_the_admin_listener(
    site: Site,
) -> None:
    await site.client.post("/v1/events", json=event())
    answer = await site.admin.get("/metrics")
    assert (
        answer.headers["Content-Type"].startswith("text/plain")
        and "kaskad_events_total" in answer.text
    )
    is_problem(await site.admin.get("/v1/messages"), 404)


async def test_the_control_socket_makes_and_revokes_keys_and_shows_each_once() -> None:
    async with (
        open_site(auth="keys") as site,
        serving(build_app(Listener.CONTROL, site.deps())) as control,
    ):
        made = (await control.post("/control/keys", json={"scopes": ["messages"]})).json()
        assert (
            await site.client.get("/v1/messages", headers=bearer(made["key"]))
        ).status_code == 200
        listed = await control.get("/control/keys")
        assert [key["id"] for key in listed.json()["items"]] == [made["id"]]
        assert made["key"] not in listed.text and "hash" not in listed.text
        assert (await control.post(f"/control/keys/{made['id']}/revoke")).status_code == 200
        is_problem(await control.post(f"/control/keys/{made['id']}/revoke"), 404, "unknown_key")
        for scopes in ([], ["nothing"], None):
            body = {"scopes": scopes}
            is_problem(await control.post("/control/keys", json=body), 400, "bad_field")
        assert (await control.post("/control/signing-key/rotate")).json() == {"rotated": True}
        assert site.rotations == 1
        is_problem(await control.get("/control/explain/x"), 404, "unknown_message")
        is_problem(await control.get("/v1/messages"), 404)


async def test_the_api_answers_the_same_under_a_prefix_as_the_control_socket_mounts_it(
    site: Site,
) -> None:
    outer = web.Application()
    outer.add_subapp("/api", build_app(Listener.PUBLIC, site.deps()))
    async with serving(outer) as client:
        assert (await client.post("/api/v1/events", json=event())).status_code == 202
        answer = await client.get("/api/v1/messages/x")
        is_problem(answer, 404, "unknown_message")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        is_problem(await client.get("/api/v1/nothing"), 404)


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://evil.example", "Host": "evil.example"},  # a name that was made to point here
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "Cross-Site", "Origin": "http://127.0.0.1"},
)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_page_of_another_origin_changes_nothing_where_no_key_is_needed(
    site: Site, headers: dict[str, str]
) -> None:
    is_problem(await site.admin.post("/-/reload", headers=headers), 403, "foreign_origin")
    for method, path in [pair for pairs in ROUTES.values() for pair in pairs]:
        answer = await site.client.request(method, path, headers=headers)
        assert (answer.status_code == 403) == (method != "GET"), (method, path)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_pages_may_use_tokens_and_keys(headers: dict[str, str]) -> None:
    async with open_site(auth="keys") as site:
        await site.add_key("kk_all", "all")
        headers = {name: value for name, value in headers.items() if name != "Host"}
        answer = await site.client.post(
            "/v1/events", json=event(), headers={**headers, **bearer("kk_all")}
        )
        assert answer.status_code == 202
        token = site.keys.unsubscribe("olena", "email", "sale", answer.json()["results"][0]["id"])
        assert (await site.client.post(f"/u/{token}", headers=headers)).status_code == 200


async def test_a_program_and_a_page_of_our_own_may_reload(site: Site) -> None:
    own = f"http://{site.admin.base_url.host}:{site.admin.base_url.port}"
    for headers in (
        {},
        {"Origin": own, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert (await site.admin.post("/-/reload", headers=headers)).status_code == 200


async def test_each_key_has_a_rate_of_its_own_and_hears_when_to_come_again() -> None:
    async with open_site(auth="keys") as site:
        http = replace(site.settings.http, key_rate=(3, 10_000))
        site.settings = replace(site.settings, http=http)
        for key in ("kk_a", "kk_b"):
            await site.add_key(key, "messages")

        async def ask(key: str) -> httpx.Response:
            return await site.client.get("/v1/messages", headers=bearer(key))

        assert [(await ask("kk_a")).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = await ask("kk_a")
        is_problem(refused, 429, "too_many_requests")
        assert refused.headers["Retry-After"] == "4"
        assert (await ask("kk_b")).status_code == 200
        site.world.now += 4_000
        assert [(await ask("kk_a")).status_code for _ in range(2)] == [200, 429]
        site.world.now -= 3_600_000
        assert (await ask("kk_a")).status_code == 200


def test_the_memory_of_rates_is_bounded() -> None:
    ring = KeyRing()
    for number in range(5_000):
        assert count_call(ring.keys_busy, f"key-{number}", (1, 60_000), 1_000) == 0
    assert len(ring.keys_busy) == CACHE_MAX


def test_over_any_window_a_key_gets_its_rate_and_no_more() -> None:
    ring, granted = KeyRing(), []
    for now in range(0, 60_000, 7):
        if count_call(ring.keys_busy, "key", (20, 1_000), now) == 0:
            granted.append(now)
    assert 60 * 20 <= len(granted) <= 61 * 20
    for start in range(0, 59_000, 500):
        assert sum(start <= at < start + 1_000 for at in granted) <= 2 * 20


async def test_a_path_with_a_nul_in_it_names_nothing(postgres_url: str) -> None:
    async with (
        open_site(world=World(MAIL, url=postgres_url)) as site,
        serving(build_app(Listener.CONTROL, site.deps())) as control,
    ):
        answers = [
            *[
                await site.client.get(f"/v1/{path}%00")
                for path in ("messages/", "journeys/J", "recipients/a", "reports/policies/")
            ],
            await site.client.post("/v1/journeys/J%00/exit"),
            await site.client.post("/v1/messages/%00/cancel"),
            await control.get("/control/explain/J%00"),
            await control.post("/control/untimed/J%00/restore"),
        ]
    for answer in answers:
        is_problem(answer, 404, "not_found")
