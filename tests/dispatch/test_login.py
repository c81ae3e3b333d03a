"""The access token of a provider: kept, renewed early, and once more after it was refused."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator import channels as ch
from orchestrator.core.outcomes import NotSent, Refused
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.login import Login


class Account(ch.LoginAdapter[ch.AdapterSettings]):
    name = "account"
    supports = ch.Capabilities(channel="sms")

    def login(self, now: float) -> ch.HttpCall:
        return ch.HttpCall(method="POST", url="https://id.example/token", headers={}, body=b"")

    def access(self, reply: ch.HttpReply) -> ch.Access | ch.Outcome:
        if reply.status == 200:
            return ch.Access(token=reply.body.decode(), seconds=3_600)
        return Refused(Reason.REFUSED_CONFIGURATION, str(reply.status))


class Bank:
    """Gives tokens ``t1``, ``t2`` …, unless ``answers`` says otherwise for the next requests."""

    def __init__(self) -> None:
        self.at = 1_000.0
        self.asked = 0
        self.answers: list[Any] = []
        self.gate: asyncio.Event | None = None
        self.login = Login(Account(ch.AdapterSettings(), "main"))

    async def ask(self, call: ch.HttpCall) -> Any:
        self.asked += 1
        number = self.asked
        if self.gate is not None:
            await self.gate.wait()
        return self.answers.pop(0) if self.answers else answer(200, f"t{number}")

    async def token(self, within: float = 5.0) -> str | NotSent | Refused:
        clock = lambda: self.at  # noqa: E731
        return await self.login.token(self.ask, clock, clock, self.at + within)


def answer(status: int, body: str = "") -> ch.HttpReply:
    return ch.HttpReply(status=status, headers={}, body=body.encode(), now=0.0)


async def test_many_sends_ask_once() -> None:
    bank = Bank()
    assert await asyncio.gather(*(bank.token() for _ in range(20))) == ["t1"] * 20
    assert bank.asked == 1


async def test_it_is_renewed_five_minutes_early_beside_the_sends() -> None:
    bank = Bank()
    await bank.token()
    bank.at += 3_290
    assert (await bank.token(), bank.asked) == ("t1", 1)
    bank.at += 20
    bank.gate = asyncio.Event()
    assert await bank.token() == "t1", "the old one is good while the new one is on its way"
    await asyncio.sleep(0)
    bank.gate.set()
    await asyncio.sleep(0.01)
    assert (await bank.token(), bank.asked) == ("t2", 2)


async def test_a_token_that_does_not_come_in_time_withdraws_the_send() -> None:
    bank = Bank()
    bank.gate = asyncio.Event()
    found = await bank.token(within=0.01)
    assert isinstance(found, NotSent) and found.reason is Reason.START_TOO_LATE
    bank.gate.set()
    assert await bank.token() == "t1", "the request that was made meanwhile serves the next one"
    assert bank.asked == 1


async def test_a_refused_token_is_replaced_and_a_second_one_is_our_fault() -> None:
    bank = Bank()
    first = await bank.token()
    assert isinstance(first, str)
    assert bank.login.goes_again(answer(401), first)
    assert bank.login.goes_again(answer(401), first), "another message was on its way with it"
    second = await bank.token()
    assert second == "t2"
    assert not bank.login.goes_again(answer(401), "t2")


async def test_a_token_that_has_worked_may_end_as_often_as_it_likes() -> None:
    bank = Bank()
    for number in range(1, 6):
        token = await bank.token()
        assert token == f"t{number}"
        assert not bank.login.goes_again(answer(200), token)
        assert bank.login.goes_again(answer(401), token)


async def test_a_refused_login_refuses_the_messages_and_is_not_repeated_at_once() -> None:
    bank = Bank()
    bank.answers = [answer(400), answer(400)]
    for _ in range(5):
        assert await bank.token() == Refused(Reason.REFUSED_CONFIGURATION, "400")
    assert bank.asked == 1
    bank.at += 3_600
    assert isinstance(await bank.token(), Refused)
    bank.at += 3_600
    assert (await bank.token(), bank.asked) == ("t3", 3)


async def test_a_login_server_that_is_down_took_no_message() -> None:
    bank = Bank()
    bank.answers = [NotSent(Reason.CONNECT_FAILED)]
    assert await bank.token() == NotSent(Reason.CONNECT_FAILED)
