"""
The policy that every installation has without writing it: what an agent or a bot answers within a
session (``POST /v1/recipients/{id}/messages``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from orchestrator.channels.registry import channels
from orchestrator.core.policy import CONVERSATION, CONVERSATIONAL, Policy, Step

TEXT = "{{ event.text }}\n"
SUBJECTS = {"": "Our answer", "uk": "Наша відповідь"}
DIGEST_CHARS = 16


def conversation_policy(configured: Iterable[str]) -> Policy | None:
    """A step for each configured channel on which people can answer; None if there is none."""
    names = [name for name in configured if channels()[name].session_ms]
    if not names:
        return None
    steps = tuple(Step(name) for name in names)
    whole = repr((steps, conversation_templates(names)))
    return Policy(
        name=CONVERSATION,
        version=hashlib.sha256(whole.encode()).hexdigest()[:DIGEST_CHARS],
        event="",
        cascade=steps,
        message_class=CONVERSATIONAL,
        topic=CONVERSATION,
        template=CONVERSATION,
    )


def conversation_templates(names: Iterable[str]) -> Mapping[str, str]:
    """Its templates by file name: the text as it was given, and a subject where one is needed."""
    found: dict[str, str] = {}
    for name in names:
        parts = channels()[name].parts
        if "text" in parts:
            found[f"{name}.text.j2"] = TEXT
        if "subject" in parts:
            for locale, words in SUBJECTS.items():
                found[f"{name}.{locale + '.' if locale else ''}subject.j2"] = words
    return found
