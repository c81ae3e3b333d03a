"""
Laws that hold for a message under any facts in any order.

The oracles of consent and quiet hours are written as a person would check a list by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import facts
from orchestrator.core.effects import Call, EmitStatus
from orchestrator.core.gates import Check, Verdict
from orchestrator.core.message import SENDING_LEGAL, STATUS_LEGAL, Attempt, Sending, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.recipient import Consent
from orchestrator.core.values import replace
from orchestrator.history.codec import (
    decode_fact,
    decode_inputs,
    decode_message,
    encode_fact,
    encode_inputs,
    encode_message,
)
from orchestrator.history.replay import replay
from tests.properties.lives import Life, Lived, masked
from tests.properties.sizes import runs

FACTS_MAX = 24
ENDED = {Status.CANCELLED, Status.EXPIRED}
RANDOMS = st.integers(0, 2**48).map(Random)


def a_life(rng: Random) -> Life:
    life = Life(rng)
    life.live(FACTS_MAX)
    return life


LAWS: list[Callable[[Life], None]] = []


def law(holds: Callable[[Life], None]) -> Callable[[Life], None]:
    """What is true of any life."""
    LAWS.append(holds)
    return holds


def statuses_emitted(lived: Lived) -> Iterator[Status]:
    """
    Every status that one decision moved the message to, in order; ``accepted`` is where all begin.
    """
    for effect in lived.decision.effects:
        if (
            isinstance(effect, EmitStatus)
            and effect.attempt is None
            and effect.what != "message.accepted"
        ):
            yield Status(effect.what.removeprefix("message."))


def calls_of(lived: Lived) -> list[Call]:
    return [effect for effect in lived.decision.effects if isinstance(effect, Call)]


@law
def a_life_replays_from_its_history_to_the_stored_state(life: Life) -> None:
    stored = decode_message(encode_message(life.message))
    assert stored == life.message
    assert replay(life.policy, stored, life.history, life.governances.__getitem__) == stored


@law
def a_status_moves_only_where_it_may_and_a_sending_half_too(life: Life) -> None:
    for lived in life.lived:
        at = lived.before.status
        for after in statuses_emitted(lived):
            assert after in STATUS_LEGAL[at] or after is at, f"{at} → {after}"
            at = after
        assert lived.decision.message.status is at, "a status that was never emitted"
        for run in lived.decision.message.runs:
            known = lived.before.run_of(run.step)
            before = known.sending if known is not None else None
            assert run.sending is before or run.sending in SENDING_LEGAL[before], (
                f"{before} → {run.sending}"
            )


def test_every_transition_that_a_sending_half_may_make_is_made_by_somebody() -> None:
    made: set[tuple[Sending | None, Sending]] = set()
    for seed in range(400):
        for lived in a_life(Random(seed)).lived:
            for run in lived.decision.message.runs:
                known = lived.before.run_of(run.step)
                before = known.sending if known is not None else None
                if run.sending is not before:
                    made.add((before, run.sending))
    assert made == {(before, after) for before, afters in SENDING_LEGAL.items() for after in afters}


@law
def a_terminal_message_never_calls_for_its_cascade_and_one_that_was_called_off_not_at_all(
    life: Life,
) -> None:
    for lived in life.lived:
        for call in calls_of(lived):
            assert lived.at < lived.before.deadline_at
            assert lived.before.status not in ENDED
            run = lived.decision.message.run_of(lived.decision.message.attempts[call.attempt].step)
            assert run is not None
            assert run.companion or not lived.before.terminal


@law
def what_may_have_been_taken_is_sent_again_only_once_and_if_the_policy_says_so(life: Life) -> None:
    for lived in life.lived:
        for call in calls_of(lived):
            attempt = lived.decision.message.attempts[call.attempt]
            earlier = [
                a
                for a in lived.before.attempts_of(attempt.step)
                if a.address_hash == attempt.address_hash
            ]
            outcomes = Counter(a.outcome for a in earlier)
            assert not outcomes[OutcomeKind.ACCEPTED] + outcomes[OutcomeKind.PENDING]
            if outcomes[OutcomeKind.UNKNOWN]:
                run = lived.before.run_of(attempt.step)
                assert outcomes[OutcomeKind.UNKNOWN] == 1
                assert run is not None and run.resent


@law
def a_call_is_made_only_where_every_gate_was_asked_and_let_it_pass(life: Life) -> None:
    for lived in life.lived:
        for call in calls_of(lived):
            step = lived.decision.message.attempts[call.attempt].step
            made = [check for check in lived.decision.checks if check.step == step]
            assert {check.gate for check in made} >= {
                "deadline",
                "goal",
                "suppression",
                "consent",
                "reachability",
                "when",
            }
            assert {check.verdict for check in made} == {Verdict.GO}


@law
def an_unfinished_message_always_has_a_time_at_which_it_is_looked_at(life: Life) -> None:
    for lived in life.lived:
        after = lived.decision.message
        if not after.terminal:
            assert after.due_at is not None
            assert after.due_at > lived.at
        if after.terminal:
            assert after.finished_at is not None
            assert after.status is Status.SUCCEEDED or after.reason is not None, (
                "an end without a reason"
            )
            assert (after.succeeded_by is not None) is (after.status is Status.SUCCEEDED)


@law
def left_alone_every_message_comes_to_its_end_by_its_own_timers(life: Life) -> None:
    for _ in range(200):
        due_at = life.message.due_at
        if life.message.terminal or due_at is None:
            break
        life.now = max(life.now, due_at)
        life.apply(facts.Due(due_at))
    assert life.message.terminal


@law
def a_terminal_status_is_emitted_once_and_corrected_at_most_once(life: Life) -> None:
    ends = [
        status
        for lived in life.lived
        for status in statuses_emitted(lived)
        if status is not Status.RUNNING
    ]
    assert len(ends) <= 2
    if len(ends) == 2:
        assert ends[1] is Status.SUCCEEDED


@law
def decide_changes_nothing_that_it_is_given_and_says_the_same_twice(life: Life) -> None:
    from orchestrator.core.cascade.decide import decide

    for lived in life.lived:
        before = lived.before.copy()
        again = decide(life.policy, lived.before, lived.inputs, lived.fact, lived.at)
        assert lived.before == before
        again.message.inputs_digest = lived.decision.message.inputs_digest  # its history's own
        again.message.holds = lived.decision.message.holds
        assert again == lived.decision


def through_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


@law
def facts_inputs_and_checks_come_back_from_json_as_they_were_but_for_masked_addresses(
    life: Life,
) -> None:
    for lived, entry in zip(life.written, life.history, strict=True):
        fact = lived.fact
        if isinstance(fact, facts.Prepared):
            fact = replace(fact, targets=tuple(masked(target) for target in fact.targets))
        assert decode_fact(encode_fact(lived.fact)) == decode_fact(entry["fact"]) == fact
        inputs = replace(
            lived.inputs, addresses=tuple(masked(address) for address in lived.inputs.addresses)
        )
        assert (
            decode_inputs(through_json(encode_inputs(lived.inputs)), lived.inputs.governance)
            == inputs
        )
        assert msgspec.convert(entry.get("checks", ()), tuple[Check, ...]) == lived.decision.checks


def sent_by(life: Life) -> list[tuple[Lived, Attempt, Call]]:
    return [
        (lived, lived.decision.message.attempts[call.attempt], call)
        for lived in life.lived
        for call in calls_of(lived)
    ]


def rank(entry: Consent) -> int:
    return (2 if entry.channel != "*" else 0) + (1 if entry.topic != "*" else 0)


def was_allowed(
    entries: list[Consent], channel: str, topic: str, message_class: str, default: str
) -> bool:
    """Every no that speaks here must have been taken back by something later."""
    if default == "bypass":
        return True
    here = [e for e in entries if e.channel in ("*", channel) and e.topic in ("*", topic)]
    here = [e for e in here if not e.classes or message_class in e.classes]
    for no in here:
        if no.state != "out":
            continue
        taken_back = False
        for yes in here:
            newer = yes.state == "in" and yes.at > no.at and rank(yes) >= rank(no)
            if newer and (
                yes.source != "start" or (no.source == "stop" and no.channel == yes.channel)
            ):
                taken_back = True
        if not taken_back:
            return False
    return default == "opt_out" or any(e.state == "in" and e.source != "start" for e in here)


@law
def nothing_is_sent_to_an_address_that_its_owner_has_not_allowed_or_that_is_marked(
    life: Life,
) -> None:
    for lived, attempt, call in sent_by(life):
        state = lived.inputs.address_states.get(call.target.hash)
        entries = [*lived.inputs.consents, *(state.consents if state is not None else ())]
        message_class = lived.before.message_class
        default = lived.inputs.governance.consent.get(message_class, "opt_out")
        assert was_allowed(entries, attempt.channel, "news", message_class, default)
        assert state is None or attempt.channel not in state.suppressions
        if attempt.channel == "sms" and lived.inputs.governance.sms_countries:
            assert call.target.country in lived.inputs.governance.sms_countries


@law
def nothing_is_sent_in_the_night_of_the_place_where_its_recipient_lives(life: Life) -> None:
    for lived, _, _ in sent_by(life):
        if not lived.inputs.governance.quiet_hours or lived.before.message_class == "otp":
            continue
        zone = "Europe/Kyiv" if lived.inputs.zone == "Europe/Kyiv" else "UTC"
        hour = datetime.fromtimestamp(lived.at / 1000, ZoneInfo(zone)).hour
        assert 9 <= hour < 21


@pytest.mark.parametrize("holds", LAWS, ids=[holds.__name__ for holds in LAWS])
def test_in_any_life(holds: Callable[[Life], None]) -> None:
    @runs(100)
    @given(RANDOMS)
    def each(rng: Random) -> None:
        holds(a_life(rng))

    each()


@pytest.mark.verify
@pytest.mark.parametrize("part", range(4))
def test_in_thousands_of_lives_every_law_holds(part: int) -> None:
    @runs(2_000)
    @given(RANDOMS)
    def each(rng: Random) -> None:
        life = a_life(rng)
        for holds in LAWS:
            holds(life)

    each()
