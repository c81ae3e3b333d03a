"""
A channel as one value that has all its properties; no code outside this package names a channel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from orchestrator.channels.address_kinds import AddressKind
from orchestrator.core.replies import CHOICES_MAX, fold

Part = Literal["subject", "title", "text", "html", "yaml"]
PARTS: tuple[str, ...] = get_args(Part)
"""The template parts that a channel can choose from."""
CHOICE_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
TITLE_CHARS_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """
    The ``yaml`` part of a channel: its keys, which of them are URLs (``button.url``), and what is
    wrong with one (None: nothing).
    """

    keys: frozenset[str]
    urls: tuple[str, ...] = ()
    problem: Callable[[Mapping[str, Any]], str | None] = lambda found: None


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How often something happens, and how long after what it follows from (seconds)."""

    share: float
    median_seconds: float
    p95_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """
    How providers and people behave on a channel, for simulations that were given nothing better.
    ``dead``, ``refused`` and ``lost`` are shares of what is sent: a dead address, a recipient the
    provider refuses, an answer that is lost.
    """

    dead: float = 0
    refused: float = 0
    lost: float = 0
    delivered: Likelihood | None = None
    failed: Likelihood | None = None
    read: Likelihood | None = None
    clicked: Likelihood | None = None


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One channel. Register it under the entry-point group ``kaskad.channels``, by its name."""

    name: str
    parts: tuple[str, ...]
    """The template parts it can have, some of ``PARTS``, in the order they are rendered in."""
    needed: tuple[tuple[str, ...], ...] = ()
    """Parts without which nothing can be sent; of each inner tuple one is enough."""
    addresses: tuple[AddressKind, ...]
    """The kinds of address that its adapters can use."""
    way: Mapping[str, str] = field(default_factory=dict)
    """How its messages come, for the pages that recipients see: ``{"en": "by email"}``."""
    structure: Structure | None = None
    """What its ``yaml`` part may say."""
    fan_out: bool = False
    """A step goes to every usable address of the recipient, not only to the first."""
    inbox: bool = False
    """What is sent becomes an item of the recipient's inbox in this installation's store."""
    two_way: bool = False
    """Recipients can answer: replies are matched to what was last sent to them here."""
    linkable: bool = False
    """An adapter can make links by which recipients connect it (``Adapter.link``)."""
    receipts_from: Literal["provider", "device"] = "provider"
    """Who reports: the provider's webhooks, or the recipient's device with a signed token."""
    counts_parts: bool = False
    """A text is sent, and billed, in SMS parts."""
    country_rule: bool = False
    """``sms_countries`` says to which countries it may go."""
    otp_limits: bool = False
    """One-time codes count against the velocity limits."""
    one_click: bool = False
    """Its messages carry a one-click unsubscribe header, which needs a public https address."""
    choices: Literal["", "lines", "links", "actions"] = ""
    """
    How a question's choices are shown if the adapter draws no buttons: as numbered lines of the
    text, links of a mail, actions of a notification. "": there are no questions.
    """
    choices_max: int = CHOICES_MAX
    session_ms: int = 0
    """A message from the recipient opens a session of this length; 0: there are none."""
    assumed: Assumed = Assumed()

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The names of its address kinds."""
        return tuple(kind.name for kind in self.addresses)

    def lacking(self, present: Mapping[str, Any]) -> tuple[str, ...] | None:
        """The first alternatives of ``needed`` of which none is present, None if none lacks."""
        for choices in self.needed:
            if not any(choice in present for choice in choices):
                return choices
        return None

    def structure_problem(self, found: Any) -> str | None:
        """What is wrong with a ``yaml`` part, None if nothing is."""
        if not isinstance(found, Mapping):
            return "the YAML part is not a mapping"
        structure = self.structure or Structure(keys=frozenset())
        keys = structure.keys | {"choices"} if self.choices else structure.keys
        unknown = sorted(set(map(str, found)) - keys)
        if unknown:
            known = ", ".join(sorted(keys))
            return f"{self.name}.yaml has no key {unknown[0]!r}; it has {known}"
        wrong = choices_problem(found["choices"], self.choices_max) if "choices" in found else None
        return wrong or structure.problem(found)


def choices_problem(choices: Any, most: int) -> str | None:
    """What is wrong with the choices of a question, None if nothing is."""
    if not isinstance(choices, list) or not 1 <= len(choices) <= most:
        return f"choices must be a list of 1 to {most}"
    ids: set[str] = set()
    titles: set[str] = set()
    for choice in choices:
        if not isinstance(choice, Mapping) or set(choice) != {"id", "title"}:
            return 'a choice must be {id: "…", title: "…"}'
        id, title = choice["id"], choice["title"]
        if isinstance(id, bool) or not CHOICE_ID.fullmatch(str(id)):
            return "a choice's id must be 1 to 32 of A-Z a-z 0-9 _ . -"
        title = str(title) if isinstance(title, int) and not isinstance(title, bool) else title
        if not isinstance(title, str) or not title.strip() or len(title) > TITLE_CHARS_MAX:
            return f"a choice's title must be a text of at most {TITLE_CHARS_MAX} characters"
        if str(id).casefold() in ids or fold(title) in titles:
            return "choices must differ in their ids and in their titles"
        ids.add(str(id).casefold())
        titles.add(fold(title))
    return None
