"""
The cascade as people run it: 1.8 provider calls and three receipts a message.

Four of five Viber messages are sent and then fail, so an SMS follows and is delivered; the fifth is
sent, delivered, seen. Twilio's webhooks are signed and verified.
"""

from __future__ import annotations

from bench.events import CASCADE
from bench.figures import Figure, at_most
from bench.groups.rounds import Rounds
from bench.lives import Cost, lives
from bench.place import Service
from bench.stage import Stage
from bench.worker import BenchError

RECEIPTS = 3
SMS_SHARE = (0.7, 0.9)


class Cascade(Rounds):
    name = "cascade"
    together = True

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.figure("cascade_us", "a cascade: 1.8 calls, 3 receipts, SQLite", "µs CPU")
        self.figure("cascade_rate", "a cascade: 1.8 calls, 3 receipts, SQLite", "/s")
        self.figure("cascade_calls", "provider calls a message", "")
        self.figure(
            "cascade_ratio",
            "a cascade ÷ (its bare calls + its bare receipts)",
            "×",
            at_most(4.5, aim=3.5),
        )
        self._service: Service | None = None

    async def open(self) -> None:
        self._service = await self.stage.service("cascade")
        await self._run(300)

    async def turn(self) -> None:
        await self.attempt(self._measure, "cascade_us", "cascade_rate", "cascade_calls")

    async def _measure(self) -> None:
        count = self.stage.size(2_500, 1_000)
        cost = await self._run(count)
        self.figures["cascade_us"].values.append(cost.cpu_us)
        self.figures["cascade_rate"].values.append(cost.per_second)
        self.figures["cascade_calls"].values.append(1 + cost.sms / count)

    async def _run(self, count: int) -> Cost:
        assert self._service is not None, "open comes first"
        cost = await lives(
            self.stage, [self._service], count, kind=CASCADE, kinds="cascade", receipts=RECEIPTS
        )
        if not SMS_SHARE[0] < cost.sms / count < SMS_SHARE[1]:
            raise BenchError(
                f"of {count} messages {cost.sms} went on to SMS; four of five were expected to"
            )
        return cost

    async def close(self) -> None:
        if self._service is not None:
            await self._service.stop()

    def conclude(self, others: dict[str, Figure]) -> None:
        client, server, ratio = (
            others.get("client_us"),
            others.get("server_us"),
            self.figures["cascade_ratio"],
        )
        if client is not None and server is not None:
            floors = [
                1.8 * one + RECEIPTS * two
                for one, two in zip(client.values, server.values, strict=False)
            ]
            ours = self.figures["cascade_us"].values
            ratio.values = [one / floor for one, floor in zip(ours, floors, strict=False)]
        if not ratio.values:
            ratio.excuse(self.figures["cascade_us"], otherwise="needs the ceilings in the same run")
