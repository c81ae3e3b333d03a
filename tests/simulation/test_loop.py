"""The loop whose time is a number."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.virtual.loop import NothingLeft, VirtualClock, VirtualLoop, run


def test_a_day_passes_in_no_time_and_to_the_millisecond() -> None:
    async def main(loop: VirtualLoop) -> int:
        clock = VirtualClock(loop, 1_000)
        for _ in range(1_000):
            await asyncio.sleep(86.4)
        return clock.now()

    assert run(main) == 1_000 + 86_400_000


def test_sleepers_wake_in_the_order_of_their_instants() -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        woken: list[int] = []

        async def sleeper(seconds: int) -> None:
            await asyncio.sleep(seconds)
            woken.append(seconds)

        await asyncio.gather(*(sleeper(seconds) for seconds in (30, 1, 7_200, 2)))
        return woken

    assert run(main) == [1, 2, 30, 7_200]


def test_waiting_for_what_can_never_come_is_an_error_and_not_a_hang() -> None:
    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(NothingLeft):
        run(main)


def test_work_for_a_thread_runs_at_once_and_its_error_comes_back() -> None:
    async def main(loop: VirtualLoop) -> int:
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        return await loop.run_in_executor(None, lambda: 7)

    assert run(main) == 7


def test_a_timeout_ends_a_wait_at_its_instant() -> None:
    async def main(loop: VirtualLoop) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.Event().wait()
        return loop.time()

    assert run(main) == pytest.approx(2.5)


def test_what_is_left_running_at_the_end_is_cancelled() -> None:
    ended: list[str] = []

    async def main(loop: VirtualLoop) -> None:
        async def forever() -> None:
            try:
                await asyncio.sleep(1e6)
            finally:
                ended.append("cancelled")

        loop.create_task(forever())
        await asyncio.sleep(0)

    run(main)
    assert ended == ["cancelled"]
