"""``kaskad run --sandbox``: the stand-in providers that a configuration points to, beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.configuration.urls import is_loopback
from orchestrator.sandbox import Sandbox, SandboxConfig
from orchestrator.sandbox.accounts import MAIL, SMSC, STAND_INS

HTTP = "http"


class NoStandIns(Exception):
    """No stand-in can run for this configuration; the text says why, and how to fix it."""


def ports_of(settings: Settings) -> dict[str, int]:
    """
    The loopback ports that providers point to: ``http`` for all stand-ins over HTTP, and those that
    have one of their own by name. Raises ``NoStandIns``.
    """
    found: dict[str, int] = {}
    for provider in settings.providers.values():
        place = place_of(provider)
        if place is None:
            continue
        listener, port = place
        if found.setdefault(listener, port) != port:
            what = f"{settings.path}: {provider.provider} points to port {port}"
            raise NoStandIns(f"{what}, and another to {found[listener]}: give them one port")
    if not found:
        what = f"{settings.path}: no provider points to a stand-in"
        fix = "give one `base_url: http://127.0.0.1:8090`, or leave --sandbox out"
        raise NoStandIns(f"{what}; {fix}")
    return found


def place_of(provider: ProviderSettings) -> tuple[str, int] | None:
    """The listener and port that a provider needs; None if it does not point to a stand-in."""
    stand_in, own = STAND_INS.get(provider.adapter), provider.adapter_settings
    if stand_in in (MAIL, SMSC):
        host, port = getattr(own, "host", ""), getattr(own, "port", None)
        return (stand_in, port) if is_loopback(host) and port else None
    url = urlsplit(str(getattr(own, "base_url", "")))
    plain = url.scheme == "http" and is_loopback(url.hostname or "")
    return (HTTP, url.port or 80) if stand_in is not None and plain else None


def callbacks_of(settings: Settings) -> dict[str, str]:
    """Where each stand-in over HTTP reports to: the first provider that points to it."""
    found: dict[str, str] = {}
    for provider in settings.providers.values():
        place = place_of(provider)
        if place is not None and place[0] == HTTP:
            url = f"{settings.http.public_url}/v1/receipts/{provider.provider}"
            found.setdefault(STAND_INS[provider.adapter], url)
    return found


@asynccontextmanager
async def stand_ins(settings: Settings, announce: Callable[[Sandbox], None]) -> AsyncIterator[None]:
    """Run the stand-ins for a configuration. Raises ``NoStandIns``, or OSError for an address."""
    ports: Mapping[str, int] = ports_of(settings)
    sandbox = Sandbox()
    await sandbox.start(
        SandboxConfig(
            http_port=ports.get(HTTP, 0),
            smtp_port=ports.get(MAIL, 0),
            smpp_port=ports.get(SMSC, 0),
            seed=1,
            callbacks=callbacks_of(settings),
        )
    )
    try:
        announce(sandbox)
        yield
    finally:
        await sandbox.stop()
