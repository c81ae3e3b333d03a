"""TLS, logins and ACLs against a real broker: what works, and the words for what does not."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from pydantic import SecretStr

from orchestrator.configuration.settings import KafkaSecurity
from orchestrator.core.policy import Policy, Step
from orchestrator.kafka import Bounds, KafkaIntake
from orchestrator.statuses.sinks import KafkaSink
from orchestrator.stores.rows import StatusEvent
from tests.certificates import make_certificates
from tests.engine.world import World
from tests.verify.kafka_broker import PASSWORD, USER, Broker, missing, running, why_not
from tests.verify.kafka_group import until

pytestmark = [pytest.mark.verify, pytest.mark.skipif(missing() is not None, reason=why_not())]

SMS = Policy("texts", "v1", "shop.event", (Step("sms"),))
QUICK = Bounds(
    session_timeout_ms=6_000,
    metadata_max_age_ms=1_000,
    watch_seconds=0.5,
    dead_letter_seconds=5.0,
    forbidden_seconds=1.0,
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(tmp_path_factory.mktemp("kafka") / "broker", auto_create=False) as found:
        yield found


def event(id: str) -> bytes:
    data = {"recipient": {"id": "olena", "phone": "+380501234567"}}
    return json.dumps(
        {"specversion": "1.0", "id": id, "source": "shop", "type": "shop.event", "data": data}
    ).encode()


async def publish(broker: Broker, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    for value in values:
        await producer.send_and_wait(topic, value)
    await producer.stop()


async def read(broker: Broker, topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker.address, auto_offset_reset="earliest"
    )
    await consumer.start()
    found = [await asyncio.wait_for(consumer.getone(), 20) for _ in range(count)]
    await consumer.stop()
    return found


class Client:
    """An intake in front of a real engine; ``errors`` counts what it has said."""

    def __init__(
        self,
        world: World,
        address: str,
        security: KafkaSecurity,
        topics: list[str],
        dead: str | None = None,
    ):
        self.world = world
        self.errors: Counter[str] = Counter()
        self.intake = KafkaIntake(
            world.engine,
            bootstrap_servers=address,
            topics=topics,
            group=f"group-of-{topics[0]}",
            dead_letters=dead,
            security=security.options(),
            on_error=lambda kind: self.errors.update([kind]),
            bounds=QUICK,
        )

    async def __aenter__(self) -> Client:
        await self.intake.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.intake.stop()

    async def took(self, count: int) -> None:
        async def enough() -> bool:
            return len(await self.world.store.messages()) == count

        await until(enough, 40, lambda: str(self.errors))

    async def says(self, word: str) -> None:
        async def said() -> bool:
            return self.errors[word] > 0

        await until(said, 40, lambda: str(self.errors))


def login(
    broker: Broker, protocol: str, mechanism: str, password: str = PASSWORD, user: str = USER
) -> KafkaSecurity:
    ca = broker.ca if protocol == "SASL_SSL" else None
    return KafkaSecurity(protocol, mechanism, user, SecretStr(password), ca)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
async def test_every_login_reads_events_and_writes_dead_letters_and_statuses(
    broker: Broker, protocol: str, mechanism: str
) -> None:
    address = broker.sasl_ssl if protocol == "SASL_SSL" else broker.sasl
    await works(broker, address, login(broker, protocol, mechanism), f"{protocol}.{mechanism}")


async def test_a_client_certificate_is_shown_where_the_broker_asks_for_it(broker: Broker) -> None:
    await works(
        broker,
        broker.tls,
        KafkaSecurity("SSL", ca=broker.ca, cert=broker.cert, key=broker.key),
        "mutual",
    )


async def works(broker: Broker, address: str, security: KafkaSecurity, topic: str) -> None:
    dead, statuses = f"{topic}.dead", f"{topic}.statuses"
    for name in (topic, dead, statuses):
        await broker.create(name, 2)
    await publish(broker, topic, event("1"), b"{", event("2"))
    async with World(SMS) as world, Client(world, address, security, [topic], dead) as client:
        await client.took(2)
        (letter,) = await read(broker, dead, 1)
        assert letter.value == b"{"
        assert dict(letter.headers)["kaskad_reason"] == b"bad_json"
        assert client.errors == {}
        assert client.intake.connected
    sink = KafkaSink(address, statuses, security.options())
    assert await sink.deliver([StatusEvent(1, "s1", "olena", b"{}")]) == 1
    await sink.close()
    (status,) = await read(broker, statuses, 1)
    assert (status.key, status.value) == (b"olena", b"{}")


async def test_a_wrong_password_is_said_and_tried_again(broker: Broker) -> None:
    await broker.create("wrong", 1)
    async with World(SMS) as world:
        for user, password, mechanism in (
            (USER, "guess", "PLAIN"),
            (USER, "guess", "SCRAM-SHA-512"),
            ("nobody", PASSWORD, "SCRAM-SHA-256"),
        ):
            security = login(broker, "SASL_SSL", mechanism, password, user)
            async with Client(world, broker.sasl_ssl, security, ["wrong"]) as client:
                await client.says("login")
                assert not client.intake.connected
                assert set(client.errors) == {"login"}


async def test_a_certificate_that_is_not_trusted_is_said(broker: Broker, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    for security in (
        KafkaSecurity("SASL_SSL", "PLAIN", USER, SecretStr(PASSWORD)),
        KafkaSecurity("SASL_SSL", "PLAIN", USER, SecretStr(PASSWORD), tmp_path / "ca.pem"),
    ):
        async with World(SMS) as world, Client(world, broker.sasl_ssl, security, ["any"]) as client:
            await client.says("certificate")
            assert set(client.errors) == {"certificate"}


async def test_a_broker_that_wants_a_client_certificate_and_gets_none_is_said(
    broker: Broker, tmp_path: Path
) -> None:
    make_certificates(tmp_path)
    for security in (
        KafkaSecurity("SSL", ca=broker.ca),
        KafkaSecurity(
            "SSL", ca=broker.ca, cert=tmp_path / "client.pem", key=tmp_path / "client.key"
        ),
    ):
        async with World(SMS) as world, Client(world, broker.tls, security, ["any"]) as client:
            await client.says("certificate")
            assert set(client.errors) == {"certificate"}


async def test_an_address_where_nobody_is_and_a_listener_of_another_protocol_are_said(
    broker: Broker,
) -> None:
    async with World(SMS) as world:
        async with Client(world, "127.0.0.1:1", KafkaSecurity(), ["any"]) as client:
            await client.says("unreachable")
        async with Client(
            world, broker.address, KafkaSecurity("SSL", ca=broker.ca), ["any"]
        ) as client:
            await client.says("unreachable")
        async with Client(world, broker.tls, KafkaSecurity(), ["any"]) as client:
            await client.says("unreachable")


async def test_a_topic_that_is_missing_holds_up_no_other_and_is_read_once_it_is_there(
    broker: Broker,
) -> None:
    await broker.create("there", 2)
    await publish(broker, "there", event("1"))
    async with (
        World(SMS) as world,
        Client(world, broker.address, KafkaSecurity(), ["later", "there"]) as client,
    ):
        await client.took(1)
        await client.says("topic_missing")
        await broker.create("later", 2)
        await publish(broker, "later", event("2"))
        await client.took(2)


@pytest.mark.parametrize("described", [False, True])
async def test_a_topic_that_an_acl_forbids_holds_up_no_other_and_is_read_once_it_is_allowed(
    broker: Broker, described: bool
) -> None:
    secret, free = f"secret.{described}", f"open.{described}"
    for topic in (secret, free):
        await broker.create(topic, 2)
    await publish(broker, secret, event("1"))
    await publish(broker, free, event("2"))
    whom = (ResourceType.TOPIC, secret, ResourcePatternType.LITERAL, f"User:{USER}", "*")
    rules = [AclBinding(*whom, AclOperation.READ, AclPermissionType.DENY)]
    if described:
        rules.append(AclBinding(*whom, AclOperation.DESCRIBE, AclPermissionType.ALLOW))
    for made in broker.admin.create_acls(rules).values():
        await asyncio.to_thread(made.result, 20)
    security = login(broker, "SASL_SSL", "PLAIN")
    async with (
        World(SMS) as world,
        Client(world, broker.sasl_ssl, security, [secret, free]) as client,
    ):
        await client.says("not_allowed")
        await client.took(1)
        assert set(client.errors) == {"not_allowed"}
        lifted = AclBindingFilter(*whom, AclOperation.ANY, AclPermissionType.ANY)
        await asyncio.to_thread(broker.admin.delete_acls([lifted])[lifted].result, 20)
        await client.took(2)


async def test_a_missing_dead_letter_topic_leaves_the_letter_stored_and_blocks_nothing(
    broker: Broker,
) -> None:
    await broker.create("poisoned", 1)
    await publish(broker, "poisoned", b"{", b"[]", event("1"))
    async with (
        World(SMS) as world,
        Client(world, broker.address, KafkaSecurity(), ["poisoned"], "nowhere") as client,
    ):
        await client.took(1)
        await client.says("dead_letter")

        async def committed() -> bool:
            return (await broker.committed("group-of-poisoned")).get(("poisoned", 0)) == 3

        await until(committed)
        letters = await world.store.dead_letters(None, 10)
        assert sorted(letter.reason for letter in letters) == ["bad_json", "not_an_event"]


async def test_a_status_topic_that_is_missing_is_tried_again_until_it_is_there(
    broker: Broker,
) -> None:
    sink = KafkaSink(broker.address, "news", {"request_timeout_ms": 2_000})
    events = [StatusEvent(number, f"s{number}", "olena", b"%d" % number) for number in range(3)]
    assert await sink.deliver(events) == 0
    await broker.create("news", 2)
    taken = 0
    while taken < 3:
        taken += await sink.deliver(events[taken:])
    await sink.close()
    assert [record.value for record in await read(broker, "news", 3)] == [b"0", b"1", b"2"]


async def test_a_status_event_that_is_refused_for_good_stops_those_behind_it_and_doubles_none(
    broker: Broker,
) -> None:
    """The broker takes up to about a megabyte; the outbox gives such an event up after a day."""
    await broker.create("large", 1)
    sink = KafkaSink(broker.address, "large", {})
    bodies = [b"1", b"2", b"x" * 2_000_000, b"4"]
    events = [
        StatusEvent(number, f"s{number}", "olena", body) for number, body in enumerate(bodies)
    ]
    first = await sink.deliver(events)
    for _ in range(3):
        assert await sink.deliver(events[2:]) == 0
    assert first == 2
    assert await sink.deliver(events[3:]) == 1
    await sink.close()
    assert [record.value for record in await read(broker, "large", 3)] == [b"1", b"2", b"4"]
