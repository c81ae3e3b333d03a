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
from orchestrator.core.cascade.builder import Draft
from orchestrator.core.effects import Call, GiveBack, OptOut, Reserve, ShutProvider, Strike, Tell
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
from orchestrator.core.recipient import Address, Charge, Instant
from orchestrator.core.status import Delivery, merge_delivery

CONFIGURATION_PAUSE_MS = 30_000
LATE_STARTS_MAX = 3
"""
So many withdrawn starts in a row cost no try; more of them, and it is the provider that cannot be
reached in time.
"""


def seek(draft: Draft, run: Run) -> None:
    """
    Ask the gates about a run; hold it, leave it, or put it in the backlog of the provider whose
    turn it is.
    """
    check = draft.ask(run)
    if check.verdict is Verdict.GO:
        choose(draft, run)
    elif check.verdict is Verdict.HOLD and check.until is not None and check.reason is not None:
        draft.hold(run, check.until, check.reason, check.rule or "")
    else:
        refuse(draft, run, check)


def refuse(draft: Draft, run: Run, check: Check) -> None:
    """
    A gate said never: the step is left, unless a part of it has been handed off; then only what was
    to follow is.
    """
    if run.handed_off_at is not None:
        stop_sending(draft, run, check.reason)
    else:
        draft.refuse(run, check)


def give_up(draft: Draft, run: Run, reason: Reason, detail: str = "") -> None:
    """
    Nothing more of a step can be sent. One that was handed off still has its wait; any other is
    left.
    """
    if run.handed_off_at is not None:
        stop_sending(draft, run, reason)
    else:
        draft.leave(run, reason, detail)


def stop_sending(draft: Draft, run: Run, reason: Reason | None) -> None:
    run.sending = Sending.IDLE
    run.until = None
    draft.say(
        f"nothing more is sent of step {run.step} ({run.channel}), its wait goes on: {reason}"
    )


def candidates(draft: Draft, run: Run) -> list[Provider]:
    """The providers whose turn is not over and that have an address to send to."""
    return [
        p
        for p in draft.scene(run).providers
        if p.name not in run.given_up and open_targets(draft, run, p)
    ]


def choose(draft: Draft, run: Run) -> None:
    """
    Give the turn to the first open provider. While all are shut, wait as long as the step may.
    """
    left = candidates(draft, run)
    open_now = [p for p in left if p.shut_until is None or p.shut_until <= draft.now]
    if open_now:
        take_turn(draft, run, open_now[0])
    elif left:
        wait_shut(draft, run, min(p.shut_until or draft.now for p in left), Reason.BREAKER_OPEN)
    else:
        give_up(draft, run, run.held_for or Reason.NO_ADDRESS)


def take_turn(draft: Draft, run: Run, provider: Provider) -> None:
    """Put the run into a provider's backlog; a new provider starts its own count of tries."""
    if run.provider != provider.name:
        run.provider = provider.name
        run.tries = 0
        run.tried_since = None
    run.sending = Sending.READY
    run.ready_since = draft.now
    run.until = None
    draft.say(f"step {run.step} ({run.channel}) ready for {provider.name}")


def wait_shut(draft: Draft, run: Run, until: Instant, reason: Reason) -> None:
    """
    Every provider of the step is shut or throttled. The last step waits until the deadline, an
    earlier one for its longest wait counted from its first try; without a wait it moves on at once.
    """
    if run.first_try_at is None:
        run.first_try_at = draft.now
    if draft.is_last(run):
        draft.hold(run, max(until, draft.now + 1), reason)
        return
    longest_ms = draft.step_of(run).longest_wait_ms
    limit = run.first_try_at + (longest_ms or 0)
    if run.companion and longest_ms is None:
        limit = draft.message.deadline_at
    if draft.now >= limit:
        give_up(draft, run, reason)
    else:
        draft.hold(run, min(max(until, draft.now + 1), limit), reason)


