"""
Kafka: do the brokers answer, are the topics there, and do they suit our promises.

A repeat of an event is recognised for ``retention.events``; a topic that keeps records for longer
could deliver one again after that. More processes than partitions leave some without events.
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
from orchestrator.doctor.findings import Finding, Subject, words_of

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
        at, events_ms = Subject("kafka", servers), settings.retention.events_ms
        found += await look_at_cluster(at, security, read, write, events_ms, processes)
    return found


async def look_at_cluster(
    at: Subject,
    security: KafkaSecurity,
    read: Sequence[str],
    write: Sequence[str],
    events_ms: int,
    processes: int,
) -> list[Finding]:
    """One cluster: ``read`` are topics of events, ``write`` those that we write to."""
    try:
        client = AIOKafkaAdminClient(
            bootstrap_servers=at.where,
            client_id="kaskad-doctor",
            request_timeout_ms=ANSWER_MS,
            **security.options(),
        )
    except (OSError, ValueError) as problem:
        return [at.error("connect", words_of(problem), "check `security`")]
    try:
        await asyncio.wait_for(client.start(), CONNECT_SECONDS)
        described = await client.describe_topics()  # all: asking for one by name could make it
        topics = {one["topic"]: one for one in described if not one["error_code"]}
        configs = await topic_settings(client, [name for name in read if name in topics])
    except (KafkaError, OSError, TimeoutError) as problem:
        fix = "check that the brokers run, what address they advertise, `security` and the firewall"
        return [at.unreachable("connect", words_of(problem), fix)]
    finally:
        await client.close()
    found = [at.fine("connect", "the brokers answer")]
    for name in read:
        config = configs.get(name, {})
        found += event_topic(at.at(name), topics.get(name), config, events_ms, processes)
    return found + [written_topic(at.at(name), topics.get(name)) for name in write]


async def topic_settings(
    client: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The settings of topics by name; empty if the brokers do not show them to us."""
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
    at: Subject, topic: Topic | None, config: Mapping[str, str], events_ms: int, processes: int
) -> list[Finding]:
    """A topic that events come from."""
    if topic is None:
        create = f"kafka-topics.sh --create --topic {at.where} --partitions {max(12, processes)}"
        what = "there is no such topic, or it may not be seen"
        return [at.error("topic", what, f"{create}, or fix `topics`")]
    partitions = topic["partitions"]
    found = [replication(at, partitions)]
    what = f"{len(partitions)} partition(s) for {processes} process(es)"
    if len(partitions) < processes:
        alter = f"kafka-topics.sh --alter --topic {at.where} --partitions {processes}"
        what, fix = f"{what}: the others get no events", f"{alter}, or run fewer processes"
        found.append(at.warning("partitions", what, fix))
    else:
        found.append(at.fine("partitions", what))
    if config:
        found += [retention(at, config, events_ms), record_size(at, config)]
    return found


def replication(at: Subject, partitions: Sequence[Mapping[str, Any]]) -> Finding:
    """
    A topic that lives on one broker is lost with its disk; one without a leader cannot be read.
    """
    if any(one["leader"] < 0 for one in partitions):
        return at.unreachable("topic", "a partition has no leader", "start its brokers")
    copies = min((len(one["replicas"]) for one in partitions), default=0)
    if copies < 2:
        fix = "give it a replication factor of 3 if losing events matters"
        return at.warning("topic", "every record is kept on one broker only", fix)
    return at.fine("topic", f"{copies} copies of every record")


def retention(at: Subject, config: Mapping[str, str], events_ms: int) -> Finding:
    """Whether a record can outlive the row of its event."""
    kept_ms = int(config.get("retention.ms", "-1"))
    ours = f"{events_ms / DAY_MS:.3g} days (`retention.events`)"
    if "delete" not in config.get("cleanup.policy", "delete"):
        kept_ms = -1
    theirs = "for ever" if kept_ms < 0 else f"for {kept_ms / DAY_MS:.3g} days"
    what = f"records are kept {theirs}, events are recognised for {ours}"
    if 0 <= kept_ms <= events_ms:
        return at.fine("retention", what)
    fix = f"set retention.ms={events_ms} on the topic, or raise `retention.events`"
    return at.warning("retention", f"{what}: a replay could send again", fix)


def record_size(at: Subject, config: Mapping[str, str]) -> Finding:
    """Whether the largest event that we take fits."""
    limit = int(config.get("max.message.bytes", str(EVENT_BYTES_MAX)))
    if limit < EVENT_BYTES_MAX:
        what = f"records may have {limit} bytes, events {EVENT_BYTES_MAX}"
        fix = f"set max.message.bytes={EVENT_BYTES_MAX} or more on the topic"
        return at.warning("record_size", what, fix)
    return at.fine("record_size", f"records may have {limit} bytes")


def written_topic(at: Subject, topic: Topic | None) -> Finding:
    """A topic that we write to."""
    if topic is not None:
        return replication(at, topic["partitions"])
    create = f"kafka-topics.sh --create --topic {at.where}"
    what = "there is no such topic yet, or it may not be seen"
    return at.warning("topic", what, f"{create}; it is made by itself only if the brokers allow it")
