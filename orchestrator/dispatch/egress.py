"""
The guard for URLs that come from users: a browser reports the endpoint of a push subscription.

A guarded URL is https on port 443 to a host on the allow-list, without credentials and without a
literal address. The guard resolves the name, checks every address against its own table
(``ipaddress.is_global`` calls several private ranges global), and the connection goes to the
checked address. The operator's origins in ``egress.allow`` pass every check.

Source of the table: IANA's special-purpose address registries for IPv4 and IPv6.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

Origin = tuple[str, str, int]
"""Scheme, host and port: lower case, no trailing dot, the default port filled in."""

PUSH_HOSTS = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "*.push.services.mozilla.com",
    "web.push.apple.com",
    "*.push.apple.com",
    "*.notify.windows.com",
)
DENIED_NETWORKS = (
    "0.0.0.0/8",  # this network, unspecified
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, the metadata services of clouds
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarking
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    # unspecified, loopback, v4-compatible, v4-translated, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48),
    # discard
    "::/3",
    "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "3fff::/20",  # documentation
    "4000::/2",  # not assigned, segment routing
    "8000::/1",  # not assigned, unique local, link-local, site-local, multicast
)
"""Networks that are never called. Of IPv6 that leaves 2000::/3 without wrapped addresses."""

DENIED = tuple(ipaddress.ip_network(network) for network in DENIED_NETWORKS)
DEFAULT_PORTS = {"https": 443, "http": 80}
HOST_LENGTH_MAX, LABEL_LENGTH_MAX = 253, 63
"""RFC 1035, section 2.3.4."""
NUMERIC_LABEL = re.compile(r"\d+|0x[0-9a-f]*")


class EgressForbidden(Exception):
    """The address may not be called. No ``OSError``: aiohttp takes those for failed look-ups."""


class EgressGuard:
    """
    ``allow``: origins that are not checked (``http://127.0.0.1:8090``). ``hosts``: allowed names;
    ``*.example.com`` is every name below ``example.com``. ``resolver``: by default the system's.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        hosts: Iterable[str] = PUSH_HOSTS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allow = frozenset(origin_of(url) for url in allow)
        self._hosts = tuple(hosts)
        self._inner = resolver
        self._resolver: PinningResolver | None = None

    @property
    def resolver(self) -> AbstractResolver:
        """The resolver that checks addresses; made inside the running loop."""
        if self._resolver is None:
            exempt = {(host, port) for _, host, port in self._allow}
            self._resolver = PinningResolver(self._inner or ThreadedResolver(), exempt)
        return self._resolver

    def check_url(self, url: str) -> str | None:
        """
        Why a URL is forbidden, None if it is not; ``resolver`` then checks its addresses.

        Our parser and that of the HTTP client must agree on where the URL leads.
        """
        try:
            origin = origin_of(url)
        except ValueError:
            return "it is no plain URL"
        if origin in self._allow:
            return None
        scheme, host, port = origin
        if scheme != "https":
            return "only https is allowed"
        if port != DEFAULT_PORTS["https"]:
            return "only port 443 is allowed"
        if is_literal(host):
            return "a literal address is not allowed"
        if not any(matches(host, pattern) for pattern in self._hosts):
            return "the host is not on the allow-list"
        return None


class PinningResolver(AbstractResolver):
    """
    Resolves a name unless one of its addresses is in the table: a single one is an attack.

    aiohttp connects to the addresses it gets here, so the checked address is the one reached.
    ``exempt`` are the ``(host, port)`` of the operator's own origins.
    """

    def __init__(self, inner: AbstractResolver, exempt: Iterable[tuple[str, int]]) -> None:
        self._inner = inner
        self._exempt = frozenset(exempt)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises ``EgressForbidden``, or ``OSError`` if the name has no address."""
        found = await self._inner.resolve(host, port, family)
        if (host.lower().rstrip("."), port) in self._exempt:
            return found
        if not found or any(denied(one["host"]) for one in found):
            raise EgressForbidden("the host resolves to an address that may not be reached")
        return found

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()


def origin_of(url: str) -> Origin:
    """
    The origin of an absolute http(s) URL.

    Raises ``ValueError`` for an ambiguous URL: characters other than printable ASCII, spaces,
    backslashes, credentials, a port of 0, or a URL that two parsers disagree about.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("a URL has printable ASCII only, no spaces and no backslashes")
    parts = urlsplit(url)
    host = (parts.hostname or "").lower().removesuffix(".")
    port = parts.port if parts.port is not None else DEFAULT_PORTS.get(parts.scheme, 0)
    if (
        parts.scheme not in DEFAULT_PORTS
        or not host
        or not port
        or "@" in parts.netloc
        or "%" in parts.netloc
    ):
        raise ValueError("not an http(s) URL with a host, or one with credentials")
    if len(host) > HOST_LENGTH_MAX or not all(
        0 < len(label) <= LABEL_LENGTH_MAX for label in host.split(".")
    ):
        raise ValueError("a host name with an empty part, or too long for a host name")
    other = URL(url, encoded=True)
    if (other.scheme, (other.raw_host or "").lower().removesuffix("."), other.port) != (
        parts.scheme,
        host,
        port,
    ):
        raise ValueError("a URL that can be read in two ways")
    return parts.scheme, host, port


def matches(host: str, pattern: str) -> bool:
    """True if a host is the pattern, or at least one label below ``*.…``."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def is_literal(host: str) -> bool:
    """True for an address in any notation: ``127.0.0.1``, ``::1``, ``127.1``, ``0x7f000001``."""
    return ":" in host or NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]) is not None


def denied(address: str) -> bool:
    """True if an address may not be called: a mapped one as the IPv4 it maps, nonsense always."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in DENIED if network.version == ip.version)
