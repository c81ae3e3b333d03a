"""Properties that hold for a message under any facts in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import facts
from orchestrator.core.effects import Call, EmitStatus
from orchestrator.core.gates import Check, Verdict
from orchestrator.core.message import SENDING_LEGAL, STATUS_LEGAL, Sending, Status
from orchestrator.core.outcomes import OutcomeKind
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
from tests.properties.sizes import runs, sizes

FACTS_MAX = 24
ENDED = {Status.CANCELLED, Status.EXPIRED}
RANDOMS = st.integers(0, 2**48).map(Random)


def a_life(rng: Random) -> Life:
    life = Life(rng)
    life.live(FACTS_MAX)
    return life


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


@sizes(120, 6_000)
def test_a_life_replays_from_its_history_to_the_stored_state(size: int) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        life = a_life(rng)
        stored = decode_message(encode_message(life.message))
        assert stored == life.message
        assert replay(life.policy, stored, life.history, life.governances.__getitem__) == stored

    holds()


@sizes(100, 4_000)
def test_a_status_moves_only_where_it_may_and_a_sending_half_too(size: int) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        for lived in a_life(rng).lived:
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

    holds()


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


@sizes(100, 4_000)
def test_a_terminal_message_never_calls_for_its_cascade_and_one_that_was_called_off_not_at_all(
    size: int,
) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        for lived in a_life(rng).lived:
            for call in calls_of(lived):
                assert lived.at < lived.before.deadline_at
                assert lived.before.status not in ENDED
                run = lived.decision.message.run_of(
                    lived.decision.message.attempts[call.attempt].step
                )
                assert run is not None
                assert run.companion or not lived.before.terminal

    holds()


@sizes(100, 4_000)
def test_what_may_have_been_taken_is_sent_again_only_once_and_if_the_policy_says_so(
    size: int,
) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        life = a_life(rng)
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

    holds()


@sizes(100, 4_000)
def test_a_call_is_made_only_where_every_gate_was_asked_and_let_it_pass(size: int) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        for lived in a_life(rng).lived:
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

    holds()


@sizes(100, 4_000)
def test_an_unfinished_message_always_has_a_time_at_which_it_is_looked_at(size: int) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        for lived in a_life(rng).lived:
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

    holds()


@sizes(100, 4_000)
def test_left_alone_every_message_comes_to_its_end_by_its_own_timers(size: int) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        life = a_life(rng)
        for _ in range(200):
            due_at = life.message.due_at
            if life.message.terminal or due_at is None:
                break
            life.now = max(life.now, due_at)
            life.apply(facts.Due(due_at))
        assert life.message.terminal

    holds()


@sizes(100, 4_000)
def test_a_terminal_status_is_emitted_once_and_corrected_at_most_once(size: int) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        life = a_life(rng)
        ends = [
            status
            for lived in life.lived
            for status in statuses_emitted(lived)
            if status is not Status.RUNNING
        ]
        assert len(ends) <= 2
        if len(ends) == 2:
            assert ends[1] is Status.SUCCEEDED

    holds()


@sizes(60, 2_000)
def test_decide_changes_nothing_that_it_is_given_and_says_the_same_twice(size: int) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        from orchestrator.core.cascade.decide import decide

        life = a_life(rng)
        for lived in life.lived:
            before = lived.before.copy()
            again = decide(life.policy, lived.before, lived.inputs, lived.fact, lived.at)
            assert lived.before == before
            again.message.inputs_digest = lived.decision.message.inputs_digest  # its history's own
            again.message.holds = lived.decision.message.holds
            assert again == lived.decision

    holds()


def through_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


@sizes(60, 2_000)
def test_facts_inputs_and_checks_come_back_from_json_as_they_were_but_for_masked_addresses(
    size: int,
) -> None:
    @runs(size)
    @given(RANDOMS)
    def holds(rng: Random) -> None:
        life = a_life(rng)
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
            assert (
                msgspec.convert(entry.get("checks", ()), tuple[Check, ...]) == lived.decision.checks
            )

    holds()
