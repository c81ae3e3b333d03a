"""Reports over what was counted."""

from __future__ import annotations

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal
from orchestrator.api.queries import QueryText, read_query, wrong
from orchestrator.api.route import Parameter
from orchestrator.reports.building import Source
from orchestrator.reports.period import BadPeriod, Period, read_period
from orchestrator.reports.reading import report_of
from orchestrator.reports.unknown import UnknownName
from orchestrator.reports.verifying import verify

PERIOD = (
    Parameter("since", "The first day: `2026-11-21`, or `30d` for the last 30.", QueryText),
    Parameter("until", "The first day left out; by default tomorrow.", QueryText),
    Parameter("by", "`day`, `week` or `month`: a row for each.", QueryText),
)


async def get_policies_report(request: web.Request) -> web.Response:
    """By policy."""
    return await report(request, "policies")


async def get_channels_report(request: web.Request) -> web.Response:
    """By channel."""
    return await report(request, "channels")


async def get_people_report(request: web.Request) -> web.Response:
    """What people got, without naming anybody."""
    return await report(request, "people")


async def get_policy_report(request: web.Request) -> web.Response:
    """One policy."""
    return await report(request, "policies", request.match_info["name"])


async def get_journey_report(request: web.Request) -> web.Response:
    """One journey."""
    return await report(request, "journey", request.match_info["name"])


async def get_experiment_report(request: web.Request) -> web.Response:
    """One experiment."""
    return await report(request, "experiment", request.match_info["name"])


async def report(request: web.Request, kind: str, name: str = "") -> web.Response:
    deps = request.app[DEPS]
    rules = deps.engine.rules
    source = Source(
        deps.reader,
        period_of(request, deps),
        rules.governance.time_zone,
        rules.currency or "",
        rules.policies,
        rules.journeys,
    )
    try:
        return web.json_response(await report_of(source, kind, name))
    except UnknownName as error:
        raise Refusal(404, f"unknown_{error.kind}", str(error), field="name") from None


def period_of(request: web.Request, deps: ApiDeps) -> Period:
    """The period of the query. Raises ``Refusal``."""
    query = read_query(request, PERIOD)
    zone = deps.engine.rules.governance.time_zone
    try:
        return read_period(
            query.get("since"), query.get("until"), query.get("by"), deps.now(), zone
        )
    except BadPeriod as error:
        what, _, fix = str(error).partition("; ")
        raise wrong(error.field, what, fix or "give other days") from None


async def verify_counts(request: web.Request) -> web.Response:
    """Compare what was counted with the messages that are stored."""
    deps = request.app[DEPS]
    zone = deps.engine.rules.governance.time_zone
    return web.json_response(await verify(deps.reader, period_of(request, deps), zone))
