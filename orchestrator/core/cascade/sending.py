"""
The sending half of a step: from "may it start?" to the provider's answer.

    seek      ask the gates, choose a provider       → held, ready, or left
    depart    a slot is in hand: ask again, write intents → open
    answered  what the provider said                 → handed off, tried again, next provider, or left

A provider's turn ends after its retries, by a configuration refusal, or while its breaker is open.
Content refusals and refusals of persons end the step: another provider would hear the same. What
may have been sent is never given to another.
"""

from __future__ import annotations

from itertools import takewhile

from orchestrator.core.cascade.backoff import delay_ms
from orchestrator.core.cascade.builder import DecisionBuilder
from orchestrator.core.effects import (
    BounceRecorded,
    Call,
    EmitStatus,
    RecordOptOut,
    ReleaseCap,
    ReserveCap,
    ShutProvider,
)
from orchestrator.core.facts import Prepared, Shut
from orchestrator.core.gates import Check, Verdict, price
from orchestrator.core.inputs import Provider
from orchestrator.core.message import Attempt, Run, Sending, Status
from orchestrator.core.outcomes import (
    Accepted,
    NotSent,
    Outcome,
    OutcomeKind,
    Refused,
    Unknown,
    kind_of,
)
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address, CapUsage, Instant
from orchestrator.core.status import Delivery, merge_delivery

CONFIGURATION_PAUSE_MS = 30_000
LATE_STARTS_MAX = 3
"""
So many withdrawn starts in a row cost no try; more of them, and it is the provider that cannot be
reached in time.
"""


def seek(builder: DecisionBuilder, run: Run) -> None:
    """
    Ask the gates about a run; hold it, leave it, or put it in the backlog of the provider whose
    turn it is.
    """
    check = builder.ask(run)
    if check.verdict is Verdict.GO:
        choose(builder, run)
    elif check.verdict is Verdict.HOLD and check.until is not None and check.reason is not None:
        builder.hold(run, check.until, check.reason, check.rule or "")
    else:
        refuse(builder, run, check)


def refuse(builder: DecisionBuilder, run: Run, check: Check) -> None:
    """
    A gate said never: the step is left, unless a part of it has been handed off; then only what was
    to follow is.
    """
    if run.handed_off_at is not None:
        stop_sending(builder, run, check.reason)
    else:
        builder.refuse(run, check)


def give_up(builder: DecisionBuilder, run: Run, reason: Reason, detail: str = "") -> None:
    """
    Nothing more of a step can be sent. One that was handed off still has its wait; any other is
    left.
    """
    if run.handed_off_at is not None:
        stop_sending(builder, run, reason)
    else:
        builder.leave(run, reason, detail)


def stop_sending(builder: DecisionBuilder, run: Run, reason: Reason | None) -> None:
    run.sending = Sending.IDLE
    run.until = None
    builder.say(
        f"nothing more is sent of step {run.step} ({run.channel}), its wait goes on: {reason}"
    )


def candidates(builder: DecisionBuilder, run: Run) -> list[Provider]:
    """The providers whose turn is not over and that have an address to send to."""
    return [
        p
        for p in builder.context(run).providers
        if p.name not in run.given_up and open_targets(builder, run, p)
    ]


def choose(builder: DecisionBuilder, run: Run) -> None:
    """
    Give the turn to the first open provider. While all are shut, wait as long as the step may.
    """
    left = candidates(builder, run)
    open_now = [p for p in left if p.shut_until is None or p.shut_until <= builder.now]
    if open_now:
        take_turn(builder, run, open_now[0])
    elif left:
        wait_shut(builder, run, min(p.shut_until or builder.now for p in left), Reason.BREAKER_OPEN)
    else:
        give_up(builder, run, run.held_for or Reason.NO_ADDRESS)


def take_turn(builder: DecisionBuilder, run: Run, provider: Provider) -> None:
    """Put the run into a provider's backlog; a new provider starts its own count of tries."""
    if run.provider != provider.name:
        run.provider = provider.name
        run.tries = 0
        run.tried_since = None
    run.sending = Sending.READY
    run.ready_since = builder.now
    run.until = None
    builder.say(f"step {run.step} ({run.channel}) ready for {provider.name}")


