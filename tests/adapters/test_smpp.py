"""SMPP over real sockets: what was sent, what is unknown, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from adapters.smpp import pdu as wire
from adapters.smpp import session
from adapters.smpp.smpp import Smpp, SmppSettings
from adapters.smpp.texts import decoded, parts_of
from kaskad_testing import outgoing
from orchestrator import channels as ch
from tests.adapters.smsc import Smsc, smsc

R = ch.Reason
WAIT_SECONDS = 20


class Ears:
    """Takes reports as the service would; ``away``: the store is."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[ch.Report] = asyncio.Queue()
        self.away = False

    async def record(self, reports: Sequence[ch.Report]) -> None:
        if self.away:
            raise RuntimeError("the store is away")
        for report in reports:
            self.reports.put_nowait(report)

    async def next(self) -> Any:
        return await asyncio.wait_for(self.reports.get(), WAIT_SECONDS)


@asynccontextmanager
async def bound(smsc: Smsc, **more: Any) -> AsyncIterator[tuple[Smpp, Ears]]:
    """An adapter that is bound to the SMSC."""
    own = {"host": "127.0.0.1", "port": smsc.port, "system_id": "shop", "password": "secret"}
    settings = SmppSettings.model_validate({**own, "from": "Shop", "binds": 1, **more})
    adapter, ears = Smpp(settings, "smsc"), Ears()
    adapter.record = ears.record
    await adapter.open()
    try:
        yield adapter, ears
    finally:
        await adapter.close()


def text(words: str, **more: Any) -> ch.Outgoing:
    return outgoing(content={"text": words}, **more)


async def settled(adapter: Smpp) -> None:
    """Wait until the adapter is bound."""
    assert isinstance(await adapter.send(text("Hello")), ch.Accepted)


class Held:
    """Requests that the SMSC has taken and not answered."""

    def __init__(self, smsc: Smsc, count: int) -> None:
        self._smsc = smsc
        self.ones: asyncio.Queue[Any] = asyncio.Queue()
        smsc.does = [lambda smsc, writer, pdu: self.ones.put_nowait((writer, pdu))] * count

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while self.ones.qsize() < count:  # noqa: ASYNC110 a queue tells nobody its length
                await asyncio.sleep(0.01)

    async def answer(self, id: bytes) -> None:
        """Answer the first of them."""
        writer, pdu = await asyncio.wait_for(self.ones.get(), WAIT_SECONDS)
        self._smsc.answer(writer, pdu, body=id + b"\0")


async def stopped(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def status(value: int) -> Any:
    return lambda smsc, writer, pdu: smsc.answer(writer, pdu, value)


async def test_a_message_is_taken_under_one_spelling_of_its_id() -> None:
    async with smsc() as center, bound(center) as (adapter, _):
        assert await adapter.send(text("Hello")) == ch.Accepted("1")
        body = wire.Body(center.taken[0])
        body.string()
        assert (body.byte(), body.byte(), body.string()) == (5, 0, "Shop")
        assert (body.byte(), body.byte(), body.string()) == (1, 1, "380501234567")
        assert (body.take(3), body.string(), body.string()) == (b"\0\0\0", "", "000000001000000R")
        assert body.take(5) == bytes([1, 0, 0, 0, 5]) and body.take(5) == b"Hello"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0x58, ch.NotSent(R.THROTTLED, 1_000, "0x00000058")),
        (0x14, ch.NotSent(R.THROTTLED, 2_000, "0x00000014")),
        (0x0B, ch.Refused(R.REFUSED_ADDRESS, "0x0000000b")),
        (0x0A, ch.Refused(R.REFUSED_CONFIGURATION, "0x0000000a")),
        (0x08, ch.Unknown(R.SERVER_ERROR, "0x00000008")),
        (0x0401, ch.Refused(R.REFUSED_CONTENT, "0x00000401")),
        (0x0402, ch.Unknown(R.SERVER_ERROR, "0x00000402")),
    ],
)
async def test_a_status_means_what_the_table_says(code: int, outcome: ch.Outcome) -> None:
    async with smsc() as center, bound(center, codes={0x0401: "content"}) as (adapter, _):
        center.does = [status(code)]
        assert await adapter.send(text("Hello")) == outcome


async def test_a_bind_lost_after_the_write_is_unknown_and_the_next_message_goes_on() -> None:
    async with smsc() as center, bound(center) as (adapter, _):
        center.does = [lambda smsc, writer, pdu: writer.transport.abort()]
        lost = await adapter.send(text("Hello"))
        assert isinstance(lost, ch.Unknown) and lost.reason is R.CONNECTION_LOST
        assert isinstance(await adapter.send(text("Hello again")), ch.Accepted)
        assert len(center.taken) == 2


