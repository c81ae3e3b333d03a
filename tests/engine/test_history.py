"""History lines: what is left out of them when they are written is back when they are read."""

from __future__ import annotations

import json
from typing import Any, get_args, get_type_hints

import pytest
from msgspec.structs import asdict

from orchestrator.channels.wire import json_of
from orchestrator.core.cascade.decide import Decision, decide
from orchestrator.core.effects import Call, Effect
from orchestrator.core.facts import (
    Answered,
    Due,
    Fact,
    GoalReached,
    Prepared,
    ReceiptReceived,
    RulesChanged,
    Shut,
    Triggered,
    Unpreparable,
)
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.message import Message, Sending
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address
from orchestrator.core.values import replace
from orchestrator.history.codec import (
    decode_fact,
    decode_history,
    decode_message,
    encode_entry,
    encode_fact,
    encode_message,
)
from orchestrator.history.replay import replay
from orchestrator.primitives.ids import LENGTH, decode, encode

PHONE = Address("phone", "+380501234567", "a" * 32, country="UA", shown="+380…67")
POLICY = Policy(
    "cart", "v1", "shop.cart", (Step("viber", wait=(("delivered", 600_000),)), Step("sms"))
)
INPUTS = Inputs(
    addresses=(PHONE,),
    providers={"a": Provider("a", "viber", ("phone",))},
    channels={"viber": ("a",)},
    zone="Europe/Kyiv",
)


BODIES = (
    *(
        b'{"a": [1, 2.5, null, "\xd1\x8f"]}',
        b"18446744073709551616",
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b"NaN",
        b'{"a":1e999}',
    ),
    *(b"", b"{", b'"\xff"', b"[" * 5_000, b'{"a":1,"a":2}', "{}".encode("utf-16")),
)


def newborn() -> Message:
    place: dict[str, Any] = {
        "event_source": "shop",
        "event_id": "1",
        "event_type": "shop.cart",
        "recipient": "olena",
    }
    kept: dict[str, Any] = {
        "policy": "cart",
        "policy_version": "v1",
        "message_class": "transactional",
        "topic": "cart",
    }
    return Message(id="0" * 26, created_at=0, deadline_at=86_400_000, **place, **kept)


def decided(*facts: Fact, inputs: Inputs = INPUTS) -> tuple[list[Decision], bytes]:
    """Decide some facts, one a second. Return the decisions and the history they leave."""
    message, decisions, lines = newborn(), [], []
    for second, fact in enumerate(facts, start=1):
        decision = decide(POLICY, message, inputs, fact, second * 1000)
        lines.append(encode_entry(second * 1000, fact, message, decision))
        decisions.append(decision)
        message = decision.message
    return decisions, b"".join(lines)


def test_every_check_is_read_back_with_its_verdict_and_its_step() -> None:
    decisions, history = decided(
        Triggered(), Unpreparable(0, Reason.MISSING_VARIABLE, "event.name")
    )
    for decision, entry in zip(decisions, decode_history(history), strict=True):
        made = [
            {name: value for name, value in asdict(check).items() if value is not None}
            for check in decision.checks
        ]
        assert entry["checks"] == made
    assert {check["step"] for check in entry["checks"]} == {1}


def test_inputs_that_have_not_changed_are_written_once_and_read_everywhere() -> None:
    _, history = decided(Triggered(), Prepared(0, "a", (PHONE,)))
    first, second = decode_history(history)
    assert second["inputs"] == first["inputs"]
    assert history.count(b"Europe/Kyiv") == 1


def test_a_decision_that_looked_at_no_inputs_keeps_none() -> None:
    decisions, history = decided(
        Triggered(), Prepared(0, "a", (PHONE,)), Answered(0, Accepted("id-1"))
    )
    *_, answered = decode_history(history)
    assert decisions[-1].inputs is None
    assert "inputs" not in answered


def test_inputs_are_gathered_only_where_they_are_looked_at() -> None:
    decisions, _ = decided(Triggered(), Prepared(0, "a", (PHONE,)))

    def gather() -> Inputs:
        raise AssertionError("nobody looks at them")

    assert (
        decide(POLICY, decisions[-1].message, gather, Answered(0, Accepted("id-1")), 3000).inputs
        is None
    )


