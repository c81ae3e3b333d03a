"""The report of a simulation as a page with charts: the figures of ``findings``, as a report."""

from __future__ import annotations

from orchestrator.reports.document import Cell, Chart, ReportTable, ReportView, column, table
from orchestrator.simulate.as_it_was import EVERYTHING
from orchestrator.simulate.findings import BY_GROUP, CALLED, cell, more_of, names_of, titled
from orchestrator.simulate.simulation import Findings, SimulationPlan
from orchestrator.simulate.statistics import Group

BOLD = ("[bold]", "[/]")


def as_view(plan: SimulationPlan, findings: Findings) -> ReportView:
    """Every figure altogether, then by policy, class and locale; a column for each version."""
    currency = plan.versions[0].configuration.settings.currency or ""
    tables = [figures(plan, findings, EVERYTHING, "altogether", currency)]
    for kind in ("policy", "class", "locale"):
        groups = sorted({g for found in findings.figures for g in found if g[0] == kind})
        if len(groups) > 1:
            tables.append(by_group(plan, findings, kind, groups, currency))
    if findings.changes:
        tables.append(what_changes(findings))
    notes = [f"Providers and people behave {plan.behaviour.source}."]
    notes += [f"{one.provider} ({one.channel}): {one.text}." for one in plan.assumptions()]
    if plan.runs > 1:
        notes.append("Reality lies between the numbers in brackets with a probability of 90 %.")
    return {
        "report": "simulation",
        "name": None,
        "title": f"Simulation of {', '.join(sorted(plan.reported))}",
        "since": "",
        "until": "",
        "by": None,
        "time_zone": "",
        "tables": tables,
        "charts": charts_of(plan, findings),
        "notes": notes,
    }


def plain(text: str) -> str:
    for mark in BOLD:
        text = text.replace(mark, "")
    return text


def figures(
    plan: SimulationPlan, findings: Findings, group: Group, title: str, currency: str
) -> ReportTable:
    heads = [column("figure", "text", " ")]
    heads += [column(version.label, "text", version.label) for version in plan.versions]
    compared = len(plan.versions) > 1
    if compared:
        heads.append(column("difference", "text"))
    rows: list[list[Cell]] = []
    for name in names_of(findings, group):
        cells = [cell(name, found.get(group, {}), currency) for found in findings.figures]
        if compared:
            cells.append(plain(more_of(name, findings.differences.get(group, {}), currency)))
        rows.append([titled(name), *cells])
    return table(title, heads, rows)


def by_group(
    plan: SimulationPlan, findings: Findings, kind: str, groups: list[Group], currency: str
) -> ReportTable:
    heads = [column(kind, "text"), column("version", "text")]
    heads += [column(name, "text", CALLED.get(name, name)) for name in BY_GROUP]
    rows: list[list[Cell]] = [
        [
            group[1],
            version.label,
            *(cell(("total", name), found.get(group, {}), currency) for name in BY_GROUP),
        ]
        for group in groups
        for version, found in zip(plan.versions, findings.figures, strict=True)
    ]
    return table(f"by {kind}", heads, rows)


def what_changes(findings: Findings) -> ReportTable:
    heads = [column("kind", "text", "what changes"), column("messages"), column("example", "text")]
    rows: list[list[Cell]] = [
        [change.kind, change.count.median, ", ".join(change.examples)]
        for change in findings.changes
    ]
    return table("what changes", heads, rows)


def charts_of(plan: SimulationPlan, findings: Findings) -> list[Chart]:
    """What each version sends, and what reaches people, by channel."""
    charts: list[Chart] = []
    for section, title in (("sends", "Sent by channel"), ("reached_by", "Reached by channel")):
        names = sorted(
            {
                name
                for found in findings.figures
                for part, name in found.get(EVERYTHING, {})
                if part == section
            }
        )
        series = [
            [
                one[section, name].median if (section, name) in one else 0.0
                for one in (found.get(EVERYTHING, {}),)
                for name in names
            ]
            for found in findings.figures
        ]
        charts.append(
            {
                "title": title,
                "kind": "bars",
                "unit": "count",
                "labels": names,
                "series": [
                    {"name": version.label, "values": list(values)}
                    for version, values in zip(plan.versions, series, strict=True)
                ],
            }
        )
    return [chart for chart in charts if chart["labels"]]
