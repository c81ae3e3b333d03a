"""
What the process itself needs: ports, file descriptors, time zones, a strong signing key, secrets
that stay secret.
"""

from __future__ import annotations

import asyncio
import errno
import math
import resource
import socket
import stat
import zoneinfo
from collections import Counter
from collections.abc import Iterator

import aiohttp

from orchestrator.configuration.references import REFERENCE
from orchestrator.configuration.settings import Address, Settings
from orchestrator.configuration.yaml_file import Node
from orchestrator.doctor.findings import Finding, error, fine, warning

AREA = "process"
DESCRIPTORS_SPARE = 512
ZONES_LEAST = 300
KEY_BITS_WARNING, KEY_BITS_ERROR = 100, 56
PROBE_SECONDS = 2.0


async def look_at_machine(settings: Settings) -> list[Finding]:
    """Everything about this machine and this user."""
    ports = [
        await look_at_port(settings.http.listen, "listen"),
        await look_at_port(settings.http.admin, "admin"),
    ]
    return [
        *ports,
        descriptors(settings),
        time_zones(),
        *signing_key(settings),
        *secret_files(settings),
    ]


async def look_at_port(place: Address, name: str) -> Finding:
    """Whether we could listen there, or already do."""
    where = f"http.{name} {place}"
    try:
        families = await asyncio.get_running_loop().getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM
        )
        with socket.socket(families[0][0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(families[0][4])
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE and await is_ours(place):
            return fine("http", "port", where, "the service is running there")
        fix = "stop what has it (ss -ltnp), or name another port"
        if problem.errno == errno.EACCES:
            fix = "name a port above 1023, and let a proxy have 443"
        elif problem.errno == errno.EADDRNOTAVAIL or isinstance(problem, socket.gaierror):
            fix = "name an address of this machine, or 0.0.0.0 for all of them"
        return error("http", "port", where, f"cannot listen: {problem.strerror}", fix)
    return fine("http", "port", where, "free")


async def is_ours(place: Address) -> bool:
    """Whether a Kaskad answers there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place.host, place.host)
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{Address(host, place.port)}/livez") as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def descriptors(settings: Settings) -> Finding:
    """Files and sockets that the process may have open."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sum(one.connections for one in settings.providers.values()) + DESCRIPTORS_SPARE
    what = f"{allowed} may be open, {wanted} may be wanted"
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        fix = f"ulimit -n {max(65_536, wanted)}, LimitNOFILE= of systemd, or fewer `connections`"
        return warning(AREA, "descriptors", "RLIMIT_NOFILE", what, fix)
    return fine(AREA, "descriptors", "RLIMIT_NOFILE", what)


def time_zones() -> Finding:
    """Quiet hours need the rules of every zone that a recipient may live in."""
    known = len(zoneinfo.available_timezones())
    if known < ZONES_LEAST:
        return error(
            AREA, "time_zones", "tzdata", f"only {known} time zones are known", "pip install tzdata"
        )
    return fine(AREA, "time_zones", "tzdata", f"{known} time zones are known")


def signing_key(settings: Settings) -> list[Finding]:
    """A key of one's own must be as hard to guess as one that we would make."""
    if settings.signing_key is None:
        return [fine(AREA, "signing_key", "store", "made at the first start and kept in the store")]
    bits = entropy_bits(settings.signing_key.get_secret_value())
    what = (
        f"it looks like {bits:.0f} bits: links and references can be forged by whoever guesses it"
    )
    fix = "make one with: openssl rand -base64 32"
    if bits < KEY_BITS_ERROR:
        return [error(AREA, "signing_key", "signing_key", what, fix)]
    if bits < KEY_BITS_WARNING:
        return [warning(AREA, "signing_key", "signing_key", what, fix)]
    return [fine(AREA, "signing_key", "signing_key", "long and varied enough")]


def entropy_bits(text: str) -> float:
    """
    What the frequencies of its characters allow for: too little for short random keys, too much for
    sentences.
    """
    counts = Counter(text).values()
    return -sum(count * math.log2(count / len(text)) for count in counts)


def secret_files(settings: Settings) -> Iterator[Finding]:
    """Files behind ``${file:…}``: nobody outside the owner and the group should read them."""
    base = settings.path.parent
    names = dict.fromkeys(file_references(settings.written)) if settings.written is not None else ()
    for name in names:
        path = base / name
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # that it cannot be read is a finding of the configuration already
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            what = f"mode {mode:04o}: others may read or change a secret"
            yield warning(
                AREA,
                "secret_file",
                str(path),
                what,
                f"chmod 0440 {path} (Kubernetes: defaultMode: 0440)",
            )
        else:
            yield fine(AREA, "secret_file", str(path), f"mode {mode:04o}")


def file_references(node: Node) -> Iterator[str]:
    """The path of every ``${file:…}`` in a tree, as written."""
    if node.kind == "map":
        for child in node.value.values():
            yield from file_references(child)
    elif node.kind == "list":
        for child in node.value:
            yield from file_references(child)
    elif node.kind == "str":
        for reference in REFERENCE.findall(node.text):
            kind, _, name = reference.partition(":")
            if kind == "file":
                yield name
