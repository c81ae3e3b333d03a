"""Sessions, what is answered within them, and the answers to HELP and STOP; on both stores."""

from __future__ import annotations

import pytest

from orchestrator.channels import Inbound
from orchestrator.configuration.conversation import conversation_policy
from orchestrator.core.message import Status
from orchestrator.core.outcomes import Accepted
from orchestrator.core.policy import Governance, Policy, Step, WordAnswers
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import (
    Conflict,
    Converse,
    PutRecipient,
    RecordInbound,
    UnknownRecipient,
)
from tests.engine.world import CHANNELS, World

PHONE = "+380501234567"
HOUR = 3_600_000
ASK = Policy("ask", "v1", "shop.event", (Step("viber", wait=(("replied", 60_000),)),))
TALK = conversation_policy(CHANNELS)
assert TALK is not None
HELP = Policy("about_us", "v1", "", (Step("email"), Step("viber")))
BYE = Policy("bye", "v1", "", (Step("viber"),))
WORDS = Governance(replies=WordAnswers("about_us", "bye"))


def wrote(text: str, id: str, channel: str = "viber") -> RecordInbound:
    inbound = Inbound(kind="phone", value=PHONE, text=text, id=id)
    provider = {"viber": "viber_a", "sms": "texts"}[channel]
    return RecordInbound(provider, channel, inbound, recipient="olena")


async def known(world: World) -> None:
    await world.engine.submit(PutRecipient("olena", {"phone": PHONE, "email": "o@example.com"}))


async def talk(world: World, text: str = "Добрий день", key: str = "k1", on: str = "viber") -> str:
    made = await world.engine.submit(Converse("olena", on, text, key))
    return str(made.message)


async def test_an_answer_leaves_within_the_session_on_its_channel_alone() -> None:
    assert TALK is not None
    async with World(TALK) as world:
        await known(world)
        await world.engine.submit(wrote("Де моє замовлення?", "r1"))
        id = await talk(world)
        message = await world.message(id)
        assert message.message_class == "conversational"
        assert [run.channel for run in message.runs] == ["viber"]
        await world.send(id, Accepted("w1"))
        assert (await world.message(id)).status is Status.SUCCEEDED


@pytest.mark.parametrize("how", ["nobody wrote", "on another channel", "a day ago"])
async def test_nothing_leaves_outside_the_session(how: str) -> None:
    assert TALK is not None
    async with World(TALK) as world:
        await known(world)
        if how == "on another channel":
            await world.engine.submit(wrote("Алло", "r1", "sms"))
        if how == "a day ago":
            await world.engine.submit(wrote("Алло", "r1"))
            world.now += 24 * HOUR
        message = await world.message(await talk(world))
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.NO_SESSION)
        assert message.attempts == []


async def test_a_session_that_ends_while_the_answer_waits_is_over() -> None:
    assert TALK is not None
    async with World(TALK) as world:
        await known(world)
        await world.engine.submit(wrote("Алло", "r1"))
        id = await talk(world)
        world.now += 24 * HOUR - 1
        await world.send(id, Accepted("w1"))
        assert len((await world.message(id)).attempts) == 1
        late = await talk(world, key="k2")
        world.now += 1
        await world.send(late, Accepted("w2"))
        assert (await world.message(late)).reason is Reason.NO_SESSION


async def test_the_same_key_answers_once() -> None:
    assert TALK is not None
    async with World(TALK) as world:
        await known(world)
        await world.engine.submit(wrote("Алло", "r1"))
        assert await talk(world) == await talk(world)
        with pytest.raises(Conflict):
            await talk(world, "інше")
        with pytest.raises(UnknownRecipient):
            await world.engine.submit(Converse("nobody", "viber", "Агов", "k3"))
        with pytest.raises(LookupError):
            await talk(world, key="k4", on="in_app")


async def test_an_opt_out_holds_within_the_session_too() -> None:
    assert TALK is not None
    async with World(TALK) as world:
        await known(world)
        await world.engine.submit(wrote("Алло", "r1"))
        await world.engine.submit(wrote("СТОП", "r2"))
        message = await world.message(await talk(world))
        assert message.reason is Reason.OPTED_OUT


async def test_help_is_answered_once_a_day_and_only_where_it_was_asked() -> None:
    async with World(HELP, BYE, governance=WORDS) as world:
        await known(world)
        for n in range(3):
            await world.engine.submit(wrote("Довідка!", f"r{n}"))
        (first,) = await world.store.messages(policy="about_us")
        assert [run.channel for run in first.message.runs] == ["viber"]
        world.now += 24 * HOUR
        await world.engine.submit(wrote("help", "r9"))
        assert len(await world.store.messages(policy="about_us")) == 2
        await world.engine.submit(wrote("help me with my order", "r10"))
        await world.engine.submit(wrote("help", "r11", "sms"))
        assert len(await world.store.messages(policy="about_us")) == 2


async def test_a_stop_is_confirmed_once_although_it_is_an_opt_out() -> None:
    async with World(ASK, HELP, BYE, governance=WORDS) as world:
        (asked,) = (await world.publish("1")).messages
        await world.send(asked, Accepted("w1"))
        for n in range(2):
            await world.engine.submit(wrote("СТОП", f"r{n}"))
        (bye,) = await world.store.messages(policy="bye")
        await world.send(bye.message.id, Accepted("w2"))
        assert (await world.message(bye.message.id)).status is Status.SUCCEEDED
        (later,) = (await world.publish("2")).messages
        assert (await world.message(later)).reason is Reason.OPTED_OUT
        await world.engine.submit(wrote("help", "r7"))
        (about_us,) = await world.store.messages(policy="about_us")
        assert about_us.message.reason is None, "HELP is answered after a STOP, too"
        world.now += 1000
        for n, word in enumerate(("СТАРТ", "СТОП")):
            await world.engine.submit(wrote(word, f"s{n}"))
        assert len(await world.store.messages(policy="bye")) == 2
