"""What people write happens inside, once, in the transaction of what they wrote; on both stores."""

from __future__ import annotations

from typing import Any

import orjson

from orchestrator.channels import Inbound
from orchestrator.core.message import Status
from orchestrator.core.outcomes import Accepted
from orchestrator.core.policy import Goal, Policy, Step
from orchestrator.core.replies import Media
from orchestrator.engine.commands import Erase, PutRecipient, RecordInbound
from orchestrator.explain.views import full_view
from orchestrator.primitives.durations import rfc3339
from tests.engine.world import START, World

HOUR = 3_600_000
PHONE = "+380501234567"
ASK = Policy("ask", "v1", "shop.event", (Step("viber", wait=(("replied", 60_000),)),))
THANK = Policy(
    "thank", "v1", "kaskad.reply", (Step("viber"),), when="event.policy == 'ask' and event.text"
)
GREET = Policy("greet", "v1", "kaskad.reply", (Step("viber"),), when="event.message == null")
REMIND = Policy(
    "remind",
    "v1",
    "shop.later",
    (Step("email", wait=(("read", HOUR),)),),
    goal=Goal("kaskad.reply", "goal.channel == 'viber'"),
)


def wrote(text: str, id: str = "", phone: str = PHONE, **more: Any) -> RecordInbound:
    inbound = Inbound(kind="phone", value=phone, text=text, id=id)
    return RecordInbound("viber_a", "viber", inbound, **more)


async def replies(world: World) -> list[dict[str, Any]]:
    found = [orjson.loads(row.body) for row in await world.store.outbox("statuses", 1000)]
    return [one for one in found if one["type"] == "kaskad.reply"]


async def made_by(world: World, policy: str) -> list[str]:
    return [one.message.id for one in await world.store.messages(policy=policy)]


async def test_a_reply_starts_a_policy_once_however_often_it_is_reported() -> None:
    async with World(ASK, THANK, emits_statuses=True) as world:
        (asked,) = (await world.publish("1")).messages
        await world.send(asked, Accepted("w1"))
        media = (Media("image", "https://shop.example/v1/media/x", 120),)
        for _ in range(3):
            await world.engine.submit(wrote("Дякую!", "r1", media=media))
        (thanks,) = await made_by(world, "thank")
        message = await world.message(thanks)
        assert (message.caused_by, message.hops) == (asked, 1)
        (said,) = await replies(world)
        assert said["subject"] == asked
        data = said["data"]
        assert (data["text"], data["policy"], data["recipient"]) == ("Дякую!", "ask", "olena")
        assert data["media"] == [
            {"kind": "image", "url": "https://shop.example/v1/media/x", "bytes": 120}
        ]
        assert data["session_until"] == rfc3339(START + 24 * HOUR)
        await world.engine.submit(wrote("Дякую!", "r2"))
        assert len(await replies(world)) == 2, "the same words again are another reply"


async def test_a_reply_is_shown_with_its_message_and_gone_with_an_erasure() -> None:
    async with World(ASK) as world:
        (asked,) = (await world.publish("1")).messages
        await world.send(asked, Accepted("w1"))
        await world.engine.submit(wrote("де мій собака?", "r1"))
        await world.engine.submit(wrote("і кіт", "r2"))
        view = full_view(await world.stored(asked))
        assert [one["text"] for one in view["replies"]] == ["де мій собака?", "і кіт"]
        await world.engine.submit(Erase("olena"))
        left = await world.stored(asked)
        assert "собака" not in repr(left)
        assert full_view(left)["replies"] == []


async def test_a_reply_is_the_goal_of_the_persons_other_messages() -> None:
    async with World(ASK, REMIND) as world:
        (asked,) = (await world.publish("1")).messages
        await world.send(asked, Accepted("w1"))
        (reminder,) = (await world.publish("2", type="shop.later")).messages
        await world.send(reminder, Accepted("m1"))
        await world.engine.submit(wrote("уже купила", "r1"))
        assert (await world.message(reminder)).status is Status.CANCELLED


async def test_a_reply_to_nothing_is_the_persons_who_alone_has_the_address() -> None:
    async with World(GREET, emits_statuses=True) as world:
        await world.engine.submit(PutRecipient("olena", {"phone": PHONE}))
        await world.engine.submit(wrote("Добрий день", "r1", recipient="olena"))
        (greeting,) = await made_by(world, "greet")
        assert (await world.message(greeting)).recipient == "olena"
        (said,) = await replies(world)
        assert (said["subject"], said["data"]["message"]) == ("olena", None)


async def test_a_reply_of_somebody_unknown_goes_out_and_starts_nothing() -> None:
    async with World(GREET, emits_statuses=True) as world:
        await world.engine.submit(wrote("Хто це?", "r1", phone="+380509999999"))
        assert await made_by(world, "greet") == []
        (said,) = await replies(world)
        assert said["subject"] == "unknown"
        assert said["data"]["recipient"] is None and said["data"]["text"] == "Хто це?"
        assert "509999999" not in said["data"]["address"]


async def test_a_late_reply_does_not_shorten_the_session() -> None:
    async with World(ASK) as world:
        (asked,) = (await world.publish("1")).messages
        await world.send(asked, Accepted("w1"))
        for at, id in ((START / 1000 - 10, "r1"), (START / 1000 - 500, "r2")):
            inbound = Inbound(kind="phone", value=PHONE, text="так", id=id, at=at)
            await world.engine.submit(RecordInbound("viber_a", "viber", inbound))
        hash = (await world.message(asked)).attempts[0].address_hash
        document = (await world.store.addresses([hash]))[hash]
        assert document["inbound"]["viber"] == START - 10_000
