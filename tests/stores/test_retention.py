"""What is past its time goes, in rounds until nothing is left; what was erased is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.channels import Receipt
from orchestrator.core.outcomes import Refused
from orchestrator.core.policy import Dedupe, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery
from orchestrator.engine.commands import DeadLetter, Erase, OptOut, RecordReceipt, RecordWebhook
from orchestrator.stores.rows import Changes, ContactRow, NewEventRow, NewStatusEvent
from tests.engine.world import World

DAY_MS = 86_400_000
POLICY = Policy(
    "texts",
    "v1",
    "shop.event",
    (Step("sms", wait=(("delivered", 600_000),)),),
    dedupe=Dedupe("event.canary_key", DAY_MS),
)


@pytest.fixture
async def world(store_url: str | None, tmp_path: Path) -> AsyncIterator[World]:
    async with World(POLICY, path=tmp_path / "k.db", emits_statuses=True, url=store_url) as made:
        yield made


async def commit(world: World, changes: Changes) -> None:
    async with world.store.unit() as unit:
        await unit.commit(changes)


async def count(world: World, table: str) -> int:
    found = await world.open_store.fetch_text(f"select count(*) from {table}")
    return int(found[0][0])


async def purge(world: World, now: int) -> int:
    """Purge until nothing is left; in how many rounds."""
    rounds = 1
    while await world.store.purge(now):
        rounds += 1
    return rounds


async def test_a_purge_says_whether_there_is_more_until_all_of_it_is_gone(world: World) -> None:
    old, many = world.now - 31 * DAY_MS, 12_000
    rows = [NewEventRow("shop", str(n), b"d", "accepted", (), old) for n in range(many)]
    await commit(world, Changes(events=[*rows, NewEventRow("s", "new", b"d", "x", (), world.now)]))
    assert await purge(world, world.now) > 1
    assert await count(world, "events") == 1


async def test_the_outbox_of_a_sink_that_was_renamed_shrinks_again(world: World) -> None:
    rows = [NewStatusEvent(f"e{n}", "olena", b"{}") for n in range(20)]
    await commit(world, Changes(at=world.now, outbox=rows))
    events = await world.store.outbox("statuses", 20)
    await world.store.delivered("old name", [events[3].sequence])
    await world.store.delivered("statuses", [event.sequence for event in events])
    await purge(world, world.now)
    assert await count(world, "outbox") == 0


async def test_contacts_go_with_the_messages_that_they_name(world: World) -> None:
    times = (world.now - 91 * DAY_MS, world.now)
    rows = [
        ContactRow(f"h{n}", "sms", "m", 0, "", at)
        for at in times
        for n in range(at % 7, at % 7 + 40)
    ]
    await commit(world, Changes(contacts=rows))
    await purge(world, world.now)
    left = await world.open_store.fetch_text("select at from contacts")
    assert {row[0] for row in left} == {world.now}


async def test_signing_keys_go_when_nothing_in_use_was_made_with_them(world: World) -> None:
    now = world.now
    for days in (1_000, 500, 399):
        await world.store.add_secret("signing", f"{days}".encode(), now - days * DAY_MS)
    await world.store.add_secret("pepper", b"first", now - 1_000 * DAY_MS)
    await purge(world, now)
    assert [row.secret for row in await world.store.secrets("signing")] == [b"399", b"500"]
    assert len(await world.store.secrets("pepper")) == 1
    await purge(world, now + 5_000 * DAY_MS)
    assert [row.secret for row in await world.store.secrets("signing")] == [b"399"]


async def test_dead_letters_have_a_number_beyond_which_the_oldest_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.stores.tables.DEAD_LETTERS_MAX", 3)
    ids = [
        await world.engine.submit(DeadLetter("kafka", "bad_json", "why", b"{" + bytes([n])))
        for n in range(65, 72)
    ]
    await purge(world, world.now)
    left = await world.store.dead_letters(None, 10)
    assert sorted(row.id for row in left) == sorted(ids)[-3:]


CANARIES = (
    b"CanaryFirst",
    b"CanaryLast",
    b"CanaryCity",
    b"canaryaddress",
    b"1234567",
    b"CanaryItem",
    b"CanaryKey",
    b"CanaryReply",
    b"CanaryHeader",
    b"CanaryBody",
)


async def anything(world: World) -> bytes:
    """Every byte of every table, and with an embedded store of its files."""
    store = world.open_store
    if world.url is None:
        await purge(world, world.now)
        files = [Path(f"{world.path}{end}") for end in ("", "-wal")]
        return b"".join(file.read_bytes() for file in files if file.exists())
    names = await store.fetch_text(
        "select relname::text from pg_class where relkind in ('r', 'p') and"
        " relnamespace = 'public'::regnamespace"
    )
    found = b""
    for (name,) in names:
        for row in await store.fetch_text(f'select * from "{name}"'):
            found += b" ".join(one if isinstance(one, bytes) else str(one).encode() for one in row)
    return found


async def live_a_life(world: World) -> str:
    """A message whose provider repeats everything it knows; returns its id."""
    person: dict[str, Any] = {
        "first_name": "CanaryFirst",
        "last_name": "CanaryLast",
        "city": "CanaryCity",
        "email": "canaryaddress@example.com",
        "phone": "+380501234567",
    }
    data = {"items": [{"name": "CanaryItem"}], "canary_key": "CanaryKey canaryaddress@example.com"}
    (message,) = (await world.publish("1", data, **person)).messages
    echo = "cannot deliver 'Dear CanaryFirst CanaryLast of CanaryCity: CanaryItem' to +380501234567"
    await world.send(message)
    failure = Refused(Reason.REFUSED_RECIPIENT, "CanaryFirst", echo)
    receipt = Receipt(
        state=Delivery.FAILED, provider_id=f"id-{message}", failure=failure, detail=echo
    )
    body = (
        b'{"from": "+380501234567", "profile": {"name": "CanaryFirst"}, "text": "CanaryReply",'
        b' "error": "canaryaddress@example.com CanaryItem"}'
    )
    await world.engine.submit(RecordWebhook("texts", body, (RecordReceipt("texts", receipt),)))
    early = Receipt(state=Delivery.FAILED, provider_id="early", failure=failure, detail=echo)
    await world.engine.submit(RecordWebhook("texts", body, (RecordReceipt("texts", early),)))
    letter = b'{"id": "x", "data": {"recipient": {"id": "olena", "first_name": "CanaryFirst"}'
    await world.engine.submit(DeadLetter("kafka:a/0/1", "bad_json", "it ends early", letter))
    for number, header in enumerate(("olena", "CanaryAddress@example.com", "+380501234567")):
        headers = {"ce_subject": header, "ce_note": "CanaryHeader"}
        place = f"kafka:a/0/{number + 2}"
        await world.engine.submit(DeadLetter(place, "no_recipient", "none", b"CanaryBody", headers))
    await world.engine.submit(OptOut(recipient="olena", channel="sms"))
    return message


async def test_what_providers_repeat_is_nowhere_but_in_profile_and_event(world: World) -> None:
    message = await live_a_life(world)
    stored = await world.stored(message)
    repeated = str([line["fact"] for line in stored.history]) + str(stored.message)
    events = b"".join(event.body for event in await world.store.outbox("statuses", 100))
    raw = await world.open_store.fetch_text("select body from raw_receipts")
    orphans = await world.open_store.fetch_text("select receipt from orphans")
    dedupes = await world.open_store.fetch_text("select key from dedupes")
    for place in (repeated.encode(), events, str((raw, orphans, dedupes)).encode()):
        assert [one for one in CANARIES if one.lower() in place.lower()] == []
    assert "FAILED" in str(stored.message).upper() and raw


async def test_after_an_erasure_nothing_of_a_person_is_in_any_table_or_file(world: World) -> None:
    message = await live_a_life(world)
    before = await anything(world)
    assert all(one in before for one in CANARIES[:6])
    await world.engine.submit(Erase("olena"))
    late = Receipt(
        state=Delivery.DELIVERED, provider_id=f"id-{message}", detail="to CanaryFirst after all"
    )
    await world.engine.submit(RecordReceipt("texts", late))
    after = await anything(world)
    assert [one for one in CANARIES if one.lower() in after.lower()] == []


LETTERS: list[tuple[dict[str, str], bytes, bool]] = [
    (
        {},
        b'{"id": "7", "data": {"recipient": {"id": "8"}, "order": {"id": "7"}, "total": 7}}',
        False,
    ),
    ({}, b'[{"id": "7", "subject": "8"}, {"id": "9", "subject": "17"}]', False),
    ({"ce_id": "17", "ce_subject": "8"}, b'{"cart_id": "77"}', False),
    ({}, b'{"id": "77", "data": {"recipient": {"id": "17"', False),
    ({}, b'{"id": "1", "subject": "7", "data": {}}', True),
    ({}, b'[{"id": "2", "data": {"recipients": [{"id": "8"}, {"id": "7", "phone": "x"}]}}]', True),
    ({}, b'{"id": "3", "data": {"recipient": {"id": "8", "email": "Olena@example.com"}}}', True),
    ({"ce_subject": "7"}, b"\xff\xfe", True),
    ({}, b'{"id": "77", "data": {"recipient": {"id" : "7"', True),
]


async def test_erasing_deletes_the_dead_letters_that_name_a_person_and_no_others(
    world: World,
) -> None:
    await world.publish("1", {}, id="7", email="olena@example.com")
    for number, (headers, body, _) in enumerate(LETTERS):
        why = (f"kafka:a/0/{number}", "no_recipient", "none")
        await world.engine.submit(DeadLetter(*why, body, headers))
    await world.engine.submit(Erase("7"))
    left = {(letter.origin, letter.body) for letter in await world.store.dead_letters(None, 100)}
    kept = [(f"kafka:a/0/{n}", body) for n, (_, body, gone) in enumerate(LETTERS) if not gone]
    assert left == set(kept)
