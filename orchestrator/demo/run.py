"""The demonstration from beginning to end."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live

from orchestrator.configuration.settings_file import DEFAULT_CONFIG
from orchestrator.core.message import Message
from orchestrator.demo.people import Customers
from orchestrator.demo.show import ending, live, summarise
from orchestrator.demo.stack import DemoStack

PEOPLE_SHARE = 0.6
BATCH = 20
PACES = ((60.0, 14.0), (600.0, 16.0), (3600.0, 30.0))
"""
How fast time runs, and for how many of our seconds at most: first to watch, then to get through a
day.
"""
FRAMES_PER_SECOND = 4
MESSAGES_MAX = 5_000


async def run_demo(*, events: int, keep: bool, seed: int, as_json: bool, command: str) -> int:
    """Run the demonstration; the exit code. ``command`` is how `kaskad` is called here."""
    console = Console(stderr=as_json)
    with tempfile.TemporaryDirectory(prefix="kaskad-demo-") as directory:
        async with DemoStack(Path(directory), seed, command) as stack:
            if not as_json:
                introduce(console, stack)
            published = await run_day(stack, console, events, seed, quiet=as_json)
            messages = await everything(stack)
            summary = summarise(messages, published)
            if as_json:
                print(json.dumps(summary.as_json(), ensure_ascii=False, indent=2))
            else:
                console.print(ending(summary))
                farewell(console, stack, messages, keep)
            if keep:
                await until_stopped(stack)
    return 0


def introduce(console: Console, stack: DemoStack) -> None:
    console.print("[bold]A Ukrainian shop publishes events; Kaskad reaches its people.[/bold]")
    console.print(
        "Real service, real sockets; the providers are the sandbox's, and the shop's time runs"
        " faster than ours: a minute a second at first, then whole hours."
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


async def run_day(stack: DemoStack, console: Console, count: int, seed: int, *, quiet: bool) -> int:
    """Publish everything, then let the day pass; returns the number of events."""
    customers = Customers(seed, max(10, int(count * PEOPLE_SHARE)))
    for person in customers.people:
        if customers.uses(person, "push"):
            person["web_push"] = [await stack.subscribe()]
        if phones := customers.phones_with_app(person):
            person["devices"] = [await stack.install(platform) for platform in phones]
    await stack.introduce(
        [person for person in customers.people if person.get("phone") or person.get("email")]
    )
    events = list(customers.events(count))
    read: set[str] = set()
    stack.speed(PACES[0][0])
    publishing = asyncio.create_task(publish(stack, events))
    with Live(console=console, refresh_per_second=FRAMES_PER_SECOND, transient=True) as view:
        for speed, seconds in PACES:
            stack.speed(speed)
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                messages = await everything(stack)
                await read_inboxes(stack, customers, messages, read)
                if not quiet:
                    now, width = stack.clock.now(), console.width
                    view.update(live(messages, len(events), now, speed, width))
                if publishing.done() and messages and all(message.terminal for message in messages):
                    break
                await asyncio.sleep(1 / FRAMES_PER_SECOND)
    await publishing
    return len(events)


async def publish(stack: DemoStack, events: Sequence[dict[str, object]]) -> None:
    """The shop's day: a batch every quarter of a second or so."""
    for start in range(0, len(events), BATCH):
        await stack.publish([*events[start : start + BATCH]])
        await asyncio.sleep(0.25)


async def read_inboxes(
    stack: DemoStack, customers: Customers, messages: Sequence[Message], read: set[str]
) -> None:
    """Those who look into their inboxes read what is new; ``read`` are messages they know."""
    for message in messages:
        new = message.id not in read and message.attempts
        if not new or message.attempts[-1].channel != "in_app":
            continue
        read.add(message.id)
        if customers.uses({"id": message.recipient}, "inbox"):
            await stack.read_inbox(message.recipient)


async def everything(stack: DemoStack) -> list[Message]:
    return [stored.message for stored in await stack.app.store.messages(limit=MESSAGES_MAX)]


def farewell(console: Console, stack: DemoStack, messages: Sequence[Message], keep: bool) -> None:
    """Print what to try next, in commands that can be copied as they stand."""
    example = max(messages, key=lambda message: len(message.attempts), default=None)
    console.print("\n[bold]What to try next[/bold]")
    for remark, command in still_running(stack, example) if keep else afterwards(stack):
        console.print(f"\n  {remark}")
        for line in command:
            console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
    if keep:
        console.print("\n  Ctrl-C ends it.")


Hint = tuple[str, tuple[str, ...]]
"""What a command does, and its lines."""


def still_running(stack: DemoStack, example: Message | None) -> list[Hint]:
    """What can be done while it runs. Long commands are continued on a second line."""
    kaskad, config = stack.command, f"    --config {stack.directory / 'kaskad.yaml'}"
    pages = (f"{stack.sandbox.url}/", metrics_url(stack))
    hints: list[Hint] = [("Everybody's phones, and the metrics:", pages)]
    if example is not None:
        line = f"{kaskad} explain {example.id} \\"
        hints.append(("In a second terminal: why did that one take so long?", (line, config)))
    event = stack.directory / "event.json"
    line = f"{kaskad} send --new {event} \\"
    return [*hints, ("Publish an event of your own:", (line, config))]


def afterwards(stack: DemoStack) -> list[Hint]:
    """What can be done when it is over, in the source tree or elsewhere."""
    kaskad = stack.command
    hints: list[Hint] = [("Leave it running, to look at it:", (f"{kaskad} demo --keep",))]
    if DEFAULT_CONFIG.is_file():
        return [
            *hints,
            ("What the policies in config/policies promise, in virtual time:", (f"{kaskad} test",)),
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
