"""
The wiring: one process, all its parts, in the order in which they start and stop.

    start   store → keys → engine → dispatch → timers → status events → HTTP → Kafka → control socket
    stop    not ready → Kafka and timers, beside what is being sent → HTTP and status events → engine → store

What leaves a process always goes through the engine, so the engine is the last to stop but for its
store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from orchestrator.api.app import ApiDeps, build_admin_app, build_public_app
from orchestrator.api.control import Control
from orchestrator.api.fast_path import open_runner
from orchestrator.api.views import message_view
from orchestrator.app.build import open_store, sinks_of, socket_path
from orchestrator.app.maintenance import Maintenance
from orchestrator.channels import Adapter
from orchestrator.configuration.loading import PolicyVersions, keep_versions, load_configuration
from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.configuration.yaml_file import ConfigError, Problem
from orchestrator.core.outcomes import Outcome
from orchestrator.core.policy import OTP
from orchestrator.dispatch.breakers import Breaker
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.outage import OutageDetector
from orchestrator.dispatch.outgoing import Outside
from orchestrator.dispatch.provider import Cost, ProviderAtWork
from orchestrator.dispatch.senders import AiohttpSender, HttpxSender
from orchestrator.dispatch.sends import Sender
from orchestrator.engine.batch import Decided
from orchestrator.engine.engine import Engine, Ports
from orchestrator.engine.timers import Timers
from orchestrator.kafka import KafkaIntake
from orchestrator.primitives.clock import Clock, SystemClock
from orchestrator.primitives.ids import IdMaker
from orchestrator.primitives.tokens import AddressHasher, SigningKeys, new_key
from orchestrator.render.evaluator import Evaluator
from orchestrator.statuses.outbox import Outbox
from orchestrator.stores.port import URGENT_WORD
from orchestrator.telemetry.logging import configure_logging
from orchestrator.telemetry.metrics import Metrics

log = structlog.get_logger()

SENDS_SECONDS = 15.0
"""
How long what is being sent may take when the service stops; the rest of the 25 s is for closing
everything else.
"""


ROLES = ("http", "kafka", "work")
"""
What a process may do: take calls over HTTP, take events from Kafka, and work (send, fire timers,
tell status events).
"""


class App:
    """
    One Kaskad process. ``clock`` is the system's but in demonstrations; ``roles`` are what it does.
    """

    def __init__(
        self,
        config: Path,
        env: Mapping[str, str],
        clock: Clock | None = None,
        roles: Collection[str] = ROLES,
    ) -> None:
        self.roles = frozenset(roles)
        self._path = config
        self._env = env
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self.ready = False
        self._runners: list[web.AppRunner] = []
        self.maintenance: Maintenance | None = None
        self._stops: list[Callable[[], Any]] = []
        self.dispatcher: Dispatcher | None = None
        self._reporting: tuple[
            Mapping[str, ProviderAtWork], Mapping[str, tuple[Adapter[Any], str]]
        ] = ({}, {})
        self.kafka: KafkaIntake | None = None
        self.timers: Timers | None = None
        self.outbox: Outbox | None = None
        self.control: Control | None = None

    # ---- starting

    async def start(self) -> None:
        """
        Everything. Raises ``ConfigError``, ``StoreInUse`` or ``OSError`` before anything is taken.
        """
        await self._start_core()
        settings = self.configuration.settings
        if not self.store.shared and self.roles != frozenset(ROLES):
            fix = "leave --role away, or use PostgreSQL"
            raise ConfigError(
                [
                    Problem(
                        str(self._path),
                        1,
                        1,
                        "roles can only be split over a store that is shared",
                        fix,
                    )
                ]
            )
        await self._start_dispatch()
        if "work" in self.roles:
            await self._start_work()
        await self._listen(settings)
        if "kafka" in self.roles:
            self.kafka = self._kafka(settings)
        if self.kafka is not None:
            await self.kafka.start()
        await self._start_control(socket_path(settings))
        await self._start_chores()
        self.ready = True
        log.info(
            "service.started", listen=str(settings.http.listen), admin=str(settings.http.admin)
        )

    async def _start_work(self) -> None:
        """What waits in the store is this process's business, too."""
        assert self.dispatcher is not None
        self.store.on_wake(self._wake)
        await self.store.join()
        await self.dispatcher.start()
        self.timers = Timers(self.engine, self.store, self.clock, self.metrics.timer_fired)
        self.outbox = Outbox(self.engine, self.store, self.sinks, self.clock.now)
        await self.outbox.start()
        await self.timers.start()

    async def _start_chores(self) -> None:
        assert self.dispatcher is not None
        self.maintenance = Maintenance(
            self.engine,
            self.store,
            self.dispatcher,
            self.watch,
            self.metrics,
            self.clock,
            kafka=lambda: self.kafka,
            keys=self._read_signing_keys,
            works="work" in self.roles,
        )
        await self.maintenance.start()

    async def start_offline(self, socket: Path) -> None:
        """The store and the engine without any worker, for one verb of the command line."""
        await self._start_core()
        await self._start_control(socket)

    async def _start_core(self) -> None:
        self.configuration = load_configuration(self._path, self._env)
        settings = self.configuration.settings
        configure_logging(settings.log.level, settings.log.format)
        self.sinks = sinks_of(settings, self.clock)
        self.store = open_store(settings, self.clock.now, [sink.name for sink in self.sinks])
        await self.store.open()
        self._stops.append(self.store.close)
        self.policy_versions = PolicyVersions(self.store)
        await keep_versions(self.store, self.configuration)
        self.policy_versions.put(self.configuration)
        await self._load_keys()
        self.watch = OutageDetector(
            settings.receipt_outage.min_sends, settings.receipt_outage.ratio
        )
        ids = IdMaker(self.clock.now)
        self.new_id = ids.next
        self.engine = Engine(
            self.store,
            self.configuration.rules,
            Ports(
                now=self.clock.now,
                monotonic=self.clock.monotonic,
                new_id=ids.next,
                evaluate=Evaluator(),
                address_hash=self.hasher,
                view=message_view,
                policy=self.policy_versions.policy,
                shut=lambda now: self.dispatcher.shut(now) if self.dispatcher is not None else {},
                outages=self._outages,
                observe=self._observe,
                committed=self.metrics.batch_committed,
                dead_lettered=lambda reason: self.metrics.dead.labels(reason).inc(),
            ),
        )
        await self.engine.start()
        self._stops.append(self.engine.stop)
        self.public_app = build_public_app(self._api_deps(auth=settings.http.auth))

    async def _load_keys(self) -> None:
        """The signing keys and the pepper, made at the first start."""
        now = self.clock.now()
        for purpose in ("signing", "pepper"):
            await self.store.add_secret(purpose, new_key(), now, first=True)
        pepper = (await self.store.secrets("pepper"))[-1][1]
        self.hasher = AddressHasher(pepper)
        self.keys = SigningKeys([], self.clock.now)
        await self._read_signing_keys()

    async def _read_signing_keys(self) -> None:
        override = self.configuration.settings.signing_key
        kept = await self.store.secrets("signing")
        if override is not None:
            kept = [(0, override.get_secret_value().encode(), self.clock.now()), *kept]
        self.keys.replace(kept)

    async def _start_dispatch(self) -> None:
        settings = self.configuration.settings
        guard = EgressGuard(allow=settings.egress_allow)
        http1 = AiohttpSender(
            guard=guard,
            connections=sum(one.connections for one in settings.providers.values()) or 1,
        )
        http2 = HttpxSender(guard=guard)
        await http1.open()
        await http2.open()
        self._senders = (http1, http2)
        self.outside = Outside(settings.http.public_url, self.keys)
        providers = {name: self._at_work(one) for name, one in settings.providers.items()}
        self.dispatcher = Dispatcher(
            self.engine,
            self.store,
            providers,
            sender_for=self._sender_for,
            outside=self.outside,
            books=self.policy_versions.book,
            address_hash=self.hasher,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            answered=self._answered,
        )

    def _at_work(self, one: ProviderSettings) -> ProviderAtWork:
        settings = self.configuration.settings
        rules = settings.breaker
        breaker = (
            Breaker(rules.ratio, rules.min_requests, rules.window_ms, rules.open_for_ms)
            if rules
            else Breaker.never()
        )
        bucket = (
            self.store.bucket(one.provider, one.rate_per_second, self.clock.monotonic)
            if one.rate_per_second
            else None
        )
        cost = Cost(one.cost.amount, one.cost.per) if one.cost is not None else None
        facts = self.configuration.rules.providers[one.provider]
        slots = min(one.connections, getattr(one.adapter_settings, "pool", one.connections))
        return ProviderAtWork(facts, one.build(), bucket, breaker, slots, cost)

    def _sender_for(self, provider: ProviderAtWork) -> Sender:
        return self._senders[1 if provider.adapter.supports.http2 else 0]

    async def _listen(self, settings: Settings) -> None:
        listeners = [(build_admin_app(self._api_deps(auth="off")), settings.http.admin)]
        if "http" in self.roles:
            listeners.insert(0, (self.public_app, settings.http.listen))
        for app, place in listeners:
            runner = await open_runner(app)
            await web.TCPSite(runner, place.host, place.port, reuse_address=True).start()
            self._runners.append(runner)

    def _api_deps(self, *, auth: str) -> ApiDeps:
        return ApiDeps(
            engine=self.engine,
            reader=self.store,
            keys=self.keys,
            adapters=self._adapters,
            settings=lambda: self.configuration.settings,
            auth=auth,
            metrics=self.metrics,
            now=self.clock.now,
            new_id=self.new_id,
            is_ready=lambda: self.ready and not self.engine.away,
            reload=self.reload,
            address_hash=self.hasher,
        )

    def _adapters(self) -> Mapping[str, tuple[Adapter[Any], str]]:
        """Every provider's adapter and channel, for its webhooks."""
        if self.dispatcher is None:
            return {}
        if self._reporting[0] is not self.dispatcher.providers:
            found = {
                name: (one.adapter, one.facts.channel)
                for name, one in self.dispatcher.providers.items()
            }
            self._reporting = (self.dispatcher.providers, found)
        return self._reporting[1]

    def _kafka(self, settings: Settings) -> KafkaIntake | None:
        source = settings.kafka
        if source is None:
            return None
        return KafkaIntake(
            self.engine,
            bootstrap_servers=source.bootstrap_servers,
            topics=source.topics,
            group=source.group,
            dead_letters=source.dead_letters,
            security=source.security.options(),
            auto_offset_reset=source.auto_offset_reset,
            counted=lambda status: self.metrics.events.labels("kafka", status).inc(),
            report_error=lambda word: self.metrics.kafka_errors.labels(word).inc(),
        )

    async def _start_control(self, socket: Path | None) -> None:
        if socket is None:
            return
        local = build_public_app(self._api_deps(auth="off"))
        self.control = Control(
            self.store,
            local,
            self.clock.now,
            self.new_id,
            self.reload,
            self._read_signing_keys,
            lambda: self.engine.rules,
        )
        await self.control.start(socket)

    # ---- what happens after each batch

    def _wake(self, what: str) -> None:
        """Another process has left work here, or has left altogether."""
        if what == "keys":
            self._reading_keys = asyncio.create_task(self._read_signing_keys(), name="keys")
            return
        if what in ("timers", "members") and self.timers is not None:
            self.timers.poke(self.clock.now())
            self.timers.poke(self.clock.now(), urgent=True)
        if self.dispatcher is None:
            return
        if what == "members":
            self.dispatcher.poke_all()
        else:
            self.dispatcher.poke(what.removeprefix(URGENT_WORD), what.startswith(URGENT_WORD))

    def _observe(self, decided: Sequence[Decided], condition_errors: int) -> None:
        """Wake whoever has something to do now, and count."""
        due: dict[bool, int] = {}
        now = self.clock.now()
        for one in decided:
            message = one.decision.message
            if self.dispatcher is not None:
                self.dispatcher.notice(one)
            if message.attempts:
                self.watch.learn(one.before, message, now)
            if message.due_at is not None:
                urgent = message.message_class == OTP
                due[urgent] = min(message.due_at, due.get(urgent, message.due_at))
        self.metrics.decided(decided, condition_errors)
        for urgent, at in due.items():
            if self.timers is not None:
                self.timers.poke(at, urgent)
        if decided and self.outbox is not None:
            self.outbox.poke()

    def _outages(self, now: int) -> tuple[str, ...]:
        return self.watch.outages(now) if self.configuration.settings.receipt_outage.hold else ()

    def _answered(self, provider: ProviderAtWork, outcome: Outcome, seconds: float) -> None:
        self.metrics.answered(provider.facts.channel, provider.name, outcome, seconds)

    # ---- reloading and stopping

    async def reload(self) -> list[str]:
        """
        Load the configuration again. Whatever is wrong with it is returned, and the old one stays
        in force. Listeners, store, Kafka and status sinks keep what they were started with.
        """
        try:
            configuration = load_configuration(self._path, self._env)
        except ConfigError as error:
            self.metrics.reloaded(False, self.clock.now())
            log.error("config.reload_failed", problems=[str(problem) for problem in error.problems])
            return [str(problem) for problem in error.problems]
        await keep_versions(self.store, configuration)
        before = self.configuration.settings.providers
        self.configuration = configuration
        self.policy_versions.put(configuration)
        await self._read_signing_keys()
        self.engine.rules = configuration.rules
        if self.dispatcher is not None:
            now = configuration.settings.providers
            at_work = {name: self._at_work(one) for name, one in now.items()}
            await self.dispatcher.replace(
                at_work, lambda old: before.get(old.name) == now.get(old.name)
            )
        self.metrics.reloaded(True, self.clock.now())
        log.info("config.reloaded", policies=len(configuration.rules.policies))
        return []

    async def stop(self) -> None:
        """Drain: take nothing more, let what is under way end, close everything. Within 25 s."""
        was_serving, self.ready = self.ready, False
        if was_serving:
            await self.store.leave()
        if self.maintenance is not None:
            await self.maintenance.stop()
        await asyncio.gather(
            self._stop_taking(), self._stop_sending()
        )  # each may have to wait for something that is away
        if self.control is not None:
            await self.control.stop()
        outbox = [self.outbox.stop()] if self.outbox is not None else []
        await asyncio.gather(*(runner.cleanup() for runner in self._runners), *outbox)
        for stop in reversed(self._stops):
            await stop()
        self._stops.clear()
        if was_serving:
            log.info("service.stopped")

    async def _stop_taking(self) -> None:
        if self.kafka is not None:
            await self.kafka.stop()
        if self.timers is not None:
            await self.timers.stop()

    async def _stop_sending(self) -> None:
        if self.dispatcher is not None:
            await self.dispatcher.stop(SENDS_SECONDS)
            for sender in self._senders:
                await sender.close()
