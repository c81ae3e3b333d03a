"""
The route table: every call of the HTTP API, one row each. Those of the control socket are in
``control_routes.py``.

To add a call, write its handler beside its noun and a row here. The router, authentication, the
OpenAPI document and docs/http-api.md (``python -m orchestrator.api.reference``) follow.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from orchestrator.api import (
    audit,
    code_pools,
    events,
    inbox,
    inbox_streams,
    journeys,
    links,
    messages,
    operations,
    opt_outs,
    pauses,
    receipts,
    recipients,
    tracking,
)
from orchestrator.api import dead_letters as letters
from orchestrator.api import unsubscribe as pages
from orchestrator.api.control_routes import CONTROL_ROUTES, IN_FORCE, RELOADED
from orchestrator.api.document_routes import DOCUMENT_ROUTES
from orchestrator.api.report_routes import REPORT_ROUTES
from orchestrator.api.route import (
    JSON,
    Audited,
    Gif,
    Html,
    Listener,
    Route,
    RouteAnswer,
    Scope,
)
from orchestrator.api.two_way_routes import TWO_WAY_ROUTES
from orchestrator.explain.views import FullMessageView
from orchestrator.recipients.document import PROFILE_BYTES_MAX

KIB = 1024
MIB = 1024 * KIB

EventRoute = partial(Route, scope=Scope.EVENTS)
MessageRoute = partial(Route, scope=Scope.MESSAGES, places=("The message's id.",))
JourneyRoute = partial(Route, scope=Scope.JOURNEYS, places=("The journey's id.",))
DeadLetterRoute = partial(Route, scope=Scope.DEAD_LETTERS, places=("The dead letter's id.",))
PauseRoute = partial(
    Route,
    scope=Scope.PAUSES,
    places=(f"{', '.join(pauses.KINDS[:-1])} or {pauses.KINDS[-1]}.", "Its name."),
)
CodeRoute = partial(Route, scope=Scope.CODES)
RecipientRoute = partial(Route, scope=Scope.RECIPIENTS, places=("Your own id of the recipient.",))
InboxRoute = partial(
    Route,
    scope=Scope.INBOX,
    places=("Your own id of the recipient.", "The item's id."),
    refusals=(400,),
    personal=True,
    head=False,
)
WebhookRoute = partial(Route, places=("The provider's name in the configuration.",))
TokenRoute = partial(Route, places=("A signed token.",))
ProbeRoute = partial(Route, listeners=(Listener.PUBLIC, Listener.ADMIN))
AdminRoute = partial(Route, listeners=(Listener.ADMIN,))

STORY = (RouteAnswer(200, "The message with its trace", FullMessageView),)
PROFILE = (RouteAnswer(200, "The profile as it is now", recipients.RecipientView),)
HISTORY = (RouteAnswer(200, "The whole history, oldest first", recipients.ConsentHistoryView),)
PROVIDERS_ANSWER = (RouteAnswer(200, "What the provider expects"),)
GONE = RouteAnswer(404, "A page: the token is not ours, or too old", Html, "text/html")
PAGE = (RouteAnswer(200, "A page", Html, "text/html"), GONE)
MARKED = (RouteAnswer(200, "The inbox as it is now", inbox.ChangeView),)
MARK_NOTES = "A repeat changes nothing, and an item that is gone is no error."
BY_ADDRESS = "A phone or mailbox in place of the id finds its person; a 409 if several share it."
# A table reads better with several cells in a line.
# fmt: off
WEBHOOK = WebhookRoute(
    "POST", "/v1/receipts/{provider}", receipts.receive_webhook,
    "A provider's webhook, or a browser's report", PROVIDERS_ANSWER, body={"*/*": Any},
    refusals=(403, 404),
    notes=("Checked by the provider's own signature. At most"
        f" {receipts.BODY_BYTES_MAX // MIB} MiB, a raw mail {receipts.MAIL_BYTES_MAX // MIB} MiB, a"
        f" browser's report {receipts.DEVICE_BODY_BYTES_MAX // KIB} KiB."
        " A repeat changes nothing."),
)
"""The only call with a fast path (``fast_path.py``)."""

ROUTES: tuple[Route, ...] = (
    EventRoute(
        "POST", "/v1/events", events.publish, "Publish events; answered when they are durable",
        (RouteAnswer(202, "Durable", events.ResultsView),), body=events.BODIES, refusals=(409,),
        when=events.is_source,
        notes=("One structured event, a batch, or data with `ce-…` headers (binary mode). At most"
            " 256 KiB an event, 4 MiB and 1 000 events a batch. In a batch the valid events are"
            " accepted and the rest are listed as refused; only if none was accepted is the"
            " answer an error, with the same `results`. A repeat (the same `source` and `id`)"
            " does nothing; with another body it is a 409."),
    ),

    MessageRoute(
        "GET", "/v1/messages", messages.list_messages, "List messages",
        (RouteAnswer(200, "Newest first, without traces", messages.MessagesView),),
        query=messages.FILTERS, refusals=(400,),
    ),
    MessageRoute(
        "GET", "/v1/messages/{id}", messages.get_message, "One message with its trace", STORY,
        refusals=(404,),
        audited=Audited("message.read"),
    ),
    MessageRoute(
        "POST", "/v1/messages/{id}/cancel", messages.cancel_message,
        "Cancel what has not been sent", STORY, refusals=(404, 409),
        notes="Cancelling twice is harmless. A message that has ended in another way is a 409.",
        audited=Audited("message.cancelled"),
    ),
    MessageRoute(
        "POST", "/v1/messages/{id}/retry", messages.retry_message,
        "Start one that ended without a send again",
        (RouteAnswer(200, "Its retry", messages.RetriedView),), body={JSON: messages.RetryBody},
        refusals=(404, 409),
        notes=("Under today's version of its policy, and once: a repeat names the first retry. A"
            " message of which anything was, or may have been, sent is a 409, and so is one that"
            " has not ended, has succeeded or was cancelled, or whose recipient was erased."),
    ),

    MessageRoute(
        "POST", "/v1/messages/{id}/attempts/{attempt}/resolve", messages.resolve_attempt,
        "Say what became of a send whose outcome is unknown", STORY,
        body={JSON: messages.ResolveBody}, refusals=(404, 409),
        places=("The message's id.", "The attempt's number."),
        notes="It is applied as the receipt would have been. Any other attempt is a 409.",
        audited=Audited("message.resolved"),
    ),

    JourneyRoute(
        "GET", "/v1/journeys", journeys.list_journeys, "List journeys",
        (RouteAnswer(200, "Newest first, without histories", journeys.JourneysView),),
        query=journeys.FILTERS, refusals=(400,),
    ),
    JourneyRoute(
        "GET", "/v1/journeys/{id}", journeys.get_journey, "One journey with its history in words",
        (RouteAnswer(200, "The journey", journeys.FullJourneyView),), refusals=(404,),
    ),
    JourneyRoute(
        "POST", "/v1/journeys/{id}/exit", journeys.exit_journey,
        "End a journey, and cancel what it has under way",
        (RouteAnswer(200, "It has ended", journeys.JourneyRunView),), refusals=(404, 409),
        notes="A repeat changes nothing.",
    ),

    DeadLetterRoute(
        "GET", "/v1/dead-letters", letters.list_dead_letters, "List what could not be processed",
        (RouteAnswer(200, "Newest first", letters.DeadLettersView),), query=letters.FILTERS,
        refusals=(400,),
    ),
    DeadLetterRoute(
        "GET", "/v1/dead-letters/{id}", letters.get_dead_letter, "One dead letter",
        (RouteAnswer(200, "The dead letter", letters.DeadLetterView),), refusals=(404,),
        audited=Audited("dead_letter.read"),
    ),
    DeadLetterRoute(
        "DELETE", "/v1/dead-letters/{id}", letters.delete_dead_letter, "Delete a dead letter",
        (RouteAnswer(204, "It is gone"),), refusals=(404,),
    ),
    DeadLetterRoute(
        "POST", "/v1/dead-letters/{id}/replay", letters.replay_dead_letter,
        "Process it again under the current policies",
        (RouteAnswer(200, "Its messages", letters.ReplayedView),), refusals=(404, 409, 422),
        notes=("Deadlines count from the replay. A repeat finds the messages of the first replay"
            " and starts no others."),
        audited=Audited("dead_letter.replayed"),
    ),

    Route(
        "GET", "/v1/audit", audit.list_audit, "Who changed what, and who looked at whom",
        (RouteAnswer(200, "A page of it, the newest first", audit.AuditLogView),),
        scope=Scope.AUDIT, query=audit.FILTERS, refusals=(400, 409),
        notes="People are in it as keyed hashes; `recipient` finds theirs.",
    ),

    PauseRoute(
        "GET", "/v1/pauses", pauses.list_pauses, "List what is paused",
        (RouteAnswer(200, "All of it", pauses.PausesView),),
    ),
    PauseRoute(
        "PUT", "/v1/pauses/{kind}/{name}", pauses.start_pause,
        "Hold back everything of a provider, a channel or a policy",
        (RouteAnswer(200, "Nothing leaves any more", pauses.PauseView),),
        body={JSON: pauses.NewPauseBody}, refusals=(404,),
        notes=("Nothing is dropped: what is held leaves when the pause ends, unless its deadline"
            " passes first. The answer takes a second, in which what was decided before may still"
            " leave. A repeat changes the end and the reason."),
    ),
    PauseRoute(
        "DELETE", "/v1/pauses/{kind}/{name}", pauses.end_pause, "Let it leave again",
        (RouteAnswer(200, "What is held leaves, at the providers' rates", pauses.PauseView),),
        refusals=(400, 404),
    ),

    CodeRoute(
        "GET", "/v1/codes", code_pools.list_pools, "The pools of codes, and how many are left",
        (RouteAnswer(200, "All of them", code_pools.CodePoolsView),),
    ),
    CodeRoute(
        "POST", "/v1/codes/{pool}/import", code_pools.import_codes, "Add codes to a pool",
        (RouteAnswer(200, "What became of them", code_pools.CodesImportedView),),
        body={JSON: code_pools.CodesBody}, places=("The pool's name.",), refusals=(400,),
        notes=(f"At most {code_pools.CODES_MAX:,} codes and 1 MiB. Each code once: a double is"
            " refused, also one that a message has got long ago. A repeat changes nothing."),
    ),
    CodeRoute(
        "POST", "/v1/codes/find", code_pools.find_code, "Where a code went",
        (RouteAnswer(200, "The pools that have it", code_pools.CodePlacesView),),
        body={JSON: code_pools.CodeBody}, refusals=(404,),
        notes="The audit log notes who asked, with the code's keyed hash.",
    ),
    RecipientRoute(
        "PUT", "/v1/recipients/{id}", recipients.put_recipient, "Merge a profile", PROFILE,
        body={JSON: recipients.ProfileBody},
        notes=("Null removes a field. An address that is given again loses its suppression. At most"
            f" {PROFILE_BYTES_MAX // KIB} KiB."),
    ),
    RecipientRoute(
        "GET", "/v1/recipients/{id}", recipients.get_recipient, "A profile", PROFILE,
        refusals=(400, 404, 409), notes=BY_ADDRESS,
        audited=Audited("recipient.read"),
    ),
    RecipientRoute(
        "DELETE", "/v1/recipients/{id}", recipients.erase_recipient, "Erase a recipient",
        (RouteAnswer(204, "Erased"),), refusals=(400, 404, 409),
        notes=("Running messages are cancelled. Keyed hashes of opted-out addresses stay. "
            + BY_ADDRESS),
    ),
    RecipientRoute(
        "GET", "/v1/recipients/{id}/export", recipients.export_recipient,
        "Everything that is stored about a recipient",
        (RouteAnswer(200, "All of it, streamed", recipients.ExportView),),
        refusals=(400, 404, 409), notes=BY_ADDRESS,
        audited=Audited("recipient.exported", all_callers=True),
    ),
    RecipientRoute(
        "POST", "/v1/recipients/{id}/links", links.make_links,
        "Links by which a recipient connects a messenger",
        (RouteAnswer(201, "A URL for each channel that can be linked", links.LinksView),),
        refusals=(400, 404, 409),
        notes=("One field for each channel, named as it is. A link works once, for 24 hours. "
            + BY_ADDRESS),
    ),
    RecipientRoute(
        "PUT", "/v1/recipients/{id}/consents", recipients.put_consents,
        "Add entries to the consent history; none is removed", HISTORY,
        body={JSON: recipients.ConsentsBody}, refusals=(400, 404),
        notes="Without entries, a recipient who is not known is a 404.",
    ),
    RecipientRoute(
        "GET", "/v1/recipients/{id}/consents", recipients.get_consents, "The consent history",
        HISTORY, refusals=(400, 404, 409), notes=BY_ADDRESS,
    ),
    RecipientRoute(
        "POST", "/v1/opt-outs", opt_outs.opt_out,
        "Opt-outs in bulk, of recipients and of bare addresses",
        (RouteAnswer(200, "What became of each entry", opt_outs.RecordedView),),
        body={JSON: opt_outs.OptOutsBody},
        notes=("At most 1 000 entries and 1 MiB. Each has a result of its own; it is a 400 only if"
            " none could be read. A phone needs its calling code."),
        audited=Audited("opt_outs.recorded"),
    ),

    InboxRoute(
        "POST", "/v1/inbox/{recipient}/tokens", inbox.create_inbox_token,
        "A token for the person's own browser or app",
        (RouteAnswer(200, "The token", inbox.InboxTokenView),), body={JSON: inbox.TokenBody},
        personal=False, notes="Nothing is stored, so a token cannot be revoked: keep them short.",
    ),
    InboxRoute(
        "GET", "/v1/inbox/{recipient}", inbox.list_items, "The items of an inbox",
        (RouteAnswer(200, "A page of them", inbox.InboxView),), query=inbox.LIST_FILTERS,
        notes="What is listed counts as delivered.",
    ),
    InboxRoute(
        "GET", "/v1/inbox/{recipient}/changes", inbox.list_changes,
        "What has changed since `after`",
        (RouteAnswer(200, "All of it", inbox.InboxChangesView),), query=inbox.AFTER,
        refusals=(400, 410),
        notes=("Withdrawn items are among it, and what is new counts as delivered. A 410 asks to"
            f" read the list again: it is too long ago, or more than {inbox.CHANGES_MAX} changes."),
    ),
    InboxRoute(
        "GET", "/v1/inbox/{recipient}/stream", inbox.stream_inbox,
        "Hear of changes (server-sent events)",
        (RouteAnswer(200, "`event: change` at once and after every change",
            inbox_streams.StreamEventView, "text/event-stream"),), query=inbox.STREAM_QUERY,
        notes=("The id of an event is its `seq`. A comment comes every 15 s; `event: expired` comes"
            " before the end if the token is over."),
    ),
    InboxRoute(
        "POST", "/v1/inbox/{recipient}/all/seen", inbox.see_all, "All items were seen", MARKED,
        body={JSON: inbox.UpToBody}, notes=MARK_NOTES,
    ),
    InboxRoute(
        "POST", "/v1/inbox/{recipient}/all/read", inbox.read_all, "All items were read", MARKED,
        body={JSON: inbox.UpToBody}, notes=MARK_NOTES,
    ),
    InboxRoute(
        "POST", "/v1/inbox/{recipient}/{item}/seen", inbox.see_item, "An item was seen", MARKED,
        notes=MARK_NOTES,
    ),
    InboxRoute(
        "POST", "/v1/inbox/{recipient}/{item}/read", inbox.read_item, "An item was read", MARKED,
        notes=MARK_NOTES,
    ),
    InboxRoute(
        "POST", "/v1/inbox/{recipient}/{item}/unread", inbox.unread_item,
        "An item counts as unread again", MARKED,
        notes="The receipt that it was read stays. " + MARK_NOTES,
    ),
    InboxRoute(
        "POST", "/v1/inbox/{recipient}/{item}/archive", inbox.archive_item,
        "Put an item out of sight", MARKED, notes=MARK_NOTES,
    ),
    InboxRoute(
        "POST", "/v1/inbox/{recipient}/{item}/click", inbox.click_item,
        "A link or an action of an item was followed", MARKED, body={JSON: inbox.ClickBody},
        notes="It was read, too. " + MARK_NOTES,
    ),

    WEBHOOK,
    WebhookRoute(
        "GET", WEBHOOK.path, receipts.verify_webhook, "A provider's check of the webhook's address",
        PROVIDERS_ANSWER, refusals=(400, 403, 404, 408, 413, 415, 429, 503), head=False,
    ),
    WebhookRoute(
        "OPTIONS", WEBHOOK.path, receipts.preflight, "CORS, for browsers",
        (RouteAnswer(204, "The report may be sent"),), refusals=(404, 405),
    ),

    TokenRoute(
        "GET", "/u/{token}", pages.unsubscribe_page, "The unsubscribe page; a GET never acts", PAGE,
    ),
    TokenRoute(
        "POST", "/u/{token}", pages.unsubscribe,
        "Unsubscribe: one click (RFC 8058), or the page's form", PAGE,
        refusals=(400, 408, 413, 415, 429, 503),
    ),
    TokenRoute(
        "GET", "/o/{token}", tracking.opened, "A mail was opened",
        (RouteAnswer(200, "A transparent picture", Gif, "image/gif"),),
    ),
    TokenRoute(
        "GET", "/c/{token}", tracking.clicked, "Follow a tracked link",
        (RouteAnswer(302, "To the link's target"), GONE),
    ),

    TokenRoute(
        "GET", "/l/{token}", links.follow, "Open the messenger that a message's link is to",
        (RouteAnswer(302, "To the messenger"), GONE),
    ),

    *REPORT_ROUTES,

    *TWO_WAY_ROUTES,
    *DOCUMENT_ROUTES,

    ProbeRoute(
        "GET", "/livez", operations.live, "Whether the process runs",
        (RouteAnswer(200, "It does"),),
    ),
    ProbeRoute(
        "GET", "/readyz", operations.ready, "Whether it accepts events",
        (RouteAnswer(200, "It does"), RouteAnswer(503, "Not now")),
    ),

    AdminRoute(
        "GET", "/metrics", operations.metrics, "Metrics in Prometheus' text format",
        (RouteAnswer(200, "Every metric"),),
    ),
    AdminRoute("POST", "/-/reload", operations.reload, "Load the configuration again", RELOADED),
    AdminRoute(
        "GET", "/-/config", operations.configuration, "The configuration in force", IN_FORCE,
    ),

    *CONTROL_ROUTES,
)
# fmt: on
