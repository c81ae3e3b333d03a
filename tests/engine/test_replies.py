"""Whom a reply or an opt-out belongs to, on both stores."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.channels import Engagement, Inbound, Preference, Receipt
from orchestrator.core.facts import Answered, ReceiptReceived
from orchestrator.core.message import Status
from orchestrator.core.outcomes import Accepted
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import Erase, RecordInbound, RecordPreference, RecordReceipt
from orchestrator.history.codec import decode_fact, encode_fact
from tests.engine.world import World

MINUTE = 60_000
VIBER = Policy("viber", "v1", "shop.event", (Step("viber", wait=(("replied", 60 * MINUTE),)),))
MAIL = Policy("mail", "v1", "shop.event", (Step("email", wait=(("replied", 60 * MINUTE),)),))

NUMBERS = [
    ("+525512345678", "+5215512345678"),  # Mexico: the 1 of former mobile numbers
    ("+5511987654321", "+551187654321"),  # Brazil: the ninth digit
    ("+541123456789", "+5491123456789"),  # Argentina: the 9 of mobile numbers
    ("+5493415551234", "+543415551234"),
]


def viber(phone: str, text: str, *answers: str) -> RecordInbound:
    inbound = Inbound(kind="phone", value=phone, text=text, answers=answers)
    return RecordInbound("viber_a", "viber", inbound)


def mailed(sender: str, text: str, *answers: str, named: str | None = None) -> RecordInbound:
    inbound = Inbound(kind="email", value=sender, text=text, answers=answers)
    return RecordInbound("mail", "email", inbound, named, 0 if named else None)


def taken(id: str, known: str) -> Accepted:
    return Accepted(id, known_as=(("phone", known),))


@pytest.mark.parametrize(("ours", "theirs"), NUMBERS)
async def test_a_stop_from_the_providers_form_of_a_number_counts(ours: str, theirs: str) -> None:
    async with World(VIBER) as world:
        (first,) = (await world.publish("1", phone=ours)).messages
        await world.send(first, taken("w1", theirs))
        await world.engine.submit(viber(theirs, "STOP"))
        assert "unsubscribed" in (await world.message(first)).attempts[0].engagement
        (second,) = (await world.publish("2", phone=ours)).messages
        assert (await world.message(second)).reason is Reason.OPTED_OUT
        (third,) = (await world.publish("3", id="petro", phone=ours)).messages
        assert (await world.message(third)).reason is Reason.OPTED_OUT, "who shares the number"


@pytest.mark.parametrize("way", ["answer", "receipt"])
async def test_the_providers_form_of_a_number_is_remembered_when_the_person_is_gone(
    way: str,
) -> None:
    ours, theirs = NUMBERS[0]
    async with World(VIBER) as world:
        (first,) = (await world.publish("1", phone=ours)).messages
        await world.send(first, taken("w1", theirs) if way == "answer" else Accepted("w1"))
        if way == "receipt":
            read = Receipt(state=Engagement.READ, provider_id="w1", known_as=(("phone", theirs),))
            await world.engine.submit(RecordReceipt("viber_a", read))
        stop = Preference(kind="phone", value=theirs, state="out")
        await world.engine.submit(RecordPreference("viber_a", "viber", stop))
        await world.engine.submit(Erase("olena"))
        (second,) = (await world.publish("2", id="petro", phone=ours)).messages
        assert (await world.message(second)).reason is Reason.OPTED_OUT


async def test_a_start_from_the_providers_form_of_a_number_undoes_its_stop() -> None:
    ours, theirs = NUMBERS[0]
    async with World(VIBER) as world:
        (first,) = (await world.publish("1", phone=ours)).messages
        await world.send(first, taken("w1", theirs))
        for word in ("stop", "start"):
            world.now += 1000
            await world.engine.submit(viber(theirs, word))
        world.now += 1000
        (second,) = (await world.publish("2", phone=ours)).messages
        assert (await world.message(second)).status is Status.ACCEPTED


def test_a_history_keeps_no_form_of_a_number() -> None:
    fact = encode_fact(Answered(0, taken("w1", "+5215512345678")))
    assert b"5512345678" not in fact and decode_fact(fact) == Answered(0, Accepted("w1"))
    assert b"known_as" not in encode_fact(ReceiptReceived(0, "read", 1, None, "", "w1"))


async def test_a_reply_belongs_to_the_message_that_it_answers_not_to_the_newest() -> None:
    async with World(VIBER) as world:
        (older,) = (await world.publish("1")).messages
        await world.send(older, Accepted("w1"))
        (newer,) = (await world.publish("2")).messages
        await world.send(newer, Accepted("w2"))
        await world.engine.submit(viber("+380501234567", "Дякую", "unknown", "w1"))
        assert (await world.message(older)).status is Status.SUCCEEDED
        assert (await world.message(newer)).attempts[0].engagement == {}
        await world.engine.submit(viber("+380501234567", "А де?"))
        assert "replied" in (await world.message(newer)).attempts[0].engagement


async def test_a_reply_by_a_keyed_reference_proves_its_attempt_delivered() -> None:
    async with World(MAIL) as world:
        (older,) = (await world.publish("1")).messages
        await world.send(older, Accepted())
        (newer,) = (await world.publish("2")).messages
        await world.send(newer, Accepted())
        await world.engine.submit(mailed("olena@example.com", "Дякую", named=older))
        assert (await world.message(older)).status is Status.SUCCEEDED
        assert (await world.message(newer)).status is Status.RUNNING


@pytest.mark.parametrize("by", ["our reference", "the relay's id"])
async def test_a_stop_from_another_mailbox_holds_for_the_person_and_for_both_mailboxes(
    by: str,
) -> None:
    async with World(MAIL) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first, Accepted("0102019a-ses"))
        alias = "olena.k@work.example"
        named = first if by == "our reference" else None
        answers = () if named else ("nobody's", "0102019a-ses")
        await world.engine.submit(mailed(alias, "STOP", *answers, named=named))
        assert "unsubscribed" in (await world.message(first)).attempts[0].engagement
        people: list[dict[str, Any]] = [
            {},
            {"id": "olena", "email": "new@example.com"},
            {"id": "petro"},
            {"id": "ivan", "email": alias},
        ]
        for number, person in enumerate(people, 2):
            (next_one,) = (await world.publish(str(number), **person)).messages
            assert (await world.message(next_one)).reason is Reason.OPTED_OUT, person


async def test_a_start_from_another_mailbox_does_not_undo_the_person_s_stop() -> None:
    async with World(MAIL) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first, Accepted())
        await world.engine.submit(mailed("olena@example.com", "STOP"))
        world.now += 1000
        await world.engine.submit(mailed("friend@example.com", "START", named=first))
        world.now += 1000
        (second,) = (await world.publish("2")).messages
        assert (await world.message(second)).reason is Reason.OPTED_OUT


async def test_a_stop_out_of_the_blue_holds_for_its_own_mailbox_alone() -> None:
    async with World(MAIL) as world:
        await world.publish("1")
        await world.engine.submit(mailed("ivan@example.com", "STOP", "nobody's"))
        (olena,) = (await world.publish("2")).messages
        (ivan,) = (await world.publish("3", id="ivan", email="ivan@example.com")).messages
        assert (await world.message(olena)).status is Status.ACCEPTED
        assert (await world.message(ivan)).reason is Reason.OPTED_OUT


async def test_a_reference_of_another_channel_does_not_name_the_answered_message() -> None:
    async with World(VIBER) as world:
        (first,) = (await world.publish("1")).messages
        await world.send(first, Accepted("w1"))
        await world.engine.submit(mailed("x@example.com", "STOP", named=first))
        assert (await world.message(first)).attempts[0].engagement == {}


@pytest.mark.parametrize("state", [Engagement.UNSUBSCRIBED, Engagement.COMPLAINED])
async def test_an_opt_out_by_a_receipt_that_came_before_its_reference_counts_once_it_is_known(
    state: Engagement,
) -> None:
    async with World(VIBER) as world:
        (first,) = (await world.publish("1")).messages
        await world.engine.submit(
            RecordReceipt("viber_a", Receipt(state=state, provider_id=f"id-{first}"))
        )
        (meanwhile,) = (await world.publish("2")).messages
        assert (await world.message(meanwhile)).reason is None, "nobody knows yet whose it is"
        await world.send(first)
        assert state.value in (await world.message(first)).attempts[0].engagement
        (later,) = (await world.publish("3")).messages
        (shares,) = (await world.publish("4", id="petro")).messages
        for message in (later, shares):
            assert (await world.message(message)).reason is Reason.OPTED_OUT