def shut(draft: Draft, run: Run, fact: Shut) -> None:
    """The provider whose turn it is cannot be used now: the next one, or wait."""
    if run.sending is not Sending.READY or run.provider != fact.provider:
        draft.say("void: not waiting for that provider")
        return
    run.held_for = fact.reason
    others = [
        p for p in candidates(draft, run) if p.name != fact.provider and not shut_now(draft, p)
    ]
    if others:
        take_turn(draft, run, others[0])
    else:
        wait_shut(draft, run, fact.until, fact.reason)


def shut_now(draft: Draft, provider: Provider) -> bool:
    return provider.shut_until is not None and provider.shut_until > draft.now


def open_targets(draft: Draft, run: Run, provider: Provider) -> list[Address]:
    """
    The addresses that this run still has to try: not taken, not refused, and unknown only where it
    may be resent.
    """
    latest: dict[str, Attempt] = {}
    taken: set[str] = set()
    unknown_tries: dict[str, int] = {}
    for attempt in draft.message.attempts_of(run.step):
        latest[attempt.address_hash] = attempt
        if attempt.outcome in (OutcomeKind.ACCEPTED, OutcomeKind.PENDING):
            taken.add(attempt.address_hash)
        if attempt.outcome is OutcomeKind.UNKNOWN:
            unknown_tries[attempt.address_hash] = unknown_tries.get(attempt.address_hash, 0) + 1
    return [
        address
        for address in draft.scene(run).targets(provider)
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


def depart(draft: Draft, run: Run, fact: Prepared) -> None:
    """
    The last look before the send: everything is asked again, and what may leave gets its intents.
    """
    if run.sending is not Sending.READY or run.provider != fact.provider:
        draft.say("void: not ready for that provider")
        return
    check = draft.ask(run)
    if check.verdict is not Verdict.GO:
        if check.verdict is Verdict.HOLD and check.until is not None and check.reason is not None:
            draft.hold(run, check.until, check.reason, check.rule or "")
        else:
            refuse(draft, run, check)
        return
    provider = draft.inputs.providers.get(fact.provider)
    if provider is None or shut_now(draft, provider):
        choose(draft, run)
        return
    wanted = open_targets(draft, run, provider)
    prepared = {target.hash: target for target in fact.targets}
    if not wanted or any(address.hash not in prepared for address in wanted):
        draft.say("prepared for an older address; prepare again")
        choose(draft, run)
        return
    if unaffordable(draft, run, fact):
        return
    for address in wanted:
        intend(draft, run, provider, prepared[address.hash], fact)
    reserve(draft, run)
    run.sending = Sending.OPEN
    run.tries += 1
    run.tried_since = run.tried_since if run.tried_since is not None else draft.now
    run.first_try_at = run.first_try_at if run.first_try_at is not None else draft.now
    run.held_for = None
    if draft.message.status is Status.ACCEPTED:
        draft.move(Status.RUNNING)


def unaffordable(draft: Draft, run: Run, fact: Prepared) -> bool:
    """Leave a step whose content takes more parts, or costs more, than it may."""
    step = draft.step_of(run)
    if step.max_parts is not None and fact.parts is not None and fact.parts > step.max_parts:
        give_up(draft, run, Reason.TOO_LONG, f"{fact.parts} parts, at most {step.max_parts}")
        return True
    if step.max_cost is not None and price(fact.cost) > float(step.max_cost):
        run.given_up.append(fact.provider)
        run.held_for = Reason.TOO_EXPENSIVE
        choose(draft, run)
        return True
    return False


def intend(draft: Draft, run: Run, provider: Provider, target: Address, fact: Prepared) -> None:
    """Write one intent, and ask for its call."""
    message = draft.message
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
        intent_at=draft.now,
        timeout_ms=provider.timeout_ms,
        content_hash=fact.content_hash,
        parts=fact.parts,
        cost=fact.cost,
    )
    message.attempts.append(attempt)
    draft.effects.append(Call(attempt.number, target))
    draft.effects.append(Tell("attempt.created", attempt.number))
    draft.say(f"send step {run.step} ({run.channel}) by {provider.name} to {attempt.address}")