def test_every_address_in_a_fact_or_effect_is_masked_where_it_is_kept() -> None:
    """Another one with an address in it has to be added to ``masked``, and then here."""
    holders = {
        (kind.__name__, name)
        for kind in (*get_args(Fact), *get_args(Outcome), *get_args(Effect))
        for name, hint in get_type_hints(kind).items()
        if "Address" in str(hint)
    }
    assert holders == {("Prepared", "targets"), ("Call", "target")}
    decision = Decision(newborn(), (Call(0, PHONE),), (), ())
    line = encode_entry(1, Prepared(0, "a", (PHONE,)), newborn(), decision)
    assert line and PHONE.value.encode() not in line


@pytest.mark.parametrize(
    "fact",
    [
        Triggered(replayed=True),
        Unpreparable(1, Reason.TOO_LONG, "3 parts"),
        Answered(0, NotSent(Reason.THROTTLED, 5_000, "429")),
        Answered(2, Refused(Reason.REFUSED_OPTED_OUT, "7003", "stopped", classes=("promotional",))),
        Answered(1, Unknown(Reason.TIMED_OUT)),
        ReceiptReceived(0, "failed", 5, Refused(Reason.REFUSED_ADDRESS, suppress_after=2)),
        ReceiptReceived(0, "delivered", 5, provider_id="x"),
        GoalReached("shop", "order-1"),
    ],
)
def test_a_fact_is_read_back_as_it_was_written(fact: Fact) -> None:
    assert decode_fact(encode_fact(fact)) == fact
    (entry,) = decode_history(encode_entry(1, fact, newborn(), Decision(newborn(), (), (), ())))
    assert decode_fact(entry["fact"]) == fact


@pytest.mark.parametrize("body", BODIES)
def test_a_provider_s_json_is_read_as_python_reads_it(body: bytes) -> None:
    try:
        expected = json.loads(body)
    except (ValueError, RecursionError):
        expected = None
    found = json_of(body)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    "number", [0, 1, 2**80 - 1, 2**128 - 1, 0x0123456789ABCDEF0123456789ABCDEF]
)
def test_an_id_is_read_back_as_its_number(number: int) -> None:
    assert len(encode(number)) == LENGTH
    assert decode(encode(number)) == number


@pytest.mark.parametrize("change", ["I", "L", "O", "U", "a", "_", " ", "+", "-", "١", ""])
def test_what_is_no_id_is_refused(change: str) -> None:
    with pytest.raises(ValueError, match="no ULID"):
        decode("01K" + "0" * (LENGTH - 4) + change)


def test_holding_again_and_again_is_counted_and_replays_to_the_same_state_all_along() -> None:
    message, history, second = newborn(), b"", 0
    late = replace(
        INPUTS, providers={"a": Provider("a", "viber", ("phone",), shut_until=5 * 10**8)}
    )
    policy = replace(POLICY, cascade=(Step("viber"),))

    def apply(fact: Fact, inputs: Inputs = INPUTS) -> None:
        nonlocal message, history
        decision = decide(policy, message, inputs, fact, second * 1000)
        history += encode_entry(second * 1000, fact, message, decision)
        message = decode_message(encode_message(decision.message))
        entries = list(decode_history(history))
        assert replay(policy, message, entries, lambda version: INPUTS.governance) == message

    apply(Triggered())
    while second < 5_000:
        second += 10
        apply(Shut(0, "a", Reason.BREAKER_OPEN, second * 1000 + 10_000))
        second += 10
        assert message.due_at == second * 1000
        apply(Due(second * 1000), late if second % 100 == 0 else INPUTS)
        if message.runs[0].sending is not Sending.READY:
            apply(RulesChanged())
    held = list(decode_history(history))
    assert len(held) < 16 + 10 and sum(entry.get("again", 0) for entry in held) > 200
    apply(Prepared(0, "a", (PHONE,)))
    apply(Answered(0, Accepted("id-1")))
    assert message.terminal and message.holds == 0
    *_, prepared, _ = decode_history(history)
    assert prepared["again"] > 1 and prepared["left"]["runs"]
