"""
Real `kaskad run` processes in front of a real broker that carries records nobody should write, and
that lacks or forbids the topics we write to.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tests.kafka.hostile_records import send_with_unreadable_header_name
from tests.kafka.test_hostile_records import HEADERS, send_empty
from tests.verify.installation import Installation
from tests.verify.kafka_broker import PASSWORD, USER, Broker, missing, running, why_not
from tests.verify.kafka_group import until
from tests.verify.test_kafka_security import read
from tests.verify.test_kills import POLICY, TEMPLATES, event

pytestmark = [pytest.mark.verify, pytest.mark.skipif(missing() is not None, reason=why_not())]

MANY = 600
"""More than may be in flight at once."""
LOGIN = """\
{{protocol: SASL_PLAINTEXT, sasl_mechanism: SCRAM-SHA-256, username: {user},
 password: {word}}}"""
MORE = """\
sources: {{http: {{}}, kafka: {{bootstrap_servers: "{broker}", topics: ["{topic}"],
                             group: "{topic}", dead_letters: "{dead}", security: {security}}}}}
statuses: {{kafka: {{bootstrap_servers: "{broker}", topic: "{statuses}", security: {security}}}}}
"""
VALUES = [b"", b"\xff\xfe", b"\x00" * 100, b"null", b"[" * 900_000, b"{", "{„}".encode("cp1251")]
LINES_MAX = 60
"""What one process may say while a topic is missing for a minute: nothing is said in a loop."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(tmp_path_factory.mktemp("kafka") / "broker", auto_create=False) as found:
        yield found


def installation(folder: Path, broker: Broker, topic: str, *, user: str = "") -> Installation:
    login = LOGIN.format(user=user, word=PASSWORD) if user else "{}"
    address = broker.sasl if user else broker.address
    names = {"dead": f"{topic}.dead", "statuses": f"{topic}.statuses"}
    more = MORE.format(broker=address, topic=topic, security=login, **names)
    return Installation(folder, {"kills": POLICY}, TEMPLATES, more)


async def send_hostile(producer: AIOKafkaProducer, topic: str, number: int) -> None:
    """The records that no ordinary producer writes, in turn."""
    kinds: list[Callable[[], Awaitable[Any]]] = [
        lambda: send_empty(producer, topic, []),
        lambda: send_empty(producer, topic, [("ce_id", None)]),
        lambda: send_with_unreadable_header_name(producer, topic, 0, b"{}"),
        *(
            lambda value=value: producer.send_and_wait(topic, value, key=b"\xff")
            for value in VALUES
        ),
        *(lambda given=given: send_empty(producer, topic, given) for given in HEADERS),
    ]
    rare = number < 2 * len(kinds)  # large ones are sent twice, the others again and again
    await kinds[number % (len(kinds) if rare else 2)]()


async def test_hostile_records_are_settled_and_hold_up_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    for name in ("odd", "odd.dead", "odd.statuses"):
        await broker.create(name, 1)
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, max_request_size=1_048_576)
    await producer.start()
    async with installation(tmp_path, broker, "odd") as place:
        await place.start()
        for turn in range(2):
            for number in range(MANY):
                await send_hostile(producer, "odd", number)
            await send(producer, "odd", event(turn))
        await send(producer, "odd", {**event(7), "time": future})
        await producer.stop()

        async def all_settled() -> bool:
            ends = await broker.ends(["odd"])
            return await broker.committed("odd") == ends and set(ends.values()) == {2 * MANY + 3}

        await until(all_settled, 120, place.log_tail)
        assert {one["event"]["id"] for one in await messages(place)} == {"e-0", "e-1"}
        reasons = await stored_reasons(place)
        assert reasons.total() == 2 * MANY + 1
        assert reasons["time_in_future"] == 1
        await until(lambda: lag_is(place, 0.0), 30)
        assert await place.drain() == 0
    assert (
        reasons["unreadable"] == 4
    )  # the client library cannot parse them: only the store has them
    letters = await read(broker, "odd.dead", 2 * MANY + 1 - reasons["unreadable"])
    received = Counter(dict(one.headers)["kaskad_reason"].decode() for one in letters)
    assert received["time_in_future"] == 1


