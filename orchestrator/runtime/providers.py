"""A provider at work, built from its entry in the configuration."""

from __future__ import annotations

from typing import Any

from orchestrator.channels import Adapter
from orchestrator.configuration.loading import provider_facts
from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.dispatch.breakers import Breaker
from orchestrator.dispatch.provider import ActiveProvider, Cost
from orchestrator.stores.rates import Bucket


def active_provider(
    one: ProviderSettings,
    settings: Settings,
    adapter: Adapter[Any],
    bucket: Bucket | None = None,
    slots: int = 1,
) -> ActiveProvider:
    """The account ``one`` with a breaker as ``settings`` want it; without a bucket, no rate."""
    rules = settings.breaker
    breaker = (
        Breaker(rules.ratio, rules.min_requests, rules.window_ms, rules.open_for_ms)
        if rules
        else Breaker.never()
    )
    cost = Cost(one.cost.amount, one.cost.per) if one.cost is not None else None
    return ActiveProvider(provider_facts(one, settings), adapter, bucket, breaker, slots, cost)
