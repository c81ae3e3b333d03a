"""
The only loop: take the commands that wait, load what they touch, decide, commit once, answer.

Commands wait in lanes, the most urgent first, so that an OTP never stands behind a campaign (see
``lanes``). While one batch waits for the disk the next one gathers: that makes durability cheap. If
the disk is too quick for that, a busy engine gathers for a few milliseconds all the same. A command
is answered when its batch has committed, and never before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import structlog

from orchestrator.core.journey.journey import Journey
from orchestrator.core.policy import Policy
from orchestrator.core.recipient import Instant
from orchestrator.engine.answers import Callers, OnResult, Waiter, Waiters, Waiting, answer
from orchestrator.engine.applying import record_counts
from orchestrator.engine.batch import BatchContext, JourneyDecided, Observe, View
from orchestrator.engine.commands import FACTS, Command, DeadLetter, Erase
from orchestrator.engine.express import Departures, Express
from orchestrator.engine.handlers import handle_at_pace
from orchestrator.engine.journeys import no_journey, versions_of
from orchestrator.engine.lanes import (
    OTP_LANE,
    REST_SECONDS_MAX,
    REST_SHARE,
    YIELD_SECONDS_MAX,
    Lanes,
    OtpPriority,
    YieldBudget,
    lane_of,
)
from orchestrator.engine.learning import Everybody
from orchestrator.engine.loading import follow, load
from orchestrator.engine.needs import Needs
from orchestrator.engine.pace import Pace
from orchestrator.engine.room import LOOK_SECONDS, Room
from orchestrator.engine.rules import Evaluate, Rules, foreseen
from orchestrator.engine.spending import Spending, spending_at
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.engine.velocity import Velocity
from orchestrator.recipients.document import AddressHash
from orchestrator.stores.port import Store, StoreAway, StoreBusy, Unit

log = structlog.get_logger()

GATHER_SECONDS = 0.01
"""
A busy engine starts no batch sooner than this after the one before: a commit costs as much for one
command as for ten.
"""
GATHER_FROM = 16
"""An engine is busy if its last batch had this many commands."""
BUSY_TRIES = 4
YIELD_EVERY = 16
"""With a shared store, everything else in the process gets a turn after this many commands."""
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
LAST_WAIT_SECONDS = 5.0
"""How long a stopping service still waits for an unreachable store."""


class Busy(Exception):
    """Too many commands are waiting already; nothing was taken. Try again in a second."""


class Stopped(Exception):
    """The engine is not running; nothing was taken."""


@dataclass(slots=True)
class Ports:
    """The engine's connections to the outside."""

    now: Callable[[], Instant]
    new_id: Callable[[], str]
    evaluate: Evaluate
    address_hash: AddressHash
    view: View
    policy: Callable[[str, str], Awaitable[Policy]]
    """The policy of a name and version, from the configuration or the store."""
    monotonic: Callable[[], float] = monotonic
    journey: Callable[[str, str], Awaitable[Journey]] = no_journey
    """The journey of a name and version, from the configuration or the store."""
    shut: Callable[[Instant], Mapping[str, Instant]] = lambda now: {}
    """The providers with an open breaker, and until when."""
    outages: Callable[[Instant], tuple[str, ...]] = lambda now: ()
    """The channels whose receipts have collapsed."""
    observe: Observe = lambda decided, condition_errors: None
    """Called with each batch's decisions once they are committed."""
    observe_journeys: Callable[[Sequence[JourneyDecided]], None] = lambda decided: None
    """The same for decisions about journeys, if there were any."""
    committed: Callable[[int, float], None] = lambda size, seconds: None
    dead_lettered: Callable[[str], None] = lambda reason: None
    express: Express = lambda decided, run: None
    """Prepares a step that may leave with the batch that made it ready."""
    slots: Callable[[], int | None] = lambda: None
    """How many steps could leave so now; None if that does not matter."""


