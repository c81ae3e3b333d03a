"""How Kafka is reached: the keys of ``sources.kafka`` and ``statuses.kafka``."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from orchestrator.configuration.keys import Kind, array, nested, or_off, setting
from orchestrator.configuration.kinds import SECRET, TEXT, TEXT_SCHEMA, word, words
from orchestrator.configuration.reading import Report, Section, clip
from orchestrator.configuration.references import refers
from orchestrator.configuration.urls import is_loopback
from orchestrator.configuration.yaml_file import Position

TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
TOPIC_FIX = "use letters, digits, dots, _ and -, at most 249 characters"
SERVERS_FIX = 'write bootstrap_servers: "localhost:9092"'


def read_pem_path(section: Section, key: str, default: Path | None) -> Path | None:
    """The path of a PEM file, which must exist."""
    name = section.text(key, None)
    if name is None:
        return default
    path = section.base / name
    if not path.is_file():
        section.error(key, f"the file of `{key}` does not exist", "name a PEM file")
    return path


PEM: Kind[Path] = Kind("path of a PEM file", read_pem_path, TEXT_SCHEMA, str)


@dataclass(frozen=True)
class KafkaSecurity:
    """How a connection to Kafka is secured."""

    protocol: str = setting(
        word("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"), "Kafka's protocol.", "PLAINTEXT"
    )
    sasl_mechanism: str | None = setting(
        word("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        "How SASL proves who we are.",
        otherwise="`PLAIN` with SASL",
    )
    username: str | None = setting(TEXT, "The user; needed with SASL.")
    password: SecretStr | None = setting(SECRET, "The user's password; needed with SASL.")
    ca: Path | None = setting(
        PEM, "Who may have signed the broker's certificate.", otherwise="whom the system trusts"
    )
    cert: Path | None = setting(PEM, "Our certificate, if the broker asks for one.")
    key: Path | None = setting(
        PEM, "Its private key, unencrypted.", otherwise="in the file of `cert`"
    )

    def checked(self, section: Section) -> KafkaSecurity:
        """The same with SASL's mechanism filled in; contradictions are reported."""
        mechanism = self.sasl_mechanism
        if self.protocol.startswith("SASL"):
            mechanism = mechanism or "PLAIN"
            for name in ("username", "password"):
                section.need(name, f"write {name}: ${{env:KAFKA_{name.upper()}}}")
        elif mechanism or self.username or self.password:
            what = f"SASL is set up, but `protocol` is {self.protocol}"
            section.report.error(section.position, what, "write protocol: SASL_SSL")
        self.check_files(section)
        values = (self.username, self.password, self.ca, self.cert, self.key)
        return KafkaSecurity(self.protocol, mechanism, *values)

    def check_files(self, section: Section) -> None:
        """Report files of TLS that are given without TLS or cannot be used."""
        files = {"ca": self.ca, "cert": self.cert, "key": self.key}
        given = {name: path for name, path in files.items() if path is not None}
        if given and not self.protocol.endswith("SSL"):
            first = next(iter(given))
            what = f"`{first}` is given, but `protocol` is {self.protocol}, which has no TLS"
            section.error(first, what, "write protocol: SSL or SASL_SSL")
        elif self.key is not None and self.cert is None:
            fix = "name the client certificate too"
            section.error("key", "`key` is given without `cert`", fix)
        elif all(path.is_file() for path in given.values()):
            self.try_files(section)

    def try_files(self, section: Section) -> None:
        """Set TLS up with the files, as a connection will."""
        name, fix = "ca", "name a PEM file with certificates"
        try:
            if self.ca is not None:
                ssl.create_default_context(cafile=self.ca)
            name, fix = "cert", "give a PEM certificate and its own key, unencrypted"
            if self.cert is not None:
                context = ssl.create_default_context()
                context.load_cert_chain(str(self.cert), self.key, password=no_password)
        except (OSError, ValueError):
            section.error(name, f"the file of `{name}` cannot be used", fix)

    def warn_of_clear_password(self, servers: str, report: Report, position: Position) -> None:
        """Warn if the password would cross the network unencrypted; the address says so."""
        hosts = {server.rpartition(":")[0].strip("[]") for server in servers.split(",")}
        clear = (self.protocol, self.sasl_mechanism) == ("SASL_PLAINTEXT", "PLAIN")
        if clear and not all(map(is_loopback, hosts)):
            what = "the password goes over the network in the clear"
            report.warn(position, what, "use SASL_SSL")

    def options(self) -> dict[str, Any]:
        """The same as keyword arguments of aiokafka's clients."""
        found: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            from aiokafka.helpers import create_ssl_context

            found["ssl_context"] = create_ssl_context(
                cafile=self.ca, certfile=self.cert, keyfile=self.key
            )
        if self.protocol.startswith("SASL"):
            password = self.password.get_secret_value() if self.password else None
            found["sasl_mechanism"] = self.sasl_mechanism
            found |= {"sasl_plain_username": self.username, "sasl_plain_password": password}
        return found


