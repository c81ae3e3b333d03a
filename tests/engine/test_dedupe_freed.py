"""What never left and never will protects nobody: its dedupe key is free again."""

from __future__ import annotations

import pytest

from orchestrator.core.facts import Answered, Prepared, Unpreparable
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.policy import Dedupe, Policy, Retry, Step
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import ApplyFact, Cancel
from tests.engine.world import World
from tests.explain.test_story import prepared

CART = Policy(
    "cart",
    "v1",
    "shop.event",
    (Step("sms", retry=Retry(0, 0)),),
    dedupe=Dedupe("event.cart", 3_600_000),
)


async def started(world: World, event: str) -> tuple[str, str]:
    """Publish an event with the same key; the message and its status."""
    (id,) = (await world.publish(event, {"cart": 7})).messages
    return id, (await world.message(id)).status.value


@pytest.mark.parametrize(
    "reason",
    [Reason.TEMPLATE_ERROR, Reason.MISSING_VARIABLE, Reason.TEMPLATE_MISSING, Reason.TOO_LONG],
)
async def test_a_message_that_could_not_be_made_blocks_no_successor(reason: Reason) -> None:
    async with World(CART) as world:
        first, _ = await started(world, "1")
        await world.engine.submit(ApplyFact(first, Unpreparable(0, reason, "x")))
        assert (await world.message(first)).status.value == "suppressed"
        second, status = await started(world, "2")
        assert status == "accepted"
        assert (await started(world, "3"))[1] == "suppressed", "the second one has the key now"
        again = await world.publish("1", {"cart": 7})
        assert (again.status, again.messages) == ("duplicate", (first,)), "an event is one event"
        assert second != first


@pytest.mark.parametrize(
    ("outcome", "frees"),
    [
        (Refused(Reason.REFUSED_CONTENT, "400"), True),
        (NotSent(Reason.CONNECT_FAILED), True),
        (Accepted("a"), False),
        (Unknown(Reason.TIMED_OUT), False),
    ],
)
async def test_only_what_nobody_can_have_got_frees_its_key(outcome: Outcome, frees: bool) -> None:
    async with World(CART) as world:
        first, _ = await started(world, "1")
        targets = (await prepared(world, first)).targets
        await world.engine.submit(ApplyFact(first, Prepared(0, "texts", targets, "c", 1, "1.20")))
        await world.engine.submit(ApplyFact(first, Answered(0, outcome)))
        _, status = await started(world, "2")
        assert status == ("accepted" if frees else "suppressed")


async def test_a_cancelled_message_frees_its_key_only_once_its_open_send_is_answered() -> None:
    async with World(CART) as world:
        first, _ = await started(world, "1")
        targets = (await prepared(world, first)).targets
        await world.engine.submit(ApplyFact(first, Prepared(0, "texts", targets, "c", 1, "1.20")))
        await world.engine.submit(Cancel(first))
        assert (await started(world, "2"))[1] == "suppressed", "it may be on its way"
        await world.engine.submit(ApplyFact(first, Answered(0, NotSent(Reason.CONNECT_FAILED))))
        assert (await started(world, "3"))[1] == "accepted"
