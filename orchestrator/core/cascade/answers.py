"""
What a provider's answer means for the cascade.

    answer of the round                     the step                                 and besides
    Accepted                                handed off: its wait runs
    Unknown, nothing accepted               handed off; `on_unknown` may resend once
                                            or advance
    NotSent  start_too_late                 at once again, three times in a row free
    NotSent  throttled, breaker_open        again here, then the next provider,
                                            then wait for this one
    NotSent  anything else                  again here, then the next provider,
                                            then leave
    (no step but the last is held for another try beyond its own longest wait)
    Refused  refused_configuration          the next provider; the last step waits,  shut provider
                                            any other is left
    Refused  refused_address                left                                     bounce
    Refused  refused_opted_out              left                                     opt-out
    Refused  refused_recipient, _content    left: another provider would refuse too

A round is one try at every address of the step that its provider reaches (several devices of one
person, else one), and is judged when all of its answers are in. Where the channel goes to every
address, and a provider reaches some of them only (Apple's devices, not Google's), the next one has
its turn with the others.
"""

from __future__ import annotations

from itertools import takewhile

from orchestrator.core.cascade.backoff import delay_ms
from orchestrator.core.cascade.builder import DecisionBuilder
from orchestrator.core.cascade.sending import (
    PROVIDER_PAUSES,
    addresses_left,
    candidates,
    choose,
    hold_limit,
    pauses,
    seek,
    shut_now,
    shut_until,
    wait_shut,
)
from orchestrator.core.effects import (
    BounceRecorded,
    EmitStatus,
    RecordOptOut,
    ReleaseCap,
    ShutProvider,
)
from orchestrator.core.inputs import OPEN_FOR_MS
from orchestrator.core.message import Attempt, Run, Sending
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
from orchestrator.core.recipient import Instant
from orchestrator.core.status import Delivery

WAITED_SHARE = 8
WAITED_MAX_MS = 30 * 60_000
"""
A provider that is waited for in vain is tried again after an eighth of the time so far, at most
half an hour: each try is an attempt.
"""

LATE_STARTS_MAX = 3
"""So many withdrawn starts in a row cost no try; from then on the provider counts as too slow."""


def answered(builder: DecisionBuilder, attempt: Attempt, outcome: Outcome) -> None:
    """Record an answer; if it is the last one of its round, decide what follows."""
    if attempt.outcome not in (OutcomeKind.PENDING, OutcomeKind.UNKNOWN):
        builder.say("void: already answered")
        return
    first = attempt.outcome is OutcomeKind.PENDING
    if not first and isinstance(outcome, Unknown):
        builder.say("void: still unknown")
        return
    record(builder, attempt, outcome)
    run = builder.message.run_of(attempt.step)
    if run is None:
        return
    attempts = builder.message.attempts_of(run.step)
    if not first:
        if not attempt.took:
            hand_off_again(run, attempts)
        return
    if any(a.outcome is OutcomeKind.PENDING for a in attempts):
        return
    if not any(a.took for a in attempts):
        builder.effects.append(ReleaseCap(run.step))
    if not run.over:
        settle(builder, run)
    if run.sending is Sending.OPEN:  # nothing of the step is to be sent again
        builder.move_sending(run, Sending.IDLE)


def record(builder: DecisionBuilder, attempt: Attempt, outcome: Outcome) -> None:
    """Write the outcome into its attempt, and apply it to the address and the provider."""
    attempt.outcome = kind_of(outcome)
    attempt.answered_at = builder.now
    if not isinstance(outcome, Accepted):
        attempt.reason, attempt.code, attempt.detail = outcome.reason, outcome.code, outcome.detail
    match outcome:
        case Accepted():
            attempt.provider_id = outcome.provider_id
            advance(builder, attempt, Delivery.ACCEPTED)
        case Unknown():
            if attempt.state is not Delivery.CREATED:  # a receipt came first: it was taken
                attempt.outcome = OutcomeKind.ACCEPTED
            builder.effects.append(EmitStatus("attempt.unknown", attempt.number))
        case NotSent():
            attempt.retry_after_ms = outcome.retry_after_ms
            builder.effects.append(EmitStatus("attempt.not_sent", attempt.number))
        case Refused():
            advance(builder, attempt, Delivery.REJECTED)
            blame(builder, attempt, outcome)
    builder.say(
        f"attempt {attempt.number}"
        f" {attempt.outcome}{f': {attempt.reason}' if attempt.reason else ''}"
    )


def advance(builder: DecisionBuilder, attempt: Attempt, state: Delivery) -> None:
    """Merge a delivery state into an attempt, and emit it if it is new."""
    if builder.move_delivery(attempt, state):
        attempt.times.setdefault(state.value, builder.now)
        builder.effects.append(EmitStatus(f"attempt.{state}", attempt.number))


def blame(builder: DecisionBuilder, attempt: Attempt, refused: Refused) -> None:
    """Effects of a refusal, at once or by receipt, on the address, person or configuration."""
    code = refused.code or refused.reason.value
    hash_, channel, provider = attempt.address_hash, attempt.channel, attempt.provider
    match refused.reason:
        case Reason.REFUSED_ADDRESS:
            builder.effects.append(
                BounceRecorded(hash_, channel, provider, code, refused.suppress_after)
            )
        case Reason.REFUSED_OPTED_OUT:
            source = f"{provider} {code}"
            builder.effects.append(RecordOptOut(hash_, channel, refused.classes, source))
        case Reason.REFUSED_CONFIGURATION:
            builder.effects.append(ShutProvider(provider, code, refused.detail))


