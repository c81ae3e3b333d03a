"""The doctor over real sockets: providers with and without TLS, mail servers, Kafka."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient

from orchestrator.doctor import Finding, Result
from orchestrator.doctor.brokers import event_topic
from orchestrator.doctor.findings import Subject
from orchestrator.sandbox import Sandbox, SandboxConfig
from orchestrator.sandbox.tls import own_certificate
from tests.doctor.setup import Setup
from tests.support.ports import free_port

DAY_MS = 86_400_000
MAIL = (
    "{{provider: relay, adapter: smtp, host: {host}, port: {port}, tls: {tls}, from:"
    " a@example.com{more}}}"
)


def mail(port: int, tls: str, ca: Path | None = None, host: str = "127.0.0.1") -> str:
    return MAIL.format(host=host, port=port, tls=tls, more=f", ca: {ca}" if ca else "")


def infobip(url: str) -> str:
    settings = "sender: Shop, api_key: '${env:SECRET}', webhook_token: '${env:SECRET}'"
    return f"{{provider: infobip, adapter: infobip_viber, base_url: '{url}', {settings}}}"


async def provider_finding(setup: Setup, channels: str) -> Finding:
    """The finding about the one provider of a channel."""
    setup.configure(channels=channels)
    findings = [one for one in await setup.findings() if one.area == "providers"]
    assert len(findings) == 1, findings
    return findings[0]


@asynccontextmanager
async def tls_server(pem_to: Path) -> AsyncIterator[int]:
    """A port that speaks TLS with a certificate of its own."""
    context, pem = own_certificate("127.0.0.1")
    await asyncio.to_thread(pem_to.write_text, pem)
    server = await asyncio.start_server(
        lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_provider_that_answers_without_tls_is_reported_as_fine(setup: Setup) -> None:
    sandbox = Sandbox()
    await sandbox.start(SandboxConfig())
    try:
        found = await provider_finding(setup, f"viber: [{infobip(sandbox.url)}]")
        requests = len(sandbox.inbox.requests)
    finally:
        await sandbox.stop()
    assert (found.result, found.what) == (Result.FINE, "it takes connections, without TLS")
    assert requests == 0


async def test_a_collector_of_traces_that_is_not_there_is_named(setup: Setup) -> None:
    setup.configure(f'telemetry: {{traces: {{endpoint: "http://127.0.0.1:{free_port()}"}}}}\n')
    found = await setup.found("providers", "connect")
    assert found.result is Result.UNREACHABLE
    assert "collector of traces 127.0.0.1:" in str(found)


async def test_a_certificate_that_nobody_trusts_is_an_error(setup: Setup, tmp_path: Path) -> None:
    async with tls_server(tmp_path / "pem") as port:
        found = await provider_finding(setup, f"viber: [{infobip(f'https://127.0.0.1:{port}')}]")
    assert (found.check, found.result) == ("tls", Result.ERROR)
    assert "self-signed certificate" in found.what


async def test_a_certificate_that_is_trusted_is_fine_and_its_days_are_counted(
    setup: Setup, tmp_path: Path
) -> None:
    async with tls_server(tmp_path / "pem") as port:
        found = await provider_finding(
            setup, f"email: [{mail(port, 'implicit', tmp_path / 'pem')}]"
        )
    assert (found.result, found.what) == (
        Result.FINE,
        "TLS works, its certificate runs for 29 days",
    )


async def test_a_mail_server_is_asked_for_starttls_and_gets_no_mail(
    setup: Setup, tmp_path: Path
) -> None:
    sandbox = Sandbox()
    await sandbox.start(SandboxConfig(smtp_tls=True))
    try:
        (tmp_path / "pem").write_text(sandbox.smtp_certificate or "")
        found = await provider_finding(
            setup, f"email: [{mail(sandbox.smtp_port, 'starttls', tmp_path / 'pem')}]"
        )
        untrusted = await provider_finding(setup, f"email: [{mail(sandbox.smtp_port, 'starttls')}]")
        accepted = len(list(sandbox.inbox.accepted()))
    finally:
        await sandbox.stop()
    assert (found.result, found.what) == (
        Result.FINE,
        "TLS works, its certificate runs for 29 days",
    )
    assert (untrusted.check, untrusted.result) == ("tls", Result.ERROR)
    assert accepted == 0


async def test_a_mail_server_without_starttls_is_reported(setup: Setup) -> None:
    sandbox = Sandbox()
    await sandbox.start(SandboxConfig())
    try:
        found = await provider_finding(setup, f"email: [{mail(sandbox.smtp_port, 'starttls')}]")
    finally:
        await sandbox.stop()
    assert (found.result, "STARTTLS" in found.what) == (Result.UNREACHABLE, True)


async def test_a_name_that_does_not_resolve_is_unreachable(setup: Setup) -> None:
    found = await provider_finding(setup, f"viber: [{infobip('https://provider.invalid')}]")
    assert (found.check, found.result) == ("resolve", Result.UNREACHABLE)


async def test_a_port_where_nobody_listens_is_unreachable(setup: Setup) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = await provider_finding(setup, f"email: [{mail(port, 'none')}]")
    assert (found.check, found.result) == ("connect", Result.UNREACHABLE)


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """The address of a cluster that speaks the real protocol."""
    admin = AdminClient({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    found = admin.list_topics(timeout=10).brokers
    yield ",".join(f"{broker.host}:{broker.port}" for broker in found.values())
    del admin


def source(servers: str, topics: str, dead_letters: str = "off") -> str:
    inner = f'bootstrap_servers: "{servers}", topics: {topics}, dead_letters: {dead_letters}'
    return f"sources: {{kafka: {{{inner}}}}}\n"


async def test_topics_that_are_there_are_fine_and_those_that_are_not_are_reported(
    setup: Setup, brokers: str
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=brokers)
    await producer.start()
    await producer.send_and_wait("orders", b"{}")  # these brokers make a topic of four partitions
    await producer.stop()
    setup.configure(
        source(brokers, "[orders, absent]", "letters") + "statuses: {kafka: {topic: statuses}}\n"
    )
    findings = [one for one in await setup.findings(processes=4) if one.area == "kafka"]
    results = {(one.check, one.where): one.result for one in findings}
    assert results["connect", brokers] is Result.FINE
    assert results["partitions", "orders"] is Result.FINE
    assert results["topic", "absent"] is Result.ERROR
    assert results["topic", "letters"] is results["topic", "statuses"] is Result.WARNING
    assert ("partitions", "absent") not in results


async def test_asking_for_a_topic_does_not_make_it(setup: Setup, brokers: str) -> None:
    setup.configure(source(brokers, "[never_made]"))
    for _ in range(2):
        found = await setup.found("kafka", "topic")
        assert found.result is Result.ERROR


async def test_brokers_that_do_not_answer_are_unreachable(setup: Setup) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    setup.configure(source(f"127.0.0.1:{port}", "[events]"))
    assert (await setup.found("kafka", "connect")).result is Result.UNREACHABLE


def results_for(
    config: dict[str, str], processes: int = 1, replicas: int = 3, leader: int = 1
) -> dict[str, Result]:
    """The results for a topic with two partitions, by check."""
    partitions = [{"leader": leader, "replicas": list(range(replicas))}] * 2
    at, topic = Subject("kafka", "events"), {"partitions": partitions}
    findings = event_topic(at, topic, config, 30 * DAY_MS, processes)
    return {finding.check: finding.result for finding in findings}


def test_a_sound_topic_is_fine() -> None:
    config = {
        "retention.ms": str(7 * DAY_MS),
        "max.message.bytes": "1048588",
        "cleanup.policy": "delete",
    }
    assert set(results_for(config).values()) == {Result.FINE}


@pytest.mark.parametrize(
    ("config", "check"),
    [
        ({"retention.ms": str(31 * DAY_MS)}, "retention"),
        ({"retention.ms": "-1"}, "retention"),
        ({"retention.ms": "1000", "cleanup.policy": "compact"}, "retention"),
        ({"retention.ms": "1000", "max.message.bytes": "1000"}, "record_size"),
    ],
)
def test_a_topic_that_keeps_records_longer_than_events_are_recognised_is_warned_of(
    config: dict[str, str], check: str
) -> None:
    assert results_for(config)[check] is Result.WARNING


def test_more_processes_than_partitions_one_copy_and_no_leader_are_reported() -> None:
    assert results_for({}, processes=3)["partitions"] is Result.WARNING
    assert results_for({}, replicas=1)["topic"] is Result.WARNING
    assert results_for({}, leader=-1)["topic"] is Result.UNREACHABLE