@pytest.mark.parametrize("why", ["missing", "forbidden"])
async def test_topics_that_cannot_be_written_are_said_and_lose_nothing(
    broker: Broker, tmp_path: Path, why: str
) -> None:
    written = [f"{why}.dead", f"{why}.statuses"]
    await broker.create(why, 1)
    rules = []
    if why == "forbidden":
        for name in written:
            await broker.create(name, 1)
            whom = (ResourceType.TOPIC, name, ResourcePatternType.LITERAL, f"User:{USER}", "*")
            rules.append(AclBinding(*whom, AclOperation.WRITE, AclPermissionType.DENY))
            rules.append(AclBinding(*whom, AclOperation.DESCRIBE, AclPermissionType.ALLOW))
        for made in broker.admin.create_acls(rules).values():
            await asyncio.to_thread(made.result, 20)
    user = USER if why == "forbidden" else ""
    async with installation(tmp_path, broker, why, user=user) as place:
        await place.script({"providers": {}})
        await place.start()
        producer = AIOKafkaProducer(bootstrap_servers=broker.address)
        await producer.start()
        for number in range(MANY):
            await send_hostile(producer, why, 2 * MANY + number)
        for number in range(3):
            await send(producer, why, event(number))
        await producer.stop()

        async def taken() -> bool:
            return len(await messages(place)) == 3

        await until(taken, 60, place.log_tail)
        said = "an ACL of the broker forbids it" if rules else "the broker has no such topic"
        for word in ("statuses.kafka_failed", "kafka.dead_letter_only_in_store"):
            await until(lambda word=word: says(place, word, said), 90, place.log_tail)  # type: ignore[misc]
        assert await place.drain() == 0  # also while nothing can be written
        lines = (tmp_path / "kaskad.log").read_text().splitlines()
        assert len(lines) < LINES_MAX, place.log_tail()
        await place.start()
        assert (await stored_reasons(place)).total() == MANY
        if rules:
            lifted = [
                AclBindingFilter(
                    ResourceType.TOPIC,
                    name,
                    ResourcePatternType.LITERAL,
                    f"User:{USER}",
                    "*",
                    AclOperation.ANY,
                    AclPermissionType.ANY,
                )
                for name in written
            ]
            for gone in broker.admin.delete_acls(lifted).values():
                await asyncio.to_thread(gone.result, 20)
        else:
            for name in written:
                await broker.create(name, 1)
        received = await read(broker, f"{why}.statuses", 3)
        assert {json.loads(one.value)["subject"] for one in received} <= {
            one["id"] for one in await messages(place)
        }
        assert await place.drain() == 0


async def send(producer: AIOKafkaProducer, topic: str, event: dict[str, Any]) -> None:
    await producer.send_and_wait(topic, json.dumps(event).encode(), partition=0)


async def messages(place: Installation) -> list[dict[str, Any]]:
    async with place.session.get(f"{place.url}/v1/messages", params={"limit": "1000"}) as answer:
        return list((await answer.json())["items"])


async def stored_reasons(place: Installation) -> Counter[str]:
    """The reasons of all dead letters in the store."""
    found: Counter[str] = Counter()
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": "500", **({"cursor": cursor} if cursor else {})}
        async with place.session.get(f"{place.url}/v1/dead-letters", params=params) as answer:
            page = await answer.json()
        found.update(one["reason"] for one in page["items"])
        cursor = page["next_cursor"]
    return found


async def lag_is(place: Installation, lag: float) -> bool:
    async with place.session.get(f"http://127.0.0.1:{place.admin}/metrics") as answer:
        text = await answer.text()
    said = re.findall(r"^kaskad_kafka_consumer_lag\{.*\} (\S+)$", text, re.M)
    return said == [str(lag)]


async def says(place: Installation, *words: str) -> bool:
    """Whether one line of the log has all the words."""
    lines = (place.folder / "kaskad.log").read_text().splitlines()
    return any(all(word in line for word in words) for line in lines)