def settle(builder: DecisionBuilder, run: Run) -> None:
    """Decide what follows a round, all answers of which are in (the table at the top)."""
    attempts = builder.message.attempts_of(run.step)
    taken = [a for a in attempts if a.took]
    if taken and run.handed_off_at is None:
        run.handed_off_at = min(handed_off_at(a) for a in taken)
    latest = list({a.address_hash: a for a in attempts}.values())
    unsent = [a for a in latest if a.outcome is OutcomeKind.NOT_SENT]
    if not unsent and run.shared and addresses_left(builder, run):
        run.given_up.append(run.provider or "")
        choose(builder, run)
        return
    if taken and all(a.outcome is OutcomeKind.UNKNOWN for a in taken):
        resolve_unknown(builder, run)
        return
    if unsent:
        retry(builder, run, unsent)
    elif not taken:
        refused(builder, run, latest)


def hand_off_again(run: Run, attempts: list[Attempt]) -> None:
    """
    An attempt whose outcome was unknown was not taken after all, so it handed nothing off: the
    wait of another one counts from that one's own hand-off.
    """
    taken = [a for a in attempts if a.took]
    if taken:
        run.handed_off_at = min(handed_off_at(a) for a in taken)
    elif run.sending is not Sending.IDLE:
        run.handed_off_at = None


def handed_off_at(attempt: Attempt) -> Instant:
    """The time at which its answer was recorded; for an unknown one, its timeout at the latest."""
    answered_at = attempt.answered_at if attempt.answered_at is not None else attempt.intent_at
    if attempt.outcome is OutcomeKind.UNKNOWN:
        return min(answered_at, attempt.intent_at + attempt.timeout_ms)
    return answered_at


def resolve_unknown(builder: DecisionBuilder, run: Run) -> None:
    """It may have been sent: wait (the default), resend once with the same key, or advance."""
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
    Try again on the same provider, as often and as long as the step's `retry` allows; a step that
    is not the last waits no longer for it than it would have waited for a receipt.
    """
    reason = unsent[-1].reason or Reason.NOT_TAKEN
    run.held_for = reason
    if reason is Reason.START_TOO_LATE and late_in_a_row(builder, run) <= LATE_STARTS_MAX:
        run.tries -= 1
        seek(builder, run)
        return
    asked_ms = [a.retry_after_ms for a in unsent if a.retry_after_ms is not None]
    wait_ms = max(asked_ms) if asked_ms else delay_ms(run.tries, builder.message.id)
    limits = builder.step_of(run).retry
    since = run.tried_since if run.tried_since is not None else builder.now
    until = builder.now + wait_ms
    latest = since + limits.within_ms
    if (limit := hold_limit(builder, run)) is not None and builder.step_of(run).wait:
        latest = min(latest, limit)
    if run.tries <= limits.max and until <= latest:
        builder.hold(run, until, reason)
    else:
        next_provider(builder, run, reason, until)


def late_in_a_row(builder: DecisionBuilder, run: Run) -> int:
    """The number of a step's latest attempts that could not start in time."""
    attempts = reversed(builder.message.attempts_of(run.step))
    return len(list(takewhile(lambda attempt: attempt.reason is Reason.START_TOO_LATE, attempts)))


def next_provider(builder: DecisionBuilder, run: Run, reason: Reason, until: Instant) -> None:
    """End the provider's turn: the next one, or wait for this one, or leave the step."""
    current = run.provider or ""
    others = [p for p in candidates(builder, run) if p.name != current]
    if any(not shut_now(builder, p) for p in others):
        run.given_up.append(current)
        choose(builder, run)
        return
    if run.handed_off_at is not None:
        return  # another device has it, and its wait goes on
    # people must fix a wrong configuration; only the last step can wait for that
    worth_waiting = reason in PROVIDER_PAUSES and (
        reason is not Reason.REFUSED_CONFIGURATION or builder.is_last(run)
    )
    if worth_waiting:
        run.tries = builder.step_of(run).retry.max  # they are spent: from now on single tries
        run.tried_since = None
        waited_ms = builder.now - (run.first_try_at or builder.now)
        until = max(until, builder.now + min(WAITED_MAX_MS, waited_ms // WAITED_SHARE))
        ends = [until, *(shut_until(builder, p) or until for p in others)]
        wait_shut(builder, run, min(ends), reason)
    elif any(pause.name != current for pause in pauses(builder, run)):
        run.given_up.append(current)
        choose(builder, run)
    else:
        builder.leave(run, reason)


def refused(builder: DecisionBuilder, run: Run, latest: list[Attempt]) -> None:
    """All refused. Only a refusal of our configuration gives the next provider a turn."""
    reason = Reason.REFUSED_CONFIGURATION
    if any(a.reason is reason for a in latest):
        provider = builder.inputs.providers.get(run.provider or "")
        pause_ms = provider.open_for_ms if provider is not None else OPEN_FOR_MS
        next_provider(builder, run, reason, builder.now + pause_ms)
    else:
        last = latest[-1]
        builder.leave(run, last.reason or Reason.REFUSED_RECIPIENT, last.code or "")
