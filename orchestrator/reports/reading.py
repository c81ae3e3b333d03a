"""Which report a caller means."""

from __future__ import annotations

from orchestrator.reports import building
from orchestrator.reports.building import EVER, Source
from orchestrator.reports.document import ReportView
from orchestrator.reports.experiments import experiment
from orchestrator.reports.unknown import UnknownName

PLAIN = ("policies", "channels", "people")
NAMED = ("experiment", "journey")
CONFIGURED = {"policies": "policy", "journey": "journey"}


async def report_of(source: Source, kind: str, name: str = "") -> ReportView:
    """
    A report by its word; ``name`` is that of the experiment or journey, or one policy's. Raises
    ``UnknownName``.
    """
    if name and kind in CONFIGURED:
        await look_for(source, CONFIGURED[kind], name)
    match kind:
        case "channels":
            return await building.channels(source)
        case "people":
            return await building.people(source)
        case "experiment":
            return await experiment(source, name)
        case "journey":
            return await building.journey(source, name)
        case _:
            return await building.policies(source, {"policy": (name,)} if name else None)


async def look_for(source: Source, kind: str, name: str) -> None:
    """Raises ``UnknownName`` unless it is configured, or was ever counted."""
    known = source.policies if kind == "policy" else source.journey_names
    if name not in known and not await source.store.counts(*EVER, (), {kind: (name,)}):
        raise UnknownName(kind, name, known)
