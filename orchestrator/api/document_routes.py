"""Rows of the route table: the API's own documents, and scripts for browsers."""

from __future__ import annotations

from typing import Any

from orchestrator.api import assets, asyncapi, operations
from orchestrator.api.route import Html, JavaScript, Route, RouteAnswer

OBJECT = dict[str, Any]
CURRENT = RouteAnswer(304, "The one that the browser has is current")

# A table reads better with several cells in a line.
# fmt: off
DOCUMENT_ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/static/kaskad-inbox.js", assets.inbox_module,
        "The inbox for browsers: one ES module",
        (RouteAnswer(200, "The module", JavaScript, "text/javascript"), CURRENT),
    ),
    Route(
        "GET", "/openapi.json", operations.openapi, "The OpenAPI document",
        (RouteAnswer(200, "OpenAPI 3.1", OBJECT),),
    ),
    Route(
        "GET", "/asyncapi.json", asyncapi.asyncapi,
        "The AsyncAPI document: what goes over Kafka",
        (RouteAnswer(200, "AsyncAPI 3.0", OBJECT),),
    ),
    Route(
        "GET", "/docs", assets.docs_page, "The OpenAPI document, to read and to try",
        (RouteAnswer(200, "A page", Html, "text/html"),),
    ),
    Route(
        "GET", "/static/openapi-explorer.js", assets.docs_viewer, "The viewer of that page",
        (RouteAnswer(200, "The script", JavaScript, "text/javascript"), CURRENT),
    ),
)
# fmt: on
