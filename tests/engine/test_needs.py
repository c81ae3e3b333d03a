"""
A handler uses only what its command has asked for. Without one of its needs a command fails or does
exactly the same; it never takes what was not loaded for what is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any, cast

import pytest

from orchestrator.channels import Engagement, Inbound, Linked, Preference, Receipt
from orchestrator.configuration.conversation import conversation_policy
from orchestrator.core.facts import Answered, Prepared, Unpreparable
from orchestrator.core.journey.facts import ExitAsked
from orchestrator.core.journey.journey import Entrance, Journey, SendStep
from orchestrator.core.message import Status
from orchestrator.core.outcomes import Accepted, Refused
from orchestrator.core.policy import Dedupe, Goal, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from orchestrator.engine.commands import (
    ApplyFact,
    ApplyJourneyFact,
    Cancel,
    Command,
    Converse,
    DeadLetter,
    EndPause,
    Erase,
    FollowLink,
    Forget,
    MoveJourney,
    OpenLinks,
    OptOut,
    Publish,
    PutConsents,
    PutRecipient,
    RecordInbound,
    RecordPreference,
    RecordReceipt,
    RecordWebhook,
    RestoreTimer,
    RetryMessage,
    StartPause,
)
from orchestrator.engine.handlers import HANDLERS
from orchestrator.engine.not_loaded import NotLoaded
from orchestrator.recipients.document import Person
from orchestrator.stores.port import Store, Unit
from orchestrator.stores.rows import (
    Changes,
    Loaded,
    LoadedAddresses,
    Wanted,
    WantedAddresses,
)
from tests.engine.world import CHANNELS, World, address_hash, event

HOUR = 3_600_000
PHONE, OTHER_PHONE, MAIL = "+380501234567", "+380671234567", "olena@example.com"
OLENA = {"id": "olena", "phone": PHONE, "email": MAIL}
ORDER = Policy("order", "v1", "shop.order", (Step("viber"), Step("sms")))
KEY = Dedupe("[event.cart, recipient.email]", HOUR)
CART = Policy("cart", "v1", "shop.cart", (Step("sms"),), dedupe=KEY, goal=Goal("shop.paid"))
CODE = Policy("code", "v1", "shop.code", (Step("viber"), Step("sms")), message_class="otp")

HELLO = Policy("hello", "v1", "", (Step("viber"),))
TREK = Journey("trek", "v1", Entrance("shop.trek", again="never"), (SendStep("hello"),))

Need = tuple[str, Any]
"""A field of ``Wanted`` or ``WantedAddresses``, and a key in it."""
Scenario = Callable[[World], Awaitable[Command]]
"""Arranges what was before, and returns the command to try."""


@pytest.fixture(autouse=True)
def store() -> None:
    """The needs of a command do not depend on the store, so these tests use SQLite alone."""


class Watched:
    """
    A store that notes what is asked for and committed. ``removed`` is withheld, as if nobody had
    asked for it.
    """

    def __init__(self, store: Store, removed: Need | None = None) -> None:
        self._store, self._removed = store, removed
        self.asked: list[Need] = []
        self.changes: list[Changes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Watched]:
        async with self._store.unit() as self._unit:
            yield self

    _unit: Unit

    async def load(self, wanted: Wanted) -> Loaded:
        return await self._unit.load(self._without(wanted))

    async def load_addresses(self, wanted: WantedAddresses) -> LoadedAddresses:
        return await self._unit.load_addresses(self._without(wanted))

    async def commit(self, changes: Changes) -> None:
        self.changes.append(changes)
        await self._unit.commit(changes)

    def _without(self, wanted: Any) -> Any:
        for one in fields(wanted):
            keys = getattr(wanted, one.name)
            if not isinstance(keys, set):
                continue
            self.asked.extend((one.name, key) for key in sorted(keys))
            if self._removed is not None and self._removed[0] == one.name:
                keys.discard(self._removed[1])
        return wanted


async def run(scenario: Scenario, removed: Need | None = None) -> Watched:
    """Run a scenario and its command. Raises what the command does."""
    async with World(ORDER, CART, CODE, HELLO, journeys=(TREK,)) as world:
        command = await scenario(world)
        watched = Watched(world.store, removed)
        world.engine.store = cast(Store, watched)
        await world.engine.submit(command)
        return watched


def at_once(command: Command) -> Scenario:
    async def scenario(world: World) -> Command:
        return command

    return scenario


def accepted(make: Callable[[str], Command], type: str = "shop.order") -> Scenario:
    """A command about a message that waits for its first send."""

    async def scenario(world: World) -> Command:
        (id,) = (await world.publish(type=type)).messages
        return make(id)

    return scenario


def suppressed(make: Callable[[str], Command], type: str) -> Scenario:
    """A command about a message whose templates were broken."""

    async def scenario(world: World) -> Command:
        (id,) = (await world.publish(type=type)).messages
        for step in range(2):
            broken = Unpreparable(step, Reason.TEMPLATE_ERROR, "broken")
            await world.engine.submit(ApplyFact(id, broken))
        return make(id)

    return scenario


def sent(make: Callable[[str], Command], **moved: str) -> Scenario:
    """A command about a message that a provider has taken; Olena may have moved since."""

    async def scenario(world: World) -> Command:
        (id,) = (await world.publish(type="shop.order")).messages
        await world.send(id)
        await world.engine.submit(PutRecipient("olena", moved))
        return make(id)

    return scenario


def open_call(make: Callable[[str], Command], type: str = "shop.order", **moved: str) -> Scenario:
    """A command about a message whose call is not answered yet; Olena may have moved since."""

    async def scenario(world: World) -> Command:
        (id,) = (await world.publish(type=type)).messages
        olena = Person("olena", dict(OLENA), address_hash)
        targets = tuple(one for one in olena.addresses if one.kind == "phone")
        prepared = Prepared(0, "viber_a", targets, "c", 1, None)
        assert (await world.engine.submit(ApplyFact(id, prepared))).calls
        await world.engine.submit(PutRecipient("olena", moved))
        return make(id)

    return scenario


async def overdue(world: World) -> Command:
    """A command about a message whose start is due."""
    later = replace(event("later", {}, "shop.order", None, [OLENA]), not_before=world.now + HOUR)
    (id,) = (await world.engine.submit(Publish(later))).messages
    world.now += HOUR
    return RestoreTimer(id)


async def open_links(world: World) -> Command:
    await world.engine.submit(PutRecipient("olena", OLENA))
    return OpenLinks("olena", (("hash-of-a-link", "telegram"),))


async def converse(world: World) -> Command:
    await world.engine.submit(PutRecipient("olena", {"phone": PHONE}))
    await world.engine.submit(RecordInbound("viber_a", "viber", WROTE, recipient="olena"))
    talk = conversation_policy(CHANNELS)
    assert talk is not None
    world.rules.policies[talk.name] = talk  # type: ignore[index]
    return Converse("olena", "viber", "Вітаємо", "k1")


async def follow_link(world: World) -> Command:
    await world.engine.submit(await open_links(world))
    linked = Linked(token="t", kind="telegram_id", value="712345678", at=None)
    return FollowLink("bot", "telegram", linked, "hash-of-a-link", "olena")


def on_trek(make: Callable[[str], Command]) -> Scenario:
    """The command is about a journey that has a message under way."""

    async def scenario(world: World) -> Command:
        (id,) = (await world.publish(type="shop.trek")).journeys
        return make(id)

    return scenario


async def erase_after_opt_out(world: World) -> Command:
    await world.publish(type="shop.order")
    await world.engine.submit(OptOut(recipient="olena"))
    return Erase("olena")


async def forget_after_opt_out(world: World) -> Command:
    await world.engine.submit(PutRecipient("olena", {"email": MAIL}))
    await world.engine.submit(OptOut(recipient="olena"))
    document = await world.store.recipient("olena")
    assert document is not None
    return Forget("olena", document=document)


def publish(type: str) -> Publish:
    return Publish(event("now", {"cart": 7}, type, None, [OLENA]))


REFUSED = Answered(0, Refused(Reason.REFUSED_ADDRESS, "7002"))
COMPLAINED = Receipt(state=Engagement.COMPLAINED)
UNKNOWN = Receipt(state=Engagement.CLICKED, provider_id="nobody's")
WROTE = Inbound(kind="phone", value=PHONE, text="Агов")
STOP = Inbound(kind="phone", value=PHONE, text="STOP", answers=("nobody's",))
PREFERENCE = Preference(kind="phone", value=PHONE, state="out")


@dataclass(frozen=True)
class Case:
    name: str
    scenario: Scenario
    uses: str
    """The kinds of needs without which the command fails."""


CASES: dict[type[Any], tuple[Case, ...]] = {
    Publish: (
        Case("a trigger", at_once(publish("shop.cart")), "events recipients addresses dedupes"),
        Case("an OTP's trigger", at_once(publish("shop.code")), "events recipients addresses"),
        Case("a goal", at_once(publish("shop.paid")), "events recipients live_of"),
        Case(
            "a journey's first event",
            at_once(publish("shop.trek")),
            "events recipients journeys_of entered addresses",
        ),
    ),
    ApplyFact: (
        Case(
            "an answer with a reference",
            open_call(lambda id: ApplyFact(id, Answered(0, Accepted("x")))),
            "messages references",
        ),
        Case(
            "a refusal after the recipient has moved",
            open_call(lambda id: ApplyFact(id, REFUSED), phone=OTHER_PHONE),
            "messages addresses",
        ),
        Case(
            "a refused OTP, whose next step looks at the velocity",
            open_call(lambda id: ApplyFact(id, REFUSED), "shop.code"),
            "messages addresses",
        ),
    ),
    Cancel: (Case("a message", accepted(Cancel), "messages"),),
    RestoreTimer: (Case("a message whose start is due", overdue, "messages addresses"),),
    ApplyJourneyFact: (
        Case("its exit", on_trek(lambda id: ApplyJourneyFact(id, ExitAsked())), "journeys"),
    ),
    MoveJourney: (Case("to its own version", on_trek(MoveJourney), "journeys"),),
    RetryMessage: (
        Case(
            "a message with a key",
            suppressed(RetryMessage, "shop.cart"),
            "messages addresses dedupes",
        ),
        Case("a code", suppressed(RetryMessage, "shop.code"), "messages addresses"),
    ),
    RecordReceipt: (
        Case(
            "a complaint after the recipient has moved",
            sent(lambda id: RecordReceipt("viber_a", COMPLAINED, id, 0), phone=OTHER_PHONE),
            "messages addresses",
        ),
        Case(
            "an unknown reference",
            at_once(RecordReceipt("viber_a", UNKNOWN)),
            "references unknown",
        ),
    ),
    RecordInbound: (
        Case(
            "a STOP",
            sent(lambda id: RecordInbound("viber_a", "viber", STOP)),
            "references contacts addresses",
        ),
    ),
    RecordPreference: (
        Case(
            "an opt-out",
            sent(lambda id: RecordPreference("viber_a", "viber", PREFERENCE)),
            "contacts addresses",
        ),
    ),
    RecordWebhook: (
        Case(
            "an unknown receipt and a complaint",
            sent(
                lambda id: RecordWebhook(
                    "viber_a",
                    b"{}",
                    (
                        RecordReceipt("viber_a", UNKNOWN),
                        RecordReceipt("viber_a", COMPLAINED, id, 0),
                    ),
                )
            ),
            "messages references addresses unknown",
        ),
        Case(
            "a STOP",
            sent(
                lambda id: RecordWebhook("viber_a", b"", (RecordInbound("viber_a", "viber", STOP),))
            ),
            "references contacts addresses",
        ),
    ),
    PutRecipient: (
        Case("a profile", at_once(PutRecipient("olena", OLENA)), "recipients addresses"),
    ),
    PutConsents: (
        Case("a consent", at_once(PutConsents("olena", [{"state": "in"}])), "recipients"),
    ),
    OptOut: (
        Case("a recipient's", at_once(OptOut("olena")), "recipients"),
        Case("an address's", at_once(OptOut(address=MAIL)), "addresses"),
    ),
    OpenLinks: (Case("two messengers'", open_links, "recipients"),),
    Converse: (Case("within the session", converse, "recipients events addresses"),),
    FollowLink: (Case("a link that is open", follow_link, "recipients addresses"),),
    Erase: (Case("after an opt-out", erase_after_opt_out, "live_of journeys_of addresses"),),
    Forget: (
        Case(
            "after an opt-out",
            forget_after_opt_out,
            "recipients live_of journeys_of addresses",
        ),
    ),
    StartPause: (Case("anything", at_once(StartPause("channel", "sms", 1 << 50)), ""),),
    EndPause: (Case("what nobody has paused", at_once(EndPause("channel", "sms")), ""),),
    DeadLetter: (Case("anything", at_once(DeadLetter("o", "r", "d", b"")), ""),),
}
NEVER_ALONE: dict[type[Any], set[str]] = {
    Cancel: {"addresses"},
    Erase: {"recipients"},
    ApplyJourneyFact: {"addresses", "live_of", "journeys_of", "messages"},
    MoveJourney: {"addresses", "live_of", "journeys_of", "messages"},
}
"""
Needs that no case shows by themselves: a cancelled message looks at addresses only if a companion
goes on, an erased recipient with messages comes with them, and an exit needs no more of a journey
than its messages.
"""


def test_every_command_has_its_cases() -> None:
    assert CASES.keys() == HANDLERS.keys()


@pytest.mark.parametrize("command", CASES, ids=lambda command: command.__name__)
async def test_a_need_that_is_forgotten_raises_and_is_never_lost(command: type[Any]) -> None:
    asked: set[str] = set()
    used: set[str] = set()
    for case in CASES[command]:
        whole = await run(case.scenario)
        asked |= {kind for kind, _ in whole.asked}
        raised = set()
        for need in whole.asked:
            try:
                assert (await run(case.scenario, need)).changes == whole.changes, (case, need)
            except NotLoaded as error:
                assert str(error).endswith(f" was not asked for by {command.__name__}")
                raised.add(need[0])
        assert raised == set(case.uses.split()), case.name
        used |= raised
    assert asked - used == NEVER_ALONE.get(command, set()), "no case shows what these are for"


async def test_a_dedupe_key_may_name_a_field_that_was_stored_before() -> None:
    async with World(CART) as world:
        await world.engine.submit(PutRecipient("olena", {"email": MAIL}))

        async def cart(id: str) -> Status:
            person = [{"id": "olena", "phone": PHONE}]
            command = Publish(event(id, {"cart": 7}, "shop.cart", None, person))
            (message,) = (await world.engine.submit(command)).messages
            return (await world.message(message)).status

        assert [await cart("1"), await cart("2")] == [Status.ACCEPTED, Status.SUPPRESSED]


async def test_a_bounce_of_an_address_that_was_left_keeps_what_was_stored_of_it() -> None:
    async with World(ORDER, CODE) as world:
        await world.engine.submit(OptOut(address=PHONE, topic="news"))
        command = await open_call(lambda id: ApplyFact(id, REFUSED), phone=OTHER_PHONE)(world)
        await world.engine.submit(command)
        hash = address_hash("phone", PHONE)
        document = (await world.store.addresses([hash]))[hash]
        assert [row[1] for row in document["consents"]] == ["news"]
        assert set(document["suppressions"]) == {"viber"}


async def test_two_commands_that_need_each_other_s_changes_are_decided_one_by_one() -> None:
    async with World(ORDER, CODE) as world:
        refused = await open_call(lambda id: ApplyFact(id, REFUSED), "shop.code")(world)
        moved = world.engine.submit(PutRecipient("olena", {"phone": OTHER_PHONE}))
        answers = await asyncio.gather(moved, world.engine.submit(refused))
        assert answers[0]["phone"] == OTHER_PHONE
        assert answers[1].decision.message.attempts[0].reason is Reason.REFUSED_ADDRESS
