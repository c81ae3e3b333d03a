"""
Backends: they publish through HTTP and Kafka until they are answered, repeat themselves, change
their minds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Coroutine
from typing import Any

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.verify.chaos import settings
from tests.verify.chaos.ledger import Ledger, Stop
from tests.verify.chaos.stack import Stack
from tests.verify.chaos.tours import Tours, event

RETRY_SECONDS = 0.1
PROBE_SECONDS = 0.1
WATCH_SECONDS = 0.5
FRESH_FROM = 1_000_000
"""Recipients from this number on appear for one purpose only."""
KINDS = ("order", "promo", "code")
SHARES = (45, 42, 13)
TOURS_SHARE = 50
"""One tour begins beside so many other events, as many experiments and half as many digests."""


class Load:
    """
    ``rate`` is events a second over all ways; ``start`` begins, ``stop`` returns when every call
    has been answered.
    """

    def __init__(self, place: Stack, ledger: Ledger, seed: int, rate: float) -> None:
        self.place, self.ledger, self.rate = place, ledger, rate
        self._seed = seed
        self._chance = random.Random(seed)
        self._numbers = iter(range(1, 10_000_000))
        self._fresh = iter(range(FRESH_FROM, 9_000_000))
        self._stopping = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        if self.place.broker is not None:
            self._producer = await opened(self.place.broker.address)
        broker = self._any_topic if self._producer is not None else None
        tours = Tours(self._accepted, broker, self.ledger, self._seed, self.rate / TOURS_SHARE)
        self._running = [
            asyncio.create_task(tours.run(self._stopping)),
            asyncio.create_task(self._publish()),
            asyncio.create_task(self._probe()),
            asyncio.create_task(self._watch()),
        ]

    async def stop(self) -> None:
        """Stop publishing; wait for the answers of requests under way."""
        self._stopping.set()
        await asyncio.gather(*self._running)
        while self._calls:
            await asyncio.gather(*list(self._calls))
        if self._producer is not None:
            await self._producer.stop()

    # -- what backends do

    async def _publish(self) -> None:
        while not self._stopping.is_set():
            await asyncio.sleep(self._chance.expovariate(self.rate))
            draw = self._chance.random()
            if draw < 0.06:
                self._call(self._change_of_mind(self._chance.choice(("opt_out", "cancel", "goal"))))
            elif draw < 0.10:
                self._call(self._burst())
            else:
                kind = self._chance.choices(KINDS, SHARES)[0]
                self._call(self._event(kind, self._chance.randrange(settings.PEOPLE)))

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _event(self, kind: str, person: int) -> None:
        """One event by one way, sometimes by two at once, sometimes again later."""
        number = next(self._numbers)
        given = event(f"e-{number}", f"chaos.{kind}", person, number)
        ways = [self._http, self._kafka] if self._producer is not None else [self._http, self._http]
        draw = self._chance.random()
        if draw < 0.1:
            self.ledger.repeats += 1
            await asyncio.gather(*(way(given, kind) for way in ways))
        else:
            way = self._chance.choice(ways)
            await way(given, kind)
            if draw > 0.9:
                self.ledger.repeats += 1
                await asyncio.sleep(self._chance.uniform(0.0, 5.0))
                await self._chance.choice(ways)(given, kind)

    async def _burst(self) -> None:
        """
        More promotions for one person at once than the cap allows, each at another worker if it so
        happens.
        """
        person = self._chance.randrange(settings.PEOPLE)
        await asyncio.gather(*(self._event("promo", person) for _ in range(settings.CAP_LIMIT + 3)))

    async def _change_of_mind(self, kind: str) -> None:
        """An order, and while it is on its way the wish that nothing more be sent."""
        person, number = next(self._fresh), next(self._numbers)
        given = event(f"e-{number}", "chaos.order", person, number)
        message = await self._http(given, "order")
        await asyncio.sleep(
            self._chance.choice(
                (0.0, self._chance.uniform(0.0, 1.0), self._chance.uniform(1.0, 5.0))
            )
        )
        who = given["data"]["recipient"]["id"]
        if kind == "opt_out":
            await self._until_answered("/v1/opt-outs", {"opt_outs": [{"recipient": who}]}, (200,))
            self.ledger.stops.append(Stop(kind, time.time(), recipient=who))
            await self._event("order", person)
        elif kind == "cancel":
            status = await self._until_answered(f"/v1/messages/{message}/cancel", None, (200, 409))
            if status == 200:
                self.ledger.stops.append(Stop(kind, time.time(), event=given["id"]))
        else:
            goal = event(f"g-{number}", "chaos.paid", person, number)
            await self._until_answered("/v1/events", goal, (202,))
            self.ledger.stops.append(Stop(kind, time.time(), event=given["id"]))

    # -- ways

    async def _http(self, given: dict[str, Any], policy: str) -> str:
        """Publish over HTTP; the message's id."""
        message = str((await self._accepted(given))["messages"][0])
        self.ledger.took(
            given["id"], policy, given["data"]["recipient"]["id"], time.time(), "http", message
        )
        return message

    async def _accepted(self, given: dict[str, Any]) -> dict[str, Any]:
        """Publish over HTTP; the event's result."""
        answer: dict[str, Any] = {}
        await self._until_answered("/v1/events", given, (202,), answer)
        result: dict[str, Any] = answer["results"][0]
        return result

    async def _kafka(self, given: dict[str, Any], policy: str) -> str:
        """Publish to Kafka under any key; accepted once the broker has it."""
        await self._to_broker("urgent" if policy == "code" else "events", given)
        self.ledger.took(
            given["id"], policy, given["data"]["recipient"]["id"], time.time(), "kafka"
        )
        return ""

    async def _any_topic(self, given: dict[str, Any]) -> None:
        await self._to_broker("events", given)

    async def _to_broker(self, topic: str, given: dict[str, Any]) -> None:
        """Under any key, until the broker has it."""
        assert self._producer is not None
        key = str(self._chance.randrange(1000)).encode()
        while True:
            try:
                await self._producer.send_and_wait(topic, json.dumps(given).encode(), key=key)
                return
            except (KafkaError, OSError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _until_answered(
        self, path: str, body: Any, good: tuple[int, ...], into: dict[str, Any] | None = None
    ) -> int:
        """
        The same call, each time to any worker, until one of them gives an answer that settles it.
        """
        headers = {
            "content-type": (
                "application/cloudevents+json" if path == "/v1/events" else "application/json"
            )
        }
        data = json.dumps(body) if body is not None else None
        while True:
            status, text = await self._post(self.place.any_url() + path, data, headers)
            self.ledger.answers[f"{status}" if status else "none"] += 1
            if status in good:
                if into is not None:
                    into.update(json.loads(text))
                return status
            if status and status not in (429, 500, 503) and len(self.ledger.wrong) < 100:
                self.ledger.wrong.append(f"POST {path} was answered {status}: {text[:300]}")
            await asyncio.sleep(RETRY_SECONDS)

    async def _post(self, url: str, data: str | None, headers: dict[str, str]) -> tuple[int, str]:
        try:
            async with self.place.session.post(url, data=data, headers=headers) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, ""

    async def _probe(self) -> None:
        """
        The lateness of the stand-ins' own timestamps when their process waits for a processor.
        """
        while not self._stopping.is_set():
            began = time.time()
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self.place.session.get(
                    f"{self.place.sandbox_url}/_sandbox/callbacks"
                ) as answer:
                    await answer.read()
            self.ledger.lags.append((began, time.time() - began))
            await asyncio.sleep(PROBE_SECONDS)

    async def _watch(self) -> None:
        """
        Periods without a ready worker: on a slow machine a new process needs long to start, and the
        next kill may come first.
        """
        while not self._stopping.is_set():
            ready = await asyncio.gather(
                *(worker.is_ready(self.place.session) for worker in self.place.workers)
            )
            self.ledger.ready.append((time.time(), sum(ready)))
            await asyncio.sleep(WATCH_SECONDS)


async def opened(address: str) -> AIOKafkaProducer:
    """A producer that repeats until the broker has what it was given."""
    producer = AIOKafkaProducer(
        bootstrap_servers=address, enable_idempotence=True, request_timeout_ms=60_000
    )
    await producer.start()
    return producer
