"""
SMS over SMPP 3.4: transceiver binds that stay open, receipts and answers over the same binds.

Reference: SMPP 3.4, sections 4.4, 4.6, 5.1.3 (statuses), 5.2.28 (message states), appendix B
(receipts). Quirks: a message id may be hexadecimal in the answer and decimal in the receipt
(``receipt_ids``); a receipt may come before the answer; the default alphabet is the SMSC's own.
A request that was written and not answered is Unknown, one that was not written is not sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from adapters.smpp import pdu as wire
from adapters.smpp.session import BindRefused, SessionPool, SmppSession, Unanswered
from adapters.smpp.texts import Alphabet, LongTexts, decoded, parts_of
from orchestrator import channels as ch

R = ch.Reason
ROOM_SECONDS = 1.0
PARTS_MAX = 255
THROTTLED_MS = {0x58: 1_000, 0x14: 2_000, 0x64: 1_000, 0x45: 1_000}
"""Statuses that say that nothing was taken, with the pause to make (milliseconds)."""

REFUSALS: dict[int, R] = {
    **dict.fromkeys((0x0B, 0x50, 0x51), R.REFUSED_ADDRESS),
    **dict.fromkeys((0x65, 0x66, 0xFE), R.REFUSED_RECIPIENT),
    **dict.fromkeys(
        (0x01, 0x02, 0x03, 0x06, 0x07, 0x15, 0x33, 0x34, 0x40, 0x42, 0x43, 0x44), R.REFUSED_CONTENT
    ),
    **dict.fromkeys(
        (0x54, 0x55, 0x61, 0x62, 0x63, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4), R.REFUSED_CONTENT
    ),
    **dict.fromkeys(
        (0x04, 0x05, 0x0A, 0x0D, 0x0E, 0x0F, 0x48, 0x49, 0x53), R.REFUSED_CONFIGURATION
    ),
}
"""``command_status`` that is a definite no. Any other one says too little: Unknown."""

OWN_CODES: dict[str, R] = {
    "address": R.REFUSED_ADDRESS,
    "recipient": R.REFUSED_RECIPIENT,
    "content": R.REFUSED_CONTENT,
    "configuration": R.REFUSED_CONFIGURATION,
}
STATES: dict[str, ch.Delivery] = {
    **dict.fromkeys(("ENROUTE", "ACCEPTD", "1", "6"), ch.Delivery.SENT),
    **dict.fromkeys(("DELIVRD", "2"), ch.Delivery.DELIVERED),
    **dict.fromkeys(("EXPIRED", "3"), ch.Delivery.EXPIRED),
    **dict.fromkeys(("DELETED", "UNDELIV", "REJECTD", "4", "5", "8"), ch.Delivery.FAILED),
}
"""``stat`` of a receipt's text and ``message_state``; UNKNOWN (7) says nothing."""

Meaning = Literal["not_sent", "address", "recipient", "content", "configuration"]


class SmppSettings(ch.AdapterSettings):
    """
    ``from`` is the sender: letters, a short code, or a number in E.164. ``binds`` sessions of
    ``window`` requests each are kept by every process. ``codes`` says what the SMSC's own statuses
    (0x400 and above) mean.
    """

    host: str = Field(min_length=1)
    port: int = Field(default=2775, ge=1, le=65_535)
    tls: bool = False
    system_id: str = Field(min_length=1, max_length=15)
    password: ch.Secret
    system_type: str = Field(default="", max_length=12)
    sender: str = Field(alias="from", min_length=1, max_length=20, pattern=r"^[ -~]+$")
    binds: int = Field(default=2, ge=1, le=16)
    window: int = Field(default=10, ge=1, le=1_000)
    alphabet: Alphabet = "gsm7"
    long_texts: LongTexts = "udh"
    receipt_ids: Literal["same", "decimal", "hex"] = "same"
    codes: Mapping[int, Meaning] = Field(default_factory=dict)

    @property
    def pool(self) -> int:
        """How many messages may be under way at one time."""
        return self.binds * self.window


