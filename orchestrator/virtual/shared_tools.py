"""Tools and rules shared by both runners in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from orchestrator.channels.registry import identities
from orchestrator.configuration.loading import Configuration
from orchestrator.core.journey.journey import Journey
from orchestrator.core.message import Message
from orchestrator.core.policy import Policy
from orchestrator.dispatch.outgoing import PublicUrls
from orchestrator.engine.rules import Rules
from orchestrator.primitives.tokens import AddressHasher, SigningKeys
from orchestrator.render.evaluator import Evaluator
from orchestrator.telemetry.metrics import Metrics

PUBLIC_URL = "https://simulated.example"
KEY = b"nothing signed in a simulation leaves it"


class SharedTools:
    """Objects that are expensive to make and never change, so several runners may share them."""

    def __init__(self) -> None:
        self.evaluate = Evaluator()
        self.address_hash = AddressHasher(KEY, identities())
        self.urls = PublicUrls(PUBLIC_URL, SigningKeys([(1, KEY, 0)]))

    @cached_property
    def metrics(self) -> Metrics:
        """Metrics that nobody reads."""
        return Metrics()


NO_JOURNEYS: Mapping[str, Journey] = {}


def rules_for(
    configuration: Configuration,
    policies: Mapping[str, Policy],
    journeys: Mapping[str, Journey] = NO_JOURNEYS,
) -> Rules:
    """A configuration's rules with other policies and journeys; nobody listens to statuses."""
    return replace(configuration.rules, policies=policies, journeys=journeys, emits_statuses=False)


def no_view(message: Message, event: Mapping[str, Any]) -> dict[str, Any]:
    """The view of a message if no status events are sent."""
    return {}
