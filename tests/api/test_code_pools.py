"""Pools of codes over HTTP: importing, counting, and finding where a code went."""

from __future__ import annotations

from typing import Any

from orchestrator.api.code_pools import CODE_CHARS_MAX, CODES_MAX
from tests.api.site import Site, is_problem


async def imported(site: Site, codes: list[Any], **more: Any) -> dict[str, Any]:
    answer = await site.client.post("/v1/codes/spring/import", json={"codes": codes, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_codes_are_recorded_once_and_what_is_refused_says_why(site: Site) -> None:
    given = ["A-1", "A-1", " B", "", 7, "C\n1", "D" * (CODE_CHARS_MAX + 1), "E"]
    found = await imported(site, given, source="a.txt")
    assert (found["recorded"], found["known"]) == (2, 0)
    assert [(one["index"], one["code"]) for one in found["refused"]] == [
        (1, "double"),
        *((index, "bad_code") for index in range(2, 7)),
    ]
    assert await imported(site, ["A-1", "E"], source="a.txt") == {
        "recorded": 0,
        "known": 2,
        "refused": [],
    }
    (double,) = (await imported(site, ["E", "F"], source="b.txt"))["refused"]
    assert (double["index"], double["code"]) == (0, "double")
    (pool,) = (await site.client.get("/v1/codes")).json()["items"]
    assert pool.pop("imported_at").endswith("Z")
    assert pool == {"pool": "spring", "imported": 3, "free": 3, "taken": 0, "policies": []}


async def test_a_code_is_found_by_its_hash_and_the_audit_log_says_who_asked(site: Site) -> None:
    await imported(site, ["A-1"])
    (found,) = (await site.client.post("/v1/codes/find", json={"code": "A-1"})).json()["items"]
    assert (found["pool"], found["status"], found["message"]) == ("spring", "free", None)
    none = await site.client.post("/v1/codes/find", json={"code": "A-2"})
    is_problem(none, 404, "unknown_code")
    assert "A-2" not in none.text
    entries = (await site.client.get("/v1/audit")).json()["items"]
    assert [one["action"] for one in entries] == ["code.read", "code.read", "codes.imported"]
    assert "A-1" not in str(entries)


async def test_a_wrong_call_is_refused_with_its_fix(site: Site) -> None:
    async def post(path: str, body: Any) -> Any:
        return await site.client.post(f"/v1/codes/{path}", json=body)

    is_problem(await post("Spring!/import", {"codes": ["A"]}), 400, "bad_parameter")
    wrong: list[dict[str, Any]] = [
        {},
        {"codes": []},
        {"codes": ["A"] * (CODES_MAX + 1)},
        {"codes": "A"},
    ]
    for body in wrong:
        is_problem(await post("spring/import", body), 400, "bad_field")
    is_problem(await post("spring/import", {"codes": ["A"], "sorce": "x"}), 400, "bad_field")
    is_problem(await post("spring/import", {"codes": ["A"], "source": ""}), 400, "bad_field")
    is_problem(await post("find", {"code": ""}), 400, "bad_field")
    assert (await site.client.get("/v1/codes")).json() == {"items": []}
