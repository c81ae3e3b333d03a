"""
What lasts in an installation that is hurt: a journey of many steps, a digest, an experiment; and
backends that start them, and end them while they wait.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from tests.verify.chaos import settings
from tests.verify.chaos.ledger import Ledger, Said, Stop, Tour, Trigger

JOURNEY = "tour"
DIGEST_POLICY, TONE_POLICY = "gathered", "tone"
EXPERIMENT, ARMS = "tone_of_voice", {"calm": 50, "bold": 50}
HELLO_SECONDS, ASKED_SECONDS, ROUND_SECONDS, WINDOW_SECONDS = 2, 4, 1, 3
VIBER = "{channel: viber, providers: [infobip], wait: {delivered: 2s}}"
BOTH = """\
  - {channel: viber, providers: [infobip], wait: {delivered: 3s}}
  - {channel: sms, providers: [twilio], wait: {delivered: 5s}}
"""
TOUR = f"""\
journey: {JOURNEY}
archetype: routine
stage: retention
enter: {{event: chaos.tour, key: "event.tour", again: never}}
exit: [{{event: chaos.tour.left, match: "exit.tour == event.tour"}}]
goal: {{event: chaos.tour.bought, match: "goal.tour == event.tour"}}
deadline: 5m
steps:
  - send: tour_hello
  - wait: {HELLO_SECONDS}s
  - branch:
      - when: "last.status == 'succeeded'"
        steps: [{{send: tour_more}}]
      - steps: [{{send: tour_again}}]
  - until: {{event: chaos.tour.asked, match: "event.tour == journey.event.tour",
            within: {ASKED_SECONDS}s}}
    then: [{{send: tour_answer}}]
    else: [{{send: tour_nudge}}]
  - repeat: {{times: 2, steps: [{{wait: {ROUND_SECONDS}s}}, {{send: tour_round, then: at_once}}]}}
"""
SENT = ("tour_hello", "tour_more", "tour_again", "tour_answer", "tour_nudge", "tour_round")
POLICIES = {
    **{
        name: f"policy: {name}\nclass: transactional\ndeadline: 20s\ncascade: [{VIBER}]\n"
        for name in SENT
    },
    DIGEST_POLICY: f"""\
policy: {DIGEST_POLICY}
trigger: {{event: chaos.topic}}
class: transactional
deadline: 40s
digest: {{key: "event.topic", window: {WINDOW_SECONDS}s, max: 50}}
cascade:
{BOTH}""",
    TONE_POLICY: f"""\
policy: {TONE_POLICY}
trigger: {{event: chaos.tone}}
class: transactional
deadline: 40s
goal: {{event: chaos.heard, match: "goal.n == event.n"}}
cascade:
{BOTH}experiment:
  name: {EXPERIMENT}
  arms:
    calm: {{weight: {ARMS["calm"]}}}
    bold: {{weight: {ARMS["bold"]}, template: tone_bold}}
  metric: goal
  within: 1d
""",
}
EVENTS = "{% for one in events %}.{{ one.n }}{% endfor %}"
TEXTS = {
    **{f"{name}/viber": f" w={name} t={{{{ event.tour }}}}" for name in SENT},
    **{f"{DIGEST_POLICY}/{channel}": f" of={EVENTS}" for channel in ("viber", "sms")},
    **{f"{TONE_POLICY}/{channel}": " a=calm" for channel in ("viber", "sms")},
    **{f"tone_bold/{channel}": " a=bold" for channel in ("viber", "sms")},
}
"""What each text says beside its message and step, so that the stand-ins' record tells it."""


def templates() -> dict[str, str]:
    """The files below ``templates`` by their paths."""
    return {f"{name}.text.j2": settings.TEXT + text for name, text in TEXTS.items()}


def write(folder: Path) -> None:
    """The journey, its policies and templates, into an installation's folder."""
    files = {f"policies/{name}.yaml": text for name, text in POLICIES.items()}
    files |= {f"templates/{path}": text for path, text in templates().items()}
    for path, text in {**files, f"journeys/{JOURNEY}.yaml": TOUR}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


Http = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]
"""Publishes an event over HTTP until it is accepted; the event's result."""
Kafka = Callable[[dict[str, Any]], Awaitable[None]]


