"""
One run: the service under faults drawn from a seed, then without faults until everything has
settled.

    broken(live(7))    the broken promises; checkers know only inputs, policies and ground truth

First everything goes wrong that may; then nothing does any more, and what was accepted must come to
its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.message import Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.engine.commands import (
    Cancel,
    Command,
    EndPause,
    Erase,
    OptOut,
    Publish,
    StartPause,
)
from orchestrator.events.cloudevents import parse_structured
from orchestrator.history.journeys import JourneyEntry, decode_journey_history, decode_run
from orchestrator.render.evaluator import Evaluator
from orchestrator.stores.counts import CountRow
from orchestrator.stores.rows import StoredMessage
from orchestrator.telemetry.metrics import Metrics
from orchestrator.virtual import loop as virtual
from tests.simulation.clock import JumpingClock
from tests.simulation.gate import STEPS, DiskError
from tests.simulation.interpreter import interpreter_of
from tests.simulation.network import Network
from tests.simulation.options import Options, draw
from tests.simulation.process import HERE, Died, Process, Site
from tests.simulation.providers.base import Post
from tests.simulation.scenery import Scenery, paint
from tests.simulation.truth import Deed, Hook, Ledger
from tests.simulation.workload import DeedPlan, Workload

AGAIN_SECONDS = 2.0
SETTLE_LOOK_SECONDS = 30.0
LATEST_SECONDS = 90.0
"""The time after the last deadline by which everything must have settled; checkers look closer."""
STORED_MAX = 10_000
TURNS_MAX = 1_000_000


@dataclass(slots=True)
class SimulatedRun:
    """
    The result of a run. ``stored`` are all messages with their histories, as the store has them
    at the end.
    """

    options: Options
    scenery: Scenery
    ledger: Ledger
    stored: dict[str, StoredMessage] = field(default_factory=dict)
    journeys: dict[str, tuple[JourneyRun, list[JourneyEntry]]] = field(default_factory=dict)
    statuses: list[bytes] = field(default_factory=list)
    counts: list[CountRow] = field(default_factory=list)
    codes: list[tuple[str, str]] = field(default_factory=list)
    """The messages that have codes, each with the keyed hash of one."""
    keys: Any = None
    hours: float = 0.0


class SimulatedWorld:
    """``loop`` is a virtual one, which only this world uses."""

    def __init__(self, loop: virtual.VirtualLoop, options: Options) -> None:
        self.loop = loop
        self.options = options
        self.scenery = paint(options)
        self.clock = JumpingClock(loop, options.start)
        self.ledger = Ledger(lambda: (loop.time(), self.clock.now()))
        self.rng = Random(f"world {options.seed}")
        self.calm = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._context = copy_context()
        network_rng = Random(f"network {options.seed}")
        self.network = Network(
            options, self.ledger, network_rng, self.clock.now, self.spawn, self.deliver, self.opened
        )
        self.site = Site(
            options,
            self.scenery,
            self.ledger,
            self.clock,
            self.network,
            shared_evaluator(),
            shared_metrics(),
        )
        self.process: Process | None = None
        self._up = asyncio.Event()

    # ---- the run

    async def run(self) -> SimulatedRun:
        """Both phases, and what is left at the end."""
        self.network.draw_spells(sorted(self.scenery.accounts))
        deeds = [
            self.loop.create_task(self._do(plan))
            for plan in Workload(self.options, self.scenery).draw()
        ]
        keeper = self.loop.create_task(self._keep_alive())
        faults = [self.loop.create_task(fault) for fault in self._faults()]
        await asyncio.sleep(self.options.span_seconds)
        for fault in faults:
            fault.cancel()
        await asyncio.gather(*faults, return_exceptions=True)
        self._calm_down()
        await asyncio.gather(*deeds)
        await self._settle()
        run = await self._take_stock()
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        return run

    def _calm_down(self) -> None:
        self.calm = self.network.calm = True
        self.ledger.note("calm", "from here on nothing goes wrong any more")
        if self.process is not None:
            self.process.gate.calm = True

    async def _settle(self) -> None:
        """
        Wait until every message has ended and no webhook is on its way, at most until the last
        deadline has passed.
        """
        while True:
            process = await self.up()
            found = await process.store.messages(limit=STORED_MAX)
            latest = max((one.message.deadline_at for one in found), default=0)
            running = await process.store.journeys(status="running", limit=STORED_MAX)
            ends = [decode_run(one.row.state).deadline_at for one in running]
            latest = max([latest, *ends])
            over = not running and all(settled(one.message) for one in found)
            if not self.network.under_way and over:
                return
            if self.clock.now() > latest + LATEST_SECONDS * 1000 and not self.network.under_way:
                return
            await asyncio.sleep(SETTLE_LOOK_SECONDS)

    async def _take_stock(self) -> SimulatedRun:
        process = await self.up()
        run = SimulatedRun(
            self.options,
            self.scenery,
            self.ledger,
            keys=process.keys,
            hours=self.loop.time() / 3600,
        )
        for one in await process.store.messages(limit=STORED_MAX):
            stored = await process.store.message(one.message.id)
            assert stored is not None
            run.stored[one.message.id] = stored
        for lived in await process.store.journeys(limit=STORED_MAX):
            whole = await process.store.journey(lived.row.id)
            assert whole is not None
            history = decode_journey_history(whole.history)
            run.journeys[whole.row.id] = (decode_run(whole.row.state), history)
        run.statuses = [body for *_, body in await process.store.outbox("statuses", 100_000)]
        by = ("day", "channel", "status", "reason")
        run.counts = await process.store.counts(0, 99_999_999, by, {"journey": ("",)})
        sql = "select message, hash from codes where message is not null"
        run.codes = [tuple(row) for row in await process.store.fetch_text(sql)]
        await process.stop()
        return run

    # ---- the process

    async def up(self) -> Process:
        """The process, as soon as there is one."""
        while self.process is None or self.process.gate.dead:
            self._up.clear()
            await self._up.wait()
        return self.process

    async def _keep_alive(self) -> None:
        """Start a process, and another whenever one has died, from what that one had committed."""
        kept, number, crashes_left = None, 0, 8
        while True:
            number += 1
            process = Process(self.site, number, kept, crashes_left)
            process.gate.calm = self.calm
            await process.start()
            self.ledger.note("start", f"process {number}")
            self.process = process
            self._up.set()
            await process.died.wait()
            down_from = self.loop.time()
            kept, crashes_left = process.remains, process.gate.crashes_left - 1
            await process.dead_letter()
            await asyncio.sleep(0.5 if self.calm else self.rng.choice((0.2, 3.0, 20.0, 120.0)))
            self.ledger.breaks.append((down_from, self.loop.time()))

    def spawn(self, work: Awaitable[None]) -> None:
        """Run work that belongs to the world, not to one process."""

        async def working() -> None:
            await work

        task = self.loop.create_task(working(), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- faults

    def _faults(self) -> Iterator[Any]:
        options, span = self.options, self.options.span_seconds
        for _ in range(options.crashes):
            yield self._crash(self.rng.uniform(0, span))
        for _ in range(options.pauses):
            yield self._pause(
                self.rng.uniform(0, span),
                self.rng.choice(STEPS),
                self.rng.choice((0.7, 5.0, 45.0, 400.0)),
            )
        for _ in range(options.jumps):
            ms = self.rng.choice((-7_200_000, -600_000, -3_000, 3_000, 600_000, 7_200_000))
            yield self._jump(self.rng.uniform(0, span), ms)
        for number in range(1, options.reloads + 1):
            yield self._reload(number * span / (options.reloads + 1), number)

    async def _crash(self, at: float) -> None:
        await asyncio.sleep(at)
        if self.process is not None:
            self.process.kill("by accident")

    async def _pause(self, at: float, step: str, seconds: float) -> None:
        await asyncio.sleep(at)
        process = await self.up()
        self.ledger.note("freeze", f"for {seconds} s at the next {step}")
        process.gate.freeze_at(step, seconds)
        gate = process.gate
        while not gate.dead and gate.frozen_until <= self.loop.time():  # noqa: ASYNC110 - virtual
            await asyncio.sleep(0.2)
        self.ledger.breaks.append((self.loop.time(), self.loop.time() + seconds))

    async def _jump(self, at: float, ms: int) -> None:
        await asyncio.sleep(at)
        self.clock.jump(ms)
        self.ledger.jumps.append(self.ledger.note("clock", f"jumps by {ms / 1000:g} s"))

    async def _reload(self, at: float, number: int) -> None:
        await asyncio.sleep(at)
        process = await self.up()
        self.site.rulebook_number = number
        self.ledger.reloads.append((self.ledger.note("reload", f"rulebook {number}"), number))
        await process.reload()

    # ---- what comes in

    async def deliver(self, hook: Hook, post: Post) -> bool:
        """A provider posts a webhook; whether the service has taken it."""
        return await self._come_in(hook, lambda process: process.take_webhook(hook.provider, post))

    async def opened(self, hook: Hook) -> bool:
        """A mail is opened; pictures are fetched once, whatever the answer."""
        if hook.write is None:
            return True
        reference = hook.write.reference
        await self._come_in(hook, lambda process: process.open_mail(reference))
        hook.answered = None  # a person who opens a mail learns nothing of whether it was noted
        return True

    async def _come_in(self, hook: Hook, way: Callable[[Process], Awaitable[None]]) -> bool:
        process = self.process
        if process is None or process.gate.dead:
            return False
        try:
            await way(process)
        except (Died, DiskError):
            return False
        hook.answered = self.ledger.note("receipt", f"{hook.provider}: {hook.state}")
        return True

    async def _do(self, plan: DeedPlan) -> None:
        """Try a deed until the service has said that it is done."""
        await asyncio.sleep(plan.at)
        deed = plan.deed
        if deed.kind in ("reply", "prefer"):
            await self._write_back(deed)
            return
        command: Command | None = self._command(deed)
        times = (
            2 if deed.kind == "publish" and self.rng.random() < self.options.redeliver_rate else 1
        )
        while times and command is not None:
            process = await self.up()
            moment = self.ledger.note("asked", said(deed))
            deed.tried = deed.tried or moment
            try:
                result = await process.ask(command)
            except (Died, DiskError):
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            except LookupError as refusal:
                result = refusal
            moment = self.ledger.note("done", f"{said(deed)}: {said_result(self.ledger, result)}")
            if deed.answered is None:
                deed.answered, deed.result = moment, result
            times -= 1
            if times:
                await asyncio.sleep(self.rng.choice((0.0, 30.0, 600.0)))
        self.ledger.deeds.append(deed)

    def _command(self, deed: Deed) -> Command | None:
        what = deed.what
        match deed.kind:
            case "publish":
                return Publish(parse_structured(what["body"]))
            case "opt_out":
                address = what.get("written")
                return OptOut(
                    recipient=what.get("recipient"),
                    address=address,
                    channel=what["channel"],
                    topic=what["topic"],
                )
            case "erase":
                return Erase(what["recipient"])
            case "pause":
                return StartPause(what["kind"], what["name"], what["until"])
            case "resume":
                return EndPause(what["kind"], what["name"])
        made = next(
            (
                one
                for one in self.ledger.deeds
                if one.kind == "publish" and one.what["id"] == what["event"]
            ),
            None,
        )
        if made is None or not getattr(made.result, "messages", ()):
            return None
        deed.what = {**what, "message": made.result.messages[0]}
        return Cancel(deed.what["message"])

    async def _write_back(self, deed: Deed) -> None:
        """A person writes, or changes a preference: the provider posts it."""
        what = deed.what
        stand_in = self.scenery.accounts[what["provider"]].stand_in
        if deed.kind == "reply":
            moment = self.network.moment_of_its_own()
            post = stand_in.inbound(what["address"], what["text"], moment)
        else:
            post = stand_in.preference(what["address"], what["state"], self.clock.now())
        deed.tried = self.ledger.note("asked", said(deed))
        hook = Hook(deed.tried, what["provider"], deed.kind, None)
        if post is not None:
            await self.network.send_hook(hook, post)
        deed.answered = hook.answered
        self.ledger.deeds.append(deed)


def settled(message: Message) -> bool:
    """Whether a message has ended, and nothing of it is open."""
    return message.terminal and all(
        attempt.outcome is not OutcomeKind.PENDING for attempt in message.attempts
    )


def said(deed: Deed) -> str:
    """A deed in a line of the story."""
    shown = {name: value for name, value in deed.what.items() if name != "body"}
    return f"{deed.kind} {' '.join(f'{name}={value}' for name, value in shown.items())}"


def said_result(ledger: Ledger, result: Any) -> str:
    messages = getattr(result, "messages", None)
    if messages is None:
        return type(result).__name__
    return f"{result.status} {' '.join(ledger.alias(message) for message in messages)}".strip()


@cache
def shared_evaluator() -> Evaluator:
    """Expressions are compiled once for all runs."""
    return Evaluator()


@cache
def shared_metrics() -> Metrics:
    return Metrics()


def in_process(
    loop: asyncio.AbstractEventLoop, coro: Any, context: Any = None
) -> asyncio.Task[Any]:
    """
    A task factory by which every process knows its own tasks, so that killing it kills them all.
    """
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, context=context)
    process = context.get(HERE) if context is not None else HERE.get()
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task


def live(seed: int) -> SimulatedRun:
    """One run, unchecked."""
    options = draw(seed)
    worlds: list[SimulatedWorld] = []

    async def main(loop: virtual.VirtualLoop) -> SimulatedRun:
        loop.set_task_factory(in_process)
        loop.set_exception_handler(lambda loop, context: None)
        loop.turns_max = TURNS_MAX
        worlds.append(SimulatedWorld(loop, options))
        return await worlds[0].run()

    with interpreter_of(lambda: worlds[0].ledger if worlds else None, seed):
        return virtual.run(main)
