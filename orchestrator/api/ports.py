"""The HTTP layer's connections to the rest of the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from orchestrator.channels import Adapter
from orchestrator.configuration.effective import EffectiveConfiguration
from orchestrator.configuration.settings import Settings
from orchestrator.engine.engine import Engine
from orchestrator.primitives.tokens import SigningKeys
from orchestrator.stores.port import Store
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.tracing import Tracing


@dataclass(frozen=True)
class ApiDeps:
    """
    ``adapters`` by provider, with their channel; ``reload`` takes who asks and returns what was
    wrong, and ``left_open`` then how many attempts of each provider that is gone are open;
    ``rotated`` is called after a new signing key was stored; ``effective`` is the configuration in
    force, without secrets; ``now`` is UTC milliseconds.
    """

    engine: Engine
    reader: Store
    keys: SigningKeys
    adapters: Callable[[], Mapping[str, tuple[Adapter[Any], str]]]
    settings: Callable[[], Settings]
    auth: str
    metrics: Metrics
    now: Callable[[], int]
    new_id: Callable[[], str]
    is_ready: Callable[[], bool]
    reload: Callable[[str], Awaitable[list[str]]]
    rotated: Callable[[], Awaitable[None]]
    address_hash: Callable[[str, str], str]
    effective: Callable[[], EffectiveConfiguration]
    left_open: Callable[[], Mapping[str, int]] = dict
    tracing: Tracing | None = None


DEPS: web.AppKey[ApiDeps] = web.AppKey("deps", ApiDeps)
"""Where handlers find them: ``request.app[DEPS]``."""
