"""The key ``replies`` of the governance file."""

from __future__ import annotations

from orchestrator.configuration.keys import Key, nested, table
from orchestrator.configuration.kinds import NAME
from orchestrator.core.policy import WordAnswers

REPLIES = nested(
    table(
        WordAnswers,
        Key("help", NAME, "The policy that answers HELP, once a day."),
        Key("stop", NAME, "The policy that confirms a STOP, once."),
    )
)
