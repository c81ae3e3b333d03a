"""Reports over a real store: tables that fit 80 columns, CSV, one page, and the comparison."""

from __future__ import annotations

import csv
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from orchestrator.channels import Receipt
from orchestrator.core.policy import Policy, Step
from orchestrator.core.status import Engagement
from orchestrator.engine.commands import RecordReceipt
from orchestrator.reports.building import Source
from orchestrator.reports.document import ReportView, column, table
from orchestrator.reports.page import as_page
from orchestrator.reports.period import BadPeriod, Period, read_period
from orchestrator.reports.reading import report_of
from orchestrator.reports.text import as_csv, as_text
from orchestrator.reports.verifying import verify
from tests.api.site import is_problem, open_site
from tests.api.test_journeys import TREK, use
from tests.engine.world import World

NOVEMBER = Period(date(2026, 11, 1), date(2026, 12, 1), "week")
NOW = 1_795_000_000_000  # 2026-11-18T11:06:40Z
POLICY = Policy(
    "order",
    "v1",
    "shop.event",
    (Step("sms", wait=(("delivered", 600_000),)),),
    message_class="service",
)


async def filled(world: World) -> None:
    """Two messages: one is clicked, one is not delivered in time."""
    for number in (1, 2):
        (message,) = (await world.publish(str(number), id=f"user-{number}")).messages
        await world.send(message)
        if number == 1:
            receipt = Receipt(state=Engagement.CLICKED)
            await world.engine.submit(RecordReceipt("texts", receipt, message, 0))
    world.at(601)
    await world.fire()


async def built(world: World, kind: str, name: str = "") -> ReportView:
    return await report_of(Source(world.store, NOVEMBER, "UTC", "UAH"), kind, name)


async def test_a_report_has_rates_and_money_and_fits_the_terminal(tmp_path: Path) -> None:
    async with World(POLICY, path=tmp_path / "k.db") as world:
        await filled(world)
        policies, channels = await built(world, "policies"), await built(world, "channels")
        people = await built(world, "people")
        text = as_text(policies)
        assert re.search(
            r"^order +2 +50\.0% +100\.0% +100\.0% +0\.0% +0\.0% +2\.40$", text, re.MULTILINE
        )
        assert re.search(r"^2026-11-16 +2 +2 +50\.0% +50\.0%$", text, re.MULTILINE)
        assert "not_delivered_in_time" in text
        for view in (policies, channels, people):
            assert max(map(len, as_text(view).splitlines())) <= 80
        assert "user-1" not in str(people)
        (sms,) = list(csv.DictReader(as_csv(channels).splitlines()))
        assert (sms["channel"], sms["sent"], sms["delivered"], sms["cost"]) == (
            "sms",
            "2",
            "0.5",
            "2.40",
        )


async def test_a_report_of_one_policy_leaves_the_others_out(tmp_path: Path) -> None:
    async with World(POLICY, path=tmp_path / "k.db") as world:
        await filled(world)
        assert (await built(world, "policies", "order"))["tables"]
        other = Source(world.store, NOVEMBER, "UTC", "UAH", {"other": POLICY})
        assert (await report_of(other, "policies", "other"))["notes"] == ["nothing was counted"]


def test_no_cell_is_a_formula_to_a_spreadsheet() -> None:
    view: ReportView = {
        "report": "policies",
        "name": None,
        "title": "t",
        "since": "",
        "until": "",
        "by": None,
        "time_zone": "UTC",
        "charts": [],
        "notes": [],
        "tables": [table("t", [column("a", "text")], [["=1+1"]])],
    }
    assert as_csv(view).splitlines() == ["a", "'=1+1"]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


async def test_a_page_loads_nothing_runs_nothing_and_has_a_table_beside_its_charts(
    tmp_path: Path,
) -> None:
    async with World(POLICY, path=tmp_path / "k.db") as world:
        await filled(world)
        view = await built(world, "policies")
        view["tables"][0]["rows"][0][0] = "<script>alert(1)</script>"
        page = Page(as_page(view))
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not [one for one in page.tags if {"src", "href", "style"} & one[1].keys()]
    assert names.count("svg") == len(view["charts"]) == 2
    assert names.count("table") == len(view["tables"])
    assert all(attrs["aria-label"] for tag, attrs in page.tags if tag == "svg")


