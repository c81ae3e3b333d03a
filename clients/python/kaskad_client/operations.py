"""
What each call sends and what it makes of the answers, without any I/O.

An ``Operation`` yields the requests to send and the pauses to make, gets each request's answer (or
the error of the connection) back, and returns what the caller wanted. ``clients`` carries it out,
with and without ``await``.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx

from kaskad_client.errors import ApiError, KaskadError, TooLarge, Unreachable, error_of
from kaskad_client.events import Event, Result, refused, result_of
from kaskad_client.shapes import Consent, InboxToken, Message, MessagePage, Recipient

T = TypeVar("T")

BATCH_EVENTS_MAX, BATCH_BYTES_MAX, BATCH_VALUES_MAX = 1_000, 4 * 1024 * 1024, 200_000
"""The service's own limits of a batch."""
AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""Nothing was acknowledged, or a proxy has answered; every call here may be repeated."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 10.0
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Call:
    """One request; ``path`` is appended to the base URL."""

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pause:
    seconds: float


Answer = httpx.Response | httpx.TransportError | None
Operation = Generator[Call | Pause, Answer, T]


@dataclass(frozen=True)
class RetryBudget:
    """``seconds``: for how long a call is tried again. ``clock`` is monotonic, in seconds."""

    seconds: float
    clock: Callable[[], float] = time.monotonic


def answered(call: Call, retries: RetryBudget) -> Operation[httpx.Response]:
    """Send a call until it is answered, for as long as that may take."""
    started, pause = retries.clock(), FIRST_PAUSE_SECONDS
    while True:
        answer = yield call
        if isinstance(answer, httpx.Response):
            if answer.is_success:
                return answer
            if answer.status_code not in AGAIN:
                raise error_of(answer)
            asked = retry_after(answer)
        else:
            asked = None
        # so that many clients do not come back at the same instant
        wait = asked if asked is not None else random.uniform(pause / 2, pause)
        hopeless = isinstance(answer, httpx.UnsupportedProtocol | httpx.LocalProtocolError)
        if hopeless or retries.clock() - started + wait > retries.seconds:
            if isinstance(answer, httpx.Response):
                raise error_of(answer)
            raise Unreachable(f"{type(answer).__name__}: {answer}") from answer
        yield Pause(wait)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds of a ``Retry-After``, which has a number or a date (RFC 9110, 10.2.3)."""
    said = answer.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def read(call: Call, retries: RetryBudget) -> Operation[Any]:
    """The JSON of an answer."""
    answer = yield from answered(call, retries)
    try:
        return answer.json()
    except ValueError:
        raise ApiError(answer.status_code, {"detail": "the answer is not JSON"}) from None


# ---- events


def publish(event: Event, source: str, retries: RetryBudget) -> Operation[Result]:
    body = event.body(source)
    headers = {"Content-Type": "application/cloudevents+json"}
    call = Call("POST", "/v1/events", content=body, headers=headers)
    found = yield from read(call, retries)
    return result_of(event, source, found["results"][0])


def publish_many(
    events: Iterable[Event], source: str, retries: RetryBudget
) -> Operation[list[Result]]:
    results: list[Result] = []
    try:
        for batch in batches(events, source):
            results += yield from publish_batch(batch, source, retries)
    except KaskadError as error:
        error.results = tuple(results)
        raise
    return results


def batches(events: Iterable[Event], source: str) -> Iterator[list[tuple[Event, bytes]]]:
    """The events with their JSON, in batches that the service takes; one too large goes alone."""
    batch: list[tuple[Event, bytes]] = []
    size = values = 0
    for event in events:
        body = event.body(source)
        new_size, new_values = len(body) + 1, sum(body.count(one) for one in (b",", b"{", b"[")) + 1
        full = (
            len(batch) >= BATCH_EVENTS_MAX
            or size + new_size >= BATCH_BYTES_MAX
            or values + new_values >= BATCH_VALUES_MAX
        )
        if batch and full:
            yield batch
            batch, size, values = [], 0, 0
        batch.append((event, body))
        size, values = size + new_size, values + new_values
    if batch:
        yield batch


def publish_batch(
    batch: Sequence[tuple[Event, bytes]], source: str, retries: RetryBudget
) -> Operation[list[Result]]:
    """One result for each event; that all of them were refused is no error of the call."""
    body = b"[" + b",".join(body for _, body in batch) + b"]"
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    try:
        call = Call("POST", "/v1/events", content=body, headers=headers)
        found = yield from read(call, retries)
    except ApiError as error:
        found = error.problem
        if "results" not in found:
            if isinstance(error, TooLarge) and len(batch) == 1:
                return [refused(batch[0][0], source, error)]
            raise
    return [
        result_of(event, source, one)
        for (event, _), one in zip(batch, found["results"], strict=True)
    ]


# ---- messages


def message(id: str, retries: RetryBudget) -> Operation[Message]:
    found = yield from read(Call("GET", f"/v1/messages/{quote(id, safe='')}"), retries)
    return cast("Message", found)


def cancel(id: str, retries: RetryBudget) -> Operation[Message]:
    path = f"/v1/messages/{quote(id, safe='')}/cancel"
    found = yield from read(Call("POST", path), retries)
    return cast("Message", found)


def message_page(filters: Mapping[str, str | None], retries: RetryBudget) -> Operation[MessagePage]:
    params = {name: value for name, value in filters.items() if value is not None}
    found = yield from read(Call("GET", "/v1/messages", params), retries)
    return cast("MessagePage", found)


# ---- recipients


def recipient_path(id: str) -> str:
    return f"/v1/recipients/{quote(id, safe='')}"


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def recipient(id: str, retries: RetryBudget) -> Operation[Recipient]:
    found = yield from read(Call("GET", recipient_path(id)), retries)
    return cast("Recipient", found)


def put_recipient(
    id: str, profile: Mapping[str, Any], retries: RetryBudget
) -> Operation[Recipient]:
    call = Call("PUT", recipient_path(id), content=as_json(profile), headers=JSON)
    found = yield from read(call, retries)
    return cast("Recipient", found)


def erase_recipient(id: str, retries: RetryBudget) -> Operation[None]:
    yield from answered(Call("DELETE", recipient_path(id)), retries)


def export_recipient(id: str, retries: RetryBudget) -> Operation[dict[str, Any]]:
    found = yield from read(Call("GET", f"{recipient_path(id)}/export"), retries)
    return cast("dict[str, Any]", found)


def consents(id: str, retries: RetryBudget) -> Operation[list[Consent]]:
    found = yield from read(Call("GET", f"{recipient_path(id)}/consents"), retries)
    return cast("list[Consent]", found["consents"])


def put_consents(
    id: str, entries: Sequence[Mapping[str, Any]], retries: RetryBudget
) -> Operation[list[Consent]]:
    body = as_json({"consents": list(entries)})
    call = Call("PUT", f"{recipient_path(id)}/consents", content=body, headers=JSON)
    found = yield from read(call, retries)
    return cast("list[Consent]", found["consents"])


def inbox_token(id: str, expires_in: int | None, retries: RetryBudget) -> Operation[InboxToken]:
    body = as_json({} if expires_in is None else {"expires_in": expires_in})
    path = f"/v1/inbox/{quote(id, safe='')}/tokens"
    found = yield from read(Call("POST", path, content=body, headers=JSON), retries)
    return cast("InboxToken", found)
