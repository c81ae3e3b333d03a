"""
P6, the other half: reported ends are true. A message that succeeded did reach somebody, one that is
exhausted has tried each of its steps, and the reason that a step or a message gives has something
in the world to stand on.

Reasons are held against what was asked, what the providers did and what the policies say, not
against the core's own words. Where a race lets both be right, both pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from orchestrator.core.cascade.decide import ANSWER_GRACE_MS
from orchestrator.core.message import Attempt, Message, Run, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import OTP, Cap, Gap, QuietHours, Step, covers
from orchestrator.core.reasons import REFUSALS, Reason
from tests.simulation.checks.consent import ADDRESSES, Words
from tests.simulation.checks.digests import opens_too_late
from tests.simulation.checks.evidence import Evidence, Sent, follows
from tests.simulation.checks.inside import HOPS_MAX, hops
from tests.simulation.checks.overtaking import FAILED, IMPLIED
from tests.simulation.offers import codes_of
from tests.simulation.scenery import Human
from tests.simulation.truth import Deed, Hook

RULED = (Reason.QUIET_HOURS, Reason.FREQUENCY_CAP, Reason.MIN_GAP)
AT_ONCE = (Reason.DEDUPLICATED, Reason.TOO_MANY_HOPS, Reason.NO_CODE, Reason.HELD_OUT)
"""Reasons for which a message ends before its first step."""
COUNTED = (Reason.CONNECT_FAILED, Reason.NOT_TAKEN)
HELD_BY_PROVIDER = (Reason.THROTTLED, Reason.BREAKER_OPEN, Reason.REFUSED_CONFIGURATION)
IN_TIME = {getattr(Reason, f"NOT_{state.upper()}_IN_TIME"): state for state in IMPLIED}


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    words = Words(evidence)
    hooks: dict[int, list[Hook]] = {}
    for hook in evidence.ledger.hooks:
        hooks.setdefault(id(hook.write), []).append(hook)
    for message in evidence.messages.values():
        name = evidence.name(message.id)
        truth = MessageTruth(evidence, words, hooks, message)
        for why in truth.faults():
            yield f"P6 {name} {why}"


@dataclass(slots=False)
class MessageTruth:
    """One message, and all that the world knows of it."""

    evidence: Evidence
    words: Words
    hooks: Mapping[int, list[Hook]]
    message: Message

    @cached_property
    def human(self) -> Human:
        return self.evidence.humans[self.message.recipient]

    @cached_property
    def event(self) -> Deed:
        return self.evidence.published[self.message.event_id]

    @cached_property
    def erased(self) -> bool:
        return any(deed.what["recipient"] == self.human.id for deed in self.evidence.deeds("erase"))

    @cached_property
    def times_lie(self) -> bool:
        """Times before and after a clock was set cannot be compared."""
        return bool(self.evidence.ledger.jumps)

    @cached_property
    def addresses(self) -> set[str]:
        profile = self.human.profile
        devices = {one["endpoint"] for one in profile.get("web_push", ())}
        return devices | {profile[kind] for kind in ADDRESSES if kind in profile}

    def plan(self, run: Run) -> Step:
        return self.evidence.policy(self.message).plan[run.step]

    def sent(self, run: Run) -> list[Sent]:
        """The writes of a run that reached a provider."""
        numbers = [attempt.number for attempt in self.message.attempts_of(run.step)]
        return [
            sent
            for number in numbers
            for sent in self.evidence.sent_of.get((self.message.id, number), ())
        ]

    def reported(self, run: Run) -> set[str]:
        """The states that were reported of a run; a person who replies has read it."""
        replies = [deed.what for deed in self.evidence.deeds("reply") if deed.tried]
        answered = any(
            what["channel"] == run.channel and what["address"] in self.addresses for what in replies
        )
        states = {
            hook.state for sent in self.sent(run) for hook in self.hooks.get(id(sent.write), ())
        }
        return states | {"replied"} if answered else states

    def faults(self) -> Iterator[str]:
        message = self.message
        for attempt in message.attempts:
            yield from self.attempt_faults(attempt)
        for run in message.runs:
            if run.ended is not None and not self.stands(run, run.ended):
                yield (
                    f"left step {run.step} ({run.channel}) for {run.ended} {run.rule}".rstrip()
                    + ", which is not so"
                )
            yield from self.tries_faults(run)
        if message.status is Status.SUCCEEDED and not any(
            self.reached(run) for run in message.runs
        ):
            yield (
                f"succeeded by {message.succeeded_by}, though nothing that it waits for was"
                " reported"
            )
        if message.status in (Status.EXHAUSTED, Status.SUPPRESSED):
            tried = {run.step for run in message.runs if run.over and not run.companion}
            missing = set(range(len(self.evidence.policy(message).cascade))) - tried
            if missing and message.reason not in (*RULED, *AT_ONCE):
                yield f"is {message.status}, and steps {sorted(missing)} never had their turn"
        if message.reason is not None and not self.ended_so(message.reason):
            yield f"is {message.status} for {message.reason}, which is not so"

    def attempt_faults(self, attempt: Attempt) -> Iterator[str]:
        taken = any(
            sent.write.accepted
            for sent in self.evidence.sent_of.get((self.message.id, attempt.number), ())
        )
        if taken and attempt.outcome in (OutcomeKind.NOT_SENT, OutcomeKind.REFUSED):
            yield (
                f"says that attempt {attempt.number} was {attempt.outcome}, and {attempt.provider}"
                " took it"
            )

    def tries_faults(self, run: Run) -> Iterator[str]:
        """
        A provider is tried again at most as often as the policy says, unless it asks to wait.
        A round in which one of several devices could not start in time is free for all of them, and
        so is the one after an unknown outcome.
        """
        attempts = self.message.attempts_of(run.step)
        if any(attempt.reason in HELD_BY_PROVIDER for attempt in attempts):
            return
        tries: dict[tuple[str, str], int] = {}
        for attempt in attempts:
            if attempt.reason in COUNTED:
                key = (attempt.provider, attempt.address_hash)
                tries[key] = tries.get(key, 0) + 1
        free = sum(attempt.reason is Reason.START_TOO_LATE for attempt in attempts) + run.resent
        most = self.plan(run).retry.max + 1 + free
        for (provider, _), count in tries.items():
            if count > most:
                yield f"tried step {run.step} {count} times by {provider}, {most} are allowed"

    def reached(self, run: Run) -> bool:
        """
        Whether a run reached its person: all that it waits for was reported, or it waits for
        nothing and was taken.
        """
        if run.companion or run.channel != self.message.succeeded_by:
            return False
        taken = [sent for sent in self.sent(run) if sent.write.accepted]
        reported = self.reported(run)
        highest = max((IMPLIED[state] for state in reported if state in IMPLIED), default=-1)
        waits = self.plan(run).wait
        if "late" in self.message.flags:
            return highest >= IMPLIED["delivered"]
        if not waits:
            return bool(taken) or highest >= 0
        return all(highest >= IMPLIED[state] for state, _ in waits)

    def ended_so(self, reason: Reason) -> bool:
        """Whether a message's own reason is true."""
        message, deeds = self.message, self.evidence.deeds
        match reason:
            case Reason.DEADLINE_PASSED:
                late = (message.finished_at or 0) >= message.deadline_at
                return self.times_lie or late or opens_too_late(self.evidence, message)
            case Reason.CANCELLED:
                asked = any(deed.what.get("message") == message.id for deed in deeds("cancel"))
                return asked or self.ended_with_its_journey()
            case Reason.TOO_MANY_HOPS:
                return hops(self.evidence, message) > HOPS_MAX
            case Reason.HELD_OUT:
                return self.evidence.policy(message).held_out
            case Reason.NO_CODE:
                few = len(codes_of(self.evidence.run.options)) < len(self.evidence.messages)
                return bool(self.evidence.policy(message).codes) and few
            case Reason.ERASED:
                return self.erased
            case Reason.GOAL_MET:
                met = any(self.is_goal(deed) for deed in deeds("publish"))
                return met or self.ended_with_its_journey()
            case Reason.DEDUPLICATED:
                return any(self.is_double_of(other) for other in self.evidence.messages.values())
        waited = message.status is Status.EXPIRED  # then it says what it waited for
        return any(
            self.stands(run, reason) or (waited and run.held_for is reason) for run in message.runs
        )

    def ended_with_its_journey(self) -> bool:
        """
        Whether the journey that sent the message was left at that moment; nobody can tell of one
        that was deleted with its recipient.
        """
        if self.message.journey is None:
            return False
        run, _ = self.evidence.run.journeys.get(self.message.journey, (None, []))
        if run is None:
            return self.erased
        return run.terminal and run.finished_at == self.message.finished_at

    def is_goal(self, deed: Deed) -> bool:
        goal, what = self.evidence.policy(self.message).goal, deed.what
        mine = goal is not None and what["type"] == goal.event and self.human.id in what["people"]
        return mine and what["cart"] == self.event.what["cart"]

    def is_double_of(self, other: Message) -> bool:
        mine, dedupe = self.message, self.evidence.policy(self.message).dedupe
        same = other.id != mine.id and (other.policy, other.recipient) == (
            mine.policy,
            mine.recipient,
        )
        if (
            not same
            or dedupe is None
            or self.evidence.published[other.event_id].what["cart"] != self.event.what["cart"]
        ):
            return False
        if self.times_lie:
            return True
        ended_at = other.finished_at
        if ended_at is not None and ended_at < mine.created_at and not other.attempts:
            # nobody got anything of it; a companion may have been still to be sent
            return any(run.companion for run in other.runs)
        return other.created_at <= mine.created_at < other.created_at + dedupe.window_ms

    def stands(self, run: Run, reason: Reason) -> bool:
        """Whether the reason for which a step was left has something to stand on."""
        if (
            reason in REFUSALS
            or reason in COUNTED
            or reason in (Reason.THROTTLED, Reason.START_TOO_LATE)
        ):
            return any(attempt.reason is reason for attempt in self.message.attempts_of(run.step))
        if reason in IN_TIME:
            return self.late(run, IN_TIME[reason])
        stands = STANDS.get(reason)
        return stands is not None and stands(self, run)

    def late(self, run: Run, state: str) -> bool:
        """A state is waited for, and was not known before its time."""
        policy, ended = self.evidence.policy(self.message), self.message.finished_at
        waits = dict(self.plan(run).wait or (("sent", policy.default_wait_ms),))
        if state not in waits or run.handed_off_at is None:
            return False
        past = (
            ended is None
            or self.message.status is Status.SUCCEEDED
            or ended >= run.handed_off_at + waits[state]
        )
        return past or self.times_lie

    def refused_somewhere(self, channel: str) -> bool:
        """
        Whether a provider of a channel has refused, or reported as failed, something to one of
        these addresses.
        """
        for write in self.evidence.ledger.writes:
            if write.channel == channel and write.address in self.addresses:
                bad = any(hook.state in FAILED for hook in self.hooks.get(id(write), ()))
                if write.answer == "refused" or bad:
                    return True
        return False

    def said_no(self, run: Run) -> bool:
        who, topic = {self.human.id, *self.addresses}, self.message.topic
        return any(
            not word.yes
            and word.who in who
            and word.channel in ("*", run.channel)
            and word.topic in ("*", topic)
            for word in self.words.words
        )

    def ruled(self, run: Run) -> bool:
        """A rule of this name does not merely hold, and there is something for it to count."""
        rules: list[QuietHours | Cap | Gap] = []
        for rulebook in self.evidence.run.scenery.books:
            governance = rulebook.governance
            rules += [*governance.quiet_hours, *governance.caps, *governance.gaps]
        mine = [rule for rule in rules if rule.name == run.rule and self.covered(rule, run)]
        return any(self.bites(rule) for rule in mine)

    def covered(self, rule: QuietHours | Cap | Gap, run: Run) -> bool:
        return covers(rule.classes, self.message.message_class) and (
            not rule.channels or run.channel in rule.channels
        )

    def bites(self, rule: QuietHours | Cap | Gap) -> bool:
        if isinstance(rule, QuietHours):
            return (rule.on_hit != "defer" or rule.max_defer_ms is not None) and any(rule.windows)
        others = [
            other for other in self.evidence.messages.values() if other.recipient == self.human.id
        ]
        steps = {
            (other.id, a.step if rule.channels else 0) for other in others for a in other.attempts
        }
        return rule.on_hit != "defer" and len(steps) >= (rule.limit if isinstance(rule, Cap) else 1)

    def in_session(self, run: Run) -> bool:
        """
        Whether the person wrote on this channel, by every way to them, before the message began.
        """
        kinds = self.kinds(run.channel) & set(self.human.profile)
        began = self.evidence.created[self.message.id]
        wrote = {
            deed.what["kind"]
            for deed in self.evidence.deeds("reply")
            if deed.what["channel"] == run.channel
            and deed.what["address"] in self.addresses
            and deed.answered is not None
            and deed.answered.order < began.order
        }
        return bool(kinds) and kinds <= wrote

    def kinds(self, channel: str) -> set[str]:
        """The kinds of addresses that a channel's providers write to."""
        accounts = self.evidence.run.scenery.accounts.values()
        return {one.stand_in.kind for one in accounts if one.stand_in.channel == channel}

    def without_address(self, run: Run) -> bool:
        kinds = self.kinds(run.channel)
        unusable = self.said_no(run) or self.refused_somewhere(run.channel) or self.unknown_then
        return unusable or not any(kind in self.human.profile for kind in kinds)

    def without_consent(self, run: Run) -> bool:
        defaults = {
            b.governance.consent.get(self.message.message_class, "opt_out")
            for b in self.evidence.run.scenery.books
        }
        return "opt_in" in defaults and (
            not self.human.consents or self.said_no(run) or self.unknown_then
        )

    @property
    def unknown_then(self) -> bool:
        """The person was erased, or an opt-out started the message before any event had come."""
        return self.erased or (
            follows(self.message)
            and not any(
                other.recipient == self.message.recipient
                and not follows(other)
                and other.created_at <= self.message.created_at
                for other in self.evidence.messages.values()
            )
        )

    def codes_before(self, run: Run) -> bool:
        """Velocity limits: other codes went out by SMS."""
        attempts = [
            a for m in self.evidence.messages.values() if m.message_class == OTP for a in m.attempts
        ]
        return (
            self.message.message_class == OTP
            and run.channel == "sms"
            and any(a.channel == "sms" for a in attempts)
        )

    def abroad(self, run: Run) -> bool:
        allowed = [
            rulebook.governance.sms_countries for rulebook in self.evidence.run.scenery.books
        ]
        foreign = not self.human.profile.get("phone", "").startswith("+380")
        return run.channel == "sms" and foreign and any(allowed)