async def test_without_a_bind_nothing_is_sent() -> None:
    async with smsc() as center:
        center.status = 0x0E
        async with bound(center) as (adapter, _):
            refused = await adapter.send(text("Hello"))
        assert isinstance(refused, ch.Refused) and refused.reason is R.REFUSED_CONFIGURATION
        assert center.taken == []


@pytest.mark.parametrize("how", ["udh", "sar", "payload"])
async def test_a_long_text_arrives_whole_and_asks_for_one_receipt(how: str) -> None:
    words = "Ваш кошик чекає на вас 🙂 " * 8
    async with smsc() as center, bound(center, long_texts=how) as (adapter, _):
        assert isinstance(await adapter.send(text(words)), ch.Accepted)
        found = [wire.delivered_of(body) for body in center.taken]
        if how == "udh":
            numbers = [one.text[4:6] for one in found]
            pieces = [one.text[6:] for one in found]
        else:
            numbers = [
                one.options.get(wire.SAR_TOTAL, b"\1") + one.options.get(wire.SAR_NUMBER, b"\1")
                for one in found
            ]
            pieces = [one.text for one in found]
        total = len(found)
        assert numbers == [bytes([total, number]) for number in range(1, total + 1)]
        assert "".join(decoded(piece, 8, "gsm7") for piece in pieces) == words


async def test_a_part_refused_after_the_first_leaves_the_message_unknown() -> None:
    async with smsc() as center, bound(center) as (adapter, _):
        center.does = [lambda s, w, p: s.answer(w, p, body=b"1\0"), status(0x0B)]
        assert isinstance(await adapter.send(text("я" * 100)), ch.Unknown)


@pytest.mark.parametrize(
    ("given", "options", "form", "state", "id"),
    [
        (b"id:0000000255 sub:001 dlvrd:001 stat:DELIVRD err:000 text:id:7 stat:UNDELIV",
         b"", "same", ch.Delivery.DELIVERED, "255"),
        (b"id:0000000255 stat:DELIVRD err:000 text:", b"", "decimal", ch.Delivery.DELIVERED, "ff"),
        (b"ID:00FF STAT:EXPIRED ERR:001", b"", "hex", ch.Delivery.EXPIRED, "255"),
        (b"", wire.option(0x1E, b"AB12\0") + wire.option(0x427, b"\2"), "same",
         ch.Delivery.DELIVERED, "ab12"),
        (b"id:12 stat:ENROUTE err:000", b"", "same", ch.Delivery.SENT, "12"),
    ],
)  # fmt: skip
async def test_a_receipt_is_recorded_before_it_is_acknowledged(
    given: bytes, options: bytes, form: str, state: ch.Delivery, id: str
) -> None:
    async with smsc() as center, bound(center, receipt_ids=form) as (adapter, ears):
        await adapter.send(text("Hello"))
        center.deliver(given, options=options)
        assert await ears.next() == ch.Receipt(state=state, provider_id=id)
        assert (await asyncio.wait_for(center.answers.get(), WAIT_SECONDS)).status == 0


async def test_a_failure_says_why() -> None:
    async with smsc() as center, bound(center) as (adapter, ears):
        await adapter.send(text("Hello"))
        center.deliver(b"id:1 stat:UNDELIV err:021 text:Hello")
        failure = ch.Refused(R.REFUSED_RECIPIENT, "021")
        state = ch.Delivery.FAILED
        assert await ears.next() == ch.Receipt(state=state, provider_id="1", failure=failure)


async def test_what_cannot_be_recorded_is_asked_for_again() -> None:
    async with smsc() as center, bound(center) as (adapter, ears):
        await adapter.send(text("Hello"))
        ears.away = True
        center.deliver(b"id:1 stat:DELIVRD err:000")
        assert (await asyncio.wait_for(center.answers.get(), WAIT_SECONDS)).status == 0x64


async def test_a_person_s_stop_comes_in() -> None:
    async with smsc() as center, bound(center) as (adapter, ears):
        await adapter.send(text("Hello"))
        center.deliver("СТОП".encode("utf-16-be"), esm_class=0, coding=8)
        said = await ears.next()
        assert (said.kind, said.value, said.text) == ("phone", "+380501234567", "СТОП")


async def test_an_answer_after_the_deadline_still_names_its_attempt() -> None:
    async with smsc() as center, bound(center) as (adapter, ears):
        held, message = Held(center, 1), text("Hello")
        sending = asyncio.create_task(adapter.send(message))
        await held.until(1)
        await stopped(sending)
        await held.answer(b"9")
        receipt = await ears.next()
        assert (receipt.provider_id, receipt.client_reference) == ("9", message.client_reference)


async def test_a_late_answer_to_the_first_of_two_parts_does_not_say_that_the_text_was_taken() -> (
    None
):
    async with smsc() as center, bound(center) as (adapter, ears):
        held = Held(center, 1)
        sending = asyncio.create_task(adapter.send(text("я" * 100)))
        await held.until(1)
        await stopped(sending)
        await held.answer(b"9")
        await settled(adapter)
        assert ears.reports.empty() and len(center.taken) == 2


