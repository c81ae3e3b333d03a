"""
The only loop: take what has come in, load what it touches, decide, commit once, release.

Commands wait in lanes, the most urgent first, so that a one-time code never stands behind a
campaign (see ``lanes``). While one batch waits for the disk the next one gathers: that is what
makes durable cheap. Where the disk is too quick for that, a busy engine gathers for a few
milliseconds all the same. Whoever submitted a command is answered when its batch has committed, and
never before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from orchestrator.core.policy import OTP, Policy
from orchestrator.core.recipient import Instant
from orchestrator.engine.batch import BatchContext, Decided, View
from orchestrator.engine.commands import (
    ApplyFact,
    Command,
    Conflict,
    DeadLetter,
    Erase,
)
from orchestrator.engine.handlers.handle import handle
from orchestrator.engine.lanes import (
    LET_PASS_SECONDS,
    OTP_LANE,
    REST_SECONDS_MAX,
    REST_SHARE,
    Lanes,
    OtpPriority,
    YieldBudget,
    lane_of,
)
from orchestrator.engine.needs import Needs
from orchestrator.engine.rules import Evaluate, Rules
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.engine.velocity import Velocity
from orchestrator.recipients.document import AddressHash
from orchestrator.stores.port import Store, StoreAway, StoreBusy, Unit

log = structlog.get_logger()

GATHER_SECONDS = 0.01
"""
While much comes in, no batch starts sooner than this after the one before: a commit costs as much
for one as for ten.
"""
GATHER_FROM = 16
"""How many commands a batch had where much comes in."""
BUSY_TRIES = 4
YIELD_EVERY = 16
"""
After so many commands of a batch everything else in the process has its turn, where the store
allows it.
"""
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
LAST_WAIT_SECONDS = 5.0
"""How long a stopping service still waits for a store that is away."""


class Busy(Exception):
    """Too much is waiting already; nothing was taken. Try again in a second."""


class Stopped(Exception):
    """The engine is not running; nothing was taken."""


@dataclass(slots=True)
class Ports:
    """
    What the engine is given of the world around it.

    ``now``: UTC milliseconds. ``policies``: the policy of a name and version, from the configuration
    or the store. ``shut``: providers with an open breaker. ``observe``: called with each batch's
    decisions once they are committed.
    """

    now: Callable[[], Instant]
    new_id: Callable[[], str]
    evaluate: Evaluate
    address_hash: AddressHash
    view: View
    policy: Callable[[str, str], Awaitable[Policy]]
    monotonic: Callable[[], float] = monotonic
    shut: Callable[[Instant], Mapping[str, Instant]] = lambda now: {}
    outages: Callable[[Instant], tuple[str, ...]] = lambda now: ()
    observe: Callable[[Sequence[Decided], int], None] = lambda decided, condition_errors: None
    committed: Callable[[int, float], None] = lambda size, seconds: None
    dead_lettered: Callable[[str], None] = lambda reason: None


Hear = Callable[[Any], None]
"""Is called with the answer to a command, or with the exception; it neither waits nor raises."""


@dataclass(slots=True)
class Waiting:
    command: Command
    hear: Hear


class Waiter:
    """Who waits for one answer."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def hear(self, result: Any) -> None:
        settle(self.future, result)


class Waiters:
    """Who waits for the answers to several commands, as one: each is heard at its own place."""

    __slots__ = ("future", "results", "waited_for")

    def __init__(self, count: int) -> None:
        self.future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.results: list[Any] = [None] * count
        self.waited_for = count

    def hear(self, place: int, result: Any) -> None:
        self.results[place] = result
        self.waited_for -= 1
        if not self.waited_for:
            settle(self.future, self.results)


@dataclass
class Spending:
    """What the day has cost so far, per channel in millionths; read from the store once a day."""

    day: str = ""
    ends: Instant = 0
    spent: dict[str, int] = field(default_factory=dict)


