"""The calls of the control socket, which the verbs make: the end of the route table."""

from __future__ import annotations

from functools import partial
from typing import Any

from orchestrator.api import (
    audit,
    bulk,
    finding,
    journeys,
    keys,
    operations,
    reports,
    status,
    trigger_events,
    untimed,
)
from orchestrator.api.route import JSON, Audited, Listener, Route, RouteAnswer
from orchestrator.configuration.effective import EffectiveConfiguration
from orchestrator.reports.verifying import VerifiedView

OBJECT = dict[str, Any]

ControlRoute = partial(Route, listeners=(Listener.CONTROL,), places=("Its id.",))

RELOADED = (
    RouteAnswer(200, "It is in force", operations.ReloadView),
    RouteAnswer(422, "It was refused; the old one stays in force", operations.ReloadView),
)
IN_FORCE = (RouteAnswer(200, "Defaults filled in, secrets masked", EffectiveConfiguration),)

# As in routes.py, several cells stand in a line.
# fmt: off
CONTROL_ROUTES: tuple[Route, ...] = (
    ControlRoute(
        "POST", "/control/reload", operations.reload, "Load the configuration again", RELOADED,
    ),
    ControlRoute(
        "GET", "/control/status", status.get_status, "What works, what waits, what needs a person",
        (RouteAnswer(200, "The whole installation, as its store has it", status.StatusView),),
    ),
    ControlRoute(
        "GET", "/control/config", operations.configuration, "The configuration in force", IN_FORCE,
    ),
    ControlRoute(
        "GET", "/control/explain/{id}", operations.explain, "Why a message went where it went",
        (RouteAnswer(200, "The explanation (docs/explain.md)", OBJECT),), refusals=(404,),
        audited=Audited("message.read"),
    ),
    ControlRoute(
        "POST", "/control/journeys/{name}/move", journeys.move_journeys,
        "Have one page of a journey's runs go on in today's version",
        (RouteAnswer(200, "Which of them", journeys.MovedView),), places=("The journey's name.",),
        body={JSON: journeys.MoveBody}, refusals=(400, 404)),
    ControlRoute(
        "GET", "/control/untimed", untimed.list_untimed, "Messages that no timer looks after",
        (RouteAnswer(200, "Those of one page of unfinished messages", untimed.UntimedView),),
        places=(), query=untimed.AFTER, refusals=(400,)),
    ControlRoute(
        "POST", "/control/untimed/{id}/restore", untimed.restore_timer, "Give one its timer again",
        (RouteAnswer(200, "It has one now, or has ended", untimed.RestoredView),), refusals=(404,)),
    ControlRoute(
        "GET", "/control/find", finding.find_messages, "Messages, by whatever is known of them",
        (RouteAnswer(200, "The newest first", finding.FoundView),), places=(), query=finding.FIND,
        refusals=(400, 404), audited=Audited("messages.searched")),
    ControlRoute(
        "GET", "/control/events", trigger_events.export_events, "The events of messages",
        (RouteAnswer(200, "A page, the oldest first", trigger_events.EventsView),), places=(),
        query=trigger_events.SPAN, refusals=(400,), audited=Audited("events.exported")),
    ControlRoute(
        "POST", "/control/import/{what}", bulk.import_people, "Record many entries at once",
        (RouteAnswer(200, "What became of each entry", bulk.ImportedView),),
        places=("recipients or consents.",), body={JSON: bulk.EntriesBody}, refusals=(404,),
        audited=Audited("people.imported")),
    ControlRoute(
        "GET", "/control/export/{what}", bulk.export_people, "A page of what is stored of people",
        (RouteAnswer(200, "Rows in the order of the recipients' ids", bulk.RowsView),),
        places=("recipients, consents or opt-outs.",), query=bulk.AFTER, refusals=(400, 404),
        audited=Audited("people.exported"),
    ),
    ControlRoute(
        "GET", "/control/audit/verification", audit.verify_audit,
        "Check the chain of the audit log",
        (RouteAnswer(200, "Whether it holds, and where it breaks", audit.VerificationView),),
        places=(), query=audit.EXPECTED, refusals=(400,),
    ),
    ControlRoute(
        "GET", "/control/counts/verify", reports.verify_counts,
        "Compare what was counted with the stored messages",
        (RouteAnswer(200, "Where they differ", VerifiedView),), places=(), query=reports.PERIOD,
        refusals=(400,),
    ),
    ControlRoute(
        "POST", "/control/keys", keys.create_key, "Create an API key",
        (RouteAnswer(200, "The key, shown once", keys.NewKeyView),),
        body={JSON: keys.KeyBody}, refusals=(409,),
    ),
    ControlRoute(
        "GET", "/control/keys", keys.list_keys, "List API keys, without the keys themselves",
        (RouteAnswer(200, "All of them", keys.ApiKeysView),),
    ),
    ControlRoute(
        "POST", "/control/keys/{id}/revoke", keys.revoke_key, "Revoke an API key",
        (RouteAnswer(200, "Revoked", OBJECT),), refusals=(404,),
    ),
    ControlRoute(
        "POST", "/control/signing-key/rotate", keys.rotate_signing_key,
        "Add a signing key; the one before it verifies for 400 more days",
        (RouteAnswer(200, "Rotated", OBJECT),),
    ),
)
# fmt: on
