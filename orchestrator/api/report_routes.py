"""Rows of the route table: reports."""

from __future__ import annotations

from functools import partial

from orchestrator.api import reports
from orchestrator.api.route import Route, RouteAnswer, Scope
from orchestrator.reports.document import ReportView

ReportRoute = partial(
    Route,
    scope=Scope.REPORTS,
    query=reports.PERIOD,
    refusals=(400,),
    answers=(RouteAnswer(200, "Tables and charts", ReportView),),
)
DAYS = "Each message counts on the day on which it starts, in the installation's zone."

# A table reads better with several cells in a line.
# fmt: off
REPORT_ROUTES: tuple[Route, ...] = (
    ReportRoute(
        "GET", "/v1/reports/policies", reports.get_policies_report,
        "Whom each policy reached, and at what cost", notes=DAYS,
    ),
    ReportRoute(
        "GET", "/v1/reports/policies/{name}", reports.get_policy_report,
        "The same of one policy", places=("The policy's name.",),
        refusals=(400, 404),
    ),
    ReportRoute(
        "GET", "/v1/reports/channels", reports.get_channels_report,
        "What was sent on each channel, and what became of it",
    ),
    ReportRoute(
        "GET", "/v1/reports/people", reports.get_people_report,
        "What people got and why they got nothing, without naming anybody",
    ),
    ReportRoute(
        "GET", "/v1/reports/journeys/{name}", reports.get_journey_report,
        "How many entered a journey, and how it ended for them",
        places=("The journey's name.",), refusals=(400, 404),
    ),
    ReportRoute(
        "GET", "/v1/reports/experiments/{name}", reports.get_experiment_report,
        "What the arms of an experiment came to, and whether one is the winner",
        places=("The experiment's name.",), refusals=(400, 404),
        notes="People are counted since it began; messages by the days that are asked for.",
    ),
)
# fmt: on