class Smpp(ch.Adapter[SmppSettings]):
    """Messages over SMPP. A long text is receipted by its last part."""

    name: ClassVar[str] = "smpp"
    settings_type: ClassVar[type[ch.AdapterSettings]] = SmppSettings
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="sms",
        address=("phone",),
        receipts=frozenset({"sent", "delivered", "replied"}),
        failure_receipts=True,
    )

    def __init__(self, settings: SmppSettings, provider: str) -> None:
        super().__init__(settings, provider)
        self._pool = SessionPool(settings.binds, self._session, self._bind)
        self._source = address_of(settings.sender)
        self._late: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to bind; receipts come in from then on."""
        self._pool.open()

    async def close(self) -> None:
        """Unbind."""
        await self._pool.close()

    def _session(self) -> SmppSession:
        return SmppSession(self.settings.window, self._take)

    async def _bind(self, session: SmppSession) -> None:
        own = self.settings
        context = ssl.create_default_context() if own.tls else None
        login = (own.system_id, own.password.get_secret_value(), own.system_type)
        await session.bind(own.host, own.port, context, login)

    async def send(self, message: ch.Outgoing) -> ch.Outcome:
        """
        Send the first part, and the others only once it was taken: what went wrong before that has
        sent nothing, and what goes wrong later is Unknown. Raises ``Unsendable``.
        """
        self._pool.open()
        bodies = self._bodies(message)
        alone = len(bodies) == 1
        first = await self._submit(bodies[0], message, alone)
        if alone or not isinstance(first, ch.Accepted):
            return first
        rest = await asyncio.gather(*(self._until_taken(body, message) for body in bodies[1:]))
        lost = [one for one in rest if not isinstance(one, ch.Accepted)]
        if lost:
            detail = f"{len(lost)} of {len(bodies)} parts were not taken"
            return ch.Unknown(R.SERVER_ERROR, getattr(lost[0], "code", None), detail)
        return rest[-1]

    async def _until_taken(self, body: bytes, message: ch.Outgoing) -> ch.Outcome:
        """Later parts wait as long as the SMSC asks for; the caller's deadline ends it."""
        while True:
            outcome = await self._submit(body, message, alone=False)
            if not isinstance(outcome, ch.NotSent):
                return outcome
            await asyncio.sleep((outcome.retry_after_ms or 500) / 1000)

    def _bodies(self, message: ch.Outgoing) -> list[bytes]:
        own, text = self.settings, message.content.get("text", "")
        coding, parts = parts_of(text, own.alphabet, own.long_texts == "payload")
        if len(parts) > PARTS_MAX:
            detail = f"the text has {len(parts)} parts, a header counts {PARTS_MAX}"
            raise ch.Unsendable(ch.Refused(R.REFUSED_CONTENT, detail=detail))
        reference, total, bodies = message.entropy[0], len(parts), []
        for number, part in enumerate(parts, 1):
            options, header, esm_class = b"", b"", 0
            if total > 1 and own.long_texts == "udh":
                header, esm_class = bytes([5, 0, 3, reference, total, number]), wire.UDH
            elif total > 1:
                options = (
                    wire.option(wire.SAR_REFERENCE, bytes([0, reference]))
                    + wire.option(wire.SAR_TOTAL, bytes([total]))
                    + wire.option(wire.SAR_NUMBER, bytes([number]))
                )
            bodies.append(
                wire.submit_body(
                    source=self._source,
                    destination=(1, 1, message.address.value.lstrip("+")),
                    esm_class=esm_class,
                    validity=validity_of(message.ttl_seconds),
                    receipt=number == total,
                    coding=coding,
                    text=header + part,
                    options=options,
                )
            )
        return bodies

    async def _submit(self, body: bytes, message: ch.Outgoing, alone: bool) -> ch.Outcome:
        """One ``submit_sm``; ``alone``: it is the whole message."""
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                session = await self._pool.take()
                # in the same turn, so the room is still there
                answer = session.request(wire.Command.SUBMIT_SM, body)
        except TimeoutError:
            return self._no_room()
        try:
            return self._outcome(await asyncio.shield(answer))
        except Unanswered:
            return ch.Unknown(R.CONNECTION_LOST, detail="the bind ended before the answer")
        except asyncio.CancelledError:
            if alone:  # an answer to one of several parts does not say that all were taken
                self._answer_later(answer, message)
            raise

    def _no_room(self) -> ch.Outcome:
        """No bind has taken the request within ``ROOM_SECONDS``."""
        if self._pool.bound:
            detail = "all windows are full; allow more with `binds` and `window`"
            return ch.NotSent(R.START_TOO_LATE, detail=detail)
        trouble = self._pool.trouble
        if isinstance(trouble, BindRefused) and REFUSALS.get(trouble.status):
            code = f"0x{trouble.status:08x}"
            return ch.Refused(R.REFUSED_CONFIGURATION, code, "the SMSC refused the bind")
        why = "it takes long" if trouble is None else type(trouble).__name__
        return ch.NotSent(R.CONNECT_FAILED, detail=f"bind: {why}")

    def _outcome(self, answer: wire.Pdu) -> ch.Outcome:
        """What ``submit_sm_resp`` or ``generic_nack`` means."""
        status, code = answer.status, f"0x{answer.status:08x}"
        if status == 0:
            id = ch.id_of(canonical(wire.Body(answer.body).string()))
            return ch.Accepted(id) if id else ch.Unknown(R.RESPONSE_UNREADABLE, code)
        meaning = self.settings.codes.get(status)
        if meaning == "not_sent" or (meaning is None and status in THROTTLED_MS):
            return ch.NotSent(R.THROTTLED, THROTTLED_MS.get(status, 1_000), code)
        reason = OWN_CODES[meaning] if meaning is not None else REFUSALS.get(status)
        return ch.Refused(reason, code) if reason else ch.Unknown(R.SERVER_ERROR, code)

    def _answer_later(self, answer: asyncio.Future[wire.Pdu], message: ch.Outgoing) -> None:
        """An answer that comes after the deadline still says that it was taken, and its id."""

        async def report() -> None:
            try:
                outcome = self._outcome(await answer)
            except Unanswered:
                return
            if isinstance(outcome, ch.Accepted):
                receipt = ch.Receipt(
                    state=ch.Delivery.SENT,
                    provider_id=outcome.provider_id,
                    client_reference=message.client_reference,
                )
                await self.record((receipt,))

        task = asyncio.create_task(report())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _take(self, pdu: wire.Pdu) -> bool:
        """Make a receipt or a message from a person durable."""
        try:
            report = self.report_of(wire.delivered_of(pdu.body))
        except Exception as error:  # sent again, it would be no more readable
            report, kind = None, type(error).__name__
            what = f"a deliver_sm to {self.provider} cannot be read ({kind})"
            asyncio.get_running_loop().call_exception_handler({"message": what})
        try:
            await self.record((report,) if report is not None else ())
        except Exception:  # whatever keeps the store from it: the SMSC keeps it for us
            return False
        return True

    def report_of(self, found: wire.Delivered) -> ch.Report | None:
        """What a ``deliver_sm`` says, None for what means nothing here."""
        kind = found.esm_class & wire.KIND
        if kind in (wire.RECEIPT, wire.INTERMEDIATE):
            return self._receipt(found)
        phone = ch.e164(found.source)
        if kind or phone is None:
            return None
        headed = found.esm_class & wire.UDH and found.text
        text = found.text[found.text[0] + 1 :] if headed else found.text
        said = decoded(text, found.coding, self.settings.alphabet)
        return ch.Inbound(kind="phone", value=phone, text=ch.text_of(said))

    def _receipt(self, found: wire.Delivered) -> ch.Receipt | None:
        fields = wire.receipt_fields(found)
        given = found.options.get(wire.RECEIPTED_ID, b"").split(b"\0")[0].decode("ascii", "replace")
        id = ch.id_of(canonical(given or fields.get("id", "")))
        number = found.options.get(wire.MESSAGE_STATE, b"")
        word = str(number[0]) if number else fields.get("stat", "").upper()
        state = STATES.get(word)
        if id is None or state is None:
            return None
        code = ch.said(fields.get("err", "")) or None
        failed = state is ch.Delivery.FAILED
        failure = ch.Refused(R.REFUSED_RECIPIENT, code) if failed else None
        known = in_form(id, self.settings.receipt_ids)
        return ch.Receipt(state=state, provider_id=known, failure=failure)


def address_of(sender: str) -> tuple[int, int, str]:
    """TON, NPI and address: letters are alphanumeric, up to six digits a short code."""
    digits = sender.removeprefix("+")
    if not digits.isdigit():
        return 5, 0, sender
    return (3, 0, digits) if len(digits) <= 6 else (1, 1, digits)


def validity_of(seconds: int) -> str:
    """A relative time, ``YYMMDDhhmmss000R``; at most 30 days, which every SMSC takes."""
    minutes, second = divmod(max(1, min(seconds, 30 * 86_400)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"0000{days:02d}{hour:02d}{minute:02d}{second:02d}000R"


def canonical(id: str) -> str:
    """One spelling of a message id: SMSCs vary in case and leading zeros."""
    return id.strip().lower().lstrip("0") or id.strip()


def in_form(id: str, form: str) -> str:
    """A receipt's id, which is in ``form``, as the answer wrote it."""
    if form == "decimal" and id.isascii() and id.isdigit():
        return f"{int(id):x}"
    if form == "hex" and all(one in "0123456789abcdef" for one in id) and id:
        return str(int(id, 16))
    return id
