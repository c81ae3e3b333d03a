"""Rows of the route table: what people have sent, and what they are answered."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from msgspec import Meta

from orchestrator.api import answers, conversation, media
from orchestrator.api.route import JSON, Html, Route, RouteAnswer, Scope

Bytes = Annotated[str, Meta(extra_json_schema={"contentMediaType": "*/*"})]
AnswerRoute = partial(Route, places=("A signed token.",))
GONE = RouteAnswer(404, "A page: the token is not ours, or too old", Html, "text/html")
PAGE = (RouteAnswer(200, "A page", Html, "text/html"), GONE)

# A table reads better with several cells in a line.
# fmt: off
TWO_WAY_ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/v1/recipients/{id}/messages", conversation.answer_recipient,
        "Answer a recipient who has written within 24 hours",
        (RouteAnswer(202, "The message", conversation.ConversedView),),
        scope=Scope.RECIPIENTS, places=("Your own id of the recipient.",),
        body={JSON: conversation.ConversationBody}, refusals=(400, 404, 409),
        notes=("Class `conversational`, on that channel alone. A repeat with the same"
            " `Idempotency-Key` does nothing; with another text it is a 409. A phone or mailbox in"
            " place of the id finds its person."),
    ),
    Route(
        "GET", "/v1/media/{id}", media.get_medium, "A picture, file or voice message of a reply",
        (RouteAnswer(200, "The medium, with its provider's type", Bytes, "*/*"),),
        scope=Scope.MESSAGES, places=("The id in the link of a reply.",), refusals=(404, 413, 503),
        notes=("Fetched from its provider with our credentials, at most"
            f" {media.BYTES_MAX // 1024**2} MiB. Providers keep media for a time only."),
    ),
    AnswerRoute(
        "GET", "/a/{token}", answers.answer_page, "The answer of a link; a GET never acts", PAGE,
    ),
    AnswerRoute(
        "POST", "/a/{token}", answers.answer_question, "Answer a question of a mail", PAGE,
        refusals=(400, 408, 413, 415, 429, 503),
    ),
)
# fmt: on