class Engine:
    """
    One per process. ``rules`` may be replaced at any time; the next batch decides by the new ones.
    ``away``: the store could not be reached a moment ago; what has been taken waits for it.
    ``hurry``: whether a code is on its way.
    """

    def __init__(self, store: Store, rules: Rules, ports: Ports) -> None:
        self.store = store
        self.rules = rules
        self._ports = ports
        self._lanes: Lanes[Waiting] = Lanes(ports.monotonic, apart=store.shared)
        self.hurry = OtpPriority()
        self._spending = Spending()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.away = False

    async def start(self) -> None:
        """
        One loop, or where the store is shared two: there a batch of codes is decided beside a batch
        of anything else, as if another process did it.
        """
        self._tasks = [
            asyncio.create_task(self._run(line), name=f"engine:{line}")
            for line in range(self._lanes.lines)
        ]

    async def stop(self) -> None:
        """Take nothing more, finish what has been taken."""
        self._stopping = True
        self._lanes.wake()
        await asyncio.gather(*self._tasks)

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """
        The answer to one command, once it is durable. Raises ``Busy`` or ``Stopped`` at once; the
        future raises what the command's handler does (``Conflict``, ``UnknownMessage``, …).
        """
        waiter = Waiter()
        self.hand(command, waiter.hear)
        return waiter.future

    async def submit_many(self, commands: Sequence[Command]) -> list[Any]:
        """
        The answers in the order of the commands, exceptions in their places. Raises as ``submit``
        does at once.
        """
        if not commands:
            return []
        waiters = Waiters(len(commands))
        for place, command in enumerate(commands):
            self.hand(command, partial(waiters.hear, place))
        return await waiters.future

    def hand(self, command: Command, hear: Hear) -> None:
        """
        Have a command decided; ``hear`` is called with its answer, or with the exception, as soon
        as it is durable. Raises ``Busy`` or ``Stopped``.
        """
        if self._stopping or not self._tasks:
            raise Stopped("the service is shutting down")
        lane = lane_of(command, self.rules)
        if not self._lanes.has_room(lane) and not isinstance(command, ApplyFact):
            raise Busy(f"{self.waiting} commands are waiting")
        self._lanes.put(lane, Waiting(command, hear), alone=isinstance(command, Erase))

    @property
    def waiting(self) -> int:
        """How many commands have not been decided yet."""
        return len(self._lanes)

    async def _run(self, line: int) -> None:
        """Decide what waits in one line of lanes, for as long as the service runs."""
        loop, not_before = asyncio.get_running_loop(), 0.0
        while True:
            if line != OTP_LANE:
                await self.hurry.passed()
            pause = not_before - loop.time()
            if pause > 0 and self._lanes.may_grow(line) and not self._stopping:
                await asyncio.sleep(pause)
            began = loop.time()
            batch = self._lanes.take(line)
            if batch and line == OTP_LANE and self.store.shared:
                with self.hurry:
                    await self._work(batch)
            elif batch:
                await self._work(batch)
                not_before = began + GATHER_SECONDS if len(batch) >= GATHER_FROM else 0.0
                await self._rest(len(batch), loop.time() - began)
            elif self._stopping:
                return
            else:
                await self._lanes.filled(line)

    async def _rest(self, size: int, seconds: float) -> None:
        """
        After a large batch that took so long, while codes come: leave the machine to them for a
        part of that time. Where everything is busy all the time, each of a code's small steps would
        have to queue for a processor.
        """
        if (
            self.store.shared
            and size >= GATHER_FROM
            and self._lanes.otp_active()
            and not self._stopping
        ):
            await asyncio.sleep(min(seconds * REST_SHARE, REST_SECONDS_MAX))

    async def _work(self, batch: list[Waiting]) -> None:
        """
        One transaction. Where one command breaks it, the batch is halved until only that one fails.
        """
        try:
            results, context = await self._decide_whatever_it_takes(
                [waiting.command for waiting in batch]
            )
        except Exception as error:
            if len(batch) == 1 or isinstance(error, StoreAway):
                log.error(
                    "engine.commands_failed",
                    command=type(batch[0].command).__name__,
                    exc_info=error,
                )
                for waiting in batch:
                    waiting.hear(error)
                return
            half = len(batch) // 2
            await self._work(batch[:half])
            await self._work(batch[half:])
            return
        self._ports.observe(context.decided, context.condition_errors)
        for waiting in batch:
            if isinstance(waiting.command, DeadLetter):
                self._ports.dead_lettered(waiting.command.reason)
        for waiting, result in zip(batch, results, strict=True):
            waiting.hear(result)

    async def _decide_whatever_it_takes(
        self, commands: Sequence[Command]
    ) -> tuple[list[Any], BatchContext]:
        """
        Outlast a store that is away for a while, so that no answer of a provider is forgotten; a
        few more tries where it is only busy. What may have been committed after all does no harm:
        every fact is void the second time.
        """
        pause, tries, gives_up_at = FIRST_PAUSE_SECONDS, 0, 0.0
        while True:
            try:
                found = await self._decide(commands)
            except StoreAway as error:
                now = asyncio.get_running_loop().time()
                if not self.away:
                    log.warning("engine.store_unreachable", why=str(error))
                self.away = True
                if self._stopping:
                    gives_up_at = gives_up_at or now + LAST_WAIT_SECONDS
                    if now >= gives_up_at:
                        raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except StoreBusy as error:
                tries += 1
                if tries >= BUSY_TRIES:
                    raise
                log.info("engine.batch_retried", why=str(error), size=len(commands))
                await asyncio.sleep(FIRST_PAUSE_SECONDS * tries)
            else:
                if self.away:
                    log.info("engine.store_reachable")
                self.away = False
                return found

    async def _decide(self, commands: Sequence[Command]) -> tuple[list[Any], BatchContext]:
        give_way = self._giving_way(commands[0])
        async with self.store.unit() as unit:
            await give_way()
            work = await self._load(unit, commands)
            await give_way()
            context = await self._desk(work)
            results: list[Any] = []
            for number, command in enumerate(commands, start=1):
                try:
                    results.append(handle(context, command))
                except (LookupError, Conflict) as refusal:
                    results.append(refusal)
                if number % YIELD_EVERY == 0 and self.store.shared:
                    await asyncio.sleep(0)
                    await give_way()
            started = asyncio.get_running_loop().time()
            try:
                await unit.commit(work.close())
            except BaseException:
                self._spending = Spending()
                raise
        self._ports.committed(len(commands), asyncio.get_running_loop().time() - started)
        return results, context

    def _giving_way(self, first: Command) -> Callable[[], Awaitable[None]]:
        """
        What a batch that begins with this command does between its parts: codes go on, others let
        them pass.
        """
        patience = YieldBudget(0.0 if lane_of(first, self.rules) == OTP_LANE else LET_PASS_SECONDS)
        return lambda: self.hurry.passed(patience)

    async def _load(self, unit: Unit, commands: Sequence[Command]) -> UnitOfWork:
        """
        Everything the batch touches, in two stages: messages and their people, then those people's
        addresses.
        """
        needs = Needs(self.rules, self._ports.address_hash, self._ports.evaluate)
        for command in commands:
            needs.add(command)
        work = UnitOfWork(await unit.load(needs.wanted), self._ports.address_hash)
        for command in commands:
            needs.add_references(command, work)
        for person in work.people.values():
            needs.add_person(person)
        for entry in work.entries.values():
            if entry.message.message_class == OTP:
                needs.add_codes(work.person(entry.message.recipient).document)
        work.take_addresses(await unit.load_addresses(needs.addresses))
        return work

    async def _desk(self, work: UnitOfWork) -> BatchContext:
        names = {
            (entry.message.policy, entry.message.policy_version) for entry in work.entries.values()
        }
        policies = {
            (policy.name, policy.version): policy for policy in self.rules.policies.values()
        }
        for name in names - policies.keys():
            policies[name] = await self._ports.policy(*name)
        await self._turn_day(self._ports.now())
        ports = self._ports
        # everything above may have taken long (a lock, a slow store, a frozen process): decisions
        # are made by the time it is now, which is also the time from which a call has a second to
        # start
        now = work.changes.at = ports.now()
        return BatchContext(
            work=work,
            rules=self.rules,
            now=now,
            policies=policies,
            evaluate=ports.evaluate,
            address_hash=ports.address_hash,
            new_id=ports.new_id,
            view=ports.view,
            shut=ports.shut(now),
            outages=ports.outages(now),
            velocity=Velocity(work, ports.address_hash, self.rules.limits),
            spent=self._spending.spent,
            day=self._spending.day,
            day_ends=self._spending.ends,
            started_at=ports.monotonic(),
        )

    async def _turn_day(self, now: Instant) -> None:
        """A budget's day is a calendar day in the installation's zone."""
        same_day = bool(self._spending.day) and now < self._spending.ends
        others_spend = self.store.shared and bool(self.rules.governance.budgets)
        if same_day and not others_spend:
            return
        zone = ZoneInfo(self.rules.governance.time_zone)
        today = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone).date()
        ends = datetime.combine(today + timedelta(days=1), time(), zone)
        spent = await self.store.spent(today.isoformat())
        self._spending = Spending(today.isoformat(), int(ends.timestamp() * 1000), spent)


def settle(answer: asyncio.Future[Any], result: Any) -> None:
    """Answer whoever is still listening."""
    if answer.done():
        return
    if isinstance(result, BaseException):
        answer.set_exception(result)
        answer.exception()  # a submitter that went away must not leave a warning behind
    else:
        answer.set_result(result)
