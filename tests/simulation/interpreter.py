"""Set the interpreter up so that the same seed takes the same steps everywhere."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from tests.simulation.gate import DiskError
from tests.simulation.truth import Ledger


@contextmanager
def interpreter_of(ledger_of: Callable[[], Ledger | None], seed: int) -> Iterator[None]:
    """
    Give a run what it needs of its interpreter: chance from the seed alone, and logs that are
    collected instead of printed. Everything is put back afterwards.
    """
    state, processors = random.getstate(), structlog.get_config()["processors"]
    before = list(processors)

    def listen(logger: Any, method: str, event: Any) -> Any:
        error = event.get("exc_info")
        error = sys.exc_info()[1] if error is True else error
        ledger = ledger_of()
        if (
            isinstance(error, BaseException)
            and not isinstance(error, DiskError)
            and ledger is not None
        ):
            ledger.errors.append(f"{event.get('event')}: {type(error).__name__}: {error}")
            ledger.note("error", ledger.errors[-1])
        raise structlog.DropEvent

    random.seed(seed)
    processors[:] = [listen]
    try:
        yield
    finally:
        random.setstate(state)
        processors[:] = before
