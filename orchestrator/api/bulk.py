"""
Recipients and consents in bulk, for the files of ``kaskad people``: in by a thousand entries, out
by pages in the order of the ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict, get_args

from aiohttp import web
from msgspec import Struct

from orchestrator.api.bodies import read_object
from orchestrator.api.opt_outs import OPT_OUTS_MAX, OptOutErrorView, refusal
from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal
from orchestrator.api.queries import QueryText, read_query
from orchestrator.api.route import Parameter
from orchestrator.channels import Misshapen
from orchestrator.core.consent import lifts
from orchestrator.core.policy import MessageClass
from orchestrator.core.recipient import Consent
from orchestrator.engine.commands import Command, ProfileTooLarge, PutConsents, PutRecipient
from orchestrator.primitives.durations import rfc3339
from orchestrator.recipients.consents import consent_of
from orchestrator.recipients.document import NOT_PROFILE, PROFILE_BYTES_MAX, Person
from orchestrator.recipients.fields import consent, inside, recipient_id, recipient_profile

ENTRIES_MAX = OPT_OUTS_MAX
PAGE = 500
AFTER = (Parameter("after", "`after` of the page before.", QueryText),)

Row = dict[str, Any]


class EntriesBody(Struct, forbid_unknown_fields=True):
    entries: list[dict[str, Any]]


class ImportResultView(TypedDict):
    index: int
    status: Literal["recorded", "refused"]
    error: NotRequired[OptOutErrorView]


class ImportedView(TypedDict):
    results: list[ImportResultView]


class RowsView(TypedDict):
    """
    The rows of one page. ``after`` is where the next one begins, null on the last; ``nameless`` is
    then how many opted-out addresses are known by their hash alone.
    """

    rows: list[Row]
    after: str | None
    nameless: int


# ---- in


async def import_people(request: web.Request) -> web.Response:
    """Record entries of a kind; each has a result of its own."""
    read = READERS.get(what := request.match_info["what"])
    if read is None:
        raise no_such(what, READERS)
    deps, body = request.app[DEPS], await read_object(request)
    entries = body.get("entries")
    if not isinstance(entries, list) or not 0 < len(entries) <= ENTRIES_MAX:
        fix = 'send {"entries": [{…}, …]}'
        raise Misshapen("entries", f"it must be a list of 1 to {ENTRIES_MAX} entries", fix)
    commands: dict[int, Command] = {}
    results: list[ImportResultView] = []
    for index, entry in enumerate(entries):
        results.append({"index": index, "status": "recorded"})
        try:
            commands[index] = read(entry, f"entries[{index}]")
        except Misshapen as error:
            results[index] = refused(index, error)
    answers = await deps.engine.submit_many(list(commands.values()))
    for index, answer in zip(commands, answers, strict=True):
        if isinstance(answer, ProfileTooLarge):
            what, fix = f"the profile is larger than {PROFILE_BYTES_MAX // 1024} KiB", "shorten it"
            results[index] = refused(index, Misshapen("", what, fix))
        elif isinstance(answer, BaseException):
            raise answer
    return web.json_response({"results": results})


def refused(index: int, error: Misshapen) -> ImportResultView:
    return {"index": index, "status": "refused", "error": refusal(index, error)["error"]}


def recipient_entry(entry: Any, field: str) -> Command:
    """
    A profile. An address that a provider has proven dead stays so: a list is no sign of life.
    """
    profile = recipient_profile(entry, None, field)
    return PutRecipient(profile["id"], profile, lifts_suppressions=False)


def consent_entry(entry: Any, field: str) -> Command:
    """A consent with its recipient. A yes has a time, so that it never undoes a later no."""
    if not isinstance(entry, Mapping):
        raise Misshapen(field, "it must be an object", 'write {"recipient": "user-42", …}')
    given = dict(entry)
    id = recipient_id(given.pop("recipient", None), inside(field, "recipient"))
    classes = classes_of(given.pop("classes", None), inside(field, "classes"))
    found = consent(given, field)
    if found["state"] == "in" and "at" not in found:
        what = "a yes needs the time at which it was said"
        raise Misshapen(inside(field, "at"), what, 'write "2026-11-21T10:00:00Z"')
    return PutConsents(id, [{**found, "classes": classes}])


def classes_of(value: Any, field: str) -> list[str]:
    known = get_args(MessageClass)
    if value is None:
        return []
    if not isinstance(value, list) or any(one not in known for one in value):
        raise Misshapen(field, "there is no such class", f"use {', '.join(known)}")
    return sorted(value)


READERS = {"recipients": recipient_entry, "consents": consent_entry}


# ---- out


async def export_people(request: web.Request) -> web.Response:
    """One page of what is stored, in the order of the recipients' ids."""
    write = WRITERS.get(what := request.match_info["what"])
    if write is None:
        raise no_such(what, WRITERS)
    deps, after = request.app[DEPS], read_query(request, AFTER).get("after", "")
    page = await deps.reader.recipients_after(after, PAGE)
    people = [Person(id, document, deps.address_hash) for id, document in page]
    hashes = [one.hash for person in people for one in person.addresses]
    states = await deps.reader.addresses(hashes) if what == "opt-outs" else {}
    rows = [row for person in people for row in write(person, states)]
    last = len(page) < PAGE
    nameless = await nameless_opt_outs(deps) if last and what == "opt-outs" else 0
    return web.json_response(
        {"rows": rows, "after": None if last else page[-1][0], "nameless": nameless}
    )