def reserve(draft: Draft, run: Run) -> None:
    """
    Charge the step once; the message's first charge is the one that rules without channels count.
    """
    own = [charge for charge in draft.inputs.charges if charge.message == draft.message.id]
    if any(charge.step == run.step for charge in own):
        return
    message = draft.message
    charge = Charge(
        message.id, message.klass, run.channel, run.step, draft.now, not any(c.first for c in own)
    )
    draft.effects.append(Reserve(charge))


def answered(draft: Draft, attempt: Attempt, outcome: Outcome) -> None:
    """Record an answer, and when it is the round's last one, see what follows."""
    if attempt.outcome not in (OutcomeKind.PENDING, OutcomeKind.UNKNOWN):
        draft.say("void: already answered")
        return
    first = attempt.outcome is OutcomeKind.PENDING
    if not first and isinstance(outcome, Unknown):
        draft.say("void: still unknown")
        return
    record(draft, attempt, outcome)
    run = draft.message.run_of(attempt.step)
    if run is None or not first:
        return
    if any(a.outcome is OutcomeKind.PENDING for a in draft.message.attempts_of(run.step)):
        return
    run.sending = Sending.IDLE
    if not any(a.took for a in draft.message.attempts_of(run.step)):
        draft.effects.append(GiveBack(run.step))
    if not run.over:
        settle(draft, run)


def record(draft: Draft, attempt: Attempt, outcome: Outcome) -> None:
    """Write the outcome into its attempt, with what it means for the address and the provider."""
    attempt.outcome = kind_of(outcome)
    attempt.answered_at = draft.now
    match outcome:
        case Accepted():
            attempt.provider_id = outcome.provider_id
            hear(draft, attempt, Delivery.ACCEPTED)
        case Unknown():
            attempt.reason, attempt.code, attempt.detail = (
                outcome.reason,
                outcome.code,
                outcome.detail,
            )
            if attempt.state is not Delivery.CREATED:  # a receipt came first: it was taken
                attempt.outcome = OutcomeKind.ACCEPTED
            draft.effects.append(Tell("attempt.unknown", attempt.number))
        case NotSent():
            attempt.reason, attempt.code, attempt.detail = (
                outcome.reason,
                outcome.code,
                outcome.detail,
            )
            attempt.retry_after_ms = outcome.retry_after_ms
            draft.effects.append(Tell("attempt.not_sent", attempt.number))
        case Refused():
            attempt.reason, attempt.code, attempt.detail = (
                outcome.reason,
                outcome.code,
                outcome.detail,
            )
            hear(draft, attempt, Delivery.REJECTED)
            blame(draft, attempt, outcome)
    draft.say(
        f"attempt {attempt.number}"
        f" {attempt.outcome}{f': {attempt.reason}' if attempt.reason else ''}"
    )


def hear(draft: Draft, attempt: Attempt, state: Delivery) -> None:
    """Merge a delivery state into an attempt; a new one is told."""
    merged = merge_delivery(attempt.state, state)
    if merged is not attempt.state:
        attempt.state = merged
        attempt.times.setdefault(merged.value, draft.now)
        draft.effects.append(Tell(f"attempt.{merged}", attempt.number))


def blame(draft: Draft, attempt: Attempt, refused: Refused) -> None:
    """
    What a refusal, now or by receipt, says about the address, the person or our configuration.
    """
    code = refused.code or refused.reason.value
    match refused.reason:
        case Reason.REFUSED_ADDRESS:
            strike = Strike(
                attempt.address_hash, attempt.channel, attempt.provider, code, refused.strikes
            )
            draft.effects.append(strike)
        case Reason.REFUSED_OPTED_OUT:
            source = f"{attempt.provider} {code}"
            draft.effects.append(
                OptOut(attempt.address_hash, attempt.channel, refused.classes, source)
            )
        case Reason.REFUSED_CONFIGURATION:
            draft.effects.append(ShutProvider(attempt.provider, code, refused.detail))


def settle(draft: Draft, run: Run) -> None:
    """All answers of a round are in."""
    attempts = draft.message.attempts_of(run.step)
    taken = [a for a in attempts if a.took]
    if taken and run.handed_off_at is None:
        run.handed_off_at = min(handed_off_at(a) for a in taken)
    if taken and all(a.outcome is OutcomeKind.UNKNOWN for a in taken):
        resolve_unknown(draft, run)
        return
    latest = {a.address_hash: a for a in attempts}.values()
    unsent = [a for a in latest if a.outcome is OutcomeKind.NOT_SENT]
    if unsent:
        retry(draft, run, unsent)
    elif not taken:
        refused(draft, run, list(latest))


