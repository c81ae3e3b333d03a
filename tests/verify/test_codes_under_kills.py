"""
Codes under kill -9: three processes give them from one pool, and no code goes to two messages, none
is lost, and those of messages that were never attempted are given again.

    CODES=50000 KILLS=60 SEED=7 python -m pytest tests/verify/test_codes_under_kills.py -s
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import postgres
from tests.verify.code_place import POOL, CodePlace
from tests.verify.code_provider import CUT, REFUSED
from tests.verify.kafka_group import until

pytestmark = pytest.mark.verify

CODES = int(os.environ.get("CODES", "1000"))
KILLS_MIN = int(os.environ.get("KILLS", "8"))
SEED = int(os.environ.get("SEED", "20261201"))
AT_ONCE = 50
"""Events of a call."""
TOO_MANY = 20
"""Messages more than there are codes."""
ENDED = {"succeeded", "exhausted", "suppressed", "expired", "cancelled"}
KINDS = (*("gift",) * 12, "refused", "cut", "cancelled", "opted_out", "no_address", "unreached")
"""What is made to become of each message, by its event's number."""
LATER = {"cancelled": 3_600, "opted_out": 6}
"""In how many seconds a message of such a kind would be sent."""


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    if (why := postgres.missing()) is not None:
        pytest.skip(f"NO POSTGRESQL IN THIS RUN: {why}")
    with postgres.Server(durable=True) as found:
        yield found


def kind_of(number: int) -> str:
    return KINDS[number % len(KINDS)]


def event(number: int, kind: str) -> dict[str, Any]:
    ending = {"refused": REFUSED, "cut": CUT}.get(kind, "20")
    person = {"id": f"p-{number}", "locale": "uk", "phone": f"+38050{number:05d}{ending}"}
    if kind == "no_address":
        del person["phone"]
    policy = "unreached" if kind == "unreached" else "later" if kind in LATER else "gift"
    found = {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "codes",
        "type": f"codes.{policy}",
        "data": {"n": number, "recipient": person},
    }
    if kind in LATER:
        moment = datetime.now(UTC) + timedelta(seconds=LATER[kind])
        found["kaskadnotbefore"] = moment.isoformat()
    return found


class Shop:
    """Publishes events, cancels messages, and writes down that people want none."""

    def __init__(self, place: CodePlace) -> None:
        self.place = place
        self.kinds: dict[str, str] = {}
        """Of each message."""

    async def publish(self, numbers: range, kind: str = "") -> None:
        kinds = [kind or kind_of(number) for number in numbers]
        due = time.monotonic() + LATER["opted_out"]
        given = [event(*one) for one in zip(numbers, kinds, strict=True)]
        messages = await self.place.publish(given)
        assert await self.place.publish(given) == messages, "a repeat is the same message"
        self.kinds.update(zip(messages, kinds, strict=True))
        for number, message in zip(numbers, messages, strict=True):
            if self.kinds[message] == "cancelled":
                status, said = await self.place.call("POST", f"/v1/messages/{message}/cancel")
                assert status == 200, said
            elif self.kinds[message] == "opted_out":
                out = {"consents": [{"state": "out"}]}
                status, said = await self.place.call(
                    "PUT", f"/v1/recipients/p-{number}/consents", out
                )
                assert status == 200, said
                if time.monotonic() > due:  # it may have left before they said no
                    self.kinds[message] = "opted_out_late"

    async def publish_all(self, count: int) -> None:
        batches = [range(at, min(at + AT_ONCE, count)) for at in range(0, count, AT_ONCE)]

        async def work() -> None:
            while batches:
                await self.publish(batches.pop())

        await asyncio.gather(*(work() for _ in range(4)))


async def kill_at_random(place: CodePlace, chance: random.Random, busy: asyncio.Task[None]) -> int:
    """Kill one process after another while ``busy`` goes on, and start it again; how many."""
    kills = 0
    while not busy.done() or kills < KILLS_MIN:
        await asyncio.sleep(chance.uniform(0.2, 2.5))
        worker = chance.choice(place.workers)
        worker.kill()
        worker.start()
        await worker.ready(place.session)
        kills += 1
    return kills


