"""
A report as one HTML page: charts as inline SVG beside the tables that have the same numbers.

Nothing is loaded and no script runs, so it can be mailed, saved and opened anywhere. It follows the
reader's light or dark setting, and reads on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.reports.document import Chart, ColumnKind, ReportView, Series, shown

FILES = Path(__file__).parent
WIDTH, HEIGHT = 480, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 30, 12, 26
BAR_HEIGHT, BAR_GAP, LABEL_WIDTH, VALUE_WIDTH = 18, 6, 140, 76
LABEL_CHARS = 22
LABELS_MAX = 5
TICKS = 4
LARGE = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def as_page(view: ReportView) -> str:
    """The report as a page."""
    pages = Environment(
        loader=FileSystemLoader(FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"cell": shown, "drawing": drawing}
    style = Markup((FILES / "page.css").read_text("utf-8"))  # our own file
    return pages.get_template("page.html.j2").render(style=style, **view) + "\n"


def drawing(chart: Chart) -> Markup:
    """A chart as SVG; its numbers stand in a table, so readers of the page hear its title alone."""
    return lines(chart) if chart["kind"] == "lines" else bars(chart)


def svg(title: str, width: int, height: int, parts: Sequence[Markup]) -> Markup:
    head = Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" xmlns="http://www.w3.org/2000/svg">'
    ).format(width, height, title)
    return Markup("\n").join([head, *parts, Markup("</svg>")])


def text(x: float, y: float, words: str, anchor: str = "start") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, words
    )


def lines(chart: Chart) -> Markup:
    """One line for each series over the labels, with ticks and a few labels."""
    values = [value for one in chart["series"] for value in one["values"] if value is not None]
    top, step = scale(max(values, default=0.0))
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    count = len(chart["labels"])

    def across(place: int) -> float:
        return LEFT + (inner_width * place / (count - 1) if count > 1 else inner_width / 2)

    def down(value: float) -> float:
        return TOP + inner_height * (1 - value / top)

    parts = []
    for tick in range(round(top / step) + 1):
        y = down(tick * step)
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                LEFT, WIDTH - RIGHT, y, y
            )
        )
        parts.append(text(LEFT - 6, y + 4, short(tick * step, chart["unit"]), "end"))
    every = max(1, -(-count // LABELS_MAX))
    for place in range(0, count, every):
        parts.append(text(across(place), HEIGHT - 8, chart["labels"][place], "middle"))
    for number, one in enumerate(chart["series"]):
        points = [
            (across(place), down(value))
            for place, value in enumerate(one["values"])
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(Markup('<polyline class="line c{}" points="{}"/>').format(number % 6, path))
        if count <= 60:
            parts += [
                Markup('<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(
                    number % 6, x, y
                )
                for x, y in points
            ]
    return svg(chart["title"], WIDTH, HEIGHT, parts)


def bars(chart: Chart) -> Markup:
    """
    A group of horizontal bars for each label, with the number at the end of each and a line from
    its lower to its upper bound, where it has some.
    """
    values = [
        value or 0.0 for one in chart["series"] for value in (*one["values"], *one.get("high", ()))
    ]
    most = max(values, default=0.0) or 1.0
    room = WIDTH - LABEL_WIDTH - VALUE_WIDTH
    parts, y = [], 4.0
    for place, label in enumerate(chart["labels"]):
        fitting = label if len(label) <= LABEL_CHARS else f"{label[: LABEL_CHARS - 1]}…"
        parts.append(text(LABEL_WIDTH - 8, y + BAR_HEIGHT * 0.7, fitting, "end"))
        for number, one in enumerate(chart["series"]):
            value = one["values"][place]
            length = max(1.0, room * (value or 0.0) / most)
            parts.append(
                Markup(
                    '<rect class="bar c{}" x="{}" y="{:.1f}" width="{:.1f}" height="{}" rx="3"/>'
                ).format(number % 6, LABEL_WIDTH, y, length, BAR_HEIGHT)
            )
            end = LABEL_WIDTH + length + 6
            if (bounds := bounds_of(one, place)) is not None:
                low, high = (LABEL_WIDTH + room * bound / most for bound in bounds)
                middle = y + BAR_HEIGHT / 2
                parts += [
                    Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
                        layer, low, high, middle, middle
                    )
                    for layer in ("halo", "bounds")
                ]
                end = max(end, high + 6)
            parts.append(text(end, y + BAR_HEIGHT * 0.7, shown(value, chart["unit"])))
            y += BAR_HEIGHT + 2
        y += BAR_GAP
    return svg(chart["title"], WIDTH, round(y), parts)


def bounds_of(series: Series, place: int) -> tuple[float, float] | None:
    """The lower and the upper bound of a value, None where it has none."""
    if "low" not in series or "high" not in series:
        return None
    low, high = series["low"][place], series["high"][place]
    return None if low is None or high is None else (low, high)


def short(value: float, unit: ColumnKind) -> str:
    """A tick: large numbers with k, M or G."""
    for size, letter in LARGE if unit != "share" else ():
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}" if unit == "money" else shown(value, unit)


def scale(most: float) -> tuple[float, float]:
    """The top of an axis and the step between its ticks: 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0, 1.0
    rough, power = most / TICKS, 1.0
    while power * 10 <= rough:
        power *= 10
    while power > rough:
        power /= 10
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    ticks = 1
    while ticks * step < most:
        ticks += 1
    return ticks * step, step