def wait_shut(builder: DecisionBuilder, run: Run, until: Instant, reason: Reason) -> None:
    """
    Every provider of the step is shut or throttled. The last step waits until the deadline, an
    earlier one for its longest wait counted from its first try; without a wait it moves on at once.
    """
    if run.first_try_at is None:
        run.first_try_at = builder.now
    if builder.is_last(run):
        builder.hold(run, max(until, builder.now + 1), reason)
        return
    longest_ms = builder.step_of(run).longest_wait_ms
    limit = run.first_try_at + (longest_ms or 0)
    if run.companion and longest_ms is None:
        limit = builder.message.deadline_at
    if builder.now >= limit:
        give_up(builder, run, reason)
    else:
        builder.hold(run, min(max(until, builder.now + 1), limit), reason)


def shut(builder: DecisionBuilder, run: Run, fact: Shut) -> None:
    """The provider whose turn it is cannot be used now: the next one, or wait."""
    if run.sending is not Sending.READY or run.provider != fact.provider:
        builder.say("void: not waiting for that provider")
        return
    run.held_for = fact.reason
    others = [
        p for p in candidates(builder, run) if p.name != fact.provider and not shut_now(builder, p)
    ]
    if others:
        take_turn(builder, run, others[0])
    else:
        wait_shut(builder, run, fact.until, fact.reason)


def shut_now(builder: DecisionBuilder, provider: Provider) -> bool:
    return provider.shut_until is not None and provider.shut_until > builder.now


def open_targets(builder: DecisionBuilder, run: Run, provider: Provider) -> list[Address]:
    """
    The addresses that this run still has to try: not taken, not refused, and unknown only where it
    may be resent.
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
    return [
        address
        for address in builder.context(run).targets(provider)
        if address.hash not in taken
        and (
            (run.resent and unknown_tries.get(address.hash, 0) == 1)
            or address.hash not in unknown_tries
        )
        and not refused_for_good(latest.get(address.hash))
    ]


def refused_for_good(attempt: Attempt | None) -> bool:
    """A refusal of our configuration says nothing about the address."""
    refused = attempt is not None and attempt.outcome is OutcomeKind.REFUSED
    return refused and attempt is not None and attempt.reason is not Reason.REFUSED_CONFIGURATION


def depart(builder: DecisionBuilder, run: Run, fact: Prepared) -> None:
    """
    The last look before the send: everything is asked again, and what may leave gets its intents.
    """
    if run.sending is not Sending.READY or run.provider != fact.provider:
        builder.say("void: not ready for that provider")
        return
    check = builder.ask(run)
    if check.verdict is not Verdict.GO:
        if check.verdict is Verdict.HOLD and check.until is not None and check.reason is not None:
            builder.hold(run, check.until, check.reason, check.rule or "")
        else:
            refuse(builder, run, check)
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
    reserve(builder, run)
    run.sending = Sending.OPEN
    run.tries += 1
    run.tried_since = run.tried_since if run.tried_since is not None else builder.now
    run.first_try_at = run.first_try_at if run.first_try_at is not None else builder.now
    run.held_for = None
    if builder.message.status is Status.ACCEPTED:
        builder.move(Status.RUNNING)


def unaffordable(builder: DecisionBuilder, run: Run, fact: Prepared) -> bool:
    """Leave a step whose content takes more parts, or costs more, than it may."""
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
    earlier = [
        a
        for a in message.attempts_of(run.step)
        if a.address_hash == target.hash and a.provider == provider.name
    ]
    definite = sum(a.outcome is not OutcomeKind.UNKNOWN for a in earlier)
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
    )
    message.attempts.append(attempt)
    builder.effects.append(Call(attempt.number, target))
    builder.effects.append(EmitStatus("attempt.created", attempt.number))
    builder.say(f"send step {run.step} ({run.channel}) by {provider.name} to {attempt.address}")


def reserve(builder: DecisionBuilder, run: Run) -> None:
    """
    Charge the step once; the message's first charge is the one that rules without channels count.
    """
    own = [usage for usage in builder.inputs.cap_usages if usage.message == builder.message.id]
    if any(usage.step == run.step for usage in own):
        return
    message = builder.message
    usage = CapUsage(
        message.id,
        message.message_class,
        run.channel,
        run.step,
        builder.now,
        not any(c.first for c in own),
    )
    builder.effects.append(ReserveCap(usage))


def answered(builder: DecisionBuilder, attempt: Attempt, outcome: Outcome) -> None:
    """Record an answer, and when it is the round's last one, see what follows."""
    if attempt.outcome not in (OutcomeKind.PENDING, OutcomeKind.UNKNOWN):
        builder.say("void: already answered")
        return
    first = attempt.outcome is OutcomeKind.PENDING
    if not first and isinstance(outcome, Unknown):
        builder.say("void: still unknown")
        return
    record(builder, attempt, outcome)
    run = builder.message.run_of(attempt.step)
    if run is None or not first:
        return
    if any(a.outcome is OutcomeKind.PENDING for a in builder.message.attempts_of(run.step)):
        return
    run.sending = Sending.IDLE
    if not any(a.took for a in builder.message.attempts_of(run.step)):
        builder.effects.append(ReleaseCap(run.step))
    if not run.over:
        settle(builder, run)