def no_such(what: str, known: Iterable[str]) -> Refusal:
    return Refusal(404, "unknown_kind", f"there is no {what}; there are {', '.join(known)}")


def profile_rows(person: Person, states: Mapping[str, Any]) -> Iterator[Row]:
    yield {name: value for name, value in person.document.items() if name not in NOT_PROFILE}


def consent_rows(person: Person, states: Mapping[str, Any]) -> Iterator[Row]:
    """The recipient's own history, oldest first."""
    for one in person.consents:
        yield {"recipient": person.id, **said(one), "state": one.state}


def opt_out_rows(person: Person, states: Mapping[str, Any]) -> Iterator[Row]:
    """
    The opt-outs that hold: of the recipient, and of each of their addresses. One of both is a row
    with both.
    """
    own, written = person.consents, set()
    for address in person.addresses:
        kept = tuple(map(consent_of, states.get(address.hash, {}).get("consents", ())))
        for one in in_force(kept, (*own, *kept)):
            row = {"address": address.value, "kind": address.kind, **said(one)}
            if one in own and one not in written:
                written.add(one)
                row["recipient"] = person.id
            yield row
    for one in in_force(own, own):
        if one not in written:
            yield {"recipient": person.id, **said(one)}


def said(one: Consent) -> Row:
    row: Row = {"channel": one.channel, "topic": one.topic, "at": rfc3339(one.said_at)}
    row["source"] = one.source
    return row | {"classes": list(one.classes)} if one.classes else row


def in_force(noes: Sequence[Consent], entries: Sequence[Consent]) -> list[Consent]:
    """
    The opt-outs that no later yes of the same scope has lifted. Those of single classes are not
    among them: they say less than an opt-out, and are in the consents.
    """
    return [
        no
        for no in noes
        if no.state == "out"
        and not no.classes
        and not any(lifted_whole(no, yes) for yes in entries if yes.state == "in")
    ]


def lifted_whole(no: Consent, yes: Consent) -> bool:
    """Whether a yes undoes everything that a no forbids."""
    same = (yes.channel, yes.topic) == (no.channel, no.topic) and not yes.classes
    return same and lifts(yes, no)


async def nameless_opt_outs(deps: ApiDeps) -> int:
    """
    How many addresses are opted out that are in no profile (or are a browser's or a device's): only
    their hashes are stored.
    """
    count, after = 0, ""
    while page := await deps.reader.unowned_addresses(after, PAGE):
        for _, document in page:
            kept = tuple(map(consent_of, document.get("consents", ())))
            count += bool(in_force(kept, kept))
        after = page[-1][0]
    return count


WRITERS = {"opt-outs": opt_out_rows, "consents": consent_rows, "recipients": profile_rows}
