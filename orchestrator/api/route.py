"""
A row of the route table, and the words it is written in.

Router, authentication, OpenAPI document and docs/http-api.md are all derived from rows; the rows
are in ``routes.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from orchestrator.api.ports import ApiDeps
from orchestrator.api.problems import Handler

JSON = "application/json"

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Html = Annotated[str, Meta(extra_json_schema={"contentMediaType": "text/html"})]
JavaScript = Annotated[str, Meta(extra_json_schema={"contentMediaType": "text/javascript"})]
Gif = Annotated[str, Meta(extra_json_schema={"contentMediaType": "image/gif"})]


class Listener(StrEnum):
    """Where a call is answered: two TCP addresses, and a Unix socket for the command line."""

    PUBLIC = "public"
    ADMIN = "admin"
    CONTROL = "control"


class Scope(StrEnum):
    """What an API key may do; a key with ``ALL`` may do everything."""

    EVENTS = "events"
    MESSAGES = "messages"
    JOURNEYS = "journeys"
    RECIPIENTS = "recipients"
    INBOX = "inbox"
    DEAD_LETTERS = "dead_letters"
    PAUSES = "pauses"
    CODES = "codes"
    AUDIT = "audit"
    REPORTS = "reports"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Audited:
    """
    The action that the audit log has for a call of a verb; with ``all_callers``, for every call.
    """

    action: str
    all_callers: bool = False


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """A response that is no refusal. ``body`` is the type its JSON Schema is made of."""

    status: int
    text: str
    body: Any = None
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter; ``kind`` is the type its JSON Schema is made of."""

    name: str
    text: str
    kind: Any


@dataclass(frozen=True, slots=True)
class Route:
    """
    One call of the API.

    ``summary`` is its line in the documents, ``notes`` are its limits and what a repeat does.
    ``places`` say what the parameters of the path name, in their order. ``body`` has a type for
    each media type that is read. ``refusals`` are the statuses of its own, beside those that follow
    from ``scope`` and ``body``. A route without a scope needs no key. ``personal``: the person
    named in the path may call it, too, with a token of their own, and so may a web page of another
    origin. ``audited`` calls are written down. ``when`` says whether an installation has the call
    at all.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answers: tuple[RouteAnswer, ...]
    scope: Scope | None = None
    listeners: tuple[Listener, ...] = (Listener.PUBLIC,)
    places: tuple[str, ...] = ()
    query: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    refusals: tuple[int, ...] = ()
    notes: str = ""
    head: bool = True
    personal: bool = False
    audited: Audited | None = None
    when: Callable[[ApiDeps], bool] = lambda deps: True

    @property
    def name(self) -> str:
        """The operation id: the handler's name, as programs in other languages write it."""
        first, *rest = self.handler.__name__.split("_")
        return first + "".join(word.capitalize() for word in rest)

    @property
    def group(self) -> str:
        """The calls that it stands among in a viewer of the OpenAPI document."""
        _, version, *words = self.path.split("/")
        return words[0].replace("-", " ") if version == "v1" else "other"
