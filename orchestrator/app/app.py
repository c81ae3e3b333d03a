"""
One Kaskad process: all its parts, in the order in which they start and stop.

    start   store → keys → engine → dispatcher and timers → outbox → HTTP → Kafka → control socket
    stop    not ready → Kafka beside dispatcher and timers → HTTP and outbox → engine → store

Everything goes through the engine, so the engine and its store stop last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from orchestrator.api.app import ApiDeps, Listener, build_app
from orchestrator.api.auth import KEY_RING
from orchestrator.api.control import ControlSocket
from orchestrator.api.fast_path import open_runner
from orchestrator.api.ports import DEPS
from orchestrator.api.receipts import record_reports
from orchestrator.app.build import kafka_intake, open_store, sinks_of, trace_export, unbindable
from orchestrator.app.ending import end
from orchestrator.app.keys import InstallationKeys
from orchestrator.app.maintenance import Maintenance
from orchestrator.channels import Adapter, Report
from orchestrator.channels.registry import identities
from orchestrator.check.judge import load_configuration
from orchestrator.configuration.effective import effective
from orchestrator.configuration.loading import PolicyVersions, keep_versions, with_former_goals
from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.configuration.settings_file import load_store_settings
from orchestrator.configuration.store_settings import socket_path
from orchestrator.configuration.yaml_file import ConfigError, Problem
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.outgoing import PublicUrls
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.dispatch.running import Sender
from orchestrator.dispatch.senders import AiohttpSender, Http2Sender
from orchestrator.engine.batch import Decided
from orchestrator.explain.views import message_view
from orchestrator.kafka import KafkaIntake
from orchestrator.primitives.clock import Clock, SystemClock
from orchestrator.primitives.ids import IdMaker
from orchestrator.primitives.tokens import AddressHasher
from orchestrator.render.evaluator import Evaluator
from orchestrator.runtime.providers import active_provider
from orchestrator.runtime.runtime import Edges, Runtime
from orchestrator.statuses.outbox import Outbox
from orchestrator.stores.audit import reloaded
from orchestrator.stores.port import StoreBusy
from orchestrator.telemetry.logging import configure_logging
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.tracing import Tracing

log = structlog.get_logger()

LEAVE_SECONDS = 2.0
SENDS_SECONDS = 15.0
"""How long calls under way may take when the service stops; the rest of the 25 s closes it."""

ROLES = ("http", "kafka", "work")
"""Take calls over HTTP; take events from Kafka; work (send, fire timers, emit status events)."""


class App:
    """``clock`` is the system's except in demonstrations; ``roles`` are what the process does."""

    runtime: Runtime

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
        self._reloading = asyncio.Lock()
        self._serving = False
        self._senders: tuple[AiohttpSender, Http2Sender] | None = None
        self._runners: list[web.AppRunner] = []
        self._stops: list[Callable[[], Any]] = []
        self._adapters_of: tuple[Any, Mapping[str, tuple[Adapter[Any], str]]] = ((), {})
        self._left_open: Mapping[str, int] = {}
        self.maintenance: Maintenance | None = None
        self.kafka: KafkaIntake | None = None
        self.outbox: Outbox | None = None
        self.control: ControlSocket | None = None
        self.tracing: Tracing | None = None

    # ---- starting

    async def start(self) -> None:
        """
        Start everything. Raises ``ConfigError``, ``StoreInUse`` or ``OSError`` before anything is
        taken.
        """
        self._serving = True
        await self._start_engine()
        settings = self.configuration.settings
        if not self.store.shared and self.roles != frozenset(ROLES):
            what = "roles can only be split over a store that is shared"
            fix = "leave --role away, or use PostgreSQL"
            raise ConfigError([Problem(str(self._path), 1, 1, what, fix)])
        await self._open_senders(settings)
        if "work" in self.roles:
            await self._start_work()
        await self._listen(settings)
        if "kafka" in self.roles:
            self.kafka = kafka_intake(
                settings, self.runtime.engine, self.metrics, self.clock.now, self.tracing
            )
        if self.kafka is not None:
            await self.kafka.start()
        await self._start_control(socket_path(settings.store))
        self.maintenance = Maintenance(
            self.runtime,
            lambda: self.kafka,
            self.keys.read,
            works="work" in self.roles,
            used_keys=self.public_app[KEY_RING].take_used,
        )
        await self.maintenance.start()
        self.ready = True
        if self.keys.store_is_new:  # a typo in `store` looks the same: its opt-outs are elsewhere
            log.warning("store.new")
        log.info(
            "service.started", listen=str(settings.http.listen), admin=str(settings.http.admin)
        )

    async def start_offline(self, socket: Path) -> None:
        """
        Start the store and the engine without any worker, for one verb of the command line. The
        secrets of providers and status events may be missing: nothing is sent.
        """
        await self._start_engine()
        await self._start_control(socket)

    async def _start_engine(self) -> None:
        if not self._serving:
            load_store_settings(self._path, self._env)
        self.configuration = load_configuration(self._path, self._env, secrets=self._serving)
        settings = self.configuration.settings
        traced = settings.telemetry.traces is not None
        configure_logging(settings.log.level, settings.log.format, traced)
        self.sinks = sinks_of(settings, self.clock)
        self.store = open_store(settings, self.clock.now, [sink.name for sink in self.sinks])
        await self.store.open()
        self._stops.append(self.store.close)
        self.policy_versions = PolicyVersions(self.store)
        await keep_versions(self.store, self.configuration)
        self.policy_versions.put(self.configuration)
        await self._load_keys()
        self.new_id = IdMaker(self.clock.now).next
        edges = Edges(
            clock=self.clock,
            store=self.store,
            metrics=self.metrics,
            policy_version=self.policy_versions.find,
            journey_version=self.policy_versions.journeys.find,
            address_hash=self.hasher,
            urls=PublicUrls(settings.http.public_url, self.keys.signing),
            evaluate=Evaluator(),
            view=message_view,
            new_id=self.new_id,
            sender_for=self._sender_for,
            observe=self._observe,
            tracing=self._open_tracing(settings),
            receipt_outage=settings.receipt_outage,
        )
        rules = await with_former_goals(self.store, self.configuration.rules)
        self.runtime = Runtime(edges, rules, self._providers(settings))
        await self.runtime.start(works=False)
        self._stops.append(self.runtime.engine.stop)
        self.public_app = build_app(Listener.PUBLIC, self._api_deps(auth=settings.http.auth))

    def _open_tracing(self, settings: Settings) -> Tracing | None:
        """Start to export traces, if the configuration says where to; offline there are none."""
        traces = settings.telemetry.traces if self._serving else None
        if traces is not None:
            export = trace_export(traces, self.metrics)
            export.start()
            self._stops.append(partial(asyncio.to_thread, export.stop, LEAVE_SECONDS))
            self.tracing = Tracing(export.put, self._trace_share, self.clock.now)
        return self.tracing

    def _trace_share(self) -> float:
        return self.runtime.engine.rules.trace_share or 0.0

    async def _start_work(self) -> None:
        """Take a share of what waits in the store."""
        self.store.on_wake(self._wake)
        await self.store.join()
        self.outbox = Outbox(
            self.runtime.engine,
            self.store,
            self.sinks,
            self.clock.now,
            self.metrics.status_sink,
        )
        await self.runtime.start_work()
        await self.outbox.start()

    async def _load_keys(self) -> None:
        self.keys = InstallationKeys(self.store, self.clock.now, self._own_signing_key)
        self.hasher = AddressHasher(await self.keys.pepper(), identities())
        await self.keys.read()

    def _own_signing_key(self) -> str | None:
        own = self.configuration.settings.signing_key
        return own.get_secret_value() or None if own is not None else None

    async def _open_senders(self, settings: Settings) -> None:
        guard = EgressGuard(allow=settings.egress.allow)
        connections = sum(one.connections for one in settings.providers.values()) or 1
        self._senders = (
            AiohttpSender(guard=guard, connections=connections),
            Http2Sender(guard=guard, connections=connections),
        )
        for sender in self._senders:
            await sender.open()

    def _sender_for(self, provider: ActiveProvider) -> Sender:
        assert self._senders is not None
        return self._senders[1 if provider.adapter.supports.http2 else 0]

    def _providers(self, settings: Settings) -> dict[str, ActiveProvider]:
        """The configured providers; none in an offline process, which sends nothing."""
        if not self._serving:
            return {}
        return {name: self._at_work(one, settings) for name, one in settings.providers.items()}

    def _at_work(self, one: ProviderSettings, settings: Settings) -> ActiveProvider:
        rate = one.rate_per_second
        bucket = self.store.bucket(one.provider, rate, self.clock.monotonic) if rate else None
        slots = min(one.connections, getattr(one.adapter_settings, "pool", one.connections))
        adapter = one.build()
        adapter.record = partial(self._record_reports, one.provider, one.channel)
        return active_provider(one, settings, adapter, bucket, slots)

    async def _record_reports(self, provider: str, channel: str, reports: Sequence[Report]) -> None:
        await record_reports(self.public_app[DEPS], provider, channel, reports)

    async def _listen(self, settings: Settings) -> None:
        listeners = [(build_app(Listener.ADMIN, self._api_deps(auth="off")), settings.http.admin)]
        if "http" in self.roles:
            listeners.insert(0, (self.public_app, settings.http.listen))
        for app, place in listeners:
            runner = await open_runner(app)
            self._runners.append(runner)
            with unbindable(str(place), "name another address under `http`"):
                await web.TCPSite(runner, place.host, place.port, reuse_address=True).start()

    def _api_deps(self, *, auth: str) -> ApiDeps:
        engine = self.runtime.engine
        return ApiDeps(
            engine=engine,
            reader=self.store,
            keys=self.keys.signing,
            adapters=self._adapters,
            settings=lambda: self.configuration.settings,
            auth=auth,
            metrics=self.metrics,
            now=self.clock.now,
            new_id=self.new_id,
            is_ready=lambda: self.ready and not engine.store_away,
            reload=self.reload,
            left_open=lambda: self._left_open,
            effective=lambda: effective(self.configuration),
            rotated=self.keys.read,
            address_hash=self.hasher,
            tracing=self.tracing,
        )

    def _adapters(self) -> Mapping[str, tuple[Adapter[Any], str]]:
        """
        The adapter and channel of every provider for its webhooks, by all of its names, and of
        retired ones.
        """
        dispatcher, rules = self.runtime.dispatcher, self.runtime.engine.rules
        state = (dispatcher.providers, dispatcher.retired, rules)
        if any(new is not old for new, old in zip_longest(state, self._adapters_of[0])):
            known = {**dispatcher.retired, **dispatcher.providers}
            for name, one in dispatcher.providers.items():
                known.update(dict.fromkeys(rules.names_of(name), one))
            found = {name: (one.adapter, one.definition.channel) for name, one in known.items()}
            self._adapters_of = (state, found)
        return self._adapters_of[1]

    async def _start_control(self, socket: Path | None) -> None:
        if socket is None:
            return
        self.control = ControlSocket(self._api_deps(auth="off"))
        with unbindable(str(socket), "give `store` a shorter path (of 100 bytes at most)"):
            await self.control.start(socket)

    # ---- while it runs

    def _wake(self, what: str) -> None:
        """Another process has left work here, or has left altogether, or has made a key."""
        if what == "keys":
            self._reading_keys = asyncio.create_task(self.keys.read(), name="keys")
        else:
            self.runtime.wake(what)

    def _observe(self, decided: Sequence[Decided], condition_errors: Mapping[str, int]) -> None:
        if decided and self.outbox is not None:
            self.outbox.poke()

    async def reload(self, actor: str = "signal") -> list[str]:
        """
        Load the configuration again; returns its problems, and then the old one stays in force.
        Listeners, store, Kafka and status sinks keep what they were started with.
        """
        async with self._reloading:  # the last one to ask is the last one in force
            return await self._reload(actor)

    async def _reload(self, actor: str) -> list[str]:
        try:
            configuration = load_configuration(self._path, self._env)
        except ConfigError as error:
            self.metrics.reloaded(False, self.clock.now())
            problems = [str(problem) for problem in error.problems]
            log.error("config.reload_failed", problems=problems)
            return problems
        await keep_versions(self.store, configuration)
        hash = effective(configuration)["hash"]
        await self.store.append_audit(reloaded(self.new_id(), self.clock.now(), actor, hash))
        before, settings = self.configuration.settings, configuration.settings
        self.configuration = configuration
        self.policy_versions.put(configuration)
        await self.keys.read()
        await self.runtime.replace(
            configuration.rules,
            self._providers(settings),
            lambda old: (
                before.breaker == settings.breaker
                and before.providers.get(old.name) == settings.providers.get(old.name)
            ),
            settings.receipt_outage,
        )
        self.metrics.reloaded(True, self.clock.now())
        log.info("config.reloaded", policies=len(configuration.rules.policies))
        self._left_open = await self._count_left_open()
        return []

    async def _count_left_open(self) -> Mapping[str, int]:
        """The open attempts of providers that are gone; nothing is counted if none is."""
        if not self.runtime.dispatcher.retired and not self._left_open:
            return {}
        try:
            return await self.runtime.left_open()
        except StoreBusy as error:
            log.info("config.left_open_unknown", why=str(error))
            return {}

    # ---- stopping

    async def stop(self) -> None:
        """
        Drain: take nothing more, let what is under way end, close everything. Within 25 s. Raises
        nothing: a part that cannot stop in order keeps no other from it.
        """
        was_serving, self.ready = self.ready, False
        if was_serving:
            await end(asyncio.wait_for(self.store.leave(), LEAVE_SECONDS))
        if self.maintenance is not None:
            await end(self.maintenance.stop())
        # each may have to wait for something that is unreachable
        kafka = [self.kafka.stop()] if self.kafka is not None else []
        await end(*kafka, self._stop_work())
        if self.control is not None:
            await end(self.control.stop())
        outbox = [self.outbox.stop()] if self.outbox is not None else []
        await end(*(runner.cleanup() for runner in self._runners), *outbox)
        for stop in reversed(self._stops):
            await end(stop())
        self._stops.clear()
        if was_serving:
            log.info("service.stopped")

    async def _stop_work(self) -> None:
        if self._senders is not None:
            await end(self.runtime.stop_work(SENDS_SECONDS))
            await end(*(sender.close() for sender in self._senders))
