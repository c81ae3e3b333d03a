"""A life in a script by hand on the same libraries, and what a life in Kaskad costs beside it."""

from __future__ import annotations

from dataclasses import dataclass

from bench import machine
from bench.figures import Figure, at_most
from bench.groups.rounds import Rounds
from bench.lives import lives
from bench.stage import Stage
from bench.worker import Worker

WARM = 500


@dataclass(slots=True)
class ByHand:
    """The script in a process of its own, as lives are measured."""

    worker: Worker

    @property
    def port(self) -> int:
        return int(self.worker.hello["port"])

    @property
    def cpu_seconds(self) -> float:
        return machine.cpu_seconds(self.worker.pid)


class Floor(Rounds):
    name = "floor"
    together = True

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.figure("floor_us", "a life in a script by hand, SQLite", "µs CPU")
        self.figure("floor_rate", "a life in a script by hand, SQLite", "/s")
        self.figure(
            "floor_ratio", "a life: HTTP in, SQLite ÷ the script", "×", at_most(3.0, aim=2.0)
        )
        self._script: ByHand | None = None

    async def open(self) -> None:
        file = str(self.stage.subfolder("floor") / "shop.db")
        self._script = ByHand(
            await self.stage.worker("bench.floor", sink=self.stage.sink_port, file=file)
        )
        await self._live(WARM)

    async def turn(self) -> None:
        await self.attempt(self._measure, "floor_us", "floor_rate")

    async def _measure(self) -> None:
        cpu_us, per_second = await self._live(self.stage.size(4_000, 1_500))
        self.figures["floor_us"].values.append(cpu_us)
        self.figures["floor_rate"].values.append(per_second)

    async def _live(self, count: int) -> tuple[float, float]:
        assert self._script is not None, "open comes first"
        cost = await lives(self.stage, [self._script], count)
        return cost.cpu_us, cost.per_second

    def conclude(self, others: dict[str, Figure]) -> None:
        ratio, life = self.figures["floor_ratio"], others.get("life_sqlite_us")
        if life is None:
            ratio.excuse(self.figures["floor_us"], otherwise="needs the lives in the same run")
            return
        pairs = zip(life.values, self.figures["floor_us"].values, strict=False)
        ratio.values = [ours / by_hand for ours, by_hand in pairs]
        if not ratio.values:
            ratio.excuse(life, otherwise="needs the lives in the same run")
