"""What every outcome and everything said by a webhook must be like, in words for its author."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator import channels as ch
from orchestrator.channels.registry import address_kinds

SHOWN_MAX = 300
FIX_TEXT = (
    "read the provider's words with ch.said, its ids with ch.id_of, its codes with ch.code_of"
)


def expect(right: object, what: str | Callable[[], str], fix: str) -> None:
    """
    Raises ``AssertionError`` with what is wrong and how to fix it, unless ``right``. What is seen
    thousands of times says what is wrong only when it is asked.
    """
    __tracebackhide__ = True
    if not right:
        raise AssertionError(f"{what if isinstance(what, str) else what()}\n  To fix it: {fix}.")


def short(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def bare(value: Any) -> Any:
    """An outcome or receipt without its free text, for comparing."""
    if isinstance(value, ch.Receipt):
        failure = bare(value.failure) if value.failure else None
        return (value.state, value.provider_id, value.client_reference, value.at, failure)
    if isinstance(value, ch.Refused):
        return (value.reason, value.code, value.suppress_after, value.classes)
    if isinstance(value, ch.NotSent):
        return ("not sent", value.reason, value.retry_after_ms, value.code)
    if isinstance(value, ch.Unknown):
        return ("unknown", value.reason, value.code)
    return value


def storable(text: str, chars_max: int) -> bool:
    """Whether any database takes a string: valid UTF-8 without NUL, of bounded size."""
    return (
        len(text) <= chars_max
        and "\x00" not in text
        and text == text.encode("utf-8", "ignore").decode("utf-8")
    )


def check_outcome(outcome: ch.Outcome) -> None:
    """An outcome's texts are bounded and storable, its pause is a pause, its id is an id."""
    __tracebackhide__ = True
    kinds = ch.Accepted | ch.NotSent | ch.Refused | ch.Unknown
    expect(
        isinstance(outcome, kinds),
        lambda: f"`outcome` gave {short(outcome)}, which is no outcome",
        "return Accepted, NotSent, Refused or Unknown, or what ch.by_http_status(reply) says",
    )
    if isinstance(outcome, ch.Accepted):
        id = outcome.provider_id
        expect(
            id is None or (id and storable(id, 2048)),
            lambda: f"the provider's id {short(id)} cannot be stored",
            "read it with ch.id_of, and take an answer without an id for Unknown",
        )
        return
    expect(
        storable(outcome.detail, 500) and (outcome.code is None or storable(outcome.code, 64)),
        lambda: f"the code or detail of {short(outcome)} cannot be stored",
        FIX_TEXT,
    )
    if isinstance(outcome, ch.NotSent):
        pause = outcome.retry_after_ms
        expect(
            pause is None or (isinstance(pause, int) and pause >= 0),
            lambda: f"the pause {short(pause)} is no whole number of milliseconds",
            "use reply.retry_after_ms",
        )


def check_said(item: ch.Report) -> None:
    """The items of a webhook have the right types and can be stored."""
    __tracebackhide__ = True
    at = item.at
    expect(
        at is None or (isinstance(at, float) and math.isfinite(at) and at > 0),
        lambda: f"the time {short(at)} is no time in UTC seconds",
        "read it with ch.unix_seconds or ch.iso_seconds",
    )
    if isinstance(item, ch.Receipt):
        check_receipt(item)
        return
    expect(
        item.kind in address_kinds() and item.value and storable(item.value, 2048),
        lambda: f"{short(item.kind)}: {short(item.value)} is no address",
        "read phones with ch.e164, other ids with ch.id_of, and say nothing without one",
    )
    if isinstance(item, ch.Inbound):
        texts = storable(item.text, 20_000) and storable(item.id, 2048)
        expect(
            texts and all(storable(id, 2048) for id in item.answers),
            lambda: f"the text or an id of {short(item)} cannot be stored",
            "read texts with ch.text_of and ids with ch.ids_of",
        )
        expect(
            item.keyword in (None, "stop", "start"),
            lambda: f"the keyword is {short(item.keyword)}",
            "give stop, start or None",
        )
        return
    if isinstance(item, ch.Linked):
        fits = bool(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", item.token))
        expect(fits, f"{short(item.token)} is no token of a link", "say nothing without one")
        return
    expect(item.state in ("in", "out"), f"{short(item.state)} is no preference", "give in or out")


def check_receipt(item: ch.Receipt) -> None:
    """A receipt names its message and a state."""
    __tracebackhide__ = True
    expect(
        isinstance(item.state, ch.Delivery | ch.Engagement),
        lambda: f"the state {short(item.state)} is none of ours",
        "look words up in a table of ch.Delivery and ch.Engagement, and say nothing for others",
    )
    names = [name for name in (item.provider_id, item.client_reference) if name is not None]
    expect(
        names and all(name and storable(name, 2048) for name in names),
        lambda: f"the receipt {short(item)} names no message, or with an id that cannot be stored",
        "read ids with ch.id_of, and say nothing where there is none",
    )
    expect(
        storable(item.detail, 500),
        lambda: f"the detail {short(item.detail)} cannot be stored",
        FIX_TEXT,
    )
    if item.failure is not None:
        check_outcome(item.failure)


def states_of(item: ch.Report) -> Iterator[str]:
    """The waitable states that one thing said by a webhook can bring about."""
    if isinstance(item, ch.Receipt):
        yield item.state.value
    elif isinstance(item, ch.Inbound):
        yield "replied"
        if item.clicked:
            yield "clicked"
