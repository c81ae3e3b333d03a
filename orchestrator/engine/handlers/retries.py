"""
Retries: another message for the event of one that ended without a send.

The message that has ended names its retry from the same transaction on, so there is never a second
one, however often and by however many it is asked, and also after a crash.
"""

from __future__ import annotations

from orchestrator.core.facts import Retried, Triggered
from orchestrator.core.journey.state import JourneyStatus
from orchestrator.core.message import Message, Status
from orchestrator.core.policy import OTP, Policy
from orchestrator.core.recipient import Instant
from orchestrator.engine.applying import apply_fact, scope_of
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import NotRetryable, Restarted, RetryMessage
from orchestrator.engine.handlers.events import Origin, start, wants
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.handlers.messages import find
from orchestrator.engine.needs import Needs
from orchestrator.engine.rules import Rules
from orchestrator.engine.unit_of_work import UnitOfWork, WorkingMessage
from orchestrator.engine.windows import dedupe_key
from orchestrator.recipients.fields import rfc3339_ms

LEFT = (JourneyStatus.EXITED, JourneyStatus.GOAL_MET)
RETRYABLE = (Status.SUPPRESSED, Status.EXHAUSTED, Status.EXPIRED)


class RetryHandler(Handler[RetryMessage]):
    def needs(self, needs: Needs, command: RetryMessage) -> None:
        needs.rows.messages.add(command.message)

    def needs_addresses(self, needs: Needs, command: RetryMessage, work: UnitOfWork) -> None:
        entry = work.messages.get(command.message)
        policy = needs.rules.policies.get(entry.message.policy) if entry is not None else None
        if entry is None or policy is None:
            return
        person = work.person(entry.message.recipient)
        needs.person_addresses(person, policy.message_class == OTP)
        if (key := dedupe_key(needs, policy, scope_of(entry.event, person, None))) is not None:
            needs.addresses.dedupes.add((policy.name, person.id, key))

    def handle(self, context: BatchContext, command: RetryMessage) -> Restarted:
        """
        Start the message again, or say which message is its retry. Raises ``UnknownMessage`` and
        ``NotRetryable``.
        """
        entry = find(context, command.message)
        message = entry.message
        if message.retried_as is not None:
            return Restarted("already_retried", message.retried_as)
        refuse_sent(message)
        refuse_over(context, message)
        policy = policy_today(context.rules, entry)
        person = context.work.person(message.recipient)
        if not wants(context, policy, entry.event, person):
            what = f"`trigger.when` of policy {policy.name} does not want its event any more"
            raise NotRetryable("not_wanted", what)
        deadline_at = new_deadline(context, command, message, policy)
        if command.dry_run:
            return Restarted("would_start", None)
        fact = Triggered(retry_of=message.id, joined=message.joined, left_out=message.left_out)
        origin = origin_of(entry)
        document = {name: entry.event[name] for name in ("ce", "data")}  # it gets codes of its own
        made = start(context, origin, fact, policy, document, person, deadline_at)
        if message.joined:
            context.work.changes.joined_copied.append((made, message.id))
        apply_fact(context, entry, Retried(made))
        return Restarted("started", made)


def refuse_sent(message: Message) -> None:
    """Raise ``NotRetryable`` unless a message has ended, and nobody can have got anything of it."""
    if not message.terminal:
        what = f"it has not ended ({message.status}); to stop it, cancel it"
        raise NotRetryable("not_ended", what)
    if message.status not in RETRYABLE:
        reason = f" ({message.reason})" if message.reason is not None else ""
        what = f"it has {message.status}{reason}; only {', '.join(RETRYABLE)} can be retried"
        raise NotRetryable("not_retryable", what)
    if not message.left_nothing:
        what = "something of it was sent, or may have been; a retry could reach them twice"
        raise NotRetryable("may_have_been_sent", what)


def refuse_over(context: BatchContext, message: Message) -> None:
    """Raise ``NotRetryable`` if the journey that sent a message was left since."""
    entry = context.work.journeys.get(message.journey) if message.journey is not None else None
    if entry is not None and entry.run.status in LEFT:
        what = f"its journey {entry.run.id} is over ({entry.run.status})"
        raise NotRetryable("journey_over", what)


def policy_today(rules: Rules, entry: WorkingMessage) -> Policy:
    """The policy under which a retry starts. Raises ``NotRetryable``."""
    message = entry.message
    if not entry.event["ce"]:
        raise NotRetryable("erased", "its recipient was erased, and its event with them")
    policy = rules.policies.get(message.policy)
    if policy is None:
        what = f"the configuration has no policy {message.policy} any more"
        raise NotRetryable("unknown_policy", what)
    if policy.event and policy.event != message.event_type:
        what = f"policy {policy.name} is triggered by {policy.event} now, not {message.event_type}"
        raise NotRetryable("not_wanted", what)
    return policy


def new_deadline(
    context: BatchContext, command: RetryMessage, message: Message, policy: Policy
) -> Instant:
    """The deadline of a retry. Raises ``NotRetryable`` if it would be over."""
    if command.same_deadline:
        if message.deadline_at <= context.now:
            what = "its deadline has passed; give the retry another one"
            raise NotRetryable("deadline_passed", what)
        return message.deadline_at
    lasts = policy.deadline_ms if command.deadline_ms is None else command.deadline_ms
    return max(context.now, message.starts_at) + lasts


def origin_of(entry: WorkingMessage) -> Origin:
    """The event of a message, from what is stored with it."""
    message = entry.message
    said = rfc3339_ms(entry.event["ce"].get("time"))
    at = message.created_at if said is None else min(said, message.created_at)
    return Origin(
        message.event_source,
        message.event_id,
        message.event_type,
        at,
        message.not_before,
        message.caused_by,
        message.hops,
        message.chain,
        message.journey,
        message.stage,
    )
