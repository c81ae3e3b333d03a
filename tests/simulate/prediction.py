"""
Predictions held against the truth of a synthetic town.

Policies really run there (in virtual time, with people who follow the town's own rules), the store
is learnt from, the effect of other policies is predicted, and these then really run in the same
town in another month.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from orchestrator.check.judge import load_configuration
from orchestrator.configuration.loading import Configuration
from orchestrator.core.message import Attempt, Message
from orchestrator.engine.batch import Decided
from orchestrator.simulate.behaviour import Behaviour, assumed
from orchestrator.simulate.event_file import EventFile, read_event_file
from orchestrator.simulate.fit import fit, sqlite_messages
from orchestrator.simulate.outcomes import MessageOutcome
from orchestrator.simulate.simulation import Findings, SimulationPlan, Version, simulate
from orchestrator.simulate.statistics import Interval, count_by_group
from orchestrator.simulate.version_run import RunSpec, VersionRun
from orchestrator.stores.rows import Changes, CreatedMessage
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.virtual.scripted_provider import Reaction
from tests.simulate.town import GOVERNANCE, PARCEL, SALE, Town

BOTH = {"sale": SALE, "parcel": PARCEL}
CHANGES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "nothing": (BOTH, GOVERNANCE),
    "viber and whatsapp change places": (
        BOTH
        | {
            "sale": SALE.replace("viber, wait: {delivered: 2m, read: 30m}", "X")
            .replace("whatsapp, wait: {delivered: 2m, read: 1h}", "viber, wait: {read: 30m}")
            .replace("X", "whatsapp, wait: {delivered: 2m, read: 1h}")
        },
        GOVERNANCE,
    ),
    "waits are longer": (
        BOTH | {"sale": SALE.replace("read: 30m", "read: 3h").replace("read: 1h", "read: 4h")},
        GOVERNANCE,
    ),
    "a delivery is enough": (
        {"sale": SALE.replace(", read: 30m", ""), "parcel": PARCEL.replace(", read: 20m", "")},
        GOVERNANCE,
    ),
    "no whatsapp": (
        BOTH
        | {"sale": "".join(line + "\n" for line in SALE.splitlines() if "whatsapp" not in line)},
        GOVERNANCE,
    ),
    "whatsapp for parcels, too": (
        BOTH
        | {
            "parcel": PARCEL.replace(
                "  - {channel: sms", "  - {channel: whatsapp, wait: {read: 30m}}\n  - {channel: sms"
            )
        },
        GOVERNANCE,
    ),
    "no quiet hours": (BOTH, GOVERNANCE.split("quiet_hours")[0]),
}


class Row(NamedTuple):
    """One figure of one change in one town: what was predicted, and what was true."""

    change: str
    figure: str
    found: Interval
    true: float

    @property
    def held(self) -> bool:
        return self.found.low <= self.true <= self.found.high


class TrueRun(VersionRun):
    """The town itself: its people answer, and every message is kept."""

    def __init__(self, spec: RunSpec, town: Town) -> None:
        super().__init__(spec)
        self._town = town
        self.messages: dict[str, Message] = {}
        collect = self._collector.watch

        def watch(decided: Decided, now: int) -> None:
            self.messages[decided.decision.message.id] = decided.decision.message
            collect(decided, now)

        self._collector.watch = watch  # type: ignore[method-assign]  # one collector, also ours

    def _respond(self, provider: str, message: Message, attempt: Attempt) -> Reaction:
        return self._town.react(
            self._spec.run,
            attempt.channel,
            provider,
            message.recipient,
            message.event_id,
            attempt.intent_at,
        )


@dataclass
class SyntheticPlace:
    """A town with its installation in a folder."""

    town: Town
    folder: Path

    def installation(self, change: str) -> Configuration:
        """The configuration with a change of the policies or the governance."""
        policies, governance = CHANGES[change]
        folder = self.folder / change.replace(" ", "_").replace(",", "")
        self.town.write(folder, dict(policies), governance)
        return load_configuration(folder / "kaskad.yaml", {}, secrets=False)

    def events(self) -> EventFile:
        return read_event_file(str(self.folder / "nothing" / "events.jsonl"))

    def really(self, change: str, luck: int) -> TrueRun:
        """A month of the town under a change."""
        configuration = self.installation(change)
        policies = configuration.rules.policies
        spec = RunSpec(
            configuration, policies, frozenset(policies), self.events(), assumed(), 0, luck
        )
        return TrueRun(spec, self.town)

    def learnt(self) -> Behaviour:
        """What the store shows after a month as it is."""
        month = self.really("nothing", 0)
        month.run()
        store = SqliteStore(self.folder / "kaskad.db", inline=True)

        async def keep() -> None:
            await store.open()
            empty: dict[str, Any] = {"ce": {}, "data": {}}
            created = [CreatedMessage(one, empty, b"") for one in month.messages.values()]
            await store.commit(Changes(created=created))
            await store.close()

        asyncio.run(keep())
        messages = sqlite_messages(self.folder / "kaskad.db")
        return fit(messages, ZoneInfo("Europe/Kyiv"), self.events().ids)

    def predicted(self, behaviour: Behaviour, change: str, runs: int) -> Findings:
        """What a simulation says of a change."""
        configuration = self.installation(change)
        policies = configuration.rules.policies
        version = Version(change, configuration, policies)
        plan = SimulationPlan(
            (version,), self.events(), behaviour, frozenset(policies), self.town.seed, runs
        )
        return simulate(plan, processes=1)

    def rows(self, changes: Iterable[str], runs: int) -> Iterator[Row]:
        """Every change predicted, and then really made."""
        behaviour = self.learnt()
        for change in changes:
            found = self.predicted(behaviour, change, runs).figures[0]["all", ""]
            true = figures(self.really(change, 1).run())
            for name in (("total", "reach"), ("total", "cost"), *sent(true)):
                interval = found.get(name, Interval(0, 0, 0))
                yield Row(change, " ".join(name), interval, true.get(name, 0))


def figures(outcomes: Iterable[MessageOutcome]) -> Mapping[tuple[str, str], float]:
    return count_by_group(outcomes)["all", ""]


def sent(figures: Mapping[tuple[str, str], float]) -> list[tuple[str, str]]:
    return sorted(name for name in figures if name[0] in ("sends", "reached_by"))


def table(rows: Iterable[Row]) -> str:
    """Rows as lines: what was predicted and its interval, what was true, whether it was held."""
    return "\n".join(
        f"{row.change:34} {row.figure:20} {row.found.median:9.3f} ({row.found.low:9.3f}–"
        f"{row.found.high:9.3f}) true {row.true:9.3f} {'' if row.held else 'MISSED'}"
        for row in rows
    )