class Engine:
    """
    One per process. ``rules`` may be replaced at any time; the next batch decides by the new ones.
    ``store_away``: the store was unreachable a moment ago, and commands wait for it.
    """

    def __init__(self, store: Store, rules: Rules, ports: Ports) -> None:
        self.store = store
        self.rules = rules
        self.otp_priority = OtpPriority()
        self.store_away = False
        self._ports = ports
        self._lanes: Lanes[Waiting] = Lanes(ports.monotonic, apart=store.shared)
        self._room = Room(ports.slots, lambda: asyncio.get_running_loop().time())
        self._spending = Spending()
        self._everybody = Everybody()
        self._evaluate = foreseen(ports.evaluate)
        self._tasks: list[asyncio.Task[None]] = []
        self._callers = Callers()
        self._stopping = False

    async def start(self) -> None:
        """
        Start one loop, or two if the store is shared: then OTPs are decided beside a batch of
        anything else, as if another process did it.
        """
        self._tasks = [
            asyncio.create_task(self._run(loop), name=f"engine:{loop}")
            for loop in range(self._lanes.loops)
        ]

    async def stop(self) -> None:
        """Take nothing more and finish what has been taken."""
        self._stopping = True
        self._room.end()
        self._lanes.wake()
        await asyncio.gather(*self._tasks)

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """
        The answer to one command, once it is durable. Raises ``Busy`` or ``Stopped`` at once; the
        future raises what the command's handler does (``Conflict``, ``UnknownMessage``, …).
        """
        waiter = Waiter()
        self.enqueue(command, waiter.on_result)
        return waiter.future

    async def submit_many(self, commands: Sequence[Command]) -> list[Any]:
        """
        The answers in the order of the commands, exceptions in their places. Raises ``Busy`` or
        ``Stopped`` at once, ``StoreAway`` (see ``Callers``) if none of them is a fact.
        """
        if not commands:
            return []
        waiters = Waiters(len(commands))
        for place, command in enumerate(commands):
            self.enqueue(command, partial(waiters.on_result, place))
        if any(isinstance(one, FACTS) for one in commands):
            return await waiters.future
        return await self._callers.wait(waiters.future)

    def enqueue(self, command: Command, on_result: OnResult) -> None:
        """
        Have a command decided. ``on_result`` gets its answer, or the exception, as soon as it is
        durable. Raises ``Busy`` or ``Stopped``.
        """
        if self._stopping or not self._tasks:
            raise Stopped("the service is shutting down")
        lane = lane_of(command, self.rules)
        # facts are never refused: a provider's answer cannot be asked for again
        if not self._lanes.has_room(lane) and not isinstance(command, FACTS):
            raise Busy(f"{self.waiting} commands are waiting")
        self._lanes.put(lane, Waiting(command, on_result), alone=isinstance(command, Erase))

    @property
    def waiting(self) -> int:
        """The number of commands that are not decided yet."""
        return len(self._lanes)

    async def _run(self, number: int) -> None:
        """Decide what waits in the lanes of one loop, for as long as the service runs."""
        loop, not_before = asyncio.get_running_loop(), 0.0
        while True:
            if number != OTP_LANE:
                await self.otp_priority.give_way()
            pause = not_before - loop.time()
            if pause > 0 and self._lanes.may_grow(number) and not self._stopping:
                await asyncio.sleep(pause)
            began = loop.time()
            batch = self._lanes.take(number, self._room.events_max)
            if batch and number == OTP_LANE and self.store.shared:
                with self.otp_priority:
                    self._put_back(await self._work(batch))
            elif batch:
                self._put_back(await self._work(batch))
                not_before = began + GATHER_SECONDS if len(batch) >= GATHER_FROM else 0.0
                await self._rest(len(batch), loop.time() - began)
            elif self._lanes.waits(number):
                await asyncio.sleep(LOOK_SECONDS)
            elif self._stopping:
                return
            else:
                await self._lanes.filled(number)

    async def _rest(self, size: int, seconds: float) -> None:
        """
        While OTP traffic is active, sleep for a share of a large batch's duration so that OTP steps
        get CPU.
        """
        large = self.store.shared and size >= GATHER_FROM
        if large and self._lanes.otp_active() and not self._stopping:
            await asyncio.sleep(min(seconds * REST_SHARE, REST_SECONDS_MAX))

    def _put_back(self, rest: Sequence[Waiting]) -> None:
        for waiting in reversed(rest):
            self._lanes.put_back(lane_of(waiting.command, self.rules), waiting)

    async def _work(self, batch: list[Waiting]) -> list[Waiting]:
        """
        Decide a batch in one transaction, and return the rest, if it ended early. If a command
        breaks it, halve the batch until that command fails alone. Raises nothing: whatever happens,
        each command gets an answer.
        """
        try:
            results, context = await self._decide_persistently([one.command for one in batch])
        except Exception as error:
            if len(batch) == 1 or isinstance(error, StoreAway):
                command = type(batch[0].command).__name__
                log.error("engine.command_failed", command=command, exc_info=error)
                for waiting in batch:
                    answer(waiting, error)
                return []
            half = len(batch) // 2
            await asyncio.sleep(0)  # an embedded store fails without ever waiting for anything
            if rest := await self._work(batch[:half]):
                return [*rest, *batch[half:]]
            return await self._work(batch[half:])
        decided = batch[: len(results)]
        self._notify(decided, context)
        for waiting, result in zip(decided, results, strict=True):
            answer(waiting, result)
        return batch[len(results) :]

    def _notify(self, batch: Sequence[Waiting], context: BatchContext) -> None:
        """What is committed stays so: an observer that fails changes no answer."""
        try:
            self._ports.observe(context.decided, context.condition_errors)
            if context.journeys_decided:
                self._ports.observe_journeys(context.journeys_decided)
            for waiting in batch:
                if isinstance(waiting.command, DeadLetter):
                    self._ports.dead_lettered(waiting.command.reason)
        except Exception:
            log.exception("engine.observer_failed")

    async def _decide_persistently(
        self, commands: Sequence[Command]
    ) -> tuple[list[Any], BatchContext]:
        """
        Decide, and outlast an unreachable store, so that no provider's answer is lost; a busy one
        gets a few more tries, and callers learn soon that it is away. A batch that was committed
        after all may safely be decided again: every fact is void the second time.
        """
        pause, tries, gives_up_at, away_since = FIRST_PAUSE_SECONDS, 0, 0.0, 0.0
        while True:
            try:
                decided = await self._decide(commands)
            except StoreAway as error:
                now = asyncio.get_running_loop().time()
                if not self.store_away:
                    log.warning("engine.store_unreachable", why=str(error))
                self.store_away = True
                away_since = away_since or now
                self._callers.give_up(now - away_since, error)
                if self._stopping:
                    gives_up_at = gives_up_at or now + LAST_WAIT_SECONDS
                    if now >= gives_up_at:
                        raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except StoreBusy as error:
                self._store_answers()
                tries += 1
                if tries >= BUSY_TRIES:
                    raise
                log.info("engine.batch_retried", why=str(error), size=len(commands))
                await asyncio.sleep(FIRST_PAUSE_SECONDS * tries)
            except Exception:
                self._store_answers()  # or else everything that could show it would be refused
                raise
            else:
                self._store_answers()
                return decided

    def _store_answers(self) -> None:
        if self.store_away:
            log.info("engine.store_reachable")
        self.store_away = False

    async def _decide(self, commands: Sequence[Command]) -> tuple[list[Any], BatchContext]:
        """
        One transaction: load, decide each command, commit. Returns fewer results than there are
        commands if it ended early.
        """
        rules = self.rules  # a reload meanwhile must not change what this batch asked for
        give_way = self._giving_way(commands[0])
        pace = Pace(self._ports.monotonic, give_way)
        async with self.store.unit() as unit:
            await give_way()
            work, loaded = await self._load(unit, rules, commands, pace)
            await give_way()
            context = await self._context(work, rules)
            departures = Departures(self._ports.express, context)
            results: list[Any] = []
            pace.begin()
            try:
                for number, command in enumerate(commands[:loaded], start=1):
                    results.append(await handle_at_pace(context, command, pace))
                    departures.look()
                    while context.inside:
                        await follow(unit, context, command, pace, self._ports.policy)
                        departures.look()
                    await pace.pause(at_once=number % YIELD_EVERY == 0 and self.store.shared)
                    if pace.over:
                        break
                started = asyncio.get_running_loop().time()
                record_counts(context)
                await unit.commit(work.close())
            except BaseException:
                departures.stay()
                self._spending = Spending()
                raise
        departures.leave()
        seconds = asyncio.get_running_loop().time() - started
        try:
            self._ports.committed(len(results), seconds)
        except Exception:
            log.exception("engine.observer_failed")
        return results, context

    def _giving_way(self, first: Command) -> Callable[[], Awaitable[None]]:
        """
        A function to call between the parts of a batch that begins with this command: unless it is
        OTP work, it lets OTPs pass.
        """
        otp = lane_of(first, self.rules) == OTP_LANE
        budget = YieldBudget(0.0 if otp else YIELD_SECONDS_MAX)
        return lambda: self.otp_priority.give_way(budget)

    async def _load(
        self, unit: Unit, rules: Rules, commands: Sequence[Command], pace: Pace
    ) -> tuple[UnitOfWork, int]:
        needs = Needs(rules, self._ports.address_hash, self._evaluate)
        return await load(unit, needs, commands, pace)

    async def _context(self, work: UnitOfWork, rules: Rules) -> BatchContext:
        ports = self._ports
        names = {(one.message.policy, one.message.policy_version) for one in work.messages}
        policies = {(policy.name, policy.version): policy for policy in rules.policies.values()}
        for name in names - policies.keys():
            policies[name] = await ports.policy(*name)
        journeys = await versions_of(work, rules, ports.journey)
        self._spending = await spending_at(ports.now(), self._spending, self.store, rules)
        if rules.best_hours:
            await self._everybody.refresh(self.store, ports.now())
        # read after loading, which may take long: a call has a second to start from here
        now = work.changes.at = ports.now()
        return BatchContext(
            work=work,
            rules=rules,
            now=now,
            policies=policies,
            journeys=journeys,
            evaluate=self._evaluate,
            address_hash=ports.address_hash,
            new_id=ports.new_id,
            view=ports.view,
            shut=ports.shut(now),
            outages=ports.outages(now),
            velocity=Velocity(work, ports.address_hash, rules.limits),
            spent=self._spending.spent,
            day=self._spending.day,
            day_ends=self._spending.ends,
            hours_of_all=self._everybody.hours,
            started_at=ports.monotonic(),
            exposures=await self.store.exposures() if rules.allocates else {},
        )