def no_password() -> str:
    """Refuse an encrypted key: there is nobody to ask for its password."""
    raise ValueError("the key is encrypted")


def read_servers(section: Section, key: str, default: str | None) -> str | None:
    """``host:port``, several with commas or as a list."""
    node = section.get(key)
    if node is None:
        return default
    if node.kind == "list":
        servers: tuple[str, ...] = section.words(key, "host:port")
    else:
        parts = (part.strip() for part in section.text(key, "").split(","))
        servers = tuple(part for part in parts if part)
    for server in servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            shown = "" if refers(node.text) else f" {clip(server)!r}"
            fix = "write host:port, such as localhost:9092"
            section.error(key, f"`{key}`{shown} is not host:port", fix)
            break
    return ",".join(servers) or None


SERVERS: Kind[str] = Kind(
    "host:port, or a list", read_servers, {"anyOf": [TEXT_SCHEMA, array(TEXT_SCHEMA, 1)]}
)
SECURITY = nested(KafkaSecurity)


def check_topic(section: Section, key: str, name: str) -> None:
    """Report a topic name that Kafka would refuse."""
    if not TOPIC.fullmatch(name) or name in (".", ".."):
        section.error(key, f"`{key}` {clip(name)!r} is not a topic name", TOPIC_FIX)


@dataclass(frozen=True)
class KafkaSource:
    """Events from Kafka. ``dead_letters`` None: dead letters are only in the store."""

    bootstrap_servers: str = setting(SERVERS, "The brokers to begin with.", need=SERVERS_FIX)
    topics: tuple[str, ...] = setting(
        words("topic names", schema=TEXT_SCHEMA, least=1),
        "The topics; events of an earlier one go first.",
        need="name the topics: topics: [events]",
    )
    group: str = setting(TEXT, "The consumer group.", "kaskad")
    auto_offset_reset: str = setting(
        word("earliest", "latest"), "Where a new group begins.", "earliest"
    )
    dead_letters: str | None = setting(
        or_off(TEXT), "The topic that unusable events go to.", "kaskad.dead-letters"
    )
    security: KafkaSecurity = setting(
        SECURITY, "How the connection is secured.", default=KafkaSecurity()
    )

    def checked(self, section: Section) -> KafkaSource | None:
        """The same; None without a topic. Topics that are no names or would loop are reported."""
        for topic in self.topics:
            check_topic(section, "topics", topic)
        if self.dead_letters is not None:
            check_topic(section, "dead_letters", self.dead_letters)
        if self.dead_letters in self.topics:
            shown = clip(str(self.dead_letters))
            what = f"{shown!r} would be read again, as an event, because it is one of `topics`"
            section.error("dead_letters", what, "name a topic of its own, or off")
        position = section.place("security", "protocol")
        self.security.warn_of_clear_password(self.bootstrap_servers, section.report, position)
        return self if self.topics else None


@dataclass(frozen=True)
class KafkaStatuses:
    """Status events to Kafka. An address that is not given is that of ``sources.kafka``."""

    bootstrap_servers: str = setting(
        SERVERS, "The brokers to begin with.", "", otherwise="those of `sources.kafka`"
    )
    topic: str = setting(TEXT, "The topic of status events.", "kaskad.statuses")
    security: KafkaSecurity = setting(
        SECURITY,
        "How the connection is secured.",
        default=KafkaSecurity(),
        otherwise="as `sources.kafka`",
    )

    def checked(self, section: Section) -> KafkaStatuses:
        """The same; a topic that Kafka would refuse is reported."""
        check_topic(section, "topic", self.topic)
        return self
