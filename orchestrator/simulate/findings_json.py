"""The report of a simulation for programs, as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.simulate.as_it_was import EVERYTHING, AsItWas
from orchestrator.simulate.simulation import Findings, SimulationPlan
from orchestrator.simulate.statistics import SECTIONS, Figure, Group, Interval


def as_json(plan: SimulationPlan, findings: Findings) -> dict[str, Any]:
    """
    The same for programs: every figure as ``{low, median, high}``; times in milliseconds, cost in
    ``currency``.
    """
    found: dict[str, Any] = {
        "policies": sorted(plan.reported),
        "events": len(plan.event_file.lines),
        "runs": plan.runs,
        "seed": plan.seed,
        "interval_probability": 0.9 if plan.runs > 1 else None,
        "behaviour": plan.behaviour.source,
        "currency": plan.versions[0].configuration.settings.currency,
        "versions": [
            {"label": version.label, **dict(groups_json(figures))}
            for version, figures in zip(plan.versions, findings.figures, strict=True)
        ],
    }
    found["assumed"] = [unknown._asdict() for unknown in plan.assumptions()]
    if findings.past is not None:
        found["as_it_was"] = past_json(findings.past)
    if len(plan.versions) > 1:
        found["differences"] = dict(groups_json(findings.differences))
        found["costs_more"] = interval_json(findings.costs_more)
        found["changes"] = [
            {
                "kind": change.kind,
                "count": interval_json(change.count),
                "cost": interval_json(change.cost),
                "examples": list(change.examples),
            }
            for change in findings.changes
        ]
    return found


def past_json(past: AsItWas) -> dict[str, Any]:
    """The past: ``real`` beside ``simulated``, and where the latter misses it."""
    return {
        "messages": past.messages,
        "simulated": dict(groups_json(past.simulated)),
        "real": dict(
            groups_json(
                {
                    group: {name: Interval(was, was, was) for name, was in found.items()}
                    for group, found in past.real.items()
                },
                lambda found: round(found.median, 6),
            )
        ),
        "not_reproduced": [
            {
                "policy": group[1] or None,
                "figure": list(name),
                "simulated": interval_json(found),
                "real": round(was, 6),
            }
            for group, name, was, found in past.misses()
        ],
    }


def groups_json(
    figures: Mapping[Group, Mapping[Figure, Interval]],
    show: Callable[[Interval], Any] | None = None,
) -> Iterator[tuple[str, Any]]:
    """``all``, and ``by_class``, ``by_locale``, ``by_policy``."""
    yield "all", sections_json(figures.get(EVERYTHING, {}), show or interval_json)
    for kind in ("class", "locale", "policy"):
        yield (
            f"by_{kind}",
            {
                group[1]: sections_json(found, show or interval_json)
                for group, found in figures.items()
                if group[0] == kind
            },
        )


def sections_json(
    figures: Mapping[Figure, Interval], show: Callable[[Interval], Any]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for (section, name), value in figures.items():
        found[section][name] = show(value)
    return found


def interval_json(found: Interval) -> dict[str, float]:
    return {
        "low": round(found.low, 6),
        "median": round(found.median, 6),
        "high": round(found.high, 6),
    }
