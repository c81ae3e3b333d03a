"""
The page behind a link that answers a question of a mail.

A GET only shows the answer with a button, because mail scanners follow links; a POST answers.
"""

from __future__ import annotations

from aiohttp import web

from orchestrator.api import pages
from orchestrator.api.bodies import read_body
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.receipts import submit_all
from orchestrator.api.unsubscribe import FORM_BYTES_MAX, language
from orchestrator.channels import Inbound
from orchestrator.core.message import Attempt
from orchestrator.engine.commands import RecordInbound
from orchestrator.stores.rows import StoredMessage


async def answer_page(request: web.Request) -> web.Response:
    """The answer with a button. Nothing is answered yet."""
    deps = request.app[DEPS]
    found = await asked(deps, request.match_info["token"])
    if found is None:
        return pages.gone(request)
    stored, attempt, choice = found
    spoken = await language(deps, request, stored.message.recipient)
    return pages.answering(spoken, title_of(stored, attempt, choice))


async def answer_question(request: web.Request) -> web.Response:
    """Answer with the choice of the link; the same one again changes nothing."""
    deps = request.app[DEPS]
    await read_body(request, FORM_BYTES_MAX)
    found = await asked(deps, request.match_info["token"])
    if found is None:
        return pages.gone(request)
    stored, attempt, choice = found
    message, title = stored.message, title_of(stored, attempt, choice)
    inbound = Inbound(kind="", value="", text=title, clicked=True, choice=choice)
    what = (attempt.provider, attempt.channel, inbound, message.id, attempt.number)
    await submit_all(deps, [RecordInbound(*what)])
    return pages.answered(await language(deps, request, message.recipient), title)


async def asked(deps: ApiDeps, token: str) -> tuple[StoredMessage, Attempt, str] | None:
    """The message, the attempt and the choice of a link; None if it is not ours, or too old."""
    named = deps.keys.read_answer(token)
    stored = await deps.reader.message(named[0]) if named is not None else None
    if named is None or stored is None or named[1] >= len(stored.message.attempts):
        return None
    attempt = stored.message.attempts[named[1]]
    known = any(one.id == named[2] for one in attempt.choices)
    return (stored, attempt, named[2]) if known else None


def title_of(stored: StoredMessage, attempt: Attempt, choice: str) -> str:
    """The title of a choice, from the history; its id once that is gone."""
    for entry in stored.history:
        fact = entry["fact"]
        if fact["kind"] == "Prepared" and fact["step"] == attempt.step:
            for one in fact.get("choices", ()):
                if one["id"] == choice:
                    return str(one["title"])
    return choice
