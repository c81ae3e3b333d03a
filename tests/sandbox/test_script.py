"""Scripts of the sandbox: what they mean, and what is said where they are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.demo import stack
from orchestrator.sandbox.script import Planned, Script, ScriptedAnswer, ScriptError, canonical

PROVIDERS = ("twilio", "infobip", "smtp")
PHONE = "+380501234567"


def script(
    value: Any,
    seed: int | None = 1,
    receipts: tuple[tuple[str, float], ...] = (("delivered", 1.0),),
) -> Script:
    return Script(value, providers=PROVIDERS, receipts=receipts, seed=seed)


def test_without_a_script_everything_is_accepted_and_the_configured_receipts_follow() -> None:
    turn = script({}).turn("twilio", PHONE)
    assert turn.answer == ScriptedAnswer() and turn.receipts == (Planned("delivered", 1.0),)


def test_an_address_overrides_its_provider_and_the_provider_overrides_the_default() -> None:
    given = script(
        {
            "default": {"answer": "hang", "twice": True},
            "providers": {"twilio": {"answer": {"refuse": 21610}}},
            "addresses": {PHONE: {"answer": "accept"}},
        }
    )
    assert given.turn("twilio", PHONE).answer.kind == "accept"
    assert given.turn("twilio", "+380670000000").answer.code == "21610"
    assert given.turn("infobip", "+380670000000").answer.kind == "hang"
    assert given.turn("twilio", PHONE).twice, "what a level does not name it inherits"


def test_an_address_at_one_provider_is_more_specific_than_the_address() -> None:
    given = script(
        {"addresses": {PHONE: {"answer": "hang"}, f"twilio:{PHONE}": {"answer": "accept"}}}
    )
    assert given.turn("twilio", PHONE).answer.kind == "accept"
    assert given.turn("infobip", PHONE).answer.kind == "hang"


def test_a_list_is_taken_in_turn_and_its_last_entry_repeats() -> None:
    given = script(
        {
            "addresses": {
                PHONE: [{"answer": "hang"}, {"answer": {"throttle": 3}}, {"answer": "accept"}]
            }
        }
    )
    kinds = [given.turn("twilio", PHONE).answer.kind for _ in range(5)]
    assert kinds == ["hang", "throttle", "accept", "accept", "accept"]


@pytest.mark.parametrize("written", ["380501234567", "+38 050 123-45-67", "+380501234567"])
def test_a_phone_is_the_same_address_however_it_is_written(written: str) -> None:
    assert canonical(written) == PHONE
    assert (
        script({"addresses": {written: {"answer": "hang"}}}).turn("infobip", PHONE).answer.kind
        == "hang"
    )


def test_mail_addresses_are_the_same_in_any_case() -> None:
    assert (
        script({"addresses": {"Olena@Example.com": {"answer": "hang"}}})
        .turn("smtp", "olena@example.com")
        .answer.kind
        == "hang"
    )


def test_reversed_receipts_keep_their_times_and_swap_their_states() -> None:
    given = script({"default": {"receipts": [["delivered", 1], ["read", 5]], "order": "reversed"}})
    assert given.turn("twilio", PHONE).receipts == (Planned("read", 1), Planned("delivered", 5))


def test_never_means_no_receipt() -> None:
    assert script({"default": {"receipts": "never"}}).turn("twilio", PHONE).receipts == ()


CHANCES = {"delivered": 0.8, "read": 0.5, "clicked": 0.2, "refused": 0.1, "failed": 0.1}


def behaviours(seed: int | None) -> list[Any]:
    given = script({"default": {"random": CHANCES}}, seed)
    return [given.turn("twilio", f"+38050{number:07}") for number in range(600)]


def test_chance_is_the_same_in_every_run_with_the_same_seed_whatever_the_order() -> None:
    forwards = behaviours(5)
    given = script({"default": {"random": CHANCES}}, 5)
    backwards = [given.turn("twilio", f"+38050{number:07}") for number in reversed(range(600))]
    assert forwards == list(reversed(backwards))
    assert forwards != behaviours(6)


def test_chance_does_not_depend_on_the_port_that_a_push_endpoint_happens_to_have() -> None:
    given = script({"default": {"random": CHANCES}})
    for number in range(50):
        first, second = (
            given.turn("twilio", f"http://127.0.0.1:{port}/push/{number}") for port in (8001, 9002)
        )
        assert first == second


def test_chance_keeps_roughly_to_its_shares_and_whoever_read_it_also_got_it() -> None:
    drawn = behaviours(5)
    reached = [{planned.state for planned in turn.receipts} for turn in drawn]
    refused = sum(turn.answer.kind == "refuse" for turn in drawn)
    assert 30 <= refused <= 90
    assert 370 <= sum("delivered" in states for states in reached) <= 490
    assert all("delivered" in states for states in reached if "read" in states)
    assert all("read" in states for states in reached if "clicked" in states)
    assert any("failed" in states for states in reached)
    for turn in drawn:
        times = [planned.after for planned in turn.receipts]
        assert times == sorted(times)


def test_what_is_said_beside_chance_wins_over_it() -> None:
    given = script(
        {"default": {"random": {"refused": 1}}, "addresses": {PHONE: {"answer": "accept"}}}
    )
    assert given.turn("twilio", PHONE).answer.kind == "accept"
    assert given.turn("twilio", "+380670000000").answer.kind == "refuse"


WRONG: list[tuple[Any, str]] = [
    ([], "the script: an object is needed"),
    ({"defualt": {}}, "unknown key 'defualt'; did you mean 'default'"),
    (
        {"providers": {"twillio": {}}},
        "providers.twillio: unknown provider 'twillio'; did you mean 'twilio'",
    ),
    (
        {"default": {"answer": "acept"}},
        "default.answer: unknown answer 'acept'; did you mean 'accept'",
    ),
    ({"default": {"answer": {}}}, "exactly one of refuse, throttle, late, status"),
    ({"default": {"answer": {"late": 1, "status": 500}}}, "exactly one of"),
    ({"default": {"answer": {"late": 1, "accepted": True}}}, "accepted does not go with late"),
    (
        {"default": {"answer": {"refuse": None}}},
        "default.answer.refuse: a provider's code is needed",
    ),
    ({"default": {"answer": {"refuse": 550, "stage": "helo"}}}, "unknown stage 'helo'"),
    ({"default": {"answer": {"status": 200}}}, "an HTTP status from 300 to 599"),
    ({"default": {"answer": {"throttle": -1}}}, "a number from 0"),
    ({"default": {"answer": {"late": float("nan")}}}, "a number from 0"),
    ({"default": {"receipts": "none"}}, 'default.receipts: "never" or a list'),
    ({"default": {"receipts": [["delivered"]]}}, "default.receipts[0]: a pair such as"),
    ({"default": {"receipts": [["seen", 1]]}}, "default.receipts[0]: unknown state 'seen'"),
    ({"default": {"twice": "yes"}}, "default.twice: true or false is needed"),
    ({"default": {"order": "backwards"}}, "unknown order"),
    ({"addresses": {PHONE: []}}, "a list needs 1 to 1000 behaviours"),
    ({"addresses": {PHONE: [{}, 7]}}, f"addresses['{PHONE}'][1]: an object is needed, found 7"),
    ({"default": {"random": {"read": 0.5}}}, "default.random.read: cannot be more than delivered"),
    (
        {"default": {"random": {"delivered": 0.9, "failed": 0.2}}},
        "delivered and failed together are more than 1",
    ),
    ({"default": {"random": {"delivered": 2}}}, "a number from 0 to 1"),
    (
        {"default": {"random": {"delays": {"read": [5, 1]}}}},
        "the span runs backwards, write [1, 5]",
    ),
    ({"default": {"random": {"delays": {"read": 5}}}}, "a span in seconds such as [1, 5]"),
]


@pytest.mark.parametrize(("value", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_a_wrong_script_is_refused_with_its_place_and_a_fix(value: Any, said: str) -> None:
    with pytest.raises(ScriptError) as error:
        script(value)
    assert said in str(error.value)


def test_the_chances_of_the_demonstration_are_a_script() -> None:
    value = {"providers": {name: {"random": one} for name, one in stack.CHANCES.items()}}
    script = Script(value, providers=stack.CHANCES, receipts=(), seed=1)
    assert script.value == value
