"""The signing key over three years of a service's life, in virtual time, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.app.keys import InstallationKeys
from orchestrator.primitives.tokens import DAY_MS
from orchestrator.stores.port import Store
from orchestrator.stores.postgres.store import PostgresStore
from orchestrator.stores.sqlite.store import SqliteStore

START = 1_700_000_000_000
MESSAGE = "01KXJ3C5Z00000000000000000"
OWN = "a key of one's own, long enough to be safe"


class Years:
    """A store, a clock that tests turn, and the processes that share both."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START
        self.own: str | None = None

    async def process(self) -> InstallationKeys:
        keys = InstallationKeys(self.store, lambda: self.now, lambda: self.own)
        await keys.read()
        return keys


@asynccontextmanager
async def opened(store: SqliteStore | PostgresStore) -> AsyncIterator[Years]:
    await store.open()
    try:
        yield Years(store)
    finally:
        await store.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def years(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Years]:
    if request.param == "sqlite":
        store: SqliteStore | PostgresStore = SqliteStore(str(tmp_path / "kaskad.db"))
    else:
        store = PostgresStore(
            request.getfixturevalue("postgres_url"), member="keys", now=lambda: START
        )
    async with opened(store) as found:
        yield found


async def test_over_three_years_every_link_works_on_its_day_and_for_400_days_after(
    years: Years,
) -> None:
    keys = await years.process()
    sent: dict[int, str] = {}
    for day in range(0, 3 * 365 + 401):
        years.now = START + day * DAY_MS
        await keys.read()
        sent[day] = keys.signing.unsubscribe("olena", "email", "sale", MESSAGE)
        for age in (0, 1, 364, 400):
            if day >= age:
                assert keys.signing.read_unsubscribe(sent[day - age]) is not None, (day, age)
        if day >= 800:
            assert keys.signing.read_unsubscribe(sent[day - 800]) is None
    assert len(await years.store.secrets("signing")) == 5


async def test_on_day_401_a_service_that_never_stopped_still_reads_what_it_signs(
    years: Years,
) -> None:
    keys = await years.process()
    old = keys.signing.reference(MESSAGE, 1)
    years.now += 401 * DAY_MS
    assert keys.signing.read_reference(old) == (MESSAGE, 1)  # before it has looked at its keys
    assert keys.signing.read_reference(keys.signing.reference(MESSAGE, 2)) == (MESSAGE, 2)
    await keys.read()
    assert keys.signing.read_reference(old) == (MESSAGE, 1)
    years.now += 401 * DAY_MS
    assert keys.signing.read_reference(old) is None


async def test_processes_that_notice_together_make_one_key(years: Years) -> None:
    several = [await years.process() for _ in range(4)]
    years.now += 366 * DAY_MS
    await asyncio.gather(*(keys.read() for keys in several))
    assert len(await years.store.secrets("signing")) == 2
    for keys in several:
        await keys.read()
    token = several[0].signing.pixel(MESSAGE, 3)
    assert [keys.signing.read_pixel(token) for keys in several] == [(MESSAGE, 3)] * 4


async def test_a_key_that_was_rotated_by_hand_signs_for_a_year_of_its_own(years: Years) -> None:
    keys = await years.process()
    years.now += 200 * DAY_MS
    await years.store.add_secret("signing", b"n" * 32, years.now)
    years.now += 200 * DAY_MS
    await keys.read()
    assert len(await years.store.secrets("signing")) == 2


async def test_a_clock_that_goes_back_makes_no_key_and_loses_none(years: Years) -> None:
    keys = await years.process()
    token = keys.signing.link(MESSAGE, 0, "https://shop.example/")
    years.now -= 900 * DAY_MS
    await keys.read()
    assert keys.signing.read_link(token) == (MESSAGE, 0, "https://shop.example/")
    assert len(await years.store.secrets("signing")) == 1


async def test_a_key_of_the_configuration_signs_and_the_stored_ones_end_400_days_later(
    years: Years,
) -> None:
    before = (await years.process()).signing.reference(MESSAGE, 0)
    years.own = OWN
    own = (await years.process()).signing.reference(MESSAGE, 1)
    for day, found in ((399, (MESSAGE, 0)), (401, None), (1_500, None)):
        years.now = START + day * DAY_MS
        restarted = await years.process()
        assert restarted.signing.read_reference(before) == found
        assert restarted.signing.read_reference(own) == (MESSAGE, 1)
    assert len(await years.store.secrets("signing")) == 1
    assert all(OWN.encode() not in row.secret for row in await years.store.secrets("own_signing"))


async def test_the_pepper_is_made_once(years: Years) -> None:
    keys = await years.process()
    first = await keys.pepper()
    years.now += 5_000 * DAY_MS
    assert [await keys.pepper(), await (await years.process()).pepper()] == [first, first]