def handed_off_at(attempt: Attempt) -> Instant:
    """
    When its answer was recorded; for an unknown one at the latest when its provider's timeout was
    over.
    """
    answered_at = attempt.answered_at if attempt.answered_at is not None else attempt.intent_at
    if attempt.outcome is OutcomeKind.UNKNOWN:
        return min(answered_at, attempt.intent_at + attempt.timeout_ms)
    return answered_at


def resolve_unknown(draft: Draft, run: Run) -> None:
    """
    It may have been sent. By default nothing is done and the wait runs; the policy may say
    otherwise.
    """
    step = draft.step_of(run)
    provider = draft.inputs.providers.get(run.provider or "")
    may_repeat = step.on_unknown == "resend" or (provider is not None and provider.idempotent)
    if may_repeat and not run.resent and draft.now < draft.message.deadline_at:
        run.resent = True
        draft.say(f"step {run.step} may be sent once more with the same key")
        seek(draft, run)
    elif step.on_unknown == "advance":
        draft.leave(run, Reason.UNKNOWN_OUTCOME)


def retry(draft: Draft, run: Run, unsent: list[Attempt]) -> None:
    """
    Nothing was taken at some address: again on the same provider, else the next one, else see
    ``exhausted``.
    """
    last = unsent[-1]
    reason = last.reason or Reason.NOT_TAKEN
    run.held_for = reason
    if reason is Reason.START_TOO_LATE and late_in_a_row(draft, run) <= LATE_STARTS_MAX:
        run.tries -= 1
        seek(draft, run)
        return
    asked_ms = [a.retry_after_ms for a in unsent if a.retry_after_ms is not None]
    wait_ms = max(asked_ms) if asked_ms else delay_ms(run.tries, draft.message.id)
    limits = draft.step_of(run).retry
    since = run.tried_since if run.tried_since is not None else draft.now
    if run.tries <= limits.max and draft.now + wait_ms <= since + limits.within_ms:
        draft.hold(run, draft.now + wait_ms, reason)
        return
    next_provider(draft, run, reason, draft.now + wait_ms)


def late_in_a_row(draft: Draft, run: Run) -> int:
    """How many of a step's latest attempts could not start in time."""
    attempts = reversed(draft.message.attempts_of(run.step))
    return sum(
        1 for _ in takewhile(lambda attempt: attempt.reason is Reason.START_TOO_LATE, attempts)
    )


def next_provider(draft: Draft, run: Run, reason: Reason, until: Instant) -> None:
    """
    The provider's turn is over. Where it only asked for patience and nobody else is left, it is
    waited for.
    """
    current = run.provider or ""
    others = [p for p in candidates(draft, run) if p.name != current]
    patient = reason in (Reason.THROTTLED, Reason.BREAKER_OPEN, Reason.REFUSED_CONFIGURATION)
    if any(not shut_now(draft, p) for p in others):
        run.given_up.append(current)
        choose(draft, run)
    elif run.handed_off_at is not None:
        run.sending = Sending.IDLE
    elif patient and (reason is not Reason.REFUSED_CONFIGURATION or draft.is_last(run)):
        run.tries = 0
        run.tried_since = None
        wait_shut(draft, run, min([until, *(p.shut_until or until for p in others)]), reason)
    else:
        draft.leave(run, reason)


def refused(draft: Draft, run: Run, latest: list[Attempt]) -> None:
    """Everyone said no. Only a refusal of our configuration gives the next provider a turn."""
    if any(a.reason is Reason.REFUSED_CONFIGURATION for a in latest):
        next_provider(draft, run, Reason.REFUSED_CONFIGURATION, draft.now + CONFIGURATION_PAUSE_MS)
    else:
        last = latest[-1]
        draft.leave(run, last.reason or Reason.REFUSED_RECIPIENT, last.code or "")
