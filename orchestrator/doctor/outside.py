"""
Over the network: providers' hosts, status webhooks, the collector of traces, the public address.

A host must resolve, accept a connection and, if it speaks TLS, show a certificate that is trusted
and will be for a while. Only a handshake is sent: no request, no log-in, no mail.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosmtplib

from orchestrator.channels.registry import channels
from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.configuration.urls import is_loopback, split_url
from orchestrator.dispatch.egress import PUSH_HOSTS
from orchestrator.doctor.findings import Finding, Subject

CONNECT_SECONDS = 5.0
CERTIFICATE_DAYS_WARNING = 14
SMTP_PORTS = {"none": 25, "starttls": 587, "implicit": 465}
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Target:
    """
    ``tls``: none, implicit, or starttls (mail). ``ca``: a file of certificates to trust besides the
    system's.
    """

    name: str
    host: str
    port: int
    tls: str
    ca: Path | None = None
    verify: bool = True

    def __str__(self) -> str:
        return f"{self.name} {self.host}:{self.port}"


async def look_at_providers(settings: Settings) -> list[Finding]:
    """One finding for each host that messages, status webhooks or traces go to."""
    targets = [target for one in settings.providers.values() for target in targets_of(one)]
    for number, webhook in enumerate(settings.statuses.webhooks, start=1):
        targets += from_url(f"status webhook {number}", webhook.url)
    if settings.telemetry.traces is not None:
        targets += from_url("collector of traces", settings.telemetry.traces.endpoint)
    pushes = any(
        channels()[one.channel].receipts_from == "device"
        and one.adapter_type.supports.channel == one.channel
        for one in settings.providers.values()
    )
    services = (
        [Target("push service", host, 443, "implicit") for host in PUSH_HOSTS if "*" not in host]
        if pushes
        else []
    )
    found = await asyncio.gather(*(look_at_target(target) for target in [*targets, *services]))
    return list(found)


def targets_of(provider: ProviderSettings) -> Iterator[Target]:
    """The hosts that a provider's settings name; some adapters name none."""
    own: Any = provider.adapter_settings
    for name in ("base_url", "url"):
        url = getattr(own, name, None)
        if isinstance(url, str):
            yield from from_url(provider.provider, url)
    host = getattr(own, "host", None)
    if isinstance(host, str):
        tls = str(getattr(own, "tls", "none"))
        port = getattr(own, "port", None) or SMTP_PORTS.get(tls, 25)
        verify = bool(getattr(own, "verify_certificates", True))
        yield Target(provider.provider, host, port, tls, getattr(own, "ca", None), verify)


def from_url(name: str, url: str) -> Iterator[Target]:
    """The target of a URL."""
    parts = split_url(url)
    if parts is not None and parts.hostname:
        tls = "implicit" if parts.scheme == "https" else "none"
        yield Target(name, parts.hostname, parts.port or (443 if tls == "implicit" else 80), tls)


async def look_at_target(target: Target) -> Finding:
    """Resolve, connect, shake hands, hang up."""
    at = Subject("providers", str(target))
    try:
        expires = await asyncio.wait_for(shake_hands(target), CONNECT_SECONDS)
    except ssl.SSLCertVerificationError as problem:
        fix = "check the host's name, the machine's clock, and that ca-certificates is installed"
        return at.error("tls", f"its certificate is refused: {problem.verify_message}", fix)
    except socket.gaierror as problem:
        what = f"the name does not resolve: {problem.strerror}"
        return at.unreachable("resolve", what, "check the spelling and the DNS servers")
    except (OSError, TimeoutError, aiosmtplib.SMTPException) as problem:
        what = f"no connection: {str(problem) or 'no answer'}"
        return at.unreachable("connect", what, "check the address, the firewall and any proxy")
    if target.tls == "none":
        return at.fine("connect", "it takes connections, without TLS")
    if expires is None:
        return at.fine("connect", "TLS works; the certificate is not verified, as configured")
    days = int((expires - time.time()) // DAY_SECONDS)
    if days < CERTIFICATE_DAYS_WARNING:
        fix = "have it renewed: sends fail from that day on"
        return at.warning("tls", f"its certificate runs out in {days} days", fix)
    return at.fine("connect", f"TLS works, its certificate runs for {days} days")


async def shake_hands(target: Target) -> float | None:
    """
    Returns when the certificate expires, in seconds since 1970; None without TLS or verification.
    """
    await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    if target.tls == "starttls":
        return await shake_hands_with_mail(target)
    context = context_of(target) if target.tls == "implicit" else None
    _, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    try:
        return expiry(writer.get_extra_info("peercert"))
    finally:
        writer.transport.abort()


async def shake_hands_with_mail(target: Target) -> float | None:
    """Greet a mail server, start TLS, and hang up."""
    client = aiosmtplib.SMTP(
        hostname=target.host,
        port=target.port,
        timeout=CONNECT_SECONDS,
        start_tls=False,
        local_hostname="localhost",
    )
    await client.connect()
    try:
        await client.starttls(tls_context=context_of(target))
        return expiry(client.get_transport_info("peercert"))
    finally:
        client.close()


def context_of(target: Target) -> ssl.SSLContext:
    """Trusts the system's certificates and the target's own."""
    context = ssl.create_default_context()
    if target.ca is not None:
        context.load_verify_locations(target.ca)
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def expiry(certificate: Any) -> float | None:
    """``notAfter`` of a certificate as Python shows it."""
    if not certificate or "notAfter" not in certificate:
        return None
    return ssl.cert_time_to_seconds(str(certificate["notAfter"]))


async def look_at_http(settings: Settings) -> list[Finding]:
    """The public address: providers report to it, people unsubscribe at it."""
    url = settings.http.public_url
    at, parts = Subject("http", url), split_url(url)
    if parts is None or not parts.hostname:
        fix = "write https://kaskad.example.com"
        return [at.error("public_url", "it is not an address", fix)]
    if is_loopback(parts.hostname):
        if is_loopback(settings.http.listen.host):
            what = "this machine only: no provider can report receipts to it"
            return [at.fine("public_url", what)]
        fix = "write the address that the proxy in front answers to"
        what = "it is loopback, but the service listens to the network"
        return [at.warning("public_url", what, fix)]
    found = []
    if parts.scheme != "https":
        fix = "write https://, with TLS ended by a proxy in front"
        found.append(at.warning("public_url", "receipts and unsubscribe links go in clear", fix))
    return [*found, await look_at_name(at, parts.hostname)]


async def look_at_name(at: Subject, host: str) -> Finding:
    """Whether the public name leads to an address that the world can reach."""
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as problem:
        what = f"the name does not resolve: {problem.strerror}"
        return at.unreachable("public_url", what, "make a DNS record for it, or fix `public_url`")
    addresses = sorted({ipaddress.ip_address(answer[4][0]) for answer in answers}, key=str)
    what = f"it leads to {', '.join(str(address) for address in addresses)}"
    if any(address.is_global for address in addresses):
        return at.fine("public_url", what)
    fix = "publish it, or live without receipts and one-click unsubscribing"
    return at.warning("public_url", f"{what}, where no provider can reach it", fix)