class Tours:
    """
    Backends beside others. ``rate`` is tours a second; digests come half as often, each of several
    triggers, messages of the experiment as often.
    """

    def __init__(
        self, http: Http, kafka: Kafka | None, ledger: Ledger, seed: int, rate: float
    ) -> None:
        self._http, self._kafka, self._ledger, self._rate = http, kafka, ledger, rate
        self._chance = random.Random(f"tours {seed}")
        self._numbers = itertools.count(1)

    async def run(self, stopping: asyncio.Event) -> None:
        """Begin until ``stopping``, then return when every call has been answered."""
        calls: set[asyncio.Task[None]] = set()

        def call(work: Coroutine[Any, Any, None]) -> None:
            task = asyncio.create_task(work)
            calls.add(task)
            task.add_done_callback(calls.discard)

        while not stopping.is_set():
            await asyncio.sleep(self._chance.expovariate(2.5 * self._rate))
            kind = self._chance.choices((self._tour, self._digest, self._tone), (2, 1, 2))[0]
            call(kind())
        while calls:
            await asyncio.gather(*calls)

    # -- what backends do

    async def _tour(self) -> None:
        """One start, by one way or two; then nothing, a question, an end, or another start."""
        chance, number, person = self._chance, next(self._numbers), self._person()
        key, fate = f"t-{number}", chance.choices(FATES, FATE_WEIGHTS)[0]
        wait = chance.choice((chance.uniform(0.0, 2.0), chance.uniform(2.0, 14.0)))
        given = event(f"tour-{number}", "chaos.tour", person, number, tour=key)
        tour = Tour(key, recipient_of(given), given["id"])
        if fate in ("left", "bought", "asked"):
            await self._start(tour, given, http=True)
        else:
            await self._start(tour, given, http=chance.random() < 0.5)
        if not fate:
            return
        await asyncio.sleep(wait)
        if fate == "again":
            again = event(f"again-{number}", "chaos.tour", person, number, tour=key)
            tour.journeys |= set((await self._http(again)).get("journeys", ()))
            return
        kind = event(f"{fate}-{number}", f"chaos.tour.{fate}", person, number, tour=key)
        first_at = time.time()
        await self._http(kind)
        tour.said.append(Said(fate, first_at, time.time()))

    async def _start(self, tour: Tour, given: dict[str, Any], *, http: bool) -> None:
        twice = self._chance.random() < 0.15
        if http or self._kafka is None or twice:
            result = await self._http(given)
            tour.journeys |= set(result.get("journeys", ()))
            self._ledger.tours[tour.key] = tour
        if self._kafka is not None and (twice or not http):
            await self._kafka(given)
            self._ledger.tours[tour.key] = tour

    async def _digest(self) -> None:
        """Several triggers of one person and topic, spread over more or less than a window."""
        person, topic = self._person(), self._chance.choice(("news", "prices"))
        spread = self._chance.choice((0.0, 1.0, 1.5 * WINDOW_SECONDS))
        await asyncio.gather(
            *(self._trigger(person, topic, spread) for _ in range(self._chance.randint(3, 6)))
        )

    async def _trigger(self, person: int, topic: str, spread: float) -> None:
        number, twice = next(self._numbers), self._chance.random() < 0.2
        http = self._kafka is None or self._chance.random() < 0.5
        await asyncio.sleep(self._chance.uniform(0.0, spread))
        given = event(f"topic-{number}", "chaos.topic", person, number, topic=topic)
        trigger = Trigger(number, recipient_of(given), topic)
        if http or twice:
            trigger.messages |= set((await self._http(given)).get("messages", ()))
            self._ledger.triggers[number] = trigger
        if self._kafka is not None and (twice or not http):
            await self._kafka(given)
            self._ledger.triggers[number] = trigger
        elif twice:
            trigger.messages |= set((await self._http(given)).get("messages", ()))

    async def _tone(self) -> None:
        """One message of the experiment, and sometimes what it was sent for."""
        number, person = next(self._numbers), self._person()
        given = event(f"tone-{number}", "chaos.tone", person, number)
        who = recipient_of(given)
        if self._kafka is not None and self._chance.random() < 0.5:
            await self._kafka(given)
            self._ledger.took(given["id"], TONE_POLICY, who, time.time(), "kafka")
            return
        result = await self._http(given)
        message = str(result["messages"][0])
        self._ledger.took(given["id"], TONE_POLICY, who, time.time(), "http", message)
        if self._chance.random() < 0.4:
            await asyncio.sleep(self._chance.uniform(0.0, 6.0))
            await self._http(event(f"heard-{number}", "chaos.heard", person, number))
            self._ledger.stops.append(Stop("goal", time.time(), event=given["id"]))

    def _person(self) -> int:
        return self._chance.randrange(settings.PEOPLE)


FATES = ("", "asked", "left", "bought", "again")
FATE_WEIGHTS = (25, 30, 15, 15, 15)


def recipient_of(given: Mapping[str, Any]) -> str:
    return str(given["data"]["recipient"]["id"])


def event(id: str, type: str, person: int, number: int, **more: str) -> dict[str, Any]:
    """An event about a person; ``more`` stands in its data."""
    recipient = {"id": f"p-{person}", "phone": settings.phone(person), "locale": "uk"}
    return {
        "specversion": "1.0",
        "id": id,
        "source": "chaos",
        "type": type,
        "data": {"n": number, "recipient": recipient, **more},
    }
