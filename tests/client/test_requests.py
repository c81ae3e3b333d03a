"""What the client sends, and what it makes of answers: with answers that a service rarely gives."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from kaskad_client import (
    ApiError,
    AsyncKaskad,
    BadEvent,
    Conflict,
    Event,
    Kaskad,
    KaskadError,
    NotFound,
    TooLarge,
    Unprocessable,
    Unreachable,
)
from kaskad_client import operations as ops

URL = "http://kaskad.test"
EVENTS = f"{URL}/v1/events"
OLENA = {"recipient": {"id": "olena", "phone": "+380501234567"}}
ACCEPTED = {
    "results": [{"index": 0, "source": "s", "id": "1", "status": "accepted", "messages": ["m"]}]
}


@pytest.fixture
def service() -> Iterator[respx.MockRouter]:
    with respx.mock as router:
        yield router


def problem(status: int, code: str, **more: Any) -> httpx.Response:
    body = {"type": "about:blank", "status": status, "code": code, "detail": "why", **more}
    return httpx.Response(status, json=body)


def at_once(status: int) -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": "0"})


def batch(*statuses: str) -> httpx.Response:
    error = {"code": "conflict", "field": "id", "what": "published before"}
    results = [
        {"index": index, "status": status} | ({"error": error} if status == "refused" else {})
        for index, status in enumerate(statuses)
    ]
    return httpx.Response(202, json={"results": results})


def test_an_event_keeps_its_id_and_its_time_over_all_retries(service: respx.MockRouter) -> None:
    answers = [at_once(503), at_once(429), at_once(502), httpx.Response(202, json=ACCEPTED)]
    route = service.post(EVENTS).mock(side_effect=[httpx.ReadTimeout("late"), *answers])
    with Kaskad(URL, source="shop") as kaskad:
        assert kaskad.publish("shop.order", OLENA).messages == ("m",)
    bodies = {call.request.content for call in route.calls}
    assert len(bodies) == 1 and route.call_count == 5
    sent = json.loads(bodies.pop())
    assert sent["specversion"] == "1.0" and sent["id"] and datetime.fromisoformat(sent["time"])


async def test_the_asynchronous_client_keeps_them_too(service: respx.MockRouter) -> None:
    answers = [at_once(503), httpx.Response(202, json=ACCEPTED)]
    route = service.post(EVENTS).mock(side_effect=[httpx.ConnectError("away"), *answers])
    async with AsyncKaskad(URL, key="kk_1", source="shop") as kaskad:
        event = Event(type="shop.order", data=OLENA)
        assert (await kaskad.publish(event)).id == event.id
    assert len({call.request.content for call in route.calls}) == 1
    assert {call.request.headers["authorization"] for call in route.calls} == {"Bearer kk_1"}


def pauses(*answers: httpx.Response | httpx.TransportError, seconds: float = 60) -> list[float]:
    """The pauses that an operation makes between these answers."""
    found: list[float] = []
    left = list(answers)
    running = ops.answered(ops.Call("GET", "/"), ops.RetryBudget(seconds, lambda: 0.0))
    step = next(running)
    try:
        while True:
            if isinstance(step, ops.Pause):
                found.append(step.seconds)
                step = running.send(None)
            else:
                step = running.send(left.pop(0))
    except StopIteration:
        return found


def test_the_service_says_when_to_come_back_in_seconds_or_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    seconds = httpx.Response(429, headers={"Retry-After": "7"})
    date = httpx.Response(503, headers={"Retry-After": soon})
    past = httpx.Response(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    first, second, third = pauses(seconds, date, past, httpx.Response(200))
    assert first == 7 and 30 < second <= 40 and third == 0


def test_without_that_pauses_grow_to_a_limit() -> None:
    found = pauses(*(httpx.Response(500) for _ in range(20)), httpx.Response(200))
    assert all(pause <= ops.LONGEST_PAUSE_SECONDS for pause in found)
    assert found[0] <= ops.FIRST_PAUSE_SECONDS < found[-1]
    nonsense = httpx.Response(503, headers={"Retry-After": "soon"})
    assert 0 < pauses(nonsense, httpx.Response(200))[0] <= ops.FIRST_PAUSE_SECONDS


def test_retries_end_and_the_last_answer_is_the_error() -> None:
    with pytest.raises(ApiError) as busy:
        pauses(httpx.Response(429, headers={"Retry-After": "61"}))
    assert busy.value.status == 429
    with pytest.raises(Unreachable, match="ConnectError"):
        pauses(httpx.ConnectError("away"), seconds=0)
    with pytest.raises(Unreachable, match="UnsupportedProtocol"):
        pauses(httpx.UnsupportedProtocol("no scheme"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(409, Conflict), (413, TooLarge), (422, Unprocessable), (404, NotFound), (401, ApiError)],
)
def test_refusals_are_typed_errors_and_are_not_tried_again(
    service: respx.MockRouter, status: int, kind: type[ApiError]
) -> None:
    route = service.post(EVENTS).mock(return_value=problem(status, "a_code", field="id"))
    with Kaskad(URL, source="shop") as kaskad, pytest.raises(kind) as raised:
        kaskad.publish("shop.order", OLENA)
    error = raised.value
    assert (error.status, error.code, error.field, error.detail) == (status, "a_code", "id", "why")
    assert str(error) == f"{status} a_code: id: why" and route.call_count == 1


def test_a_page_of_a_proxy_in_place_of_an_answer_is_an_error(service: respx.MockRouter) -> None:
    page = httpx.Response(200, text="<html>Please log in</html>")
    service.post(EVENTS).mock(side_effect=[httpx.Response(403, text="<html>"), page])
    with Kaskad(URL, source="shop") as kaskad:
        for status in (403, 200):
            with pytest.raises(ApiError) as raised:
                kaskad.publish("shop.order", OLENA)
            assert raised.value.status == status


def sizes(events: list[Event]) -> list[int]:
    return [len(one) for one in ops.batches(events, "shop")]


def test_batches_are_as_large_as_the_service_takes() -> None:
    assert sizes([Event(type="t", data={}) for _ in range(2_300)]) == [1_000, 1_000, 300]
    large = Event(type="t", data={"text": "я" * 500_000})
    assert sizes([large] * 9) == [4, 4, 1]
    many = Event(type="t", data={"numbers": [0] * 90_000})
    assert sizes([many] * 3) == [2, 1]
    for one in ops.batches([large, many] * 9, "shop"):
        assert len(b"[" + b",".join(body for _, body in one) + b"]") <= ops.BATCH_BYTES_MAX
    assert sizes([Event(type="t", data={"text": "x" * 5_000_000}), large]) == [1, 1]


def test_one_refused_event_of_a_batch_is_a_result(service: respx.MockRouter) -> None:
    refused_all = problem(409, "conflict", results=batch("refused").json()["results"])
    service.post(EVENTS).mock(side_effect=[batch("accepted", "refused"), refused_all])
    events = [Event(type="t", data={}, id=str(n)) for n in range(2)]
    with Kaskad(URL, source="shop") as kaskad:
        results = kaskad.publish_many(events)
        assert [(one.id, one.status) for one in results] == [("0", "accepted"), ("1", "refused")]
        assert results[1].error is not None and results[1].error.code == "conflict"
        assert [one.status for one in kaskad.publish_many(events[:1])] == ["refused"]


def test_an_event_too_large_for_any_batch_takes_no_other_along(service: respx.MockRouter) -> None:
    service.post(EVENTS).mock(side_effect=[batch("accepted"), problem(413, "too_large")])
    large = Event(type="t", data={"text": "x" * 5_000_000})
    with Kaskad(URL, source="shop") as kaskad:
        results = kaskad.publish_many([Event(type="t", data={}), large])
    assert [one.status for one in results] == ["accepted", "refused"]


def test_a_batch_that_fails_has_the_results_of_those_before_it(service: respx.MockRouter) -> None:
    service.post(EVENTS).mock(side_effect=[batch(*["accepted"] * 1_000), problem(401, "no_key")])
    with Kaskad(URL, source="shop") as kaskad, pytest.raises(KaskadError) as raised:
        kaskad.publish_many(Event(type="t", data={}) for _ in range(1_001))
    assert len(raised.value.results) == 1_000


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Event(type="t", data={"price": float("nan")}), "is not JSON"),
        (Event(type="t", data={"at": object()}), "is not JSON"),
        (Event(type="t", data={}, time=datetime(2026, 1, 1)), "needs its zone"),
        (Event(type="t", data={}, not_before=datetime(2026, 1, 1)), "needs its zone"),
    ],
)
def test_what_cannot_be_published_is_said_before_anything_is_sent(event: Event, said: str) -> None:
    with Kaskad(URL, source="shop") as kaskad, pytest.raises(BadEvent, match=said):
        kaskad.publish(event)


def test_an_event_needs_a_source_and_is_given_whole_or_in_parts() -> None:
    with Kaskad(URL) as kaskad:
        with pytest.raises(BadEvent, match="source"):
            kaskad.publish("t", {})
        with pytest.raises(TypeError, match="not both"):
            kaskad.publish(Event(type="t", data={}), {})


def test_the_client_needs_httpx_and_nothing_else() -> None:
    imported: set[str] = set()
    for path in Path(ops.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"httpx", "kaskad_client"}