def record(builder: DecisionBuilder, attempt: Attempt, outcome: Outcome) -> None:
    """Write the outcome into its attempt, with what it means for the address and the provider."""
    attempt.outcome = kind_of(outcome)
    attempt.answered_at = builder.now
    match outcome:
        case Accepted():
            attempt.provider_id = outcome.provider_id
            hear(builder, attempt, Delivery.ACCEPTED)
        case Unknown():
            attempt.reason, attempt.code, attempt.detail = (
                outcome.reason,
                outcome.code,
                outcome.detail,
            )
            if attempt.state is not Delivery.CREATED:  # a receipt came first: it was taken
                attempt.outcome = OutcomeKind.ACCEPTED
            builder.effects.append(EmitStatus("attempt.unknown", attempt.number))
        case NotSent():
            attempt.reason, attempt.code, attempt.detail = (
                outcome.reason,
                outcome.code,
                outcome.detail,
            )
            attempt.retry_after_ms = outcome.retry_after_ms
            builder.effects.append(EmitStatus("attempt.not_sent", attempt.number))
        case Refused():
            attempt.reason, attempt.code, attempt.detail = (
                outcome.reason,
                outcome.code,
                outcome.detail,
            )
            hear(builder, attempt, Delivery.REJECTED)
            blame(builder, attempt, outcome)
    builder.say(
        f"attempt {attempt.number}"
        f" {attempt.outcome}{f': {attempt.reason}' if attempt.reason else ''}"
    )


def hear(builder: DecisionBuilder, attempt: Attempt, state: Delivery) -> None:
    """Merge a delivery state into an attempt; a new one is told."""
    merged = merge_delivery(attempt.state, state)
    if merged is not attempt.state:
        attempt.state = merged
        attempt.times.setdefault(merged.value, builder.now)
        builder.effects.append(EmitStatus(f"attempt.{merged}", attempt.number))


def blame(builder: DecisionBuilder, attempt: Attempt, refused: Refused) -> None:
    """
    What a refusal, now or by receipt, says about the address, the person or our configuration.
    """
    code = refused.code or refused.reason.value
    match refused.reason:
        case Reason.REFUSED_ADDRESS:
            strike = BounceRecorded(
                attempt.address_hash, attempt.channel, attempt.provider, code, refused.strikes
            )
            builder.effects.append(strike)
        case Reason.REFUSED_OPTED_OUT:
            source = f"{attempt.provider} {code}"
            builder.effects.append(
                RecordOptOut(attempt.address_hash, attempt.channel, refused.classes, source)
            )
        case Reason.REFUSED_CONFIGURATION:
            builder.effects.append(ShutProvider(attempt.provider, code, refused.detail))


def settle(builder: DecisionBuilder, run: Run) -> None:
    """All answers of a round are in."""
    attempts = builder.message.attempts_of(run.step)
    taken = [a for a in attempts if a.took]
    if taken and run.handed_off_at is None:
        run.handed_off_at = min(handed_off_at(a) for a in taken)
    if taken and all(a.outcome is OutcomeKind.UNKNOWN for a in taken):
        resolve_unknown(builder, run)
        return
    latest = {a.address_hash: a for a in attempts}.values()
    unsent = [a for a in latest if a.outcome is OutcomeKind.NOT_SENT]
    if unsent:
        retry(builder, run, unsent)
    elif not taken:
        refused(builder, run, list(latest))