def presumed_dead(attempt: Attempt) -> bool:
    """Whether an answer came only after its process counted as dead: it was unknown until then."""
    late_at = attempt.intent_at + attempt.timeout_ms + ANSWER_GRACE_MS
    return attempt.answered_at is not None and attempt.answered_at >= late_at


STANDS: dict[Reason, Callable[[MessageTruth, Run], bool]] = {
    Reason.OPTED_OUT: lambda truth, run: truth.said_no(run) or truth.refused_somewhere(run.channel),
    Reason.NO_CONSENT: MessageTruth.without_consent,
    Reason.NO_SESSION: lambda truth, run: not truth.in_session(run),
    Reason.NO_ADDRESS: MessageTruth.without_address,
    Reason.ADDRESS_SUPPRESSED: lambda truth, run: truth.refused_somewhere(run.channel),
    Reason.COUNTRY_NOT_ALLOWED: MessageTruth.abroad,
    Reason.CONDITION_FALSE: lambda truth, run: (
        truth.plan(run).when is not None and truth.event.what["total"] < 100
    ),
    Reason.PAUSED: lambda truth, run: any(truth.evidence.deeds("pause")),
    Reason.QUIET_HOURS: MessageTruth.ruled,
    Reason.FREQUENCY_CAP: MessageTruth.ruled,
    Reason.MIN_GAP: MessageTruth.ruled,
    Reason.VELOCITY_LIMIT: MessageTruth.codes_before,
    Reason.FAILURE_RECEIPT: lambda truth, run: bool(truth.reported(run) & set(FAILED)),
    Reason.UNKNOWN_OUTCOME: lambda truth, run: any(
        a.took or presumed_dead(a) for a in truth.message.attempts_of(run.step)
    ),
    Reason.BREAKER_OPEN: lambda truth, run: any(
        w.channel == run.channel for w in truth.evidence.ledger.writes
    ),
    Reason.DEADLINE_PASSED: lambda truth, run: truth.ended_so(Reason.DEADLINE_PASSED),
    Reason.CANCELLED: lambda truth, run: truth.ended_so(Reason.CANCELLED),
    Reason.ERASED: lambda truth, run: truth.erased,
    Reason.GOAL_MET: lambda truth, run: truth.ended_so(Reason.GOAL_MET),
}
"""
The evidence each reason for leaving a step needs; a reason that is not listed cannot occur in a
simulated installation.
"""
