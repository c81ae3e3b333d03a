"""
The guard on URLs that come from users: a push subscription's endpoint is whatever somebody's browser said it was.

A guarded URL is https on port 443 to a host of the allow-list, without credentials and without a literal address. Its
name is resolved here, every address is held against a table of our own (``ipaddress.is_global`` calls several private
ranges global), and the connection goes to the very address that was checked. Origins in ``egress.allow`` are the
operator's word and pass every guard.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

PUSH_HOSTS = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "*.push.services.mozilla.com",
    "web.push.apple.com",
    "*.push.apple.com",
    "*.notify.windows.com",
)
DENIED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
HTTPS_PORT = 443


class EgressForbidden(OSError):
    """Nothing may be sent there; nothing was."""


class EgressGuard:
    """``allow``: origins past the guard (``https://host:port``, ``http://127.0.0.1:8090``); ``hosts``: allowed names."""

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        hosts: Iterable[str] = PUSH_HOSTS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allow = {origin_of(url) for url in allow}
        self._names = {host for _, host, _ in self._allow if host}
        self._hosts = tuple(hosts)
        self._inner = resolver
        self._resolver: PinningResolver | None = None

    @property
    def resolver(self) -> AbstractResolver:
        """Resolves a name only to addresses that may be reached; made inside the running loop."""
        if self._resolver is None:
            self._resolver = PinningResolver(self._inner or ThreadedResolver(), self._names)
        return self._resolver

    def check_url(self, url: str) -> str | None:
        """Why a URL is forbidden, None where it is not (its addresses are still to be checked)."""
        try:
            parts = urlsplit(url)
            origin = origin_of(url)
        except ValueError:
            return "it is no URL"
        if origin in self._allow and not parts.username:
            return None
        scheme, host, port = origin
        if scheme != "https":
            return "only https is allowed"
        if parts.username is not None or parts.password is not None:
            return "credentials in the URL are not allowed"
        if port != HTTPS_PORT:
            return "only port 443 is allowed"
        if is_literal(host):
            return "a literal address is not allowed"
        if not any(matches(host, pattern) for pattern in self._hosts):
            return "the host is not on the allow-list"
        return None


class PinningResolver(AbstractResolver):
    """Hands out only addresses outside the deny table; ``exempt`` names are the operator's own."""

    def __init__(self, inner: AbstractResolver, exempt: Iterable[str]) -> None:
        self._inner = inner
        self._exempt = frozenset(exempt)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host.lower().rstrip(".") in self._exempt:
            return found
        safe = [one for one in found if not denied(one["host"])]
        if len(safe) != len(found) or not safe:
            raise EgressForbidden(f"{host} resolves to an address that may not be reached")
        return safe

    async def close(self) -> None:
        await self._inner.close()


def origin_of(url: str) -> tuple[str, str, int]:
    """``(scheme, host, port)``, lower case, with the scheme's own port filled in. Raises ``ValueError``."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    if not host:
        raise ValueError(f"{url!r} has no host")
    return parts.scheme.lower(), host, parts.port or (HTTPS_PORT if parts.scheme == "https" else 80)


def matches(host: str, pattern: str) -> bool:
    """Whether a host is a pattern's own, or one label or more below ``*.…``."""
    return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1 if pattern.startswith("*.") else host == pattern


def is_literal(host: str) -> bool:
    """An address in any notation that a resolver would take as one."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.replace(".", "").isdigit() or host.startswith("0x") or ":" in host
    return True


def denied(address: str) -> bool:
    """Whether an address may not be reached; one inside an IPv6 wrapper counts as what it wraps."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return any(ip.version == network.version and ip in network for network in DENIED)