def handed_off_at(attempt: Attempt) -> Instant:
    """
    When its answer was recorded; for an unknown one at the latest when its provider's timeout was
    over.
    """
    answered_at = attempt.answered_at if attempt.answered_at is not None else attempt.intent_at
    if attempt.outcome is OutcomeKind.UNKNOWN:
        return min(answered_at, attempt.intent_at + attempt.timeout_ms)
    return answered_at


def resolve_unknown(builder: DecisionBuilder, run: Run) -> None:
    """
    It may have been sent. By default nothing is done and the wait runs; the policy may say
    otherwise.
    """
    step = builder.step_of(run)
    provider = builder.inputs.providers.get(run.provider or "")
    may_repeat = step.on_unknown == "resend" or (provider is not None and provider.idempotent)
    if may_repeat and not run.resent and builder.now < builder.message.deadline_at:
        run.resent = True
        builder.say(f"step {run.step} may be sent once more with the same key")
        seek(builder, run)
    elif step.on_unknown == "advance":
        builder.leave(run, Reason.UNKNOWN_OUTCOME)


def retry(builder: DecisionBuilder, run: Run, unsent: list[Attempt]) -> None:
    """
    Nothing was taken at some address: again on the same provider, else the next one, else see
    ``exhausted``.
    """
    last = unsent[-1]
    reason = last.reason or Reason.NOT_TAKEN
    run.held_for = reason
    if reason is Reason.START_TOO_LATE and late_in_a_row(builder, run) <= LATE_STARTS_MAX:
        run.tries -= 1
        seek(builder, run)
        return
    asked_ms = [a.retry_after_ms for a in unsent if a.retry_after_ms is not None]
    wait_ms = max(asked_ms) if asked_ms else delay_ms(run.tries, builder.message.id)
    limits = builder.step_of(run).retry
    since = run.tried_since if run.tried_since is not None else builder.now
    if run.tries <= limits.max and builder.now + wait_ms <= since + limits.within_ms:
        builder.hold(run, builder.now + wait_ms, reason)
        return
    next_provider(builder, run, reason, builder.now + wait_ms)


def late_in_a_row(builder: DecisionBuilder, run: Run) -> int:
    """How many of a step's latest attempts could not start in time."""
    attempts = reversed(builder.message.attempts_of(run.step))
    return sum(
        1 for _ in takewhile(lambda attempt: attempt.reason is Reason.START_TOO_LATE, attempts)
    )


def next_provider(builder: DecisionBuilder, run: Run, reason: Reason, until: Instant) -> None:
    """
    The provider's turn is over. Where it only asked for patience and nobody else is left, it is
    waited for.
    """
    current = run.provider or ""
    others = [p for p in candidates(builder, run) if p.name != current]
    patient = reason in (Reason.THROTTLED, Reason.BREAKER_OPEN, Reason.REFUSED_CONFIGURATION)
    if any(not shut_now(builder, p) for p in others):
        run.given_up.append(current)
        choose(builder, run)
    elif run.handed_off_at is not None:
        run.sending = Sending.IDLE
    elif patient and (reason is not Reason.REFUSED_CONFIGURATION or builder.is_last(run)):
        run.tries = 0
        run.tried_since = None
        wait_shut(builder, run, min([until, *(p.shut_until or until for p in others)]), reason)
    else:
        builder.leave(run, reason)


def refused(builder: DecisionBuilder, run: Run, latest: list[Attempt]) -> None:
    """Everyone said no. Only a refusal of our configuration gives the next provider a turn."""
    if any(a.reason is Reason.REFUSED_CONFIGURATION for a in latest):
        next_provider(
            builder, run, Reason.REFUSED_CONFIGURATION, builder.now + CONFIGURATION_PAUSE_MS
        )
    else:
        last = latest[-1]
        builder.leave(run, last.reason or Reason.REFUSED_RECIPIENT, last.code or "")
