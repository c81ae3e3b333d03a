"""
Kafka: do the brokers answer, are the topics there, and do they suit what we promise.

A repeat of an event is recognised for ``retention.events``; a topic that keeps records for longer
could bring one back after it was forgotten. More processes than partitions of a topic leave some of
them without events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from orchestrator.configuration.settings import KafkaSecurity, Settings
from orchestrator.core.policy import DAY_MS
from orchestrator.doctor.findings import Finding, error, fine, unreachable, warning

AREA = "kafka"
ANSWER_MS = 5_000
CONNECT_SECONDS = 8.0
EVENT_BYTES_MAX = 256 * 1024
Topic = Mapping[str, Any]


async def look_at_kafka(settings: Settings, processes: int) -> list[Finding]:
    """Every cluster that the configuration names, with the topics wanted there."""
    source, statuses = settings.sources.kafka, settings.statuses.kafka
    clusters: dict[tuple[str, KafkaSecurity], tuple[list[str], list[str]]] = {}
    if source is not None:
        written = [source.dead_letters] if source.dead_letters else []
        clusters[source.bootstrap_servers, source.security] = (list(source.topics), written)
    if statuses is not None:
        clusters.setdefault((statuses.bootstrap_servers, statuses.security), ([], []))[1].append(
            statuses.topic
        )
    found: list[Finding] = []
    for (servers, security), (read, write) in clusters.items():
        found += await look_at_cluster(
            servers, security, read, write, settings.retention.events_ms, processes
        )
    return found


async def look_at_cluster(
    servers: str,
    security: KafkaSecurity,
    read: Sequence[str],
    write: Sequence[str],
    events_ms: int,
    processes: int,
) -> list[Finding]:
    """One cluster: ``read`` are topics of events, ``write`` those that we write to."""
    try:
        options = security.options()
        client = AIOKafkaAdminClient(
            bootstrap_servers=servers,
            client_id="kaskad-doctor",
            request_timeout_ms=ANSWER_MS,
            **options,
        )
    except (OSError, ValueError) as problem:
        return [error(AREA, "connect", servers, said(problem), "check `security`")]
    try:
        await asyncio.wait_for(client.start(), CONNECT_SECONDS)
        described = (
            await client.describe_topics()
        )  # all of them: asking for one by name could make it
        topics = {one["topic"]: one for one in described if not one["error_code"]}
        configs = await topic_settings(client, [name for name in read if name in topics])
    except (KafkaError, OSError, TimeoutError) as problem:
        fix = "check that the brokers run, what address they advertise, `security` and the firewall"
        return [unreachable(AREA, "connect", servers, said(problem), fix)]
    finally:
        await client.close()
    found = [fine(AREA, "connect", servers, "the brokers answer")]
    for name in read:
        found += event_topic(name, topics.get(name), configs.get(name, {}), events_ms, processes)
    return found + [written_topic(name, topics.get(name)) for name in write]


def said(problem: BaseException) -> str:
    """A problem's own words, or its kind where it has none."""
    return str(problem) or type(problem).__name__


async def topic_settings(
    client: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The settings of topics by name; empty where the brokers do not tell them to us."""
    if not names:
        return {}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    try:
        responses = await client.describe_configs(wanted)
    except (KafkaError, NotImplementedError):
        return {}
    found: dict[str, dict[str, str]] = {}
    for response in responses:
        for code, _, _, name, entries in response.resources:
            if not code:
                found[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return found


def event_topic(
    name: str, topic: Topic | None, config: Mapping[str, str], events_ms: int, processes: int
) -> list[Finding]:
    """A topic that events come from."""
    if topic is None:
        fix = (
            f"kafka-topics.sh --create --topic {name} --partitions {max(12, processes)}, or fix"
            " `topics`"
        )
        return [error(AREA, "topic", name, "there is no such topic, or it may not be seen", fix)]
    partitions = topic["partitions"]
    found = [replication(name, partitions)]
    what = f"{len(partitions)} partition(s) for {processes} process(es)"
    if len(partitions) < processes:
        fix = (
            f"kafka-topics.sh --alter --topic {name} --partitions {processes}, or run fewer"
            " processes"
        )
        found.append(warning(AREA, "partitions", name, f"{what}: the others get no events", fix))
    else:
        found.append(fine(AREA, "partitions", name, what))
    if config:
        found += [kept_for(name, config, events_ms), record_size(name, config)]
    return found


def replication(name: str, partitions: Sequence[Mapping[str, Any]]) -> Finding:
    """
    A topic that lives on one broker is lost with its disk; one without a leader cannot be read.
    """
    if any(one["leader"] < 0 for one in partitions):
        return unreachable(AREA, "topic", name, "a partition has no leader", "start its brokers")
    copies = min((len(one["replicas"]) for one in partitions), default=0)
    if copies < 2:
        fix = "give it a replication factor of 3 where losing events matters"
        return warning(AREA, "topic", name, "every record is kept on one broker only", fix)
    return fine(AREA, "topic", name, f"{copies} copies of every record")


def kept_for(name: str, config: Mapping[str, str], events_ms: int) -> Finding:
    """Whether a record can outlive the memory of its event."""
    kept_ms = int(config.get("retention.ms", "-1"))
    ours = f"{events_ms / DAY_MS:.3g} days (`retention.events`)"
    if "delete" not in config.get("cleanup.policy", "delete"):
        kept_ms = -1
    if kept_ms < 0 or kept_ms > events_ms:
        theirs = "for ever" if kept_ms < 0 else f"for {kept_ms / DAY_MS:.3g} days"
        what = (
            f"records are kept {theirs}, events are remembered for {ours}: a replay could send"
            " again"
        )
        fix = f"set retention.ms={events_ms} on the topic, or raise `retention.events`"
        return warning(AREA, "retention", name, what, fix)
    return fine(
        AREA,
        "retention",
        name,
        f"records are kept for {kept_ms / DAY_MS:.3g} days, events remembered for {ours}",
    )


def record_size(name: str, config: Mapping[str, str]) -> Finding:
    """Whether the largest event that we take fits."""
    limit = int(config.get("max.message.bytes", str(EVENT_BYTES_MAX)))
    if limit < EVENT_BYTES_MAX:
        what = f"records may have {limit} bytes, events {EVENT_BYTES_MAX}"
        return warning(
            AREA,
            "record_size",
            name,
            what,
            f"set max.message.bytes={EVENT_BYTES_MAX} or more on the topic",
        )
    return fine(AREA, "record_size", name, f"records may have {limit} bytes")


def written_topic(name: str, topic: Topic | None) -> Finding:
    """A topic that we write to."""
    if topic is None:
        fix = (
            f"kafka-topics.sh --create --topic {name}; it is made by itself only where the brokers"
            " allow it"
        )
        return warning(
            AREA, "topic", name, "there is no such topic yet, or it may not be seen", fix
        )
    return replication(name, topic["partitions"])
