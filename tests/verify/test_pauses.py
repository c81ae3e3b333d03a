"""A pause under load: nothing leaves once the verb returns, nothing is lost, all leaves later."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.verify.installation import Installation
from tests.verify.kafka_group import until
from tests.verify.test_kills import Publisher

pytestmark = pytest.mark.verify

POLICY = """\
policy: kills
trigger: {event: kills.event}
class: transactional
deadline: 10m
cascade:
  - channel: sms
"""
TEMPLATES = {"kills/sms.text.j2": "Код {{ event.n }}"}
LOOKS = 20
LOOK_SECONDS = 0.1


def kaskad(place: Installation, *words: str) -> Any:
    """A verb in a process of its own; what it prints as JSON."""
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", *words]
    options = ["--config", str(place.config), "-o", "json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sent_at_least(place: Installation, count: int) -> Callable[[], Awaitable[bool]]:
    async def sent() -> bool:
        return len(place.accepted()) >= count

    return sent


async def test_nothing_leaves_while_it_is_paused_and_everything_does_afterwards(
    tmp_path: Path,
) -> None:
    async with Installation(tmp_path, {"kills": POLICY}, TEMPLATES) as place:
        await place.start()
        publisher = Publisher(place)
        workers = [asyncio.create_task(publisher.run(number, 8)) for number in range(8)]
        await until(sent_at_least(place, 50))
        paused = await asyncio.to_thread(
            kaskad, place, "pause", "provider", "twilio", "--why", "a test"
        )
        assert (paused["kind"], paused["name"], paused["until"]) == ("provider", "twilio", None)
        left, taken = len(place.accepted()), len(publisher.accepted)
        for _ in range(LOOKS):
            await asyncio.sleep(LOOK_SECONDS)
            assert len(place.accepted()) == left
        assert len(publisher.accepted) > taken, "events are still accepted"
        publisher.stopping = True
        await asyncio.gather(*workers)
        assert len(place.accepted()) == left
        await asyncio.to_thread(kaskad, place, "resume", "provider", "twilio")
        await until(sent_at_least(place, len(publisher.accepted)))
        await asyncio.sleep(LOOK_SECONDS * LOOKS)
        messages = {id for ids in publisher.accepted.values() for id in ids}
        assert len(place.accepted()) == len(publisher.accepted) == len(messages)
