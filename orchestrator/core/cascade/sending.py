"""
The sending half of a step, up to the provider call (``answers`` has the rest).

    seek     ask the gates, choose a provider                → held, ready, or left
    shut     the provider whose turn it is cannot be used    → ready for another, or held
    depart   a slot is in hand: ask again, write the intents → open

A provider's turn ends after its retries, by a configuration refusal, or while its breaker is open.
An attempt that may have been sent is never given to another provider.
"""

from __future__ import annotations

from orchestrator.core.cascade.builder import DecisionBuilder
from orchestrator.core.effects import Call, EmitStatus, ReserveCap
from orchestrator.core.facts import Prepared, Shut
from orchestrator.core.gates import Check, Verdict, price
from orchestrator.core.inputs import Pause, Provider
from orchestrator.core.message import Attempt, Run, Sending, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address, CapUsage, Instant
from orchestrator.core.replies import offer

PROVIDER_PAUSES = (Reason.THROTTLED, Reason.BREAKER_OPEN, Reason.REFUSED_CONFIGURATION)
"""Reasons for which a provider is waited for if no other is left."""


def seek(builder: DecisionBuilder, run: Run) -> None:
    """Put a run that the gates let pass into a provider's backlog; hold or leave any other."""
    if admitted(builder, run):
        choose(builder, run)


def admitted(builder: DecisionBuilder, run: Run) -> bool:
    """Ask the gates; False if they held the run or made it be left."""
    check = builder.ask(run)
    if check.verdict is Verdict.GO:
        return True
    if check.verdict is Verdict.HOLD and check.until is not None and check.reason is not None:
        builder.hold(run, check.until, check.reason, check.rule or "")
    else:
        refuse(builder, run, check)
    return False


def refuse(builder: DecisionBuilder, run: Run, check: Check) -> None:
    """A gate said never. DROP ends the message too, unless a part of the step is handed off."""
    reason, rule = check.reason or Reason.CONDITION_FALSE, check.rule or ""
    handed_off = run.handed_off_at is not None
    give_up(builder, run, reason, rule)
    if check.verdict is Verdict.DROP and not run.companion and not handed_off:
        builder.drop(reason, rule)


def give_up(builder: DecisionBuilder, run: Run, reason: Reason, detail: str = "") -> None:
    """Send nothing more of a step. A part that was handed off still has its wait."""
    if run.handed_off_at is None:
        builder.leave(run, reason, detail)
        return
    builder.move_sending(run, Sending.IDLE)
    run.until = None
    builder.say(
        f"nothing more is sent of step {run.step} ({run.channel}), its wait goes on: {reason}"
    )


def candidates(builder: DecisionBuilder, run: Run) -> list[Provider]:
    """The providers whose turn is not over and that have an address to send to."""
    return [
        provider
        for provider in builder.context(run.step).providers
        if provider.name not in run.given_up and open_targets(builder, run, provider)
    ]


def choose(builder: DecisionBuilder, run: Run) -> None:
    """Give the turn to the first open provider. While all are shut, wait as long as allowed."""
    left = candidates(builder, run)
    open_now = [provider for provider in left if not shut_now(builder, provider)]
    if open_now:
        take_turn(builder, run, open_now[0])
    elif left:
        until = min(shut_until(builder, provider) or builder.now for provider in left)
        wait_shut(builder, run, until, Reason.BREAKER_OPEN)
    else:
        give_up(builder, run, run.held_for or Reason.NO_ADDRESS)


def take_turn(builder: DecisionBuilder, run: Run, provider: Provider) -> None:
    """Put the run into a provider's backlog; a new provider starts its own count of tries."""
    if run.provider != provider.name:
        run.provider = provider.name
        run.tries = 0
        run.tried_since = None
    builder.move_sending(run, Sending.READY)
    run.ready_since = builder.now
    run.until = None
    builder.say(f"step {run.step} ({run.channel}) ready for {provider.name}")


