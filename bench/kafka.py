"""
A Kafka broker: Apache Kafka from its Maven artefacts where Java and Maven are here, else
librdkafka's mock cluster.

The mock speaks the real protocol and keeps everything in memory, so what it is good for is our
side's CPU.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from bench.place import free_port, last_words, spawn
from bench.worker import Absent, BenchError

VERSION = "4.1.0"
START_SECONDS = 60.0
FETCH_SECONDS = 240.0
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>kaskad</groupId>
<artifactId>bench-broker</artifactId><version>1</version>
<dependencies>
<dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
<dependency>
<groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": "1@127.0.0.1:{controller}",
    "listeners": "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
    "advertised.listeners": "PLAINTEXT://127.0.0.1:{port}",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "log.dirs": "{folder}/log",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "num.partitions": "4",
}


class Kafka:
    """``address`` is where clients go; ``kind`` says which broker it is."""

    def __init__(
        self, address: str, kind: str, process: subprocess.Popen[bytes] | None, mock: Any = None
    ) -> None:
        self.address = address
        self.kind = kind
        self._process = process
        self._mock = mock

    @classmethod
    async def start(cls, folder: Path) -> Kafka:
        """The real one, else the mock. Raises ``Absent`` where neither can be had."""
        try:
            return await start_real(folder)
        except BenchError as error:
            why = str(error)
        try:
            return start_mock()
        except ImportError as error:
            raise Absent(f"no broker: {why}; and {error}") from None

    async def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._mock = None


async def start_real(folder: Path) -> Kafka:
    """One node, broker and controller in one process."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        raise BenchError(f"{' and '.join(missing)} not installed")
    port, controller = free_port(), free_port()
    await asyncio.to_thread(prepare, folder, port, controller)
    java = [
        "java",
        "-Xmx512m",
        "-cp",
        f"{folder}/libs/*",
        "kafka.Kafka",
        str(folder / "server.properties"),
    ]
    process = spawn(java, folder / "broker.log")
    kafka = Kafka(f"127.0.0.1:{port}", f"Apache Kafka {VERSION}", process)
    deadline = time.monotonic() + START_SECONDS
    while not await answers(kafka.address):
        if process.poll() is not None or time.monotonic() > deadline:
            await kafka.stop()
            raise BenchError(f"the broker did not start: {last_words(folder / 'broker.log')}")
        await asyncio.sleep(0.5)
    return kafka


def prepare(folder: Path, port: int, controller: int) -> None:
    """Fetch the artefacts and format the storage. Raises ``BenchError``."""
    (folder / "pom.xml").write_text(POM)
    properties = "".join(f"{name}={value}\n" for name, value in PROPERTIES.items())
    (folder / "server.properties").write_text(
        properties.format(port=port, controller=controller, folder=folder)
    )
    libs = folder / "libs"
    copy = [
        "mvn",
        "-q",
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={libs}",
    ]
    try:
        subprocess.run(copy, cwd=folder, check=True, capture_output=True, timeout=FETCH_SECONDS)
        tool = ["java", "-cp", f"{libs}/*", "kafka.tools.StorageTool"]
        id = subprocess.run(
            [*tool, "random-uuid"], check=True, capture_output=True, text=True
        ).stdout.split()[-1]
        format = [*tool, "format", "-t", id, "-c", str(folder / "server.properties")]
        subprocess.run(format, check=True, capture_output=True)
    except (subprocess.SubprocessError, OSError, IndexError) as error:
        raise BenchError(f"the broker could not be prepared: {error}") from error


async def answers(address: str) -> bool:
    producer = AIOKafkaProducer(bootstrap_servers=address)
    try:
        await producer.start()
    except (KafkaError, OSError):
        return False
    finally:
        await producer.stop()
    return True


def start_mock() -> Kafka:
    """librdkafka's mock cluster, inside this process."""
    from confluent_kafka import Producer

    mock = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    brokers = mock.list_topics(timeout=10).brokers
    broker = next(iter(brokers.values()))
    return Kafka(f"{broker.host}:{broker.port}", "librdkafka mock cluster", None, mock)
