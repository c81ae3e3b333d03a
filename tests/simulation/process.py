"""
One process of the service: the production ``Runtime`` with scripted senders and no sockets.

Store, adapters, templates, tokens and the handling of webhooks are production code, too. A process
can be killed at any step; it leaves the bytes that it had committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, cast

from orchestrator.api.ports import ApiDeps
from orchestrator.api.receipts import commands_of, record_webhook
from orchestrator.api.tracking import record
from orchestrator.channels import Adapter, Engagement, Outgoing, Webhook
from orchestrator.channels.registry import channels, identities, load_adapter, usable_kinds
from orchestrator.configuration.governance_file import governance_to_document
from orchestrator.configuration.loading import Configuration, PolicyVersions
from orchestrator.configuration.policy_file import policy_to_document
from orchestrator.configuration.settings import ReceiptOutage, Settings
from orchestrator.core.inputs import Provider
from orchestrator.core.outcomes import Outcome
from orchestrator.dispatch.breakers import Breaker
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.outgoing import PublicUrls
from orchestrator.dispatch.provider import ActiveProvider, Cost
from orchestrator.engine.commands import Command
from orchestrator.engine.rules import Rules
from orchestrator.explain.views import message_view
from orchestrator.primitives.ids import IdMaker
from orchestrator.primitives.tokens import AddressHasher, SigningKeys
from orchestrator.render.evaluator import Evaluator
from orchestrator.runtime.runtime import RECENT_MINUTES, Edges, Runtime
from orchestrator.stores.sqlite.bucket import TokenBucket
from orchestrator.telemetry.metrics import Metrics
from tests.simulation.clock import JumpingClock
from tests.simulation.gate import Gate, WatchedStore
from tests.simulation.network import Network, ScriptedSender, post_mail
from tests.simulation.offers import fill
from tests.simulation.options import Options
from tests.simulation.providers.base import Post
from tests.simulation.scenery import PUBLIC_URL, TEMPLATES, Account, Rulebook, Scenery, templates
from tests.simulation.truth import Ledger

SIGNING_KEY, PEPPER = b"s" * 32, b"p" * 32
TIMERS_LOOK_SECONDS = 20.0
"""
The longest time before timers notice a clock that was set forward; a service looks each second.
"""
QUEUES_LOOK_SECONDS = 300.0
"""An hour of nothing should cost nothing; whatever is ready wakes its queue anyway."""
STOP_SECONDS = 18.0
SHARE_SECONDS = 20.0

HERE: ContextVar[Process | None] = ContextVar("simulated_process", default=None)
"""Which process the running task belongs to; None for the world around it."""


class Died(Exception):
    """The process died before it had answered; the caller does not know the result."""


@dataclass(slots=True)
class Site:
    """
    State that every process of a run shares: its surroundings, and which of the rulebooks is in
    force.
    """

    options: Options
    scenery: Scenery
    ledger: Ledger
    clock: JumpingClock
    network: Network
    evaluator: Evaluator
    metrics: Metrics
    rulebook_number: int = 0

    @property
    def rulebook(self) -> Rulebook:
        return self.scenery.books[self.rulebook_number]


class Process:
    """``number`` counts the processes of a run; ``kept`` is what the one before has committed."""

    def __init__(self, site: Site, number: int, kept: bytes | None, crashes_left: int) -> None:
        self.site = site
        self.number = number
        self.rng = Random(f"process {number} of {site.options.seed}")
        self.tasks: set[asyncio.Task[Any]] = set()
        self.died = asyncio.Event()
        self.remains: bytes = b""
        self.gate = Gate(site.options, Random(f"gate {number} of {site.options.seed}"), self.kill)
        self.gate.crashes_left = crashes_left
        self.store = WatchedStore(self.gate, site.ledger, kept)
        self.hasher = AddressHasher(PEPPER, identities())
        self.keys = SigningKeys([(1, SIGNING_KEY, site.options.start)], site.clock.now)
        self.policy_versions = PolicyVersions(self.store)

    # ---- starting and ending

    async def start(self) -> None:
        """Start every part, each task in this process's own context."""
        context = copy_context()
        context.run(HERE.set, self)
        await asyncio.get_running_loop().create_task(self._start(), context=context)

    async def _start(self) -> None:
        site = self.site
        await self.store.open()
        await self._keep_versions()
        await fill(self.store, site.options, self.hasher)
        accounts = site.scenery.accounts
        self._senders = {name: self._sender(account) for name, account in accounts.items()}
        providers = {name: self._at_work(account) for name, account in accounts.items()}
        self.runtime = Runtime(self._edges(), self._rules(), providers)
        self.store.on_wake(self.runtime.wake)
        self.deps = self._deps()
        await self.runtime.share_receipt_counts()
        await self.runtime.start()
        if site.options.receipt_outage:
            asyncio.get_running_loop().create_task(self._share_receipt_counts())

    def _edges(self) -> Edges:
        site, min_sends = self.site, self.site.options.receipt_outage
        self._new_id = IdMaker(site.clock.now, self.rng.randbytes).next
        return Edges(
            clock=site.clock,
            store=self.store,
            metrics=site.metrics,
            policy_version=self.policy_versions.find,
            journey_version=self.policy_versions.journeys.find,
            address_hash=self.hasher,
            urls=PublicUrls(PUBLIC_URL, self.keys),
            evaluate=site.evaluator,
            view=message_view,
            new_id=self._new_id,
            entropy=self.rng.randbytes,
            sender_for=lambda provider: self._senders[provider.name],
            receipt_outage=ReceiptOutage(hold=min_sends > 0, min_sends=min_sends or 1),
            timers_look_seconds=TIMERS_LOOK_SECONDS,
            queues_look_seconds=QUEUES_LOOK_SECONDS,
        )

    async def _share_receipt_counts(self) -> None:
        """Store what was counted, as maintenance does, so that the next process knows it."""
        while not self.gate.dead:
            await asyncio.sleep(SHARE_SECONDS)
            self.gate.alive()
            await self.runtime.share_receipt_counts(RECENT_MINUTES)

    async def stop(self) -> None:
        """End in good order."""
        await self.runtime.stop_work(STOP_SECONDS)
        await self.runtime.engine.stop()
        self.remains = self.store.committed_bytes()
        self.gate.dead = True
        await self.store.close()

    def kill(self, where: str) -> None:
        """Die now: nothing that is still going on has any effect from here on."""
        if self.gate.dead:
            return
        self.site.ledger.note("crash", f"process {self.number} dies ({where})")
        self.gate.dead = True
        self.remains = self.store.committed_bytes()
        self.died.set()

    async def dead_letter(self) -> None:
        """
        Take what is left of a dead process out of the loop; a task that will not be cancelled is
        cancelled again.
        """
        while self.tasks:
            for task in list(self.tasks):
                task.cancel()
            await asyncio.sleep(0)
        await self.store.close()

    async def reload(self) -> None:
        """
        Take the rulebook that is now in force into use, as a reload of the configuration does.
        """
        await self._keep_versions()
        providers = self.runtime.dispatcher.providers
        outage = self.runtime.receipt_outage
        await self.runtime.replace(self._rules(), providers, lambda old: True, outage)

    # ---- the way in

    async def ask(self, command: Command) -> Any:
        """
        The answer to a command. Raises ``Died`` where the process died first, else what the engine
        raises.
        """
        return await self._outlive(self.runtime.engine.submit(command))

    async def _outlive(self, work: Awaitable[Any]) -> Any:
        answer = asyncio.ensure_future(work)
        death = asyncio.ensure_future(self.died.wait())
        try:
            await asyncio.wait({answer, death}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            death.cancel()
        if self.gate.dead or not answer.done():
            answer.cancel()
            raise Died
        return answer.result()

    async def take_webhook(self, provider: str, post: Post) -> None:
        """
        A webhook comes in. Raises ``Died``, ``Forged``, or what the engine raises: then it is to be
        sent again.
        """
        adapter, channel = self._adapters()[provider]
        url = f"{PUBLIC_URL}/v1/receipts/{provider}{post.query}"
        query = dict(pair.split("=", 1) for pair in post.query[1:].split("&")) if post.query else {}
        hook = Webhook(
            method="POST",
            url=url,
            query=query,
            headers=post.headers,
            body=post.body,
            now=self.site.clock.now() / 1000,
        )
        adapter.verify(hook)
        said = commands_of(self.deps, provider, channel, adapter.receipts(hook))
        await self._outlive(record_webhook(self.deps, provider, post.body, said))

    async def open_mail(self, reference: str) -> None:
        """Somebody's mail program fetches the picture in a mail."""
        place = self.keys.read_reference(reference)
        if place is not None:
            await self._outlive(record(self.deps, place, Engagement.READ))

    # ---- wiring

    def _adapters(self) -> Mapping[str, tuple[Adapter[Any], str]]:
        return {
            name: (one.adapter, one.definition.channel)
            for name, one in self.runtime.dispatcher.providers.items()
        }

    def _deps(self) -> ApiDeps:
        async def no_reload(actor: str) -> list[str]:
            return []

        async def no_rotation() -> None: ...

        def no_settings() -> Any:
            raise AssertionError("nothing on this path reads the settings")

        return ApiDeps(
            engine=self.runtime.engine,
            reader=self.store,
            keys=self.keys,
            adapters=self._adapters,
            settings=no_settings,
            auth="off",
            metrics=self.site.metrics,
            now=self.site.clock.now,
            new_id=self._new_id,
            is_ready=lambda: True,
            reload=no_reload,
            rotated=no_rotation,
            address_hash=self.hasher,
            effective=no_settings,
        )

    async def _keep_versions(self) -> None:
        """Policies and governance by their version, before any message is started with them."""
        current = self.site.rulebook
        for policy in current.policies.values():
            document = {
                "policy": policy_to_document(policy),
                "templates": TEMPLATES,
                "default_locale": templates().default_locale,
            }
            await self.store.keep_version("policy", policy.name, policy.version, document)
        document = governance_to_document(current.governance)
        await self.store.keep_version(
            "governance", "governance", current.governance.version, document
        )
        self.policy_versions.put(
            Configuration(cast(Settings, None), {}, templates(), self._rules())
        )

    def _rules(self) -> Rules:
        scenery, current = self.site.scenery, self.site.rulebook
        return Rules(
            policies=current.policies,
            governance=current.governance,
            providers={name: provider_facts(account) for name, account in scenery.accounts.items()},
            channels=scenery.channels,
            currency="UAH",
            emits_statuses=True,
            journeys=scenery.journeys,
            digest=f"rulebook {self.site.rulebook_number}",
        )

    def _at_work(self, account: Account) -> ActiveProvider:
        monotonic = self.site.clock.monotonic
        bucket = TokenBucket(account.rate, monotonic) if account.rate else None
        cost = Cost(Decimal(account.cost)) if account.cost is not None else None
        breaker = Breaker(0.5, 20, 30_000, 30_000)
        return ActiveProvider(
            provider_facts(account), self._adapter(account), bucket, breaker, account.slots, cost
        )

    def _adapter(self, account: Account) -> Adapter[Any]:
        kind = load_adapter(account.stand_in.adapter)
        adapter = kind(kind.settings_type(**account.stand_in.settings()), account.name)
        if account.stand_in.adapter == "smtp":

            async def send(message: Outgoing) -> Outcome:
                return await post_mail(self.site.network, account, self.gate, message)

            adapter.send = send  # type: ignore[method-assign]
        return adapter

    def _sender(self, account: Account) -> ScriptedSender:
        return ScriptedSender(
            self.site.network, account, self.gate, EgressGuard(), self.site.clock.monotonic
        )


def provider_facts(account: Account) -> Provider:
    """A provider as decisions see it."""
    supports = load_adapter(account.stand_in.adapter).supports
    channel = channels()[account.stand_in.channel]
    return Provider(
        name=account.name,
        channel=account.stand_in.channel,
        kinds=usable_kinds(supports, account.stand_in.channel),
        timeout_ms=account.timeout_ms,
        cost=account.cost,
        idempotent=supports.idempotent_seconds > 0,
        fan_out=channel.fan_out,
        country_rule=channel.country_rule,
        otp_limits=channel.otp_limits,
    )
