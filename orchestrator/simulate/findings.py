"""The report of a simulation: what, how often, how fast, at what cost, and what would change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.primitives.durations import duration
from orchestrator.simulate.as_it_was import EVERYTHING, AsItWas
from orchestrator.simulate.changes import ChangeOver
from orchestrator.simulate.simulation import Findings, SimulationPlan
from orchestrator.simulate.statistics import SECTIONS, Figure, Group, Interval

TITLES = {
    "sends": "sent on",
    "reached_by": "reached by",
    "ended": "ended",
    "skipped": "step skipped:",
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
BY_GROUP = ("messages", "reach", "median_ms", "p95_ms", "cost")
NO_PAST = (
    "none of these events is in the store under a policy that is simulated here, so it cannot be"
    " compared with the simulation"
)
MEANING = {
    True: "What lies between the numbers in brackets holds reality with a probability of 90 %: it"
    " spans luck, and the uncertainty of what was learnt.",
    False: "One run shows no uncertainty; more --runs do.",
}
BROKEN_MAX = 10
MANY_KINDS = 12


def print_findings(plan: SimulationPlan, findings: Findings, console: Console) -> None:
    """Everything as tables."""
    currency = plan.versions[0].configuration.settings.currency or ""
    events, messages = len(plan.event_file.lines), findings.figures[0].get(EVERYTHING, {})
    count = messages.get(("total", "messages"), Interval(0, 0, 0))
    say(
        console,
        f"{', '.join(sorted(plan.reported))}: {events} events, {whole(count.median)} messages,"
        f" {plan.runs} run(s), seed {plan.seed}",
    )
    say(console, f"Providers and people behave {plan.behaviour.source}.")
    for unknown in plan.assumptions():
        say(console, f"{unknown.provider} ({unknown.channel}): {unknown.text}.")
    say(console, f"{MEANING[plan.runs > 1]}\n")
    print_past(findings.past, currency, console)
    console.print(figures_table(plan, findings, EVERYTHING, currency))
    print_broken(findings, console)
    for kind in ("policy", "class", "locale"):
        groups = sorted(
            {group for figures in findings.figures for group in figures if group[0] == kind}
        )
        if len(groups) > 1:
            console.print("")
            console.print(groups_table(plan, findings, kind, groups, currency))
    if len(plan.versions) > 1:
        print_changes(plan, findings, currency, console)


def print_past(past: AsItWas | None, currency: str, console: Console) -> None:
    """The past as it was, and where the simulation does not reproduce it."""
    if past is None:
        return
    if not past.messages:
        say(console, f"As it was: {NO_PAST}.\n")
        return
    table = Table(
        title=f"As it was, {past.messages} messages of the store",
        title_justify="left",
        box=None,
        padding=(0, 2),
        pad_edge=False,
    )
    for title in ("", "simulated", "real"):
        table.add_column(title, justify="right" if title else "left")
    for name, was, found in past.figures(EVERYTHING):
        real = cell(name, {name: Interval(was, was, was)}, currency)
        table.add_row(escape(titled(name)), cell(name, {name: found}, currency), real)
    console.print(table)
    for group, name, was, found in past.misses():
        where = f"{group[1]}: " if group[1] else ""
        show, unit = shower(name, currency)
        say(
            console,
            f"The past itself is not reproduced: {where}{titled(name)} {show(found.median)}"
            f" simulated, {show(was)} real {unit}".rstrip()
            + ".",
        )
    say(console, "")


def say(console: Console, line: str) -> None:
    console.print(escape(line), highlight=False, soft_wrap=True)


def figures_table(plan: SimulationPlan, findings: Findings, group: Group, currency: str) -> Table:
    """All figures of one group, a column for each version, and one for what is different."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("")
    for version in plan.versions:
        table.add_column(escape(version.label), justify="right")
    if len(plan.versions) > 1:
        table.add_column("difference", justify="right")
    for name in names_of(findings, group):
        cells = [cell(name, figures.get(group, {}), currency) for figures in findings.figures]
        if len(plan.versions) > 1:
            cells.append(more_of(name, findings.differences.get(group, {}), currency))
        table.add_row(escape(titled(name)), *cells)
    return table


def titled(name: Figure) -> str:
    section, word = name
    return CALLED.get(word, word) if section == "total" else f"{TITLES[section]} {word}"


def names_of(findings: Findings, group: Group) -> list[Figure]:
    """The figures that some version has, in their order; broken templates are listed apart."""
    names = {
        name
        for figures in findings.figures
        for name in figures.get(group, {})
        if name[0] in ("total", *TITLES)
    }

    def place(name: Figure) -> tuple[int, int, str]:
        inner = TOTALS.index(name[1]) if name[0] == "total" else 0
        return SECTIONS.index(name[0]), inner, name[1]

    return sorted(names, key=place)


def print_broken(findings: Findings, console: Console) -> None:
    """Template problems, the most frequent first; they do not depend on chance."""
    found: dict[str, float] = {}
    for figures in findings.figures:
        for (section, what), count in figures.get(EVERYTHING, {}).items():
            if section == "broken":
                found[what] = max(found.get(what, 0), count.median)
    if not found:
        return
    say(console, "\nContent that could not be made, with the messages it was missing from:")
    ordered = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    for what, messages in ordered[:BROKEN_MAX]:
        say(console, f"  {whole(messages)}  {what}")
    if len(ordered) > BROKEN_MAX:
        say(console, f"  … and {len(ordered) - BROKEN_MAX} more; -o json has them all")