async def test_no_code_goes_twice_or_is_lost_when_processes_are_killed(
    tmp_path: Path, server: postgres.Server
) -> None:
    began = time.monotonic()
    chance = random.Random(SEED)
    codes = [f"SPRING-{number:06d}" for number in range(CODES)]
    (tmp_path / "codes.txt").write_text("\n".join(codes))
    async with CodePlace(tmp_path, server) as place:

        async def settled() -> None:
            async def none_open() -> bool:
                return await asyncio.to_thread(place.open_messages) == 0

            await until(
                none_open, 300 + CODES / 50, lambda: f"{place.open_messages()} messages never ended"
            )

        await asyncio.to_thread(
            place.verb, "codes", "import", str(tmp_path / "codes.txt"), "--pool", POOL
        )
        hashes = {row.hash: row.code for row in place.rows() if row.code is not None}
        assert sorted(hashes.values()) == codes
        shop = Shop(place)
        busy = asyncio.create_task(shop.publish_all(CODES))
        kills = await kill_at_random(place, chance, busy)
        await busy
        await settled()
        kept = await judge(place, shop, hashes)
        free = CODES - len(kept)
        print(f"\nseed {SEED}: {CODES} messages, {kills} kills, {free} codes free again;", end=" ")
        assert free > CODES * 3 // len(KINDS), "too few codes came back for this to prove anything"

        # what is free again is given again, to the last one and no further
        last = range(CODES, CODES + free + TOO_MANY)
        for at in range(last.start, last.stop, AT_ONCE * 3):
            parts = (last[at - last.start :][part * AT_ONCE :][:AT_ONCE] for part in range(3))
            await asyncio.gather(*(shop.publish(part, "gift") for part in parts if part))
        await settled()
        assert len(await judge(place, shop, hashes)) == CODES
        without = [one for one in await place.messages() if one["reason"] == "no_code"]
        assert len(without) == TOO_MANY

        # and those that got none get theirs once there are more
        more = [f"MORE-{number}" for number in range(TOO_MANY)]
        (tmp_path / "more.txt").write_text("\n".join(more))
        await asyncio.to_thread(
            place.verb, "codes", "import", str(tmp_path / "more.txt"), "--pool", POOL
        )
        hashes |= {row.hash: row.code for row in place.rows() if row.code is not None}
        await asyncio.to_thread(place.verb, "messages", "retry", "--reason", "no_code")
        await settled()
        assert len(await judge(place, shop, hashes)) == CODES + TOO_MANY
        print(f"{time.monotonic() - began:.0f} s")


async def judge(place: CodePlace, shop: Shop, hashes: dict[str, str]) -> dict[str, str]:
    """
    Compare what the provider was told, the pool in the store and the messages; returns the message
    of each code that one keeps.
    """
    rows, messages, seen = place.rows(), await place.messages(), place.seen()
    assert {row.hash for row in rows} == hashes.keys(), "a code has come or gone"
    assert all(row.code in (None, hashes[row.hash]) for row in rows)
    assert all((row.code is None) == (row.message is not None) for row in rows)
    kept = {hashes[row.hash]: row.message for row in rows if row.message is not None}
    twice = [message for message, count in Counter(kept.values()).items() if count > 1]
    assert not twice, f"messages that keep two codes: {twice[:5]}"

    read_by_provider: defaultdict[str, set[str]] = defaultdict(set)
    for one in seen:
        assert one.get("code"), f"a text without a code: {one}"
        read_by_provider[one["code"]].add(one["message"])
    doubled = {code: found for code, found in read_by_provider.items() if len(found) > 1}
    assert not doubled, f"codes that the provider was told for several messages: {doubled}"
    lost = {code: found for code, found in read_by_provider.items() if kept.get(code) not in found}
    assert not lost, f"codes that the provider has read and their messages do not keep: {lost}"

    assert shop.kinds.keys() <= {message["id"] for message in messages}
    keepers = set(kept.values())
    for message in messages:
        assert message["status"] in ENDED, message
        left = any(attempt["outcome"] != "not_sent" for attempt in message["attempts"])
        kept_one = message["id"] in keepers
        assert left == kept_one, f"what never left keeps no code, all else keeps one: {message}"
        assert_end(message, shop.kinds.get(message["id"], "gift"))
    return kept


def assert_end(message: dict[str, Any], kind: str) -> None:
    """That a message has ended as it was made to; a kill may leave an attempt's outcome unknown."""
    outcomes = {attempt["outcome"] for attempt in message["attempts"]}
    ends = {
        "gift": ("succeeded", "no_code", "unknown_outcome"),
        "refused": ("refused_address", "unknown_outcome"),
        "cut": ("unknown_outcome",),
        "cancelled": ("cancelled",),
        "opted_out": ("opted_out",),
        "opted_out_late": ("opted_out", "succeeded", "unknown_outcome"),
        "no_address": ("no_address",),
    }
    if kind == "unreached":
        assert outcomes <= {"not_sent", "unknown"}, message
        return
    found = {message["status"], message["reason"]}
    assert found & set(ends[kind]), message
