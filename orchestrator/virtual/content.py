"""The rendered content of a step, as far as the fast runner needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.facts import Prepared
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address
from orchestrator.core.replies import Choice


@dataclass(frozen=True, slots=True)
class Content:
    """
    The part of rendered content that decisions need; ``refused`` is the reason why it could not be
    rendered.
    """

    content_hash: str = ""
    parts: int | None = None
    refused: tuple[Reason, str] | None = None
    words: Mapping[str, Any] | None = None
    """The text by part, if the runner keeps everything."""
    choices: tuple[Choice, ...] = ()

    def prepared(
        self, step: int, provider: str, targets: tuple[Address, ...], cost: str | None
    ) -> Prepared:
        what = (targets, self.content_hash, self.parts, cost)
        return Prepared(step, provider, *what, choices=self.choices)


Contents = dict[tuple[str, ...], Content]
"""
What was rendered before from one set of templates: the same event gives the same content for the
same person in every run and under every version of a policy.
"""