def wait_shut(builder: DecisionBuilder, run: Run, until: Instant, reason: Reason) -> None:
    """
    Wait while every provider of the step is shut or throttled.

    The last step waits until the deadline, an earlier one for its longest wait counted from its
    first try. Without a wait a step moves on at once; a companion waits until the deadline, and so
    does a step of which somebody has paused a provider.
    """
    pause = next(iter(pauses(builder, run)), None)
    if pause is not None:
        builder.hold(run, until, Reason.PAUSED, str(pause))
        return
    if run.first_try_at is None:
        run.first_try_at = builder.now
    until = max(until, builder.now + 1)
    limit = hold_limit(builder, run)
    if limit is None:
        builder.hold(run, until, reason)
    elif builder.now >= limit:
        give_up(builder, run, reason)
    else:
        builder.hold(run, min(until, limit), reason)


def hold_limit(builder: DecisionBuilder, run: Run) -> Instant | None:
    """The end of the time for which providers may hold a step; None: the deadline."""
    longest_ms = builder.step_of(run).longest_wait_ms
    if builder.is_last(run) or (run.companion and longest_ms is None):
        return None
    since = run.first_try_at if run.first_try_at is not None else builder.now
    return since + (longest_ms or 0)


def seek_after_hold(builder: DecisionBuilder, run: Run) -> None:
    """
    Seek a provider again. A throttled one whose pause is longer than the step's time has no turn
    any more: another try now would come sooner than it asked for.
    """
    limit = hold_limit(builder, run)
    if run.held_for is Reason.THROTTLED and limit is not None and (run.until or 0) >= limit:
        run.given_up.append(run.provider or "")
        choose(builder, run)
    else:
        seek(builder, run)


def shut(builder: DecisionBuilder, run: Run, fact: Shut) -> None:
    """Give the turn of a provider that cannot be used now to the next open one, or wait."""
    run.held_for = fact.reason
    others = [
        provider
        for provider in candidates(builder, run)
        if provider.name != fact.provider and not shut_now(builder, provider)
    ]
    if others:
        take_turn(builder, run, others[0])
    else:
        wait_shut(builder, run, fact.until, fact.reason)


def shut_until(builder: DecisionBuilder, provider: Provider) -> Instant | None:
    """The end of the time in which the provider's breaker is open, or it is paused."""
    ends = [provider.shut_until] if provider.shut_until is not None else []
    ends += [
        pause.until
        for pause in builder.inputs.pauses
        if pause.kind == "provider" and pause.name == provider.name
    ]
    return max(ends, default=None)


def shut_now(builder: DecisionBuilder, provider: Provider) -> bool:
    """Whether nothing may be given to the provider now."""
    until = shut_until(builder, provider)
    return until is not None and until > builder.now


def pauses(builder: DecisionBuilder, run: Run) -> list[Pause]:
    """The pauses of providers that the step still has."""
    if not builder.inputs.pauses:
        return []
    names = {provider.name for provider in candidates(builder, run)}
    return [
        pause
        for pause in builder.inputs.pauses
        if pause.kind == "provider" and pause.name in names and pause.until > builder.now
    ]


def open_targets(builder: DecisionBuilder, run: Run, provider: Provider) -> list[Address]:
    """
    The addresses that this run still has to try: not taken, not refused, and with an unknown
    outcome only if that may be resent (once).
    """
    latest: dict[str, Attempt] = {}
    taken: set[str] = set()
    unknown_tries: dict[str, int] = {}
    for attempt in builder.message.attempts_of(run.step):
        latest[attempt.address_hash] = attempt
        if attempt.outcome in (OutcomeKind.ACCEPTED, OutcomeKind.PENDING):
            taken.add(attempt.address_hash)
        if attempt.outcome is OutcomeKind.UNKNOWN:
            unknown_tries[attempt.address_hash] = unknown_tries.get(attempt.address_hash, 0) + 1
    unknown_max = 1 if run.resent else 0
    context = builder.context(run.step)
    return [
        address
        for address in context.targets(provider)
        if context.in_session(address)
        and address.hash not in taken
        and unknown_tries.get(address.hash, 0) <= unknown_max
        and not refused_for_good(latest.get(address.hash))
    ]


