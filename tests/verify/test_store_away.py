"""
The store goes away under a real `kaskad run`: a disk that is full, a PostgreSQL that is read-only,
has no connection left or restarts. The service says so, takes nothing that it cannot keep, and goes
on by itself.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support import postgres
from tests.verify.installation import Installation
from tests.verify.kafka_group import until
from tests.verify.test_kills import POLICY, SCRIPT, TEMPLATES, TERMINAL, event

pytestmark = pytest.mark.verify

TRIES = 100
PAUSE_SECONDS = 0.05
LINES_A_SECOND = 10
DISK_BYTES = 24 * 1024 * 1024
FEW_CONNECTIONS = 40
Switch = Callable[[], Awaitable[None]]


class Disk:
    """A small disk at a folder where that may be mounted; else a limit on the process's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
        done = subprocess.run(["mount", *options], capture_output=True, check=False)
        self.mounted = done.returncode == 0
        self.place: Installation | None = None

    def fill(self) -> None:
        if not self.mounted:
            self._limit(max(one.stat().st_size for one in self.folder.iterdir()))
            return
        with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4_096)

    def free(self) -> None:
        if self.mounted:
            (self.folder / "filler").unlink()
        else:
            self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        assert self.place is not None
        assert self.place.kaskad is not None
        limits = (size, resource.RLIM_INFINITY)
        resource.prlimit(self.place.kaskad.pid, resource.RLIMIT_FSIZE, limits)

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


@asynccontextmanager
async def service(folder: Path, store: str) -> AsyncIterator[Installation]:
    async with Installation(folder, {"kills": POLICY}, TEMPLATES) as place:
        written = place.config.read_text()
        place.config.write_text(written.replace("sqlite:///./kaskad.db", store))
        await place.script(SCRIPT)
        await place.start()
        yield place


async def test_a_full_disk_is_the_store_being_away_until_there_is_room_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "place").mkdir()
    disk = Disk(tmp_path / "place/disk")
    try:
        async with service(tmp_path / "place", "sqlite:///./disk/kaskad.db") as place:
            disk.place = place

            async def fill() -> None:
                await asyncio.to_thread(disk.fill)

            async def free() -> None:
                disk.free()

            await outlives(place, fill, free, padding="x" * 20_000)
    finally:
        disk.close()


@pytest.fixture
def server() -> Any:
    if (why := postgres.missing()) is not None:
        pytest.skip(f"NO POSTGRESQL IN THIS RUN: {why}")
    with postgres.Server(durable=True, max_connections=FEW_CONNECTIONS) as found:
        yield found


async def test_a_database_that_is_read_only_is_the_store_being_away(
    server: postgres.Server, tmp_path: Path
) -> None:
    def read_only(word: str) -> None:
        server.sql(f"ALTER SYSTEM SET default_transaction_read_only = {word}")
        server.sql("SELECT pg_reload_conf()")

    async with service(tmp_path, server.create_database()) as place:
        await outlives(
            place,
            lambda: asyncio.to_thread(read_only, "on"),
            lambda: asyncio.to_thread(read_only, "off"),
        )


async def test_a_database_without_a_free_connection_is_the_store_being_away(
    server: postgres.Server, tmp_path: Path
) -> None:
    url = server.create_database()
    name = url.rpartition("/")[2]
    others: list[asyncpg.Connection] = []
    connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1"
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"

    async def fill() -> None:
        with suppress(asyncpg.PostgresError, OSError):
            while True:
                others.append(await asyncpg.connect(server.url()))

    async def take_all() -> None:
        others.append(await asyncpg.connect(server.url()))
        while True:
            await others[0].fetch(ends, name)
            gone = (
                await others[0].fetchval(connected, name) == 0
            )  # none of theirs frees a place yet
            await fill()
            if gone and await others[0].fetchval(connected, name) == 0:
                return

    async def leave() -> None:
        for one in others:
            await one.close()

    async with service(tmp_path, url) as place:
        await outlives(place, take_all, leave)


async def test_a_database_that_restarts_is_the_store_being_away(
    server: postgres.Server, tmp_path: Path
) -> None:
    async with service(tmp_path, server.create_database()) as place:
        await outlives(
            place,
            lambda: asyncio.to_thread(server.stop, "immediate"),
            lambda: asyncio.to_thread(server.start),
        )


async def outlives(place: Installation, begin: Switch, end: Switch, padding: str = "") -> None:
    """
    Before, while and after the store is away: 503 and not ready, few words, then every event once.
    """
    given = [
        event(number) | {"data": {**event(number)["data"], "p": padding}} for number in range(20)
    ]
    for one in given[:5]:
        assert await post(place, one) == 202
    await begin()

    async def away() -> bool:
        return await post(place, given[5]) == 503 and await ready(place) == 503

    await until(away, 60, place.log_tail)
    lines, started = count_lines(place), asyncio.get_running_loop().time()
    answers: Counter[int] = Counter()
    for number in range(TRIES):
        answers[await post(place, given[5 + number % 15])] += 1
        await asyncio.sleep(PAUSE_SECONDS)
    seconds = asyncio.get_running_loop().time() - started
    assert set(answers) == {503}, answers
    assert await ready(place) == 503
    assert count_lines(place) - lines <= LINES_A_SECOND * seconds, place.log_tail()
    await end()

    async def there() -> bool:
        return await ready(place) == 200

    await until(there, 60, place.log_tail)
    for one in given:
        await until(lambda one=one: taken(place, one), 60, place.log_tail)  # type: ignore[misc]
    await until(lambda: all_ended(place, len(given)), 90, place.log_tail)
    assert "Traceback" not in (place.folder / "kaskad.log").read_text()
    assert await place.drain() == 0


async def post(place: Installation, event: dict[str, Any]) -> int:
    headers = {"content-type": "application/cloudevents+json"}
    url = f"{place.url}/v1/events"
    async with place.session.post(url, json=event, headers=headers) as answer:
        return answer.status


async def taken(place: Installation, event: dict[str, Any]) -> bool:
    return await post(place, event) == 202


async def ready(place: Installation) -> int:
    async with place.session.get(f"http://127.0.0.1:{place.admin}/readyz") as answer:
        return answer.status


async def all_ended(place: Installation, count: int) -> bool:
    """Whether every event has made one message, and all of them have ended."""
    async with place.session.get(f"{place.url}/v1/messages", params={"limit": "1000"}) as answer:
        messages = (await answer.json())["items"]
    events = Counter(one["event"]["id"] for one in messages)
    ended = all(one["status"] in TERMINAL for one in messages)
    return ended and len(events) == count and set(events.values()) == {1}


def count_lines(place: Installation) -> int:
    lines = (place.folder / "kaskad.log").read_text().splitlines()
    return sum(line.startswith("{") for line in lines)  # the stand-ins write there, too
