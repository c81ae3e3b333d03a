"""The outcomes of calls that went wrong in a way that nobody foresaw."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.core.values import replace
from orchestrator.engine.engine import Stopped
from orchestrator.stores.port import StoreBusy


def is_foreseen(result: Any) -> bool:
    """Whether the engine answered, or raised what any caller may meet."""
    foreseen = Stopped | LookupError | StoreBusy | asyncio.CancelledError
    return not isinstance(result, BaseException) or isinstance(result, foreseen)


def unwritable(code: str, detail: str) -> Refused:
    """The outcome of a call that cannot be made for this message; nothing left."""
    return Refused(Reason.REFUSED_CONTENT, code, detail)


def without_words(outcome: Outcome) -> Outcome:
    """
    An outcome that any store can hold. Without the provider's id nothing can confirm that it took
    the message.
    """
    match outcome:
        case Accepted():
            return Unknown(Reason.RESPONSE_UNREADABLE)
        case NotSent():
            return NotSent(outcome.reason, outcome.retry_after_ms)
        case Refused():
            return replace(outcome, code=None, detail="")
    return Unknown(outcome.reason)
