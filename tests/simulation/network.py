"""
The providers' side of the world: the fate of each request, and its later receipts.

Every request is noted as it arrives, before it is answered: that is the ground truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from orchestrator.channels import HttpCall, HttpReply, Outgoing
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.egress import EgressGuard
from orchestrator.dispatch.send_once import Answer, OnceSender, Trace, Unconnected
from tests.simulation.gate import Gate
from tests.simulation.options import Options
from tests.simulation.providers.base import Post, Reply, Request
from tests.simulation.questions import WrittenAnswer, answers, draw_answer
from tests.simulation.scenery import Account
from tests.simulation.truth import Deed, Hook, Ledger, Write

TAKEN, SILENT, LOST, REFUSED = "taken", "taken_silently", "lost", "refused"
FOREVER_SECONDS = 86_400.0
BEFORE_DOT_SECONDS = 8.0
AMBIGUOUS = ("nothing", "cut", "broken", "unreadable")


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """
    The fate of a request. ``fate`` is a ``Write.answer``; ``form`` how the answer looks:
    clear, nothing, cut, broken (5xx), unreadable, or throttled; ``why`` what a refusal says.
    """

    connects: bool = True
    connect_seconds: float = 0.05
    fate: str = TAKEN
    form: str = "clear"
    why: str = "recipient"
    answer_seconds: float = 0.1
    early: bool = False


class Network:
    """
    ``deliver`` hands a webhook to the service and is true once that has said yes; ``opened`` says
    that a mail was opened; ``spawn`` runs what belongs to the world and not to any process.
    """

    def __init__(
        self,
        options: Options,
        ledger: Ledger,
        rng: Random,
        wall: Callable[[], int],
        spawn: Callable[[Awaitable[None]], None],
        deliver: Callable[[Hook, Post], Awaitable[bool]],
        opened: Callable[[Hook], Awaitable[bool]],
    ) -> None:
        self._options = options
        self._ledger = ledger
        self._rng = rng
        self._wall = wall
        self._spawn = spawn
        self._deliver = deliver
        self._opened = opened
        self._ids = 10**15
        self._answers = answers(options)
        self._answered_at: set[int] = set()
        self.calm = False
        self.under_way = 0
        self.spells: dict[str, list[tuple[float, float, str]]] = {}
        """
        By provider: from when to when it is ``out`` (nothing connects) or ``silent`` (nothing is
        reported).
        """

    def draw_spells(self, providers: list[str]) -> None:
        """The spells in which each provider is out, or silent."""
        for kind, count in (
            ("out", self._options.outages),
            ("silent", self._options.silent_spells),
        ):
            for _ in range(count):
                start = self._rng.uniform(0, self._options.span_seconds)
                spell = (start, start + self._rng.uniform(30, self._options.span_seconds / 2), kind)
                self.spells.setdefault(self._rng.choice(providers), []).append(spell)
        if self._options.receipt_outage:
            for name in providers:
                if name.startswith(("bot", "infobip")):
                    spell = (self._options.span_seconds / 2, self._options.span_seconds, "silent")
                    self.spells.setdefault(name, []).append(spell)

    def is_in(self, account: Account, kind: str) -> bool:
        now = asyncio.get_running_loop().time()
        return not self.calm and any(
            a <= now < b and k == kind for a, b, k in self.spells.get(account.name, ())
        )

    # ---- requests

    def plan(self, account: Account) -> RequestPlan:
        """Draw what will become of the next request."""
        rng, options = self._rng, self._options
        if self.calm:
            return RequestPlan()
        slow = 6.0 if options.slow else 0.3
        seconds: dict[str, Any] = {
            "connect_seconds": rng.uniform(0.01, slow / 6),
            "answer_seconds": rng.uniform(0.02, slow),
        }
        if self.is_in(account, "out") or rng.random() < options.connect_rate:
            return RequestPlan(connects=False, **seconds)
        if rng.random() < options.throttle_rate:
            return RequestPlan(fate=REFUSED, form="throttled", **seconds)
        if rng.random() < options.refuse_rate:
            return RequestPlan(fate=REFUSED, why=rng.choice(account.stand_in.refusals), **seconds)
        if rng.random() < options.silent_take_rate:
            return RequestPlan(
                fate=SILENT,
                form=rng.choice(AMBIGUOUS),
                early=rng.random() < options.early_rate,
                **seconds,
            )
        if rng.random() < options.silent_loss_rate:
            return RequestPlan(fate=LOST, form=rng.choice(AMBIGUOUS[:3]), **seconds)
        if rng.random() < options.unreadable_rate:
            return RequestPlan(fate=SILENT, form="unreadable", **seconds)
        return RequestPlan(early=rng.random() < options.early_rate, **seconds)

    def arrive(self, account: Account, call: HttpCall, plan: RequestPlan) -> tuple[Request, Write]:
        """A request has reached the provider: note it, and if it is taken, plan its receipts."""
        stand_in = account.stand_in
        request = stand_in.read(call)
        self._ids += 1
        id = stand_in.new_id(self._ids)
        form = plan.form if plan.fate != REFUSED or plan.form == "throttled" else plan.why
        moment = self._ledger.note(
            "arrived", f"{account.name}: {request.address} {plan.fate} ({form})"
        )
        place = (account.name, stand_in.channel, request.reference, request.address)
        write = Write(moment, *place, plan.fate, id, request.text)
        self._ledger.writes.append(write)
        if write.accepted and not self.is_in(account, "silent"):
            self._plan_receipts(account, request, write, plan)
        if write.accepted and self._answers is not None:
            self._plan_answer(self._answers, account, request)
        return request, write

    def reply(self, account: Account, plan: RequestPlan, request: Request, id: str) -> Reply | None:
        """The answer in the provider's words; None where none comes."""
        stand_in = account.stand_in
        match plan.form:
            case "nothing" | "cut":
                return None
            case "broken":
                return stand_in.fail(self._rng.choice((500, 502, 503, 504)))
            case "unreadable":
                return stand_in.unreadable()
            case "throttled":
                after = self._rng.choice((None, 1, 5, 30, 120))
                return stand_in.fail(429 if after is None else self._rng.choice((429, 503)), after)
        return stand_in.accept(request, id) if plan.fate == TAKEN else stand_in.refuse(plan.why)

    # ---- receipts

    def _plan_receipts(
        self, account: Account, request: Request, write: Write, plan: RequestPlan
    ) -> None:
        """The receipts of a message and their times: in order, out of order, twice, or never."""
        rng, options = self._rng, self._options
        states = list(account.stand_in.states)
        if not self.calm and rng.random() < options.failed_receipt_rate:
            good: list[str] = [state for state in ("sent", "failed") if state in states]
        else:
            good = [state for state in states if state not in ("failed", "expired")]
        after = 0.0
        for place, state in enumerate(good):
            if not self.calm and rng.random() >= options.receipts_rate:
                continue
            after += rng.uniform(0.5, 40)
            if not self.calm and rng.random() < options.late_rate:
                after = rng.uniform(60, 7_200)
            early = plan.early and place == 0
            times = 2 if not self.calm and rng.random() < options.double_rate else 1
            for time in range(times):
                delay = 0.0 if early and not time else after + time * rng.uniform(0, 100)
                self._spawn(self._report(account, request, write, state, delay))

    async def _report(
        self, account: Account, request: Request, write: Write, state: str, delay: float
    ) -> None:
        self.under_way += 1
        try:
            await asyncio.sleep(delay)
            post = account.stand_in.receipt(request, write.provider_id, state, self._wall())
            moment = self._ledger.note("report", f"{account.name}: {write.address} {state}")
            hook = Hook(moment, account.name, state, write)
            self._ledger.hooks.append(hook)
            await self.send_hook(hook, post)
        finally:
            self.under_way -= 1

    def _plan_answer(self, rng: Random, account: Account, request: Request) -> None:
        """A person may answer what has reached them, and the provider may report it twice."""
        if account.stand_in.inbound(request.address, "", 0) is None:
            return
        if (answer := draw_answer(rng)) is not None:
            self._spawn(self._answer(rng, account, request.address, answer))

    async def _answer(
        self, rng: Random, account: Account, address: str, answer: WrittenAnswer
    ) -> None:
        self.under_way += 1
        try:
            await asyncio.sleep(answer.seconds)
            stand_in = account.stand_in
            what = {"provider": account.name, "kind": stand_in.kind, "address": address}
            what |= {"channel": stand_in.channel, "text": answer.text}
            post = stand_in.inbound(address, answer.text, self.moment_of_its_own())
            deed = Deed("reply", what, self._ledger.note("answer", f"{address} {answer.text}"))
            assert deed.tried is not None
            hook = Hook(deed.tried, account.name, "reply", None)
            self._ledger.deeds.append(deed)
            for _ in range(answer.times):
                await self.send_hook(hook, post)
                deed.answered = deed.answered or hook.answered
                await asyncio.sleep(rng.choice((0.0, 10.0, 300.0)))
        finally:
            self.under_way -= 1

    def moment_of_its_own(self) -> int:
        """Now, or soon after: stand-ins make the ids of answers from their times."""
        moment = self._wall()
        while moment in self._answered_at:
            moment += 1
        self._answered_at.add(moment)
        return moment

    async def send_hook(self, hook: Hook, post: Post | None) -> None:
        """
        Post a webhook until the service has taken it, as providers do, and give up after some
        tries.
        """
        for pause in (1, 5, 20, 60, 180, 600):
            if await (self._deliver(hook, post) if post is not None else self._opened(hook)):
                return
            await asyncio.sleep(pause * self._rng.uniform(0.5, 1.5))


