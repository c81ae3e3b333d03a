"""Loopback ports that stay free while their server is down."""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 15_000, 32_000
"""
Below the range from which systems take the ports of outgoing connections: none of those can sit on
it meanwhile.
"""
TRIES = 200


def free_port() -> int:
    """A port that nobody listens on."""
    chance = random.SystemRandom()
    for _ in range(TRIES):
        port = chance.randint(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {LOWEST} and {HIGHEST}")
