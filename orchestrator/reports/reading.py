"""Which report a caller means."""

from __future__ import annotations

from orchestrator.reports import building
from orchestrator.reports.building import Source
from orchestrator.reports.document import ReportView
from orchestrator.reports.experiments import experiment

PLAIN = ("policies", "channels", "people")
NAMED = ("experiment", "journey")


async def report_of(source: Source, kind: str, name: str = "") -> ReportView:
    """
    A report by its word; ``name`` is that of the experiment or journey, or one policy's. Raises
    ``UnknownExperiment``.
    """
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