def groups_table(
    plan: SimulationPlan, findings: Findings, kind: str, groups: list[Group], currency: str
) -> Table:
    """The totals by policy, class or locale."""
    table = Table(
        title=f"by {kind}", title_justify="left", box=None, padding=(0, 2), pad_edge=False
    )
    table.add_column("")
    for name in BY_GROUP:
        table.add_column(CALLED.get(name, name), justify="right")
    for group in groups:
        rows = [
            [cell(("total", name), found.get(group, {}), currency) for name in BY_GROUP]
            for found in findings.figures
        ]
        if len(rows) == 1:
            table.add_row(escape(group[1]), *rows[0])
            continue
        differences = findings.differences.get(group, {})
        table.add_row(escape(group[1]))
        for version, row in zip(plan.versions, rows, strict=True):
            table.add_row(f"  {escape(version.label)}", *row)
        table.add_row(
            "  difference", *(more_of(("total", name), differences, currency) for name in BY_GROUP)
        )
    return table


def print_changes(
    plan: SimulationPlan, findings: Findings, currency: str, console: Console
) -> None:
    """Print how the second version differs."""
    old, new = (version.label for version in plan.versions)
    say(console, f"\nWhat changes from {old} to {new}:")
    if not findings.changes:
        say(console, "nothing changes")
        return
    shown = frequent(findings.changes)
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for title in ("messages", "what changes", f"costs more {currency}".strip(), "for instance"):
        table.add_column(
            title, justify="right" if title not in {"what changes", "for instance"} else "left"
        )
    for change in shown:
        cost = spread(change.cost, signed)
        table.add_row(
            spread(change.count, whole),
            escape(change.kind),
            cost,
            escape(", ".join(change.examples)),
        )
    console.print(table)
    if rare := findings.changes[len(shown) :]:
        most = sum(change.count.high for change in rare)
        say(
            console,
            f"and {len(rare)} rarer kinds of change, {whole(most)} message(s) at most; -o json has"
            " them all",
        )
    say(console, f"{altogether(findings.costs_more, currency)}.")


def frequent(changes: Sequence[ChangeOver]) -> Sequence[ChangeOver]:
    """The kinds that are seen in most runs; all of them where they are few."""
    if len(changes) <= MANY_KINDS:
        return changes
    return [change for change in changes if change.count.median > 0] or changes[:MANY_KINDS]


def altogether(costs_more: Interval, currency: str) -> str:
    """The cost or saving of the change, in words."""
    low, middle, high = costs_more.low, costs_more.median, costs_more.high
    if low >= 0 or high <= 0:
        low, middle, high = sorted((abs(low), abs(middle), abs(high)))
        sums = spread(Interval(low, middle, high), lambda value: f"{value:.2f}")
        if high == 0:
            return "Altogether it costs as much as before"
        verb = "costs" if costs_more.high > 0 else "saves"
        return f"Altogether it {verb} {sums} {currency}".rstrip()
    sums = spread(costs_more, signed)
    return (
        f"Altogether it may cost more or less, {sums} {currency}".rstrip()
        + ": more runs or more events would tell"
    )


def cell(name: Figure, figures: Mapping[Figure, Interval], currency: str) -> str:
    """One figure with its interval."""
    found = figures.get(name)
    if found is None:
        return "–" if name[0] == "total" else "0"
    show, unit = shower(name, currency)
    return f"{spread(found, show)} {unit}".rstrip()


def more_of(name: Figure, differences: Mapping[Figure, Interval], currency: str) -> str:
    """The growth of a figure with its interval; bold if every run agrees on its sign."""
    found = differences.get(name)
    if found is None:
        return "–"
    show, unit = shower(name, currency)
    if name == ("total", "reach"):
        show, unit = (lambda value: f"{value * 100:.1f}"), "pp"

    def with_sign(value: float) -> str:
        text = show(abs(value))
        nothing = text == show(0)
        return text if nothing else f"{'+' if value > 0 else '−'}{text}"

    if found.low == found.high == 0:
        return "="
    text = f"{spread(found, with_sign)} {unit}".rstrip()
    return f"[bold]{text}[/]" if found.low > 0 or found.high < 0 else text


def spread(found: Interval, show: Callable[[float], str]) -> str:
    """``median (low–high)``; one number where they are the same."""
    low, middle, high = show(found.low), show(found.median), show(found.high)
    return middle if low == high else f"{middle} ({low}–{high})"


def shower(name: Figure, currency: str) -> tuple[Callable[[float], str], str]:
    """A figure as text, and its unit."""
    if name[0] == "total":
        match name[1]:
            case "reach":
                return lambda value: f"{value:.1%}", ""
            case "median_ms" | "p95_ms":
                return lambda value: duration(round(value)), ""
            case "cost":
                return lambda value: f"{value:.2f}", currency
            case "cost_per_reached":
                return lambda value: f"{value:.4f}", currency
    return whole, ""


def whole(value: float) -> str:
    return f"{value:.0f}"


def signed(value: float) -> str:
    return f"{value:+.2f}" if round(value, 2) else "0.00"
