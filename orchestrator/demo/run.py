"""The demonstration from beginning to end."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from orchestrator.configuration.settings_file import DEFAULT_CONFIG
from orchestrator.core.message import Message
from orchestrator.core.policy import DAY_MS
from orchestrator.demo.people import Customers
from orchestrator.demo.reactions import Reactions
from orchestrator.demo.show import ending, live, summarise
from orchestrator.demo.stack import DemoStack
from orchestrator.demo.story import PlannedEvent, codes, stories
from orchestrator.primitives.durations import rfc3339
from orchestrator.stores.journey_rows import JourneyRow

PEOPLE_SHARE = 0.6
BATCH = 20
PACES = ((60.0, 14.0), (600.0, 16.0))
"""How fast time runs at first, and for how many of our seconds: first to watch, then quicker."""
BUSY_SPEED = 600.0
WEEKS_SECONDS = 40.0
"""
How long we wait at most for the weeks that follow: idle time is skipped, so that they take as long
as the work that is in them.
"""
FRAMES_PER_SECOND = 4
LOOK_SECONDS = 0.01
MESSAGES_MAX = 5_000
NEWEST = 60
"""So many messages are looked at for what people have not reacted to yet, once they are slow."""


async def run_demo(*, events: int, keep: bool, seed: int, as_json: bool, command: str) -> int:
    """
    Run the demonstration; the exit code, 1 if providers took what the history does not know.
    ``command`` is how `kaskad` is called here.
    """
    console = Console(stderr=as_json)
    with tempfile.TemporaryDirectory(prefix="kaskad-demo-") as directory:
        async with DemoStack(Path(directory), seed, command) as stack:
            if not as_json:
                introduce(console, stack)
            show = Show(stack, console, seed, events, quiet=as_json)
            published = await show.run()
            messages, journeys = await everything(stack), await all_journeys(stack)
            summary = summarise(messages, published, journeys, stack.taken_in_all())
            if as_json:
                print(json.dumps(summary.as_json(), ensure_ascii=False, indent=2))
            else:
                named = stack.app.configuration.rules.journeys.values()
                archetypes = {one.name: one.archetype or "" for one in named}
                console.print(ending(summary, archetypes))
                farewell(console, stack, messages, journeys, keep)
            if keep:
                await until_stopped(stack)
    return 0 if summary.accounted_for else 1


def introduce(console: Console, stack: DemoStack) -> None:
    console.print("[bold]A Ukrainian shop publishes events; Kaskad reaches its people.[/bold]")
    console.print(
        "Real service, real sockets; the providers are the sandbox's, and the shop's time runs"
        " faster than ours: a minute a second at first, then ten, then whole weeks, in which"
        " people go on with the journeys that they have begun."
    )
    for what, url in (
        ("phones", f"{stack.sandbox.url}/"),
        ("API", f"{stack.url}/v1/messages"),
        ("metrics", metrics_url(stack)),
    ):
        console.print(f"  {what:<8} {url}", soft_wrap=True)
    console.print()


def metrics_url(stack: DemoStack) -> str:
    return f"http://127.0.0.1:{stack.admin_port}/metrics"


class Show:
    """A day of the shop, and the weeks after it. ``count`` is how many events the day has."""

    def __init__(
        self, stack: DemoStack, console: Console, seed: int, count: int, *, quiet: bool
    ) -> None:
        self.stack = stack
        self.quiet = quiet
        self.published = 0
        self._console = console
        self.customers = Customers(seed, max(10, int(count * PEOPLE_SHARE)))
        self._reactions = Reactions(stack, self.customers)
        self._count, self._seed = count, seed
        self._events: list[dict[str, Any]] = []
        self._later: deque[tuple[int, PlannedEvent, int]] = deque()

    async def run(self) -> int:
        """Publish everything, and let the time pass; the number of events."""
        stack = self.stack
        await self._prepare()
        stack.speed(PACES[0][0])
        publishing = asyncio.create_task(self._publish_day())
        with Live(
            console=self._console, refresh_per_second=FRAMES_PER_SECOND, transient=True
        ) as view:
            for speed, seconds in PACES:
                stack.speed(speed)
                ends = time.monotonic() + seconds
                while time.monotonic() < ends:
                    messages = await everything(stack)
                    await self._reactions.to(messages)
                    await self._update(view, messages, f"{speed:g}× our speed")
                    await asyncio.sleep(1 / FRAMES_PER_SECOND)
            await publishing
            stack.speed(BUSY_SPEED)
            await self._weeks(view)
        return self.published

    async def _prepare(self) -> None:
        """Give people browsers and apps, fill the partner's pool of codes, think up the events."""
        stack, customers = self.stack, self.customers
        for person in customers.people:
            if customers.uses(person, "push"):
                person["web_push"] = [await stack.subscribe()]
            if phones := customers.phones_with_app(person):
                person["devices"] = [await stack.install(platform) for platform in phones]
        await stack.introduce(
            [person for person in customers.people if person.get("phone") or person.get("email")]
        )
        await stack.fill_pool("partner", codes())
        # only now, because the events bring their people's browsers and phones
        self._events = list(customers.events(self._count))
        planned = stories(customers.people, self._count, self._seed, stack.begins)
        self._later.extend((one.after, one, number) for number, one in enumerate(planned))

    async def _publish_day(self) -> None:
        """The shop's day: a batch every quarter of a second or so, journeys among the rest."""
        first = self._take_until(0)
        apart = max(1, len(self._events) // max(1, len(first)))
        for number, event in enumerate(first):
            self._events.insert(number * (apart + 1), event)
        for start in range(0, len(self._events), BATCH):
            await self._publish(self._events[start : start + BATCH])
            await asyncio.sleep(0.25)

    async def _publish(self, events: list[dict[str, Any]]) -> None:
        await self.stack.publish(events)
        self.published += len(events)

    def _take_until(self, after: int) -> list[dict[str, Any]]:
        """What happens in the stories up to a moment, and has not been published."""
        found = []
        while self._later and self._later[0][0] <= after:
            _, one, number = self._later.popleft()
            found.append(one.event(number))
        return found

    async def _weeks(self, view: Live) -> None:
        """
        Skip from one thing that happens to the next, but only while nothing is under way: what
        providers report must not come later than it would.
        """
        stack = self.stack
        ends, frame = time.monotonic() + WEEKS_SECONDS, 0.0
        while time.monotonic() < ends:
            if time.monotonic() >= frame:
                frame = time.monotonic() + 1 / FRAMES_PER_SECOND
                await self._update(view, await everything(stack), "idle time is skipped")
            if not await stack.settled():
                await asyncio.sleep(LOOK_SECONDS)
                continue
            await self._reactions.to(await everything(stack, NEWEST))
            if happened := self._take_until(stack.clock.now() - stack.began_at):
                await self._publish(happened)
            elif await stack.settled() and not await self._skip():
                return

    async def _skip(self) -> bool:
        """Be where something happens again; False if nothing does."""
        moments = [self.stack.began_at + self._later[0][0]] if self._later else []
        due = await self.stack.next_due()
        if due is not None:
            moments.append(due)
        if moments:
            self.stack.skip_to(min(moments))
        return bool(moments)

    async def _update(self, view: Live, messages: Sequence[Message], pace: str) -> None:
        if not self.quiet:
            now = self.stack.clock.now()
            day = (now - self.stack.began_at) // DAY_MS + 1
            clock = f"day {day}, {rfc3339(now)[11:16]} UTC, {pace}"
            journeys = await all_journeys(self.stack)
            view.update(live(messages, journeys, self.published, clock, self._console.width))


async def everything(stack: DemoStack, limit: int = MESSAGES_MAX) -> list[Message]:
    """The newest messages."""
    return [stored.message for stored in await stack.app.store.messages(limit=limit)]


async def all_journeys(stack: DemoStack) -> list[JourneyRow]:
    return [stored.row for stored in await stack.app.store.journeys(limit=MESSAGES_MAX)]


def farewell(
    console: Console,
    stack: DemoStack,
    messages: Sequence[Message],
    journeys: Sequence[JourneyRow],
    keep: bool,
) -> None:
    """Print what to try next, in commands that can be copied as they stand."""
    console.print("\n[bold]What to try next[/bold]")
    for remark, command in still_running(stack, messages, journeys) if keep else afterwards(stack):
        console.print(f"\n  {remark}")
        for line in command:
            console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
    if keep:
        console.print("\n  Ctrl-C ends it.")


Hint = tuple[str, tuple[str, ...]]
"""What a command does, and its lines."""


def still_running(
    stack: DemoStack, messages: Sequence[Message], journeys: Sequence[JourneyRow]
) -> list[Hint]:
    """What can be done while it runs. Long commands are continued on a second line."""
    kaskad, config = stack.command, f"    --config {stack.directory / 'kaskad.yaml'}"
    pages = (f"{stack.sandbox.url}/", metrics_url(stack))
    hints: list[Hint] = [("Everybody's phones, and the metrics:", pages)]

    def hint(remark: str, command: str) -> None:
        hints.append((remark, (f"{kaskad} {command} \\", config)))

    if messages:
        example = max(messages, key=lambda message: len(message.attempts))
        hint("In a second terminal: why did that one take so long?", f"explain {example.id}")
    since = f"{stack.begins:%Y-%m-%d}"
    if journeys:
        longest = max(journeys, key=lambda one: (one.finished_at or 0) - one.created_at)
        hint("The longest journey, step by step:", f"journeys show {longest.id}")
        hint("How it ended for everybody:", f"report journey {longest.journey} --since {since}")
    experiments = {one.experiment.name for one in stack.policies if one.experiment is not None}
    for name in sorted(experiments):
        hint("Which words worked better:", f"report experiment {name} --since {since}")
    answered = [one for one in messages if any(attempt.replies for attempt in one.attempts)]
    if answered:
        hint("What somebody answered to a question:", f"explain {answered[0].id}")
    event = stack.directory / "event.json"
    hint("Publish an event of your own:", f"send --new {event}")
    return hints


def afterwards(stack: DemoStack) -> list[Hint]:
    """What can be done when it is over, in the source tree or elsewhere."""
    kaskad = stack.command
    keep = "Leave it running, to look at it: it prints how to explain messages and journeys:"
    hints: list[Hint] = [(keep, (f"{kaskad} demo --keep",))]
    if DEFAULT_CONFIG.is_file():
        return [
            *hints,
            (
                "What policies and journeys in config/ promise, in virtual time:",
                (f"{kaskad} test",),
            ),
            ("What is wrong with config/, and how to fix it:", (f"{kaskad} check --no-secrets",)),
        ]
    return [*hints, ("A project of your own, on stand-in providers:", (f"{kaskad} init shop",))]


async def until_stopped(stack: DemoStack) -> None:
    """Run at the clock's ordinary speed until Ctrl-C or SIGTERM."""
    stack.speed(1.0)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
