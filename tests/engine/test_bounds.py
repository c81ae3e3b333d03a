"""What events, receipts and replies can make grow for one person has an end, and says where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orchestrator.channels import Inbound
from orchestrator.core.policy import Cap, Dedupe, Goal, Governance, Policy, Step
from orchestrator.core.recipient import CapUsage
from orchestrator.engine.commands import Conflict, ProfileTooLarge, PutRecipient, RecordInbound
from orchestrator.recipients.document import (
    ATTRIBUTE_BYTES_MAX,
    GOALS_BYTES_MAX,
    PROFILE_BYTES_MAX,
    Person,
    profile_bytes,
)
from tests.engine.world import World, address_hash

KIB = 1024
TEXTS = Policy(
    "texts",
    "v1",
    "shop.event",
    (Step("sms"),),
    dedupe=Dedupe("event.key", 60_000),
    goal=Goal("shop.paid"),
)
CAP = Governance(caps=(Cap("promo", limit=3, window_ms=86_400_000),))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(TEXTS, governance=CAP) as made:
        yield made


async def document(world: World) -> dict[str, Any]:
    return await world.store.recipient("olena") or {}


async def test_thirty_events_with_large_attributes_leave_a_small_profile_with_the_newest(
    world: World,
) -> None:
    warned = 0
    for n in range(30):
        new: dict[str, Any] = {f"a{n}": "x" * 6 * KIB, "tier": n}
        answer = await world.publish(str(n), **new)
        warned += len(answer.warnings)
    found = await document(world)
    assert profile_bytes(found) <= PROFILE_BYTES_MAX
    assert found["attributes"]["tier"] == 29
    assert "a29" in found["attributes"] and "a0" not in found["attributes"]
    assert (found["phone"], found["email"]) == ("+380501234567", "olena@example.com")
    assert warned == 20


async def test_the_warning_names_what_was_lost_and_never_its_value(world: World) -> None:
    await world.publish("1", vip=True, secret_note="x" * 40 * KIB)
    answer = await world.publish("2", other="y" * 60 * KIB)
    [warning] = answer.warnings
    assert warning.recipient == "olena" and "secret_note" in warning.what
    assert "xxx" not in str(warning)


async def test_what_is_too_large_by_itself_goes_before_anything_that_was_stored(
    world: World,
) -> None:
    await world.publish("1", tier="gold")
    await world.publish("2", blob="x" * 200 * KIB, note="n")
    kept = (await document(world))["attributes"]
    assert kept == {"tier": "gold", "note": "n"}
    assert 200 * KIB > ATTRIBUTE_BYTES_MAX


async def test_attributes_that_are_sent_again_are_not_the_oldest(world: World) -> None:
    for n in range(12):
        new: dict[str, Any] = {f"a{n}": "x" * 8 * KIB, "first": f"{n}"}
        await world.publish(f"{n}", **new)
    kept = list((await document(world))["attributes"])
    assert "first" in kept and "a11" in kept and "a0" not in kept


async def test_subscriptions_of_any_size_push_nothing_else_out_of_a_profile(world: World) -> None:
    await world.publish("1", tier="gold")
    long = [{"endpoint": f"https://push.example/{n}/" + "x" * 2_000, "keys": {}} for n in range(20)]
    await world.publish(
        "2", web_push=long, devices=[{"platform": "fcm", "token": "я" * 2_000}] * 20
    )
    found = await document(world)
    assert profile_bytes(found) <= PROFILE_BYTES_MAX
    assert found["attributes"] == {"tier": "gold"}
    assert found["web_push"][-1] == long[-1]


async def test_a_profile_that_is_put_too_large_is_refused_whole(world: World) -> None:
    await world.engine.submit(PutRecipient("olena", {"a": "x" * 50 * KIB}))
    before = await document(world)
    with pytest.raises(ProfileTooLarge):
        await world.engine.submit(PutRecipient("olena", {"b": "x" * 20 * KIB, "first_name": "O"}))
    assert await document(world) == before
    await world.engine.submit(PutRecipient("olena", {"a": None, "b": "x" * 20 * KIB}))
    assert issubclass(ProfileTooLarge, Conflict)


async def test_goals_with_much_data_are_kept_up_to_a_size_the_newest_first(world: World) -> None:
    for n in range(12):
        await world.publish(f"g{n}", {"blob": "x" * 7 * KIB, "n": n}, type="shop.paid")
    goals = (await document(world))["goals"]
    assert len(str(goals)) <= GOALS_BYTES_MAX + KIB
    assert goals[-1]["data"]["n"] == 11


async def test_a_dedupe_key_of_any_length_is_stored_as_a_short_hash(world: World) -> None:
    key = "olena@example.com" * 2_000
    first = await world.publish("1", {"key": key})
    second = await world.publish("2", {"key": key})
    other = await world.publish("3", {"key": key + "x"})
    rows = await world.open_store.fetch_text("select key from dedupes")
    assert len(rows) == 2 and all(len(row[0]) == 32 for row in rows)
    reasons = [(await world.message(one.messages[0])).reason for one in (first, second, other)]
    assert [str(reason) for reason in reasons] == ["None", "deduplicated", "None"]


def test_cap_usages_are_kept_as_far_as_rules_count_and_no_further() -> None:
    person = Person("olena", None, address_hash)
    for n in range(1_000):
        usage = CapUsage(f"m{n}", "service", "sms", 0, n, True)
        person.reserve(usage, CAP, n)
    kept = person.cap_usages
    assert len(kept) <= 110
    assert kept[-1].message == "m999"
    assert min(usage.at for usage in kept) >= 880


async def test_replies_beyond_the_first_fifty_leave_nothing_in_the_history(world: World) -> None:
    (message,) = (await world.publish("1")).messages
    await world.send(message)
    sizes = []
    for n in range(60):
        inbound = Inbound(kind="phone", value="+380501234567", text=f"so what {n}", id=f"r{n}")
        await world.engine.submit(RecordInbound("texts", "sms", inbound))
        sizes.append(len((await world.stored(message)).history))
    assert sizes[0] < sizes[49] == sizes[-1]
