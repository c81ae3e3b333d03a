"""
``kaskad check --probe``: is each account usable, and does it have the templates that ours name?

An adapter names one cheap request of its provider, if there is one; nothing is sent to anybody. A
provider that cannot be reached is a warning, an account that is refused or a template that is not
there an error.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import yaml

from orchestrator.channels import Adapter, ApprovedTemplate, HttpAdapter, HttpCall, HttpReply
from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.settings import ProviderSettings
from orchestrator.configuration.yaml_file import Position, Problem

SECONDS_MAX = 10.0
PAGES_MAX = 50
BODY_BYTES_MAX = 4 * 1024 * 1024
VALUE = re.compile(r"\{\{.*?\}\}", re.S)
STATEMENT = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.S)


class Unreachable(Exception):
    """A provider that did not answer; the text says how."""


async def probe_accounts(configuration: Configuration) -> list[Problem]:
    """The problems of all accounts, in the order of the file."""
    accounts = [one for one in configuration.settings.providers.values() if one.complete]
    async with httpx.AsyncClient(timeout=SECONDS_MAX, follow_redirects=False) as client:
        found = await asyncio.gather(*(probe(client, one, configuration) for one in accounts))
    return [problem for problems in found for problem in problems]


def not_asked(configuration: Configuration) -> list[str]:
    """The accounts that there is nothing to ask of, and those whose secrets are not here."""
    accounts = configuration.settings.providers.values()
    return [one.provider for one in accounts if not one.complete or question(one.build()) is None]


def question(adapter: Adapter[Any]) -> HttpCall | None:
    """The request that shows whether an account can be used, if its adapter has one."""
    return adapter.probe(time.time()) if isinstance(adapter, HttpAdapter) else None


async def probe(
    client: httpx.AsyncClient, account: ProviderSettings, configuration: Configuration
) -> list[Problem]:
    """One account: its credentials, then the templates that it must have."""
    adapter, name = account.build(), account.provider
    if not isinstance(adapter, HttpAdapter):
        return []
    try:
        call = question(adapter)
        wrong = adapter.probed(await ask(client, call)) if call is not None else None
        if wrong is not None:
            fix = "check its credentials and address, and the account at the provider"
            return [account.position.problem(f"the account {name!r}: {wrong}", fix)]
        approved = await approved_templates(client, adapter)
    except Unreachable as problem:
        what = not_looked_at(name, problem)
        fix = "check `base_url` and the network, then try again"
        return [account.position.problem(what, fix, "warning")]
    if approved is None:
        return []
    return list(unapproved(account, adapter, configuration, approved))


def not_looked_at(name: str, problem: Unreachable) -> str:
    return f"the account {name!r} could not be looked at: {problem}"


async def ask(client: httpx.AsyncClient, call: HttpCall) -> HttpReply:
    """The answer to one call. Raises ``Unreachable``."""
    try:
        answer = await client.request(
            call.method, call.url, headers=dict(call.headers), content=call.body
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(type(error).__name__) from error
    headers = {name.lower(): value for name, value in answer.headers.items()}
    body = answer.content[:BODY_BYTES_MAX]
    return HttpReply(status=answer.status_code, headers=headers, body=body, now=time.time())


async def approved_templates(
    client: httpx.AsyncClient, adapter: HttpAdapter[Any]
) -> tuple[ApprovedTemplate, ...] | None:
    """The account's templates, None where it has no catalogue. Raises ``Unreachable``."""
    found: list[ApprovedTemplate] = []
    after: str | None = ""
    for _ in range(PAGES_MAX):
        call = adapter.catalogue(after) if after is not None else None
        if call is None:
            return tuple(found) if found or after is None else None
        reply = await ask(client, call)
        page = adapter.approved(reply)
        if page is None:
            raise Unreachable(f"its templates cannot be read (status {reply.status})")
        found += page[0]
        after = page[1]
    return tuple(found)


def unapproved(
    account: ProviderSettings,
    adapter: HttpAdapter[Any],
    configuration: Configuration,
    approved: Sequence[ApprovedTemplate],
) -> Iterator[Problem]:
    """Our templates of the account's channel that it would refuse."""
    templates, folder = configuration.templates, configuration.settings.templates
    for name in sorted(templates.names):
        for locale, kind, part in templates.written(name, account.channel):
            found = outline(part.source) if kind == "yaml" else None
            wrong = adapter.mismatch(found, locale, approved) if found else None
            if wrong is not None:
                what, fix = wrong
                yield Position(str(folder / part.path), 1, 1).problem(
                    f"{account.provider}: {what}", fix
                )


def outline(source: str) -> dict[str, Any] | None:
    """
    A YAML part with its expressions left out, as far as it can be read without an event: its keys,
    constants, and how many parameters there are. None where statements decide about those.
    """
    if STATEMENT.search(source):
        return None
    try:
        found = yaml.safe_load(VALUE.sub("…", source))
    except yaml.YAMLError:
        return None
    return found if isinstance(found, dict) else None


async def templates_by_account(
    configuration: Configuration, provider: str
) -> dict[str, tuple[ApprovedTemplate, ...]]:
    """The templates of each account that has a catalogue. Raises ``Unreachable``."""
    found = {}
    async with httpx.AsyncClient(timeout=SECONDS_MAX, follow_redirects=False) as client:
        for name, account in configuration.settings.providers.items():
            adapter = account.build()
            if provider in ("", name) and isinstance(adapter, HttpAdapter):
                try:
                    approved = await approved_templates(client, adapter)
                except Unreachable as problem:
                    raise Unreachable(not_looked_at(name, problem)) from None
                if approved is not None:
                    found[name] = approved
    return found