async def test_no_more_requests_wait_for_answers_than_the_window_takes() -> None:
    async with smsc() as center, bound(center, window=2) as (adapter, _):
        await settled(adapter)
        held = Held(center, 20)
        tasks = [asyncio.create_task(adapter.send(text("Hello"))) for _ in range(10)]
        tasks += [asyncio.create_task(adapter.send(text("я" * 300)))]
        for answered in range(3):
            await held.until(2)
            await asyncio.sleep(0.05)
            assert held.ones.qsize() == 2, f"after {answered} answers"
            await held.answer(b"1")
        await stopped(*tasks)


async def test_what_finds_no_room_within_a_second_is_never_written() -> None:
    async with smsc() as center, bound(center, window=1) as (adapter, _):
        await settled(adapter)
        held = Held(center, 1)
        first = asyncio.create_task(adapter.send(text("Hello")))
        await held.until(1)
        async with asyncio.timeout(2):
            late = await adapter.send(text("Hello"))
        assert isinstance(late, ch.NotSent) and late.reason is R.START_TOO_LATE
        await held.answer(b"9")
        assert await first == ch.Accepted("9") and len(center.taken) == 2


async def test_a_refused_second_bind_does_not_make_a_full_window_a_wrong_configuration() -> None:
    async with smsc() as center:
        center.statuses, center.status = [0], 0x0D
        async with bound(center, window=1, binds=2) as (adapter, _):
            await settled(adapter)
            held = Held(center, 1)
            first = asyncio.create_task(adapter.send(text("Hello")))
            await held.until(1)
            late = await adapter.send(text("Hello"))
            assert isinstance(late, ch.NotSent) and late.reason is R.START_TOO_LATE
            await stopped(first)


async def test_a_request_that_is_never_answered_does_not_keep_its_slot_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(session, "UNANSWERED_SECONDS", 0.1)
    async with smsc() as center, bound(center, window=1) as (adapter, _):
        await settled(adapter)
        center.does = [lambda smsc, writer, pdu: None]
        lost = await asyncio.wait_for(adapter.send(text("Hello")), WAIT_SECONDS)
        assert isinstance(lost, ch.Unknown) and lost.reason is R.CONNECTION_LOST
        assert isinstance(await adapter.send(text("Hello again")), ch.Accepted)


async def test_what_comes_in_unreadable_stops_nothing_that_comes_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with smsc() as center, bound(center) as (adapter, ears):
        await settled(adapter)
        with monkeypatch.context() as broken:
            broken.setattr(adapter, "report_of", lambda found: 1 / 0)
            center.deliver(b"id:1 stat:DELIVRD err:000")
            assert (await asyncio.wait_for(center.answers.get(), WAIT_SECONDS)).status == 0
        center.deliver(b"id:1 stat:DELIVRD err:000")
        assert (await ears.next()).provider_id == "1"


@pytest.mark.parametrize("form", ["same", "decimal", "hex"])
@drawn(
    esm_class=st.sampled_from([0, wire.UDH, wire.RECEIPT]),
    said=st.binary() | st.sampled_from([b"id:1\xb2 stat:DELIVRD", b"id:00 stat:DELIVRD"]),
    id=st.sampled_from([b"", b"9" * 5_000, b"f" * 5_000]),
    coding=st.integers(0, 255),
)
def test_nothing_that_comes_in_cannot_be_read(
    form: str, esm_class: int, said: bytes, id: bytes, coding: int
) -> None:
    own = {"host": "h", "system_id": "shop", "password": "p", "from": "Shop", "receipt_ids": form}
    options = wire.option(wire.RECEIPTED_ID, id) if id else b""
    body = wire.submit_body(
        source=(1, 1, "380501234567"),
        destination=(5, 0, "Shop"),
        esm_class=esm_class,
        validity="",
        receipt=False,
        coding=coding,
        text=said,
        options=options,
    )
    Smpp(SmppSettings.model_validate(own), "smsc").report_of(wire.delivered_of(body))


@pytest.mark.parametrize(
    ("words", "parts"),
    [("A" * 160, 1), ("A" * 161, 2), ("A" * 159 + "€", 2), ("A" * 306, 2), ("A" * 307, 3),
     ("я" * 70, 1), ("я" * 71, 2), ("я" * 134, 2), ("я" * 135, 3), ("я" * 69 + "🙂", 2)],
)  # fmt: skip
def test_a_text_has_the_parts_that_the_standard_counts(words: str, parts: int) -> None:
    coding, found = parts_of(words, "gsm7", False)
    assert len(found) == parts
    assert "".join(decoded(part, coding, "gsm7") for part in found) == words
