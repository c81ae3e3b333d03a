"""
How ``sources`` and ``statuses`` of ``kaskad.yaml`` are read: where events come from, and where news
of them goes.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from pathlib import Path

from orchestrator.configuration.reading import Report, Section, clip
from orchestrator.configuration.references import read_secret, refers
from orchestrator.configuration.settings import (
    KafkaSecurity,
    KafkaSource,
    KafkaStatuses,
    StatusWebhook,
)
from orchestrator.configuration.urls import is_loopback, read_url
from orchestrator.configuration.yaml_file import Node

KAFKA_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
TLS_FILES = ("ca", "cert", "key")
WEBHOOK_SECRET_PREFIX = "whsec_"


def read_sources(section: Section, base: Path) -> tuple[bool, KafkaSource | None]:
    """Where events come from; HTTP alone where nothing is said."""
    if section.get("sources") is None:
        return True, None
    sources = section.section("sources")
    http = sources.has("http")
    inner = sources.section("http")
    inner.done()
    kafka = (
        read_kafka_source(sources.section("kafka"), base)
        if sources.get("kafka") is not None
        else None
    )
    sources.done()
    return http, kafka


def read_kafka_source(kafka: Section, base: Path) -> KafkaSource | None:
    """``sources.kafka``."""
    kafka.need("bootstrap_servers", 'write bootstrap_servers: "localhost:9092"')
    servers = read_servers(kafka)
    kafka.need("topics", "name the topics: topics: [events]")
    topics = kafka.words("topics", "topic names")
    if kafka.get("topics") is not None and kafka.nodes["topics"].kind == "list" and not topics:
        kafka.report.error(
            kafka.at("topics"), "`topics` is empty", "name the topics: topics: [events]"
        )
    made = KafkaSource(
        bootstrap_servers=servers or "",
        topics=topics,
        group=kafka.text("group", "kaskad"),
        auto_offset_reset=kafka.word("auto_offset_reset", ("earliest", "latest"), "earliest"),
        dead_letters=read_dead_letters(kafka, topics),
        security=read_security(kafka, base, servers or ""),
    )
    kafka.done()
    return made if servers and topics else None


def read_dead_letters(kafka: Section, topics: tuple[str, ...]) -> str | None:
    """
    The dead-letter topic, None where it is off; that it is no topic that is read, and that each of
    those is one.
    """
    for topic in topics:
        check_topic(kafka, "topics", topic)
        if topics.count(topic) > 1:
            kafka.report.error(
                kafka.at("topics"),
                f"`topics` names {clip(topic)!r} twice",
                "name it once, at its first place",
            )
            break
    name = kafka.text("dead_letters", "kaskad.dead-letters")
    if name == "off":
        return None
    check_topic(kafka, "dead_letters", name)
    if name in topics:
        what = f"{clip(name)!r} would be read again, as an event, because it is one of `topics`"
        kafka.report.error(kafka.at("dead_letters"), what, "name a topic of its own, or off")
    return name


def check_topic(kafka: Section, key: str, name: str) -> None:
    """Report a name that Kafka would refuse."""
    if not TOPIC.fullmatch(name) or name in (".", ".."):
        fix = "use letters, digits, dots, _ and -, at most 249 characters"
        kafka.report.error(kafka.at(key), f"`{key}` {clip(name)!r} is not a topic name", fix)


def read_servers(kafka: Section) -> str | None:
    """``host:port``, several with commas or as a list."""
    node = kafka.get("bootstrap_servers")
    if node is None:
        return None
    servers = (
        kafka.words("bootstrap_servers", "host:port")
        if node.kind == "list"
        else tuple(
            part.strip()
            for part in (kafka.text("bootstrap_servers") or "").split(",")
            if part.strip()
        )
    )
    for server in servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            shown = "" if refers(node.text) else f" {clip(server)!r}"
            kafka.report.error(
                node.position,
                f"`bootstrap_servers`{shown} is not host:port",
                "write localhost:9092",
            )
    return ",".join(servers) or None


def read_security(kafka: Section, base: Path, servers: str) -> KafkaSecurity:
    """How the connection to Kafka is secured."""
    inner = kafka.section("security")
    protocol = inner.word("protocol", KAFKA_PROTOCOLS, "PLAINTEXT")
    mechanism: str | None = None
    if inner.get("sasl_mechanism") is not None:
        mechanism = inner.word("sasl_mechanism", SASL_MECHANISMS, "PLAIN")
    username, password = inner.text("username"), read_secret(inner, "password")
    if protocol.startswith("SASL"):
        mechanism = mechanism or "PLAIN"
        for key in ("username", "password"):
            inner.need(key, f"write {key}: ${{env:KAFKA_{key.upper()}}}")
        hosts = {server.rpartition(":")[0].strip("[]") for server in servers.split(",")}
        if (protocol, mechanism) == ("SASL_PLAINTEXT", "PLAIN") and not all(
            map(is_loopback, hosts)
        ):
            inner.report.warn(
                inner.at("protocol"),
                "the password goes over the network in the clear",
                "use SASL_SSL",
            )
    elif mechanism or username or password:
        what = f"SASL is set up, but `protocol` is {protocol}"
        inner.report.error(inner.position, what, "write protocol: SASL_SSL")
    made = KafkaSecurity(
        protocol, mechanism, username, password, **read_tls_files(inner, base, protocol)
    )
    inner.done()
    return made


def read_tls_files(inner: Section, base: Path, protocol: str) -> dict[str, Path | None]:
    """
    The PEM files of ``ca``, ``cert`` and ``key``, each there and readable as what it should be.
    """
    names = {key: inner.text(key) for key in TLS_FILES}
    found = {key: base / name if name else None for key, name in names.items()}
    given = [key for key in TLS_FILES if found[key] is not None]
    missing = [key for key in given if not found[key].is_file()]  # type: ignore[union-attr]
    for key in missing:
        inner.report.error(inner.at(key), f"the file of `{key}` does not exist", "name a PEM file")
    if given and not protocol.endswith("SSL"):
        what = f"`{given[0]}` is given, but `protocol` is {protocol}, which has no TLS"
        inner.report.error(inner.at(given[0]), what, "write protocol: SSL or SASL_SSL")
    elif found["key"] is not None and found["cert"] is None:
        inner.report.error(
            inner.at("key"), "`key` is given without `cert`", "name the client certificate too"
        )
    elif not missing:
        for key in given[:2]:
            check_pem(inner, key, found)
    return found


def check_pem(inner: Section, key: str, found: dict[str, Path | None]) -> None:
    """Report a file that TLS could not be set up with."""
    try:
        if key == "ca":
            ssl.create_default_context(cafile=found["ca"])
        elif key == "cert":
            ssl.create_default_context().load_cert_chain(
                str(found["cert"]), found["key"], password=no_password
            )
    except (OSError, ValueError):
        fix = (
            "name a PEM file with certificates"
            if key == "ca"
            else "give a PEM certificate and its own key, unencrypted"
        )
        inner.report.error(inner.at(key), f"the file of `{key}` cannot be used", fix)


def no_password() -> str:
    """An encrypted key is refused: there is nobody to ask for its password."""
    raise ValueError("the key is encrypted")


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
            inner.report.error(inner.position, what, 'write bootstrap_servers: "localhost:9092"')
        security = read_security(inner, base, servers or "")
        if not own and source and not inner.has("security"):
            security = source.security
        kafka = KafkaStatuses(
            servers or "", read_status_topic(inner, source if not own else None), security
        )
        inner.done()
    webhooks = [
        read_webhook(node, section.report) for node in statuses.items("webhooks", "webhooks")
    ]
    statuses.done()
    return kafka, tuple(webhook for webhook in webhooks if webhook is not None)


def read_status_topic(inner: Section, source: KafkaSource | None) -> str:
    """The topic of status events, which is not one that is read or that dead letters go to."""
    topic = inner.text("topic", "kaskad.statuses")
    check_topic(inner, "topic", topic)
    if source is not None and topic in (*source.topics, source.dead_letters):
        what = f"{clip(topic)!r} is a topic of `sources.kafka` already"
        inner.report.error(
            inner.at("topic"), what, "name a topic of its own: topic: kaskad.statuses"
        )
    return topic


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
            base64.b64decode(
                key.get_secret_value().removeprefix(WEBHOOK_SECRET_PREFIX), validate=True
            )
        except binascii.Error:
            fix = "copy it whole, as whsec_ and base64"
            report.error(
                section.at("secret"),
                "`secret` begins with whsec_ but is not base64 after that",
                fix,
            )
    return StatusWebhook(url, key) if url and key else None