class ScriptedSender(OnceSender):
    """The production sender's promise kept over the network above: only its client is another."""

    def __init__(
        self,
        network: Network,
        account: Account,
        gate: Gate,
        guard: EgressGuard,
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(guard=guard, connections=account.slots, monotonic=monotonic)
        self._network = network
        self._account = account
        self._gate = gate

    async def _once(self, call: HttpCall, trace: Trace, clock: Callable[[], float]) -> Answer:
        network, account = self._network, self._account
        plan = network.plan(account)
        await asyncio.sleep(plan.connect_seconds)
        if not plan.connects:
            raise Unconnected(OSError("refused"))
        await trace.have_token()
        await self._gate.step("before_write")
        trace.last_look()
        request, write = network.arrive(account, call, plan)
        await self._gate.step("after_write")
        reply = network.reply(account, plan, request, write.provider_id)
        await asyncio.sleep(plan.answer_seconds)
        if reply is None and plan.form == "nothing":
            await asyncio.sleep(FOREVER_SECONDS)
        await self._gate.step("before_answer")
        if reply is None:
            return Unknown(Reason.CONNECTION_LOST, detail="cut")
        return HttpReply(status=reply.status, headers=reply.headers, body=reply.body, now=clock())


async def post_mail(network: Network, account: Account, gate: Gate, message: Outgoing) -> Outcome:
    """
    The outcome of the SMTP adapter's ``send``: within 8 s the final dot is out or nothing was
    taken, and silence after it is unknown.
    """
    plan = network.plan(account)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(plan.connect_seconds)
    await gate.step("before_write")
    if not plan.connects or loop.time() - began > BEFORE_DOT_SECONDS:
        return NotSent(Reason.CONNECT_FAILED, detail="connect")
    body = f"{message.client_reference}\n{message.content}"
    call = HttpCall(
        method="SMTP", url=f"mailto:{message.address.value}", headers={}, body=body.encode()
    )
    request, write = network.arrive(account, call, plan)
    await gate.step("after_write")
    reply = network.reply(account, plan, request, write.provider_id)
    await asyncio.sleep(plan.answer_seconds)
    if reply is None and plan.form == "nothing":
        await asyncio.sleep(FOREVER_SECONDS)
    await gate.step("before_answer")
    return mail_outcome(reply, write)


def mail_outcome(reply: Reply | None, write: Write) -> Outcome:
    """The outcome that the SMTP adapter gives for a server's last word."""
    if reply is None:
        return Unknown(Reason.CONNECTION_LOST, detail="after the final dot")
    if reply.status == 250:
        return Accepted(write.provider_id)
    if reply.status in (429, 503) and write.answer == REFUSED:
        return NotSent(Reason.THROTTLED, 60_000, "451")
    if reply.status in (550, 554):
        content = reply.status == 554
        return Refused(
            Reason.REFUSED_CONTENT if content else Reason.REFUSED_RECIPIENT, str(reply.status)
        )
    return Unknown(Reason.SERVER_ERROR, str(reply.status))
