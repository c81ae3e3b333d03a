"""Bugs in what is sent and in how a message ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.cascade import answers, decide
from orchestrator.core.cascade import builder as builder_module
from orchestrator.core.gates import Check, Verdict
from orchestrator.core.reasons import Reason
from orchestrator.dispatch import sends
from tests.simulation.mutations.registry import Replacement, bug


@bug()
def acceptance_counts_as_reached() -> Sequence[Replacement]:
    """An accepted message counts as delivered and read."""
    every = frozenset(("sent", "delivered", "read", "clicked", "replied"))
    return [
        (
            builder_module.DecisionBuilder,
            "states_of",
            lambda builder, attempts: every if attempts else frozenset(),
        )
    ]


@bug()
def text_of_somebody_else() -> Sequence[Replacement]:
    """Rendered content is cached by policy and channel, not by message."""
    original = vars(sends)["render"]
    kept: dict[tuple[str, str], Any] = {}

    def render(ready: Any, outside: Any, provider: Any, attempt: int, now: int) -> Any:
        key = (ready.policy.name, provider.name)
        return kept.setdefault(key, original(ready, outside, provider, attempt, now))

    return [(sends, "render", render)]


@bug()
def step_skipped() -> Sequence[Replacement]:
    """A step that fails takes the next one with it."""
    original = decide.enter_next

    def enter_next(builder: Any) -> None:
        message = builder.message
        if 0 <= message.position < len(message.sequence) - 2:
            message.position += 1
        original(builder)

    return [(decide, "enter_next", enter_next)]


@bug(seed=21)
def one_try_too_many() -> Sequence[Replacement]:
    """The first try of a provider is not counted."""
    original = answers.retry

    def retry(builder: Any, run: Any, unsent: Any) -> None:
        run.tries -= 1
        original(builder, run, unsent)
        run.tries += 1

    return [(answers, "retry", retry)]


@bug()
def everybody_has_opted_out_of_sms() -> Sequence[Replacement]:
    """A step is refused for a reason that nobody gave."""
    original = builder_module.DecisionBuilder.ask

    def ask(self: Any, run: Any) -> Check:
        if run.channel == "sms":
            return Check("consent", Verdict.SKIP, Reason.OPTED_OUT, step=run.step)
        return original(self, run)

    return [(builder_module.DecisionBuilder, "ask", ask)]


@bug()
def refused_counts_for_the_whole_message() -> Sequence[Replacement]:
    """One provider's no ends the message, though other channels are left."""
    original = answers.refused

    def refused(builder: Any, run: Any, latest: Any) -> None:
        original(builder, run, latest)
        if run.over:
            builder.message.position = len(builder.message.sequence) - 1

    return [(answers, "refused", refused)]
