"""The engine and the embedded store together: what is durable, what is exact, what survives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from orchestrator.channels import Delivery, Inbound, Receipt
from orchestrator.core.message import Status
from orchestrator.core.outcomes import Refused, Unknown
from orchestrator.core.policy import Cap, Dedupe, Gap, Goal, Governance, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import (
    ApplyFact,
    Cancel,
    Conflict,
    DeadLetter,
    Erase,
    OptOut,
    PutConsents,
    PutRecipient,
    RecordInbound,
    RecordReceipt,
    UnknownMessage,
)
from orchestrator.history.codec import encode_message
from orchestrator.history.replay import replay
from tests.engine.world import START, World

MINUTE = 60_000
SMS = Policy("texts", "v1", "shop.event", (Step("sms"),))
CASCADE = Policy(
    "cascade", "v1", "shop.event", (Step("viber", wait=(("delivered", 10 * MINUTE),)), Step("sms"))
)


async def test_a_repeat_is_accepted_and_does_nothing() -> None:
    async with World(SMS) as world:
        first = await world.publish()
        again = await world.publish()
        assert (first.status, again.status) == ("accepted", "duplicate")
        assert first.messages == again.messages


async def test_the_same_id_with_another_body_is_refused() -> None:
    async with World(SMS) as world:
        await world.publish(data={"n": 1})
        with pytest.raises(Conflict):
            await world.publish(data={"n": 2})


async def test_two_repeats_in_one_batch_make_one_message() -> None:
    async with World(SMS) as world:
        results = await asyncio.gather(*(world.publish() for _ in range(5)))
        assert sorted(result.status for result in results) == ["accepted"] + ["duplicate"] * 4


async def test_an_event_that_nobody_wants_is_unmatched() -> None:
    async with World(SMS) as world:
        assert (await world.publish(type="shop.other")).status == "unmatched"


async def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    world = World(CASCADE, path=tmp_path / "k.db")
    await world.open()
    (id,) = (await world.publish()).messages
    await world.send(id)
    await world.close()
    await world.open()
    message = await world.message(id)
    assert message.status is Status.RUNNING
    assert await world.store.next_due() == message.due_at
    await world.close()


async def test_backlog_and_timers_are_exactly_what_the_messages_say() -> None:
    async with World(CASCADE) as world:
        (id,) = (await world.publish()).messages
        assert [row.message for row in await world.store.claim("viber_a", 10, ())] == [id]
        await world.send(id)
        assert await world.store.queues() == []
        world.at(601)
        assert await world.fire() == 1
        assert [row.queue for row in await world.store.claim("texts", 10, ())] == ["texts"]
        await world.send(id)
        assert await world.store.queues() == []
        assert await world.store.next_due() is None


async def test_the_backlog_is_claimed_in_order_of_urgency() -> None:
    otp = Policy("otp", "v1", "otp.event", (Step("sms"),), message_class="otp")
    promo = Policy("promo", "v1", "shop.event", (Step("sms"),), message_class="transactional")
    async with World(promo, otp) as world:
        await world.publish("1")
        (code,) = (await world.publish("2", type="otp.event")).messages
        assert (await world.store.claim("texts", 1, ()))[0].message == code


async def test_a_receipt_that_comes_before_the_response_is_not_lost() -> None:
    async with World(CASCADE) as world:
        (id,) = (await world.publish()).messages
        await world.engine.submit(
            RecordReceipt("viber_a", Receipt(state=Delivery.DELIVERED, provider_id=f"id-{id}"))
        )
        await world.send(id)
        message = await world.message(id)
        assert (message.status, message.succeeded_by) == (Status.SUCCEEDED, "viber")


async def test_a_receipt_by_reference_finds_an_attempt_whose_answer_was_lost() -> None:
    async with World(CASCADE) as world:
        (id,) = (await world.publish()).messages
        await world.send(id, Unknown(Reason.TIMED_OUT))
        await world.engine.submit(
            RecordReceipt("viber_a", Receipt(state=Delivery.DELIVERED, provider_id="x"), id, 0)
        )
        assert (await world.message(id)).status is Status.SUCCEEDED


async def test_a_receipt_may_only_move_attempts_of_its_own_provider() -> None:
    async with World(CASCADE) as world:
        (id,) = (await world.publish()).messages
        await world.send(id)
        await world.engine.submit(RecordReceipt("texts", Receipt(state=Delivery.DELIVERED), id, 0))
        assert (await world.message(id)).status is Status.RUNNING


async def test_a_cap_is_exact_when_many_messages_arrive_at_once() -> None:
    promo = Policy("promo", "v1", "shop.event", (Step("sms"),), message_class="promotional")
    governance = Governance(
        caps=(Cap("week", 3, window_ms=7 * 24 * 60 * MINUTE, classes=("promotional",)),),
        consent={"promotional": "opt_out"},
    )
    async with World(promo, governance=governance) as world:
        published = await asyncio.gather(*(world.publish(str(n)) for n in range(10)))
        ids = [result.messages[0] for result in published]
        await asyncio.gather(*(world.send(id) for id in ids))
        statuses = [(await world.message(id)).status for id in ids]
        assert statuses.count(Status.SUCCEEDED) == 3
        held = [
            await world.message(id)
            for id in ids
            if (await world.message(id)).status is not Status.SUCCEEDED
        ]
        assert {message.current.held_for for message in held if message.current} == {
            Reason.FREQUENCY_CAP
        }


async def test_a_refused_send_gives_its_place_under_the_cap_back() -> None:
    promo = Policy("promo", "v1", "shop.event", (Step("sms"),), message_class="promotional")
    governance = Governance(
        caps=(Cap("one", 1, window_ms=24 * 60 * MINUTE),), consent={"promotional": "opt_out"}
    )
    async with World(promo, governance=governance) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first, Refused(Reason.REFUSED_RECIPIENT))
        (second,) = (await world.publish("2")).messages
        await world.send(second)
        assert (await world.message(second)).status is Status.SUCCEEDED


async def test_a_gap_holds_the_next_message_for_exactly_as_long_as_it_must() -> None:
    promo = Policy("promo", "v1", "shop.event", (Step("sms"),), message_class="promotional")
    governance = Governance(gaps=(Gap("gap", 120 * MINUTE),), consent={"promotional": "opt_out"})
    async with World(promo, governance=governance) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first)
        world.at(60)
        (second,) = (await world.publish("2")).messages
        assert (await world.message(second)).due_at == START + 120 * MINUTE


async def test_an_opt_out_by_one_recipient_stops_the_phone_for_everyone_who_shares_it() -> None:
    async with World(SMS) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first)
        stop = Inbound(kind="phone", value="+380501234567", text="СТОП")
        await world.engine.submit(RecordInbound("texts", "sms", stop))
        (second,) = (await world.publish("2", id="petro")).messages
        message = await world.message(second)
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.OPTED_OUT)


async def test_start_undoes_a_stop_and_nothing_else() -> None:
    async with World(SMS) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first)
        for text in ("stop", "START"):
            world.now += 1000
            await world.engine.submit(
                RecordInbound(
                    "texts", "sms", Inbound(kind="phone", value="+380501234567", text=text)
                )
            )
        world.now += 1000
        assert (
            await world.message((await world.publish("2")).messages[0])
        ).status is Status.ACCEPTED
        await world.engine.submit(OptOut(recipient="olena", channel="sms"))
        world.now += 1000
        await world.engine.submit(
            RecordInbound(
                "texts", "sms", Inbound(kind="phone", value="+380501234567", text="start")
            )
        )
        assert (
            await world.message((await world.publish("3")).messages[0])
        ).reason is Reason.OPTED_OUT


async def test_an_opt_out_of_an_unknown_address_applies_when_it_turns_up() -> None:
    async with World(SMS) as world:
        await world.engine.submit(OptOut(address="+380501234567", channel="sms"))
        assert (await world.message((await world.publish()).messages[0])).reason is Reason.OPTED_OUT


async def test_a_dead_address_is_marked_and_comes_back_only_with_a_put_or_a_new_value() -> None:
    async with World(SMS) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first, Refused(Reason.REFUSED_ADDRESS, "21614"))
        assert (
            await world.message((await world.publish("2")).messages[0])
        ).reason is Reason.ADDRESS_SUPPRESSED
        other = (await world.publish("3", phone="+380671234567")).messages[0]
        assert (await world.message(other)).status is Status.ACCEPTED
        listed = PutRecipient("olena", {"phone": "+380501234567"}, lifts_suppressions=False)
        await world.engine.submit(listed)
        assert (
            await world.message((await world.publish("listed")).messages[0])
        ).reason is Reason.ADDRESS_SUPPRESSED
        await world.engine.submit(PutRecipient("olena", {"phone": "+380501234567"}))
        assert (
            await world.message((await world.publish("4")).messages[0])
        ).status is Status.ACCEPTED


async def test_dedupe_runs_from_the_first_and_is_not_extended() -> None:
    policy = Policy(
        "cart", "v1", "shop.event", (Step("sms"),), dedupe=Dedupe("event.cart", 60 * MINUTE)
    )
    async with World(policy) as world:
        await world.publish("1", {"cart": 7})
        world.at(1800)
        repeat = await world.message((await world.publish("2", {"cart": 7})).messages[0])
        assert (repeat.status, repeat.reason) == (Status.SUPPRESSED, Reason.DEDUPLICATED)
        world.at(3601)
        assert (
            await world.message((await world.publish("3", {"cart": 7})).messages[0])
        ).status is Status.ACCEPTED


async def test_a_dedupe_key_sees_no_time_and_harms_no_event_by_asking_for_it() -> None:
    policy = Policy("cart", "v1", "shop.event", (Step("sms"),), dedupe=Dedupe("now", 60 * MINUTE))
    async with World(policy) as world:
        made = [(await world.publish(n)).messages[0] for n in ("1", "2")]
        assert {(await world.message(id)).status for id in made} == {Status.ACCEPTED}


async def test_a_goal_ends_its_own_recipient_s_message_only() -> None:
    policy = Policy(
        "cart", "v1", "shop.event", (Step("sms"),), goal=Goal("order", "goal.cart == event.cart")
    )
    async with World(policy) as world:
        (mine,) = (await world.publish("1", {"cart": 7})).messages
        (other_cart,) = (await world.publish("2", {"cart": 8})).messages
        (theirs,) = (await world.publish("3", {"cart": 7}, id="petro")).messages
        await world.publish("4", {"cart": 7}, type="order")
        assert [(await world.message(id)).status.value for id in (mine, other_cart, theirs)] == [
            "cancelled",
            "accepted",
            "accepted",
        ]


async def test_a_goal_also_ends_a_trigger_that_is_accepted_after_it_but_happened_before() -> None:
    policy = Policy(
        "cart", "v1", "shop.event", (Step("sms"),), goal=Goal("order", "goal.cart == event.cart")
    )
    async with World(policy) as world:
        world.at(100)
        await world.publish("1", {"cart": 7}, type="order", time=START + 50_000)
        (late,) = (await world.publish("2", {"cart": 7}, time=START + 40_000)).messages
        (fresh,) = (await world.publish("3", {"cart": 7}, time=START + 60_000)).messages
        assert (await world.message(late)).reason is Reason.GOAL_MET
        assert (await world.message(fresh)).status is Status.ACCEPTED


async def test_erasing_cancels_what_runs_and_keeps_the_opt_out_of_the_address() -> None:
    async with World(CASCADE) as world:
        (id,) = (await world.publish("1", {"secret": "чай"})).messages
        await world.engine.submit(OptOut(recipient="olena"))
        await world.engine.submit(Erase("olena"))
        stored = await world.stored(id)
        assert (stored.message.reason, stored.event["data"], stored.history) == (
            Reason.ERASED,
            {},
            (),
        )
        assert await world.store.recipient("olena") is None
        again = await world.message((await world.publish("2", id="somebody")).messages[0])
        assert again.reason is Reason.OPTED_OUT


async def test_consents_add_up_and_the_history_is_kept() -> None:
    promo = Policy("promo", "v1", "shop.event", (Step("sms"),), message_class="promotional")
    async with World(promo) as world:
        assert (
            await world.message((await world.publish("1")).messages[0])
        ).reason is Reason.NO_CONSENT
        await world.engine.submit(PutConsents("olena", [{"channel": "sms", "state": "in"}]))
        assert (
            await world.message((await world.publish("2")).messages[0])
        ).status is Status.ACCEPTED
        document = await world.store.recipient("olena")
        assert document is not None
        assert len(document["consents"]) == 1


async def test_a_poisonous_command_fails_alone() -> None:
    async with World(SMS) as world:
        good, bad = world.publish("1"), world.engine.submit(ApplyFact("nobody", None))  # type: ignore[arg-type]
        results = await asyncio.gather(good, bad, world.publish("2"), return_exceptions=True)
        assert [getattr(result, "status", type(result)) for result in results] == [
            "accepted",
            UnknownMessage,
            "accepted",
        ]


async def test_cancelling_twice_is_harmless() -> None:
    async with World(CASCADE) as world:
        (id,) = (await world.publish()).messages
        await world.engine.submit(Cancel(id))
        await world.engine.submit(Cancel(id))
        assert (await world.message(id)).status is Status.CANCELLED


async def test_dead_letters_are_kept_whole() -> None:
    async with World(SMS) as world:
        await world.engine.submit(
            DeadLetter("kafka:events/0/7", "bad_json", "not JSON", b"\xff\x00", {"h": "v"})
        )
        (letter,) = await world.store.dead_letters(None, 10)
        assert (letter.body, letter.headers, letter.reason) == (
            b"\xff\x00",
            {"h": "v"},
            "bad_json",
        )


async def test_status_events_are_written_with_the_change_they_report() -> None:
    async with World(SMS, emits_statuses=True) as world:
        (id,) = (await world.publish()).messages
        await world.send(id)
        kinds = [orjson_type(body) for _, _, _, body in await world.store.outbox("statuses", 100)]
        assert kinds[0] == "kaskad.message.accepted"
        assert kinds[-1] == "kaskad.message.succeeded"
        assert "kaskad.attempt.accepted" in kinds


def orjson_type(body: bytes) -> str:
    import orjson

    return str(orjson.loads(body)["type"])


async def test_replaying_a_history_gives_the_stored_state() -> None:
    governance = Governance(
        caps=(Cap("day", 2, calendar="day"),), consent={"transactional": "opt_out"}
    )
    async with World(CASCADE, governance=governance) as world:
        (id,) = (await world.publish()).messages
        await world.send(id, Unknown(Reason.TIMED_OUT))
        world.at(700)
        await world.fire()
        await world.send(id)
        await world.engine.submit(
            RecordReceipt("viber_a", Receipt(state=Delivery.DELIVERED), id, 0)
        )
        stored = await world.stored(id)
        assert (
            replay(CASCADE, stored.message, stored.history, lambda version: governance)
            == stored.message
        )


async def test_nothing_that_names_a_person_stands_in_a_message_or_its_history() -> None:
    async with World(CASCADE) as world:
        (id,) = (await world.publish(first_name="Олена")).messages
        await world.send(id)
        stored = await world.stored(id)
        kept = encode_message(stored.message) + orjson.dumps(stored.history)
        assert stored.history
        for secret in (b"+380501234567", b"olena@example.com", "Олена".encode()):
            assert secret not in kept


async def test_an_address_that_is_dead_on_one_channel_still_takes_another() -> None:
    policy = Policy("both", "v1", "shop.event", (Step("viber"), Step("sms")))
    async with World(policy) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first, Refused(Reason.REFUSED_ADDRESS, "7002"))
        await world.send(first)
        assert (await world.message(first)).succeeded_by == "sms"
        (second,) = (await world.publish("2")).messages
        await world.send(second)
        assert [attempt.channel for attempt in (await world.message(second)).attempts] == ["sms"]
