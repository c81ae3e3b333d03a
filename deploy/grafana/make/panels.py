"""
Dashboards as values, and how they become what Grafana reads.

Ids and places are given out in order, so a panel that is moved or added changes nothing else.

Reference: Grafana, "Dashboard JSON model"; schema version 39.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE, RANGE = "[$__rate_interval]", "[$__range]"

Json = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """
    ``asks`` are pairs of a legend and an expression. ``width`` and ``height`` are in Grafana's grid
    of 24 columns.
    """

    kind: str
    title: str
    asks: tuple[tuple[str, str], ...]
    why: str
    unit: str = "short"
    width: int = 8
    height: int = 8
    stacked: bool = False
    red_over: float | None = None
    red_under: float | None = None

    def made(self, id: int, x: int, y: int) -> Json:
        """The panel as Grafana reads it."""
        instant = self.kind in ("stat", "bargauge")
        targets = [
            {
                "refId": chr(65 + number),
                "datasource": DATASOURCE,
                "expr": expr,
                "legendFormat": legend,
                "instant": instant,
            }
            for number, (legend, expr) in enumerate(self.asks)
        ]
        return {
            "id": id,
            "type": self.kind,
            "title": self.title,
            "description": self.why,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": targets,
            "fieldConfig": {"defaults": self.defaults(), "overrides": []},
            "options": self.options(),
        }

    def defaults(self) -> Json:
        """Unit, colours and the look of lines."""
        found: Json = {"unit": self.unit, "noValue": "–", "color": {"mode": "palette-classic"}}
        if self.red_over is not None or self.red_under is not None:
            found["thresholds"] = {"mode": "absolute", "steps": self.steps()}
            if self.kind in ("stat", "state-timeline"):
                found["color"] = {"mode": "thresholds"}
        if self.kind == "timeseries":
            found["custom"] = {
                "fillOpacity": 20 if self.stacked else 5,
                "lineWidth": 1,
                "showPoints": "never",
            }
            found["custom"]["stacking"] = {
                "mode": "normal" if self.stacked else "none",
                "group": "A",
            }
            if "thresholds" in found:
                found["custom"]["thresholdsStyle"] = {"mode": "line"}
        if self.unit == "percentunit":
            found |= {"min": 0, "max": 1}
        return found

    def steps(self) -> list[Json]:
        """Green, and red beyond the limit."""
        if self.red_over is not None:
            return [{"color": "green", "value": None}, {"color": "red", "value": self.red_over}]
        return [{"color": "red", "value": None}, {"color": "green", "value": self.red_under}]

    def options(self) -> Json:
        """What each kind of panel needs to be read at a glance."""
        reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        if self.kind == "stat":
            return {
                "reduceOptions": reduce,
                "colorMode": "value",
                "graphMode": "none",
                "textMode": "auto",
            }
        if self.kind == "bargauge":
            return {
                "reduceOptions": reduce,
                "orientation": "horizontal",
                "displayMode": "basic",
                "showUnfilled": True,
            }
        if self.kind == "state-timeline":
            return {
                "mergeValues": True,
                "showValue": "never",
                "legend": {"showLegend": True, "placement": "bottom"},
            }
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }


@dataclass(frozen=True)
class Dashboard:
    """
    Rows of panels, each under its heading. ``variables`` are pairs of a name and the metric whose
    label it lists.
    """

    uid: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    variables: tuple[tuple[str, str], ...] = field(default=())
    since: str = "now-6h"

    def made(self) -> Json:
        """The dashboard as Grafana reads it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["kaskad"],
            "schemaVersion": 39,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": self.since, "to": "now"},
            "timezone": "browser",
            "links": [
                {
                    "type": "dashboards",
                    "tags": ["kaskad"],
                    "title": "Kaskad",
                    "asDropdown": False,
                    "keepTime": True,
                }
            ],
            "templating": {
                "list": [datasource(), *(variable(name, metric) for name, metric in self.variables)]
            },
            "panels": self.panels(),
        }

    def text(self) -> str:
        """The content of its file."""
        return json.dumps(self.made(), ensure_ascii=False, indent=1) + "\n"

    def panels(self) -> list[Json]:
        """Headings and panels, from left to right and down."""
        found: list[Json] = []
        y = 0
        for heading, panels in self.rows:
            place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
            found.append(
                {
                    "id": len(found) + 1,
                    "type": "row",
                    "title": heading,
                    "gridPos": place,
                    "panels": [],
                }
            )
            x, y, tallest = 0, y + 1, 0
            for panel in panels:
                if x + panel.width > COLUMNS:
                    x, y, tallest = 0, y + tallest, 0
                found.append(panel.made(len(found) + 1, x, y))
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest
        return found


def datasource() -> Json:
    """Which Prometheus is asked."""
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }


def variable(name: str, metric: str) -> Json:
    """A choice among the values of a label; all of them at first."""
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": f"label_values({metric}, {name})", "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def quantile(share: float, metric: str, by: str, chosen: str = "") -> str:
    """A quantile of a histogram for each value of ``by``."""
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{chosen}{RATE})))"


def stat(title: str, expr: str, why: str, unit: str = "short", **limits: float) -> Panel:
    """One number; ``limits`` are ``red_over`` or ``red_under``."""
    return Panel("stat", title, (("", expr),), why, unit, width=4, height=4, **limits)  # type: ignore[arg-type]


def lines(title: str, why: str, *asks: tuple[str, str], unit: str = "short", **more: Any) -> Panel:
    """Lines over time."""
    return Panel("timeseries", title, asks, why, unit, **more)


def bars(title: str, legend: str, expr: str, why: str, unit: str = "short") -> Panel:
    """The twelve largest of something, side by side."""
    return Panel(
        "bargauge",
        title,
        ((legend, f"sort_desc(topk(12, {expr}))"),),
        why,
        unit,
        width=12,
        height=9,
    )
