"""
A real Apache Kafka broker from its Maven artefacts: one node, broker and controller in one process.

It listens four times, as brokers in the wild do: plain (``address``), TLS with a certificate of the
client (``tls``), and a login over TLS (``sasl_ssl``) or without it (``sasl``), with PLAIN and both
SCRAM mechanisms. The certificate authority is its own.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]  # its stubs hide what it re-exports

from tests.certificates import make_certificates
from tests.verify.installation import free_port

VERSION = "4.1.0"
START_SECONDS = 180.0
USER, PASSWORD = "kaskad", "correct horse"
NO_BROKER = "NO REAL KAFKA BROKER IN THIS RUN"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>kaskad</groupId><artifactId>broker</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{sasl_ssl},\
SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{sasl_ssl},\
SASL_PLAINTEXT://127.0.0.1:{sasl}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,\
SASL_PLAINTEXT:SASL_PLAINTEXT
log.dirs={folder}/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
group.initial.rebalance.delay.ms=0
num.partitions=4
auto.create.topics.enable={auto_create}
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
{logins}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"""
LOGIN = """listener.name.{listener}.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule \
required user_{user}="{password}";
listener.name.{listener}.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.{listener}.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


def missing() -> str | None:
    """The requirement of a broker that is missing here."""
    return next(
        (
            f"{program} is not installed"
            for program in ("java", "mvn")
            if shutil.which(program) is None
        ),
        None,
    )


def why_not() -> str:
    """The words of a skipped test, which nobody should overlook."""
    return f"{NO_BROKER}: {missing()}"


def artefacts() -> Path:
    """The broker's jars, fetched once and kept for the next run."""
    kept = Path(tempfile.gettempdir()) / f"kaskad-broker-{VERSION}"
    if not kept.is_dir():
        making = Path(tempfile.mkdtemp(prefix="kaskad-broker-"))
        (making / "pom.xml").write_text(POM)
        copy = [
            "mvn",
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={making}",
        ]
        subprocess.run(copy, cwd=making, check=True)
        making.rename(kept)
    return kept


def spawn(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=log, stderr=log)


class Broker:
    """
    ``address`` is where it listens once it is open; stopped and started again it keeps its data.
    """

    def __init__(self, folder: Path, auto_create: bool = True) -> None:
        self.folder = folder
        self._ports = {
            name: free_port() for name in ("plain", "tls", "sasl_ssl", "sasl", "controller")
        }
        self.address, self.tls = (f"127.0.0.1:{self._ports[name]}" for name in ("plain", "tls"))
        self.sasl_ssl, self.sasl = (
            f"127.0.0.1:{self._ports[name]}" for name in ("sasl_ssl", "sasl")
        )
        self.ca, self.cert, self.key = (
            folder / "ca.pem",
            folder / "client.pem",
            folder / "client.key",
        )
        self._auto_create = auto_create
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Fetch the artefacts, make certificates, format the storage with its users."""
        self.folder.mkdir(parents=True, exist_ok=True)
        make_certificates(self.folder)
        logins = "".join(
            LOGIN.format(listener=name, user=USER, password=PASSWORD)
            for name in ("sasl_ssl", "sasl_plaintext")
        )
        properties = self.folder / "server.properties"
        auto_create = str(self._auto_create).lower()
        properties.write_text(
            PROPERTIES.format(
                folder=self.folder, logins=logins, auto_create=auto_create, **self._ports
            )
        )
        tool = ["java", "-cp", f"{artefacts()}/*", "kafka.tools.StorageTool"]
        id = (
            subprocess.run([*tool, "random-uuid"], check=True, capture_output=True, text=True)
            .stdout.strip()
            .split()[-1]
        )
        users = [f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512)]
        scram = [word for user in users for word in ("--add-scram", user)]
        subprocess.run(
            [*tool, "format", "-t", id, "-c", str(properties), *scram],
            check=True,
            capture_output=True,
        )

    async def start(self) -> None:
        command = [
            "java",
            "-Xmx512m",
            "-cp",
            f"{artefacts()}/*",
            "kafka.Kafka",
            str(self.folder / "server.properties"),
        ]
        with (self.folder / "broker.log").open("ab") as log:
            self._process = spawn(command, log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            producer = AIOKafkaProducer(bootstrap_servers=self.address)
            try:
                await producer.start()
                await producer.stop()
                return
            except (KafkaError, OSError):
                await producer.stop()
                assert time.monotonic() < deadline, self.log_tail()
                await asyncio.sleep(0.5)

    def stop(self) -> None:
        """Kill the broker, as a power failure does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_tail(self) -> str:
        return (self.folder / "broker.log").read_text()[-2000:]

    # ---- what an operator's tools see

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address})

    async def create(self, topic: str, partitions: int) -> None:
        made = self.admin.create_topics([NewTopic(topic, partitions, 1)])
        await asyncio.to_thread(made[topic].result, 20)

    async def ends(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The log end of every partition."""
        return await asyncio.to_thread(self._ends, list(topics))

    def _ends(self, topics: list[str]) -> dict[tuple[str, int], int]:
        known = self.admin.list_topics(timeout=20).topics
        partitions = [
            TopicPartition(topic, number) for topic in topics for number in known[topic].partitions
        ]
        found = self.admin.list_offsets(
            {one: OffsetSpec.latest() for one in partitions},  # type: ignore[no-untyped-call]
            request_timeout=20,
        )
        return {
            (one.topic, one.partition): future.result(20).offset for one, future in found.items()
        }

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        """The group's committed offsets, as ``kafka-consumer-groups`` lists them."""
        client = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await client.start()
        try:
            found = await client.list_consumer_group_offsets(group)
        except KafkaError as error:  # a broker that has just started has no coordinator yet
            assert error.retriable, error
            return {}
        finally:
            await client.close()
        return {(one.topic, one.partition): kept.offset for one, kept in found.items()}

    async def members(self, group: str) -> int:
        """The number of members of the group."""
        found = self.admin.describe_consumer_groups([group], request_timeout=20)
        return len((await asyncio.to_thread(found[group].result, 20)).members)


@contextmanager
def running(folder: Path, auto_create: bool = True) -> Iterator[Broker]:
    """A broker in a folder of its own, stopped at the end."""
    broker = Broker(folder, auto_create)
    broker.prepare()
    asyncio.run(broker.start())
    try:
        yield broker
    finally:
        broker.stop()
