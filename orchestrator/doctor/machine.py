"""
The process's own needs: ports, file descriptors, time zones, a strong signing key, secrets that
stay secret.
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
from orchestrator.configuration.settings import ListenAddress, Settings
from orchestrator.configuration.yaml_file import Node
from orchestrator.doctor.findings import Finding, Subject

DESCRIPTORS = Subject("process", "RLIMIT_NOFILE")
ZONES = Subject("process", "tzdata")
DESCRIPTORS_SPARE = 512
ZONES_LEAST = 300
KEY_BITS_WARNING, KEY_BITS_ERROR = 100, 56
PROBE_SECONDS = 2.0


async def look_at_machine(settings: Settings) -> list[Finding]:
    """Everything about this machine and this user."""
    return [
        await look_at_port(settings.http.listen, "listen"),
        await look_at_port(settings.http.admin, "admin"),
        descriptors(settings),
        time_zones(),
        signing_key(settings),
        *secret_files(settings),
    ]


async def look_at_port(place: ListenAddress, name: str) -> Finding:
    """Whether we could listen there, or already do."""
    at = Subject("http", f"http.{name} {place}")
    try:
        families = await asyncio.get_running_loop().getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM
        )
        with socket.socket(families[0][0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(families[0][4])
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE and await is_ours(place):
            return at.fine("port", "the service is running there")
        fix = "stop the process that has it (ss -ltnp), or name another port"
        if problem.errno == errno.EACCES:
            fix = "name a port above 1023, and let a proxy have 443"
        elif problem.errno == errno.EADDRNOTAVAIL or isinstance(problem, socket.gaierror):
            fix = "name an address of this machine, or 0.0.0.0 for all of them"
        return at.error("port", f"cannot listen: {problem.strerror}", fix)
    return at.fine("port", "free")


async def is_ours(place: ListenAddress) -> bool:
    """Whether a Kaskad answers there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place.host, place.host)
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{ListenAddress(host, place.port)}/livez") as answer,
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
        return DESCRIPTORS.warning("descriptors", what, fix)
    return DESCRIPTORS.fine("descriptors", what)


def time_zones() -> Finding:
    """Quiet hours need the rules of every zone that a recipient may live in."""
    known = len(zoneinfo.available_timezones())
    what = f"{known} time zones are known, {ZONES_LEAST} are expected"
    return ZONES.expect("time_zones", known >= ZONES_LEAST, what, "pip install tzdata")


def signing_key(settings: Settings) -> Finding:
    """A configured key must be as hard to guess as one that we would make."""
    if settings.signing_key is None:
        return Subject("process", "store").fine("signing_key", "the store keeps it")
    at, bits = (
        Subject("process", "signing_key"),
        entropy_bits(settings.signing_key.get_secret_value()),
    )
    if bits >= KEY_BITS_WARNING:
        return at.fine("signing_key", "long and varied enough")
    what = f"about {bits:.0f} bits: an attacker who guesses it can forge links and references"
    make = at.error if bits < KEY_BITS_ERROR else at.warning
    return make("signing_key", what, "make one with: openssl rand -base64 32")


def entropy_bits(text: str) -> float:
    """
    The bits that the frequencies of its characters allow for: too few for short random keys, too
    many for sentences.
    """
    counts = Counter(text).values()
    return -sum(count * math.log2(count / len(text)) for count in counts)


def secret_files(settings: Settings) -> Iterator[Finding]:
    """Files behind ``${file:…}``: nobody outside the owner and the group should read them."""
    base = settings.path.parent
    names = dict.fromkeys(file_references(settings.written)) if settings.written is not None else ()
    for name in names:
        path = base / name
        at = Subject("process", str(path))
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # that it cannot be read is a finding of the configuration already
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            what = f"mode {mode:04o}: others may read or change a secret"
            fix = f"chmod 0440 {path} (Kubernetes: defaultMode: 0440)"
            yield at.warning("secret_file", what, fix)
        else:
            yield at.fine("secret_file", f"mode {mode:04o}")


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
