"""How a simulation is told: what, how often, how fast, at what cost, and what would change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.rehearsal.changes import ChangeOver
from orchestrator.rehearsal.simulation import Findings, Plan
from orchestrator.rehearsal.tally import SECTIONS, Figure, Group, Interval
from orchestrator.times import duration

TITLES = {
    "sends": "sent on",
    "reached_by": "reached by",
    "ended": "ended",
    "rules": "held or skipped by",
    "flags": "flagged",
}
TOTALS = ("messages", "reached", "reach", "median_ms", "p95_ms", "cost", "cost_per_reached")
CALLED = {
    "reach": "share reached",
    "median_ms": "time to reach, median",
    "p95_ms": "time to reach, p95",
    "cost_per_reached": "cost per reached",
}
EVERYTHING: Group = ("all", "")


def print_findings(plan: Plan, findings: Findings, console: Console) -> None:
    """Everything as tables."""
    base = plan.versions[0]
    currency = base.configuration.settings.currency or ""
    events, messages = len(plan.traffic.lines), findings.figures[0].get(EVERYTHING, {})
    count = messages.get(("total", "messages"), Interval(0, 0, 0))
    console.print(
        f"{', '.join(sorted(plan.reported))}: {events} events, {whole(count.median)} messages, {plan.runs} run(s), "
        f"seed {plan.seed}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Providers and people behave {escape(plan.habits.source)}.", highlight=False, soft_wrap=True)
    console.print("")
    console.print(figures_table(plan, findings, EVERYTHING, currency))
    for kind in ("policy", "class", "locale"):
        groups = sorted({group for figures in findings.figures for group in figures if group[0] == kind})
        if len(groups) > 1:
            console.print(groups_table(plan, findings, kind, groups, currency))
    if len(plan.versions) > 1:
        print_changes(plan, findings.changes, currency, console)


def figures_table(plan: Plan, findings: Findings, group: Group, currency: str) -> Table:
    """All figures of one group, a column for each version."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("")
    for version in plan.versions:
        table.add_column(escape(version.label), justify="right")
    for name in names_of(findings, group):
        section, word = name
        title = CALLED.get(word, word) if section == "total" else f"{TITLES[section]} {word}"
        cells = [cell(name, figures.get(group, {}), currency) for figures in findings.figures]
        table.add_row(escape(title), *cells)
    return table


def names_of(findings: Findings, group: Group) -> list[Figure]:
    """The figures that some version has, in their order."""
    names = {name for figures in findings.figures for name in figures.get(group, {})}

    def place(name: Figure) -> tuple[int, int, str]:
        inner = TOTALS.index(name[1]) if name[0] == "total" else 0
        return SECTIONS.index(name[0]), inner, name[1]

    return sorted(names, key=place)


def groups_table(plan: Plan, findings: Findings, kind: str, groups: list[Group], currency: str) -> Table:
    """The totals by policy, class or locale."""
    table = Table(title=f"by {kind}", title_justify="left", box=None, padding=(0, 2), pad_edge=False)
    table.add_column("")
    for title in ("messages", "share reached", "time to reach, median", "cost"):
        table.add_column(title, justify="right")
    for group in groups:
        for version, figures in zip(plan.versions, findings.figures, strict=True):
            label = f"{group[1]} ({version.label})" if len(plan.versions) > 1 else group[1]
            found = figures.get(group, {})
            names = ("messages", "reach", "median_ms", "cost")
            table.add_row(escape(label), *(cell(("total", name), found, currency) for name in names))
    return table


def print_changes(plan: Plan, changes: tuple[ChangeOver, ...], currency: str, console: Console) -> None:
    """What the second version does otherwise."""
    old, new = (version.label for version in plan.versions)
    console.print(f"\nWith {escape(new)} in place of {escape(old)}:", highlight=False, soft_wrap=True)
    if not changes:
        console.print("nothing changes", highlight=False)
        return
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for title in ("messages", "what changes", f"costs more {currency}".strip(), "for instance"):
        table.add_column(title, justify="right" if title not in {"what changes", "for instance"} else "left")
    for change in changes:
        cost = spread(change.cost, signed)
        table.add_row(spread(change.count, whole), escape(change.kind), cost, escape(", ".join(change.examples)))
    console.print(table)
    total = sum(change.cost.median for change in changes)
    verb = "costs" if total > 0 else "saves"
    console.print(f"Altogether it {verb} about {abs(total):.2f} {currency}".rstrip() + ".", highlight=False)


def cell(name: Figure, figures: Mapping[Figure, Interval], currency: str) -> str:
    """One figure with its interval."""
    found = figures.get(name)
    if found is None:
        return "–" if name[0] == "total" else "0"
    return spread(found, shower(name, currency))


def spread(found: Interval, show: Callable[[float], str]) -> str:
    """``median (low–high)``; one number where they are the same."""
    low, middle, high = show(found.low), show(found.median), show(found.high)
    return middle if low == high else f"{middle} ({low}–{high})"


def shower(name: Figure, currency: str) -> Callable[[float], str]:
    """How a figure is written."""
    if name[0] == "total":
        match name[1]:
            case "reach":
                return lambda value: f"{value:.1%}"
            case "median_ms" | "p95_ms":
                return lambda value: duration(round(value))
            case "cost":
                return lambda value: f"{value:.2f} {currency}".rstrip()
            case "cost_per_reached":
                return lambda value: f"{value:.4f} {currency}".rstrip()
    return whole


def whole(value: float) -> str:
    return f"{value:.0f}"


def signed(value: float) -> str:
    return f"{value:+.2f}"


def as_json(plan: Plan, findings: Findings) -> dict[str, Any]:
    """The same for programs: every figure as ``{low, median, high}``; times in milliseconds, cost in ``currency``."""
    found: dict[str, Any] = {
        "policies": sorted(plan.reported),
        "events": len(plan.traffic.lines),
        "runs": plan.runs,
        "seed": plan.seed,
        "behaviour": plan.habits.source,
        "currency": plan.versions[0].configuration.settings.currency,
        "versions": [
            {"label": version.label, **dict(groups_json(figures))}
            for version, figures in zip(plan.versions, findings.figures, strict=True)
        ],
    }
    if len(plan.versions) > 1:
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


def groups_json(figures: Mapping[Group, Mapping[Figure, Interval]]) -> Iterator[tuple[str, Any]]:
    """``all``, and ``by_class``, ``by_locale``, ``by_policy``."""
    yield "all", sections_json(figures.get(EVERYTHING, {}))
    for kind in ("class", "locale", "policy"):
        yield f"by_{kind}", {group[1]: sections_json(found) for group, found in figures.items() if group[0] == kind}


def sections_json(figures: Mapping[Figure, Interval]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for (section, name), value in figures.items():
        found[section][name] = interval_json(value)
    return found


def interval_json(found: Interval) -> dict[str, float]:
    return {"low": round(found.low, 6), "median": round(found.median, 6), "high": round(found.high, 6)}
