"""How ``sources`` and ``statuses`` of ``kaskad.yaml`` are read: where events come from, and where news of them goes."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from orchestrator.reading import Report, Section, clip
from orchestrator.references import read_secret, refers
from orchestrator.settings import KafkaSecurity, KafkaSource, KafkaStatuses, StatusWebhook
from orchestrator.urls import read_url
from orchestrator.yamlfile import Node

KAFKA_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
WEBHOOK_SECRET_PREFIX = "whsec_"


def read_sources(section: Section, base: Path) -> tuple[bool, KafkaSource | None]:
    """Where events come from; HTTP alone where nothing is said."""
    if section.get("sources") is None:
        return True, None
    sources = section.section("sources")
    http = sources.has("http")
    inner = sources.section("http")
    inner.done()
    kafka = read_kafka_source(sources.section("kafka"), base) if sources.get("kafka") is not None else None
    sources.done()
    return http, kafka


def read_kafka_source(kafka: Section, base: Path) -> KafkaSource | None:
    """``sources.kafka``."""
    kafka.need("bootstrap_servers", 'write bootstrap_servers: "localhost:9092"')
    servers = read_servers(kafka)
    kafka.need("topics", "name the topics: topics: [events]")
    topics = kafka.words("topics", "topic names")
    if kafka.get("topics") is not None and kafka.nodes["topics"].kind == "list" and not topics:
        kafka.report.error(kafka.at("topics"), "`topics` is empty", "name the topics: topics: [events]")
    dead_letters: str | None = kafka.text("dead_letters", "kaskad.dead-letters")
    made = KafkaSource(
        bootstrap_servers=servers or "",
        topics=topics,
        group=kafka.text("group", "kaskad"),
        auto_offset_reset=kafka.word("auto_offset_reset", ("earliest", "latest"), "earliest"),
        dead_letters=None if dead_letters == "off" else dead_letters,
        security=read_security(kafka, base),
    )
    kafka.done()
    return made if servers and topics else None


def read_servers(kafka: Section) -> str | None:
    """``host:port``, several with commas or as a list."""
    node = kafka.get("bootstrap_servers")
    if node is None:
        return None
    servers = (
        kafka.words("bootstrap_servers", "host:port")
        if node.kind == "list"
        else tuple(part.strip() for part in (kafka.text("bootstrap_servers") or "").split(",") if part.strip())
    )
    for server in servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            shown = "" if refers(node.text) else f" {clip(server)!r}"
            kafka.report.error(node.mark, f"`bootstrap_servers`{shown} is not host:port", "write localhost:9092")
    return ",".join(servers) or None


def read_security(kafka: Section, base: Path) -> KafkaSecurity:
    """How the connection to Kafka is secured."""
    inner = kafka.section("security")
    protocol = inner.word("protocol", KAFKA_PROTOCOLS, "PLAINTEXT")
    mechanism: str | None = None
    if inner.get("sasl_mechanism") is not None:
        mechanism = inner.word("sasl_mechanism", SASL_MECHANISMS, "PLAIN")
    username, password, ca = inner.text("username"), read_secret(inner, "password"), inner.text("ca")
    if protocol.startswith("SASL"):
        mechanism = mechanism or "PLAIN"
        for key in ("username", "password"):
            inner.need(key, f"write {key}: ${{env:KAFKA_{key.upper()}}}")
    elif mechanism or username or password:
        what = f"SASL is set up, but `protocol` is {protocol}"
        inner.report.error(inner.mark, what, "write protocol: SASL_SSL")
    inner.done()
    ca_path = base / ca if ca else None
    if ca_path is not None and not ca_path.is_file():
        inner.report.error(inner.at("ca"), "the file of `ca` does not exist", "name a PEM file")
    return KafkaSecurity(protocol, mechanism, username, password, ca_path)


def read_statuses(
    section: Section, source: KafkaSource | None, base: Path
) -> tuple[KafkaStatuses | None, tuple[StatusWebhook, ...]]:
    """Where status events go; Kafka's address is the source's where none is given."""
    if section.get("statuses") is None:
        return None, ()
    statuses = section.section("statuses")
    kafka = None
    if statuses.has("kafka"):
        inner = statuses.section("kafka")
        own = inner.get("bootstrap_servers") is not None
        servers = read_servers(inner) if own else source.bootstrap_servers if source else None
        if not servers and not own:
            what = "`statuses.kafka` does not know where Kafka is"
            inner.report.error(inner.mark, what, 'write bootstrap_servers: "localhost:9092"')
        security = read_security(inner, base)
        if not own and source and not inner.has("security"):
            security = source.security
        kafka = KafkaStatuses(servers or "", inner.text("topic", "kaskad.statuses"), security)
        inner.done()
    webhooks = [read_webhook(node, section.report) for node in statuses.items("webhooks", "webhooks")]
    statuses.done()
    return kafka, tuple(webhook for webhook in webhooks if webhook is not None)


def read_webhook(node: Node, report: Report) -> StatusWebhook | None:
    """One status webhook; a secret with the Standard Webhooks prefix must be base64 behind it."""
    section = Section(node, report, "the webhook")
    section.need("url", "write url: https://…")
    url = read_url(section, "url")
    section.need("secret", "write secret: ${env:HOOK_SECRET}")
    key = read_secret(section, "secret")
    section.done()
    if key is not None and key.get_secret_value().startswith(WEBHOOK_SECRET_PREFIX):
        try:
            base64.b64decode(key.get_secret_value().removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
        except binascii.Error:
            mend = "copy it whole, as whsec_ and base64"
            report.error(section.at("secret"), "`secret` begins with whsec_ but is not base64 after that", mend)
    return StatusWebhook(url, key) if url and key else None
