"""Whom a caller means by an id, a phone or a mailbox."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.api.problems import Refusal
from orchestrator.channels import Misshapen
from orchestrator.channels.registry import channels, kinds_like, looks_like_address
from orchestrator.recipients.fields import bare_address, guessed_form, recipient_id
from orchestrator.stores.rows import Wanted

PEOPLE_MAX = 100


async def people_of(deps: ApiDeps, text: str, field: str) -> list[str]:
    """
    The ids of the recipients that a text names: it is an id if it is stored as one or can be no
    address. Raises ``Misshapen`` for a number or mailbox whose right form is another one.
    """
    if not looks_like_address(text) or await is_known(deps, text):
        return [text]
    countries = deps.engine.rules.governance.sms_countries
    # in a query a plus sign that was not escaped arrives as a blank
    written = f"+{text[1:]}" if text[:1] == " " else text
    try:
        address = bare_address(written, field, countries)
    except Misshapen:
        if guessed_form(written, countries) is not None:
            raise
        return [text]
    [found] = await people_at(deps, [(address, kinds_like(address))])
    return found


async def person_of(request: web.Request) -> str:
    """
    The one recipient that a path names by id or address. Raises ``Refusal`` where several share the
    address, because what is done for one of them must not be done for all.
    """
    id = recipient_id(request.match_info["id"], "id")
    found = await people_of(request.app[DEPS], id, "id")
    if len(found) > 1:
        detail = f"several recipients have this address: {', '.join(found)}; name one of them"
        raise Refusal(409, "several_recipients", detail)
    return found[0] if found else id


async def is_known(deps: ApiDeps, id: str) -> bool:
    """Whether there is a profile or a message of exactly this id."""
    if await deps.reader.recipient(id) is not None:
        return True
    return bool(await deps.reader.messages(recipients=(id,), limit=1))


async def people_at(
    deps: ApiDeps, addresses: Sequence[tuple[str, Collection[str]]]
) -> list[list[str]]:
    """
    For each address with the kinds that it may be of: the recipients whose profile has it, and
    those who were last written to there.
    """
    hashes = [
        {deps.address_hash(kind, value): kind for kind in kinds} for value, kinds in addresses
    ]
    places = [
        {
            (hash, channel.name)
            for hash, kind in known.items()
            for channel in channels().values()
            if kind in channel.kinds
        }
        for known in hashes
    ]
    loaded = await deps.reader.load(Wanted(contacts=set().union(*places)))
    owners = await deps.reader.owners(set().union(*hashes), PEOPLE_MAX)
    found = []
    for known, keys in zip(hashes, places, strict=True):
        ids = [id for hash in known for id in owners.get(hash, ())]
        ids += [
            loaded.messages[place.message].message.recipient
            for key in sorted(keys)
            if (place := loaded.contacts.get(key)) is not None and place.message in loaded.messages
        ]
        found.append(list(dict.fromkeys(ids)))
    return found
