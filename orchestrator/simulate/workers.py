"""
Work shared out among processes.

A worker is a copy of this process as it is when the work begins, so that nothing has to be sent to
it but the number of its next piece; only results travel. Where processes cannot be copied, or there
is too little to do, the work is done here.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import Any, TypeVar

R = TypeVar("R")
WORKERS_MAX = 16
TICK_SECONDS = 0.5


class _Copied:
    """The work that a worker process inherits."""

    work: Callable[[int], Any]


def workers() -> int:
    """The number of worker processes: one for each processor available to this process."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return 1
    available = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(WORKERS_MAX, available)


def share_out(
    work: Callable[[int], R], pieces: int, processes: int, tick: Callable[[], None] = lambda: None
) -> Iterator[tuple[int, R]]:
    """
    ``(number, work(number))`` for every number below ``pieces``, as they come in. An exception of a
    piece is raised here. ``tick`` is called about twice a second, and after every piece.
    """
    if processes <= 1 or pieces <= 1:
        for number in range(pieces):
            yield number, work(number)
            tick()
        return
    _Copied.work = work
    with ProcessPoolExecutor(
        min(processes, pieces), mp_context=multiprocessing.get_context("fork")
    ) as pool:
        running = {pool.submit(one_piece, number): number for number in range(pieces)}
        while running:
            finished, _ = wait(running, TICK_SECONDS, FIRST_COMPLETED)
            tick()
            for done in finished:
                yield running.pop(done), done.result()


def one_piece(number: int) -> Any:
    """Do one piece in a worker."""
    return _Copied.work(number)