async def test_the_comparison_finds_what_was_not_counted(tmp_path: Path) -> None:
    async with World(POLICY, path=tmp_path / "k.db") as world:
        await filled(world)
        fine = await verify(world.store, NOVEMBER, "UTC")
        assert (fine["messages"], fine["days"], fine["differences"]) == (2, 1, [])
        await world.open_store.transact(
            [("update counts set sends = sends + 1 where sends = 2", ())]
        )
        found = (await verify(world.store, NOVEMBER, "UTC"))["differences"]
        assert {(one["measure"], one["counted"], one["scanned"]) for one in found} == {
            ("sends", 3, 2)
        }


async def test_a_report_reads_only_the_rows_of_its_own_keys(tmp_path: Path) -> None:
    """A year has hundreds of thousands of rows, and a report needs a tenth of them."""
    async with World(POLICY, path=tmp_path / "k.db") as world:
        await filled(world)
        text = world.open_store.queries["counts"].format(columns="1", where="", group="")
        plan = await world.open_store.fetch_text(f"explain query plan {text}", 0, 1)
        steps = [row[3] for row in plan]
        assert steps[0].startswith("SCAN k")
        assert steps[1] == "SEARCH c USING PRIMARY KEY (key=? AND day>? AND day<?)"


@pytest.mark.parametrize(
    ("since", "until", "by", "expected"),
    [
        (None, None, None, ("2026-10-20", "2026-11-19")),
        ("7d", None, "day", ("2026-11-12", "2026-11-19")),
        ("2026-11-01", "2026-11-02", "month", ("2026-11-01", "2026-11-02")),
    ],
)
def test_periods(
    since: str | None, until: str | None, by: str | None, expected: tuple[str, str]
) -> None:
    period = read_period(since, until, by, NOW, "UTC")
    assert (period.since.isoformat(), period.until.isoformat()) == expected


@pytest.mark.parametrize(
    ("since", "until", "by", "field"),
    [
        ("soon", None, None, "since"),
        ("2026-11-05", "2026-11-05", None, "until"),
        ("9999d", None, None, "since"),
        ("9999d", "0020-01-01", None, "since"),
        (None, "0001-01-05", None, "since"),
        (None, None, "year", "by"),
    ],
)
def test_a_wrong_period_says_what_is_wrong(
    since: str | None, until: str | None, by: str | None, field: str
) -> None:
    with pytest.raises(BadPeriod) as wrong:
        read_period(since, until, by, NOW, "UTC")
    assert wrong.value.field == field


async def test_reports_over_http() -> None:
    async with open_site() as site:
        answers: dict[str, httpx.Response] = {
            path: await site.client.get(f"/v1/reports/{path}")
            for path in ("policies?by=day", "policies/reminder", "channels", "people")
        }
        assert {one.status_code for one in answers.values()} == {200}
        await use(site, TREK)
        assert (await site.client.get("/v1/reports/journeys/trek")).json()["name"] == "trek"
        refused = await site.client.get("/v1/reports/channels?since=yesterday")
        assert refused.status_code == 400
        assert refused.json()["field"] == "since"


async def test_a_name_that_nothing_ever_had_is_said_and_what_was_counted_is_not_lost() -> None:
    async with open_site() as site:
        for path, kind, fix in (
            ("policies/remindr", "policy", "did you mean 'reminder'"),
            ("journeys/trek", "journey", "none is configured yet"),
        ):
            answer = await site.client.get(f"/v1/reports/{path}")
            assert fix in is_problem(answer, 404, f"unknown_{kind}")["detail"]
        assert (await site.client.get("/v1/reports/policies/reminder")).status_code == 200
    async with World(POLICY) as world:
        await filled(world)
        gone = Source(world.store, Period(date(2020, 1, 1), date(2020, 1, 2)), "UTC", "UAH")
        assert (await report_of(gone, "policies", "order"))["notes"] == ["nothing was counted"]
