"""
The report of an experiment. Its statistics count people, since it began; what was sent to them
counts by the days of the report.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.counts import CONVERTED, MESSAGES, SENDS
from orchestrator.primitives.durations import duration
from orchestrator.primitives.evidence import (
    EXPOSED_MIN,
    SUCCEEDED_MIN,
    ExperimentResult,
    too_few,
)
from orchestrator.reports.building import WHOLE, Source, Where
from orchestrator.reports.counted import CONTROL, CountedExperiment, find_counted
from orchestrator.reports.document import (
    Cell,
    Chart,
    ConclusionView,
    ReportTable,
    ReportView,
    column,
    share,
    table,
)
from orchestrator.reports.sums import cost_column, money, sent_columns
from orchestrator.stores.counts import CountRow


async def experiment(source: Source, name: str) -> ReportView:
    """
    One experiment: its people by arm, what they prove, what was sent. Raises ``UnknownName``.
    """
    counted = await find_counted(source, name)
    result = counted.result
    conclusion = conclude(counted, result)
    over_time, lines = await by_period(source, counted)
    tables = [
        people(counted, result),
        differences(counted, result),
        shares(counted),
        await messages(source, counted),
        *over_time,
    ]
    view = source.view(
        "experiment",
        f"Experiment {name}",
        tables,
        [rates_chart(counted, result), *lines],
        notes(counted),
        name,
    )
    view["conclusion"] = conclusion
    return view


def conclude(counted: CountedExperiment, result: ExperimentResult) -> ConclusionView:
    """The winner, or why none is named."""
    metric = counted.experiment.metric if counted.experiment is not None else None
    found: ConclusionView = {
        "state": "winner",
        "winner": None,
        "control": counted.control,
        "metric": metric,
        "words": "",
    }
    if not any(one.exposed for one in counted.counts.values()):
        found["state"], words = "nobody", "nobody has met this experiment yet"
    elif counted.experiment is None:
        found["state"] = "unknown"
        words = "no stored policy has it any more, so nothing says what shares its arms had"
    elif not counted.steady:
        found["state"] = "changed"
        words = (
            "its arms, weights or rules changed while it ran, so that the people of the"
            " arms differ in more than the arm; give it another name to begin anew"
        )
    elif result.ratio_is_off:
        found["state"], words = "ratio_off", ratio_words(counted)
    elif result.winner is not None:
        found["winner"] = result.winner
        found["words"] = (
            f"Winner: {result.winner}. Its rate is shown to be higher than that of every other arm."
        )
        return found
    elif len(counted.compared) < 2:
        found["state"] = "one_arm"
        words = f"only one arm can have {metric}; `metric: goal` compares it with held-out people"
    elif small := small_arms(counted):
        found["state"] = "too_few"
        words = (
            f"too few people yet ({', '.join(small)}); two arms are compared once each has"
            f" {EXPOSED_MIN}, and {SUCCEEDED_MIN} of theirs succeeded and {SUCCEEDED_MIN} did not"
        )
    else:
        found["state"] = "not_shown"
        words = "no arm is shown yet to be better than every other one"
    found["words"] = f"No winner is named: {words}."
    return found


def ratio_words(counted: CountedExperiment) -> str:
    people = sum(counted.counts[name].exposed for name in counted.compared)
    whole = sum(counted.weights[name] for name in counted.compared)
    wrong = ", ".join(
        f"{name} {one.exposed / people:.1%} in place of {counted.weights[name] / whole:.1%}"
        for name, one in counted.counts.items()
        if name in counted.compared
    )
    return (
        f"people do not have the arms that the weights say ({wrong}). Something between chance and"
        " count is wrong, and no number here is to be trusted"
    )


def small_arms(counted: CountedExperiment) -> list[str]:
    """The arms that have too few people to be compared with some other one."""
    arms = {name: one for name, one in counted.counts.items() if name in counted.compared}
    names = [name for name, one in arms.items() if one.exposed < EXPOSED_MIN]
    return names or [
        name
        for name, one in arms.items()
        if any(too_few(one, other) for place, other in arms.items() if place != name)
    ]


def people(counted: CountedExperiment, result: ExperimentResult) -> ReportTable:
    """People by arm: with how many it succeeded, and between which rates that is."""
    rows: list[list[Cell]] = []
    for name, counts in counted.counts.items():
        measured = name in result.rates and counts.exposed > 0
        interval = result.rates[name] if measured else None
        rows.append(
            [
                name,
                role_of(counted, name),
                counts.exposed,
                counts.succeeded if name in result.rates else None,
                round(interval.value, 6) if interval else None,
                round(interval.low, 6) if interval else None,
                round(interval.high, 6) if interval else None,
                round(result.best[name], 6) if name in result.best else None,
            ]
        )
    heads = [
        column("arm", "text"),
        column("role", "text"),
        column("people"),
        column("succeeded"),
        column("rate", "share"),
        column("low", "share", "from"),
        column("high", "share", "to"),
        column("best", "share"),
    ]
    return table("people since it began", heads, rows)


def role_of(counted: CountedExperiment, arm: str) -> str:
    if counted.experiment is not None and arm not in counted.weights:
        return "removed"
    if arm in counted.held_out:
        return "held out"
    return CONTROL if arm == counted.control else ""


def differences(counted: CountedExperiment, result: ExperimentResult) -> ReportTable:
    """The rate of each arm less that of the control, with an interval that holds at every look."""
    arms = counted.compared
    rows: list[list[Cell]] = []
    for one in result.comparisons:  # the control comes last, so it is always the other
        if one.other != counted.control:
            continue
        found = one.difference
        few = too_few(arms[one.arm], arms[one.other])
        shown = "higher" if found.low > 0 else "lower" if found.high < 0 else "not shown"
        nobody = not (arms[one.arm].exposed and arms[one.other].exposed)
        rows.append(
            [
                one.arm,
                None if nobody else round(found.value, 6),
                None if few else round(found.low, 6),
                None if few else round(found.high, 6),
                "too few" if few else shown,
            ]
        )
    heads = [
        column("arm", "text"),
        column("difference", "points"),
        column("low", "points", "from"),
        column("high", "points", "to"),
        column("shown", "text", "than the control"),
    ]
    return table(f"difference to {counted.control}, in percentage points", heads, rows)


def shares(counted: CountedExperiment) -> ReportTable:
    """The share of the people that each arm has, and the one that its weight says."""
    count = sum(one.exposed for one in counted.counts.values())
    whole = sum(counted.weights.values())
    rows: list[list[Cell]] = [
        [
            name,
            counted.weights.get(name),
            share(counted.weights[name], whole) if name in counted.weights else None,
            share(one.exposed, count),
        ]
        for name, one in counted.counts.items()
    ]
    heads = [
        column("arm", "text"),
        column("weight"),
        column("expected", "share"),
        column("people", "share"),
    ]
    return table("shares of people", heads, rows if counted.experiment is not None else [])


def sent_where(counted: CountedExperiment) -> Where:
    """The rows of its messages; another experiment of the policy may have the same arms."""
    narrowed: Where = {
        "policy": counted.policies,
        "version": counted.versions,
        "arm": tuple(counted.counts),
    }
    return {**WHOLE, **narrowed}


async def messages(source: Source, counted: CountedExperiment) -> ReportTable:
    """What was sent to the people of each arm in the days of the report."""
    replies = counted.experiment is not None and counted.experiment.metric == "replied"
    answer = "replied" if replies else "clicked"
    columns = sent_columns("delivered", answer, "converted", "unsubscribed")
    found = await source.rows(("arm",), sent_where(counted))
    rows: list[list[Cell]] = [
        [
            row.group[0],
            row.numbers[MESSAGES],
            *(cell(row.numbers) for _, cell in columns),
            money(row.numbers),
        ]
        for row in in_order(found, 0, counted)
    ]
    heads = [
        column("arm", "text"),
        column("messages"),
        *(head for head, _ in columns),
        cost_column(source.currency),
    ]
    return table("messages of these days", heads, rows)


def in_order(rows: Sequence[CountRow], place: int, counted: CountedExperiment) -> list[CountRow]:
    """Rows in the order of their arms, which stand at ``place`` of the group."""
    order = list(counted.counts)
    return sorted(rows, key=lambda row: order.index(row.group[place]))


async def by_period(
    source: Source, counted: CountedExperiment
) -> tuple[list[ReportTable], list[Chart]]:
    """Messages of each arm by day, week or month; nothing if none was asked for."""
    period = source.period
    if period.by is None:
        return [], []
    labels = period.buckets()
    sums = {(label, arm): [0, 0, 0] for label in labels for arm in counted.counts}
    found = await source.rows(("day", "arm"), sent_where(counted))
    for row in found:
        numbers = sums[period.bucket(row.group[0]), row.group[1]]
        for place, measure in enumerate((MESSAGES, SENDS, CONVERTED)):
            numbers[place] += row.numbers[measure]
    rows: list[list[Cell]] = [
        [label, arm, count, sent, share(converted, sent)]
        for (label, arm), (count, sent, converted) in sums.items()
        if count
    ]
    heads = [
        column(period.by, "text"),
        column("arm", "text"),
        column("messages"),
        column("sent"),
        column("converted", "share"),
    ]
    chart: Chart = {
        "title": f"Messages by {period.by}",
        "kind": "lines",
        "unit": "count",
        "labels": labels if rows else [],
        "series": [
            {"name": arm, "values": [float(sums[label, arm][0]) for label in labels]}
            for arm in counted.counts
        ],
    }
    return [table(f"messages by {period.by}", heads, rows)], [chart]


def rates_chart(counted: CountedExperiment, result: ExperimentResult) -> Chart:
    """The rate of each arm, with a line over its interval."""
    met = [name for name in counted.counts if name in result.rates and counted.counts[name].exposed]
    found = [result.rates[name] for name in met]
    return {
        "title": "Rate by arm, with its interval",
        "kind": "bars",
        "unit": "share",
        "labels": met,
        "series": [
            {
                "name": "rate",
                "values": [round(one.value, 6) for one in found],
                "low": [round(one.low, 6) for one in found],
                "high": [round(one.high, 6) for one in found],
            }
        ],
    }


def notes(counted: CountedExperiment) -> list[str]:
    """How to read it."""
    found = []
    if not counted.configured:
        found.append("the configuration no longer has this experiment: nobody new meets it")
    if counted.experiment is not None:
        within = duration(counted.experiment.within_ms)
        what = {"goal": f"{counted.event} came", "clicked": "they clicked"}
        came = what.get(counted.experiment.metric, "they replied")
        found.append(
            f"succeeded: {came} within {within} of their first message; people who had it less"
            f" than {within} ago may still succeed"
        )
        if counted.experiment.allocate == "thompson":
            found.append("thompson gives more people to what works, so no shares are expected")
    if len(counted.versions) > 1:
        found.append(
            f"the policy had {len(counted.versions)} versions meanwhile, which may have changed"
            " what its arms send"
        )
    found.append(
        "from and to: the rate or difference is between them, with 95% certainty over all looks"
        " together, so looking early is allowed; best: the chance that the arm has the highest rate"
    )
    found.append("people count since the experiment began, whatever the days; messages by the days")
    return found
