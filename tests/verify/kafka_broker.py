"""A real Apache Kafka broker from its Maven artefacts: one node, broker and controller in one process."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path
from typing import IO

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.verify.installation import free_port

VERSION = "4.1.0"
START_SECONDS = 60.0
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
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/log
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
num.partitions=4
"""


def missing() -> str | None:
    """What a broker would need that is not here."""
    return next((f"{program} is not installed" for program in ("java", "mvn") if shutil.which(program) is None), None)


def spawn(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=log, stderr=log)


class Broker:
    """``address`` is where it listens once it is open; ``restart`` keeps its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._controller = free_port(), free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Fetch the artefacts and format the storage."""
        (self._folder / "pom.xml").write_text(POM)
        libs = self._folder / "libs"
        copy = ["mvn", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={libs}"]
        subprocess.run(copy, cwd=self._folder, check=True)
        properties = PROPERTIES.format(port=self._port, controller=self._controller, folder=self._folder)
        (self._folder / "server.properties").write_text(properties)
        tool = ["java", "-cp", f"{libs}/*", "kafka.tools.StorageTool"]
        id = subprocess.run([*tool, "random-uuid"], check=True, capture_output=True, text=True).stdout.strip().split()[-1]
        format = [*tool, "format", "-t", id, "-c", str(self._folder / "server.properties")]
        subprocess.run(format, check=True, capture_output=True)

    async def start(self) -> None:
        log = (self._folder / "broker.log").open("ab")
        command = [
            "java",
            "-Xmx512m",
            "-cp",
            f"{self._folder}/libs/*",
            "kafka.Kafka",
            str(self._folder / "server.properties"),
        ]
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
                assert time.monotonic() < deadline, (self._folder / "broker.log").read_text()[-2000:]
                await asyncio.sleep(0.5)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
