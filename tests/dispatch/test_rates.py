"""A rate is kept by when sends start, not by when their tokens were taken; and OTPs come first."""

from __future__ import annotations

import asyncio
import bisect
import random
import time

import pytest

from orchestrator.channels import HttpReply
from orchestrator.core.outcomes import NotSent
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.rates import FREE, Rate, Token
from orchestrator.stores.rates import TOKEN_SECONDS, URGENT_WAIT_SECONDS
from orchestrator.stores.sqlite.bucket import TokenBucket
from tests.dispatch.test_senders import Make, both
from tests.dispatch.wires import answer, opened, post, server

RATE = 25


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


# ---- how long a token is good


async def test_a_token_is_good_for_half_a_second_from_before_the_bucket_was_asked() -> None:
    clock = Clock()
    (token,) = await Rate(TokenBucket(RATE, clock), clock).take(1, urgent=False)
    clock.now += TOKEN_SECONDS
    assert token.is_good()
    clock.now += 0.001
    assert not token.is_good()


async def test_an_old_token_is_dropped_and_another_one_taken() -> None:
    clock = Clock()
    bucket = TokenBucket(RATE, clock)
    (token,) = await Rate(bucket, clock).take(1, urgent=False)
    clock.now += 30
    await token.renew(by=clock.now + 1)
    assert token.is_good()
    assert await bucket.take(RATE) == RATE // 2 - 1


async def test_where_there_is_no_other_token_in_time_the_old_one_stays_bad() -> None:
    clock = Clock()
    bucket = TokenBucket(RATE, clock)
    (token,) = await Rate(bucket, clock).take(1, urgent=False)
    clock.now += 30
    await bucket.pause(60)
    await token.renew(by=clock.now)
    assert not token.is_good()


async def test_a_recipient_with_several_devices_waits_for_a_token_for_each() -> None:
    bucket = TokenBucket(RATE, time.monotonic)
    await bucket.take(RATE)
    tokens = await Rate(bucket, time.monotonic).take_all(3, urgent=False)
    assert len(tokens) == 3


async def test_a_provider_without_a_rate_has_tokens_for_everything() -> None:
    tokens = await Rate(None, Clock()).take(4, urgent=False)
    assert tokens == [FREE] * 4
    await FREE.renew(by=0)
    assert FREE.is_good()


# ---- right before the write


@both
async def test_a_send_whose_token_is_too_old_takes_another_and_leaves(make: Make) -> None:
    bucket = TokenBucket(1 / 3600, time.monotonic)  # one now, and no other for an hour
    old = Token(Rate(bucket, time.monotonic), time.monotonic() - 10_000, urgent=False)
    async with server(answer) as (url, requests), opened(make()) as made:
        assert isinstance(await post(made, url, token=old), HttpReply)
    assert len(requests) == 1
    assert await bucket.take(1) == 0


@both
async def test_a_send_without_a_good_token_never_leaves(make: Make) -> None:
    bucket = TokenBucket(RATE, time.monotonic)
    await bucket.pause(60)
    old = Token(Rate(bucket, time.monotonic), time.monotonic() - 10_000, urgent=False)
    async with server(answer) as (url, requests), opened(make()) as made:
        outcome = await post(made, url, within=1, token=old)
    assert outcome == NotSent(Reason.START_TOO_LATE)
    assert not requests


# ---- what follows for any second


async def starts(chance: random.Random, seconds: float) -> list[float]:
    """
    Sends of three processes that are busy, stopped and woken, each start at some time within what
    its token allows.
    """
    clock, found = Clock(), list[float]()
    bucket = TokenBucket(RATE, clock)
    end = clock.now + seconds
    while clock.now < end:
        clock.now += chance.choice((0.001, 0.02, 0.3, chance.uniform(0, 3)))
        for token in await Rate(bucket, clock).take(
            chance.randrange(1, 40), urgent=chance.random() < 0.1
        ):
            found.append(
                chance.choice(
                    (clock.now, token.good_until, chance.uniform(clock.now, token.good_until))
                )
            )
    return sorted(found)


@pytest.mark.parametrize("window", [0.2, 1.0, 2.5, 10.0])
async def test_in_no_time_more_sends_start_than_the_rate_and_one_second_s_worth_allow(
    window: float,
) -> None:
    for seed in range(40):
        found = await starts(random.Random(seed), 60)
        assert found
        for index, start in enumerate(found):
            count = bisect.bisect_left(found, start + window) - index
            assert count <= RATE * (window + 1), f"seed {seed}: {count} from {start}"


# ---- OTPs first


async def test_while_a_code_waits_for_a_token_nothing_else_gets_one() -> None:
    clock = Clock()
    bucket = TokenBucket(RATE, clock)
    assert await bucket.take(RATE) == RATE // 2
    assert await bucket.take(1, urgent=True) == 0
    clock.now += 0.1
    assert await bucket.take(5) == 0
    assert await bucket.take(1, urgent=True) == 1
    assert await bucket.take(5) == 2


async def test_a_code_that_never_comes_back_for_its_token_blocks_nobody_for_long() -> None:
    clock = Clock()
    bucket = TokenBucket(RATE, clock)
    await bucket.take(RATE)
    assert await bucket.take(1, urgent=True) == 0
    clock.now += URGENT_WAIT_SECONDS + 2 / RATE
    assert await bucket.take(5) == 5


async def test_a_code_in_want_of_a_new_token_asks_as_a_code() -> None:
    clock = Clock()
    bucket = TokenBucket(RATE, clock)
    await bucket.take(RATE)
    old = Token(Rate(bucket, clock), clock.now - 10, urgent=True)
    renewing = asyncio.create_task(old.renew(by=clock.now + 5))
    await asyncio.sleep(0)
    clock.now += 0.2
    assert await bucket.take(5) == 0
    await renewing
    assert old.is_good()


async def test_of_many_sends_in_want_of_a_new_token_one_asks_at_a_time() -> None:
    bucket = CountedBucket(RATE, time.monotonic)
    await bucket.take(RATE)
    rate = Rate(bucket, time.monotonic)
    old = [Token(rate, time.monotonic() - 10, urgent=False) for _ in range(10)]
    bucket.asked = 0
    await asyncio.gather(*(token.renew(by=time.monotonic() + 5) for token in old))
    assert all(token.good_until > time.monotonic() - 5 for token in old)
    assert bucket.asked <= 30, "each of them asks whenever there may be one"


class CountedBucket(TokenBucket):
    """How often it was asked."""

    asked = 0

    async def take(self, wanted: int, urgent: bool = False) -> int:
        self.asked += 1
        return await super().take(wanted, urgent)