def refused_for_good(attempt: Attempt | None) -> bool:
    """Whether the address was refused; a refusal of our configuration says nothing about it."""
    return (
        attempt is not None
        and attempt.outcome is OutcomeKind.REFUSED
        and attempt.reason is not Reason.REFUSED_CONFIGURATION
    )


def depart(builder: DecisionBuilder, run: Run, fact: Prepared) -> None:
    """
    Ask everything again just before the send, and write the intents of what may leave. What is
    prepared in the very transaction that asked is not asked again.
    """
    just_asked = fact.at_once and run.ready_since == builder.now
    if not just_asked and not admitted(builder, run):
        return
    provider = builder.inputs.providers.get(fact.provider)
    if provider is None or shut_now(builder, provider):
        choose(builder, run)
        return
    wanted = open_targets(builder, run, provider)
    prepared = {target.hash: target for target in fact.targets}
    if not wanted or any(address.hash not in prepared for address in wanted):
        builder.say("prepared for an older address; prepare again")
        choose(builder, run)
        return
    if unaffordable(builder, run, fact):
        return
    for address in wanted:
        intend(builder, run, provider, prepared[address.hash], fact)
    run.shared = provider.fan_out and addresses_left(builder, run)
    reserve(builder, run)
    builder.move_sending(run, Sending.OPEN)
    run.tries += 1
    run.tried_since = run.tried_since if run.tried_since is not None else builder.now
    run.first_try_at = run.first_try_at if run.first_try_at is not None else builder.now
    run.held_for = None
    if builder.message.status is Status.ACCEPTED:
        builder.move_status(Status.RUNNING)


def addresses_left(builder: DecisionBuilder, run: Run) -> bool:
    """Whether other providers of a fan-out step reach addresses that none has tried."""
    tried = {a.address_hash for a in builder.message.attempts_of(run.step)}
    return any(
        provider.fan_out and any(a.hash not in tried for a in open_targets(builder, run, provider))
        for provider in candidates(builder, run)
        if provider.name != run.provider
    )


def unaffordable(builder: DecisionBuilder, run: Run, fact: Prepared) -> bool:
    """Whether the content takes more parts, or costs more, than the step may; then it moves on."""
    step = builder.step_of(run)
    if step.max_parts is not None and fact.parts is not None and fact.parts > step.max_parts:
        give_up(builder, run, Reason.TOO_LONG, f"{fact.parts} parts, at most {step.max_parts}")
        return True
    if step.max_cost is not None and price(fact.cost) > float(step.max_cost):
        run.given_up.append(fact.provider)
        run.held_for = Reason.TOO_EXPENSIVE
        choose(builder, run)
        return True
    return False


def intend(
    builder: DecisionBuilder, run: Run, provider: Provider, target: Address, fact: Prepared
) -> None:
    """Write one intent, and ask for its call."""
    message = builder.message
    definite = sum(
        a.address_hash == target.hash
        and a.provider == provider.name
        and a.outcome is not OutcomeKind.UNKNOWN
        for a in message.attempts_of(run.step)
    )
    attempt = Attempt(
        number=len(message.attempts),
        step=run.step,
        channel=run.channel,
        provider=provider.name,
        kind=target.kind,
        address=target.masked(),
        address_hash=target.hash,
        try_number=definite,
        intent_at=builder.now,
        timeout_ms=provider.timeout_ms,
        content_hash=fact.content_hash,
        parts=fact.parts,
        cost=fact.cost,
        choices=offer(message.id, fact.choices) if fact.choices else (),
    )
    message.attempts.append(attempt)
    builder.effects.append(Call(attempt.number, target))
    builder.effects.append(EmitStatus("attempt.created", attempt.number))
    builder.say(f"send step {run.step} ({run.channel}) by {provider.name} to {attempt.address}")


def reserve(builder: DecisionBuilder, run: Run) -> None:
    """Count the step once; rules without channels count only the first usage of a message."""
    message = builder.message
    own = [usage for usage in builder.inputs.cap_usages if usage.message == message.id]
    if any(usage.step == run.step for usage in own):
        return
    first = not any(usage.first for usage in own)
    usage = CapUsage(message.id, message.message_class, run.channel, run.step, builder.now, first)
    builder.effects.append(ReserveCap(usage))
