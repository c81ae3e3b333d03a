"""
The ground truth of one run: what was asked of the service and when it said yes, what became
durable, and what the providers really got.

Everything is noted in one order, which is finer than time: in virtual time many things happen at
the same instant, and "the opt-out was acknowledged before the intent was committed" must still have
an answer. Checkers read this and the policies, and nothing of the code under test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Moment:
    """
    ``order`` is the place in the one order, ``at`` virtual seconds, ``wall`` what the clock shows
    (ms).
    """

    order: int
    at: float
    wall: int


@dataclass(slots=True)
class Write:
    """
    One request that reached a provider. ``reference`` is the client reference on the wire,
    ``answer`` what the provider does with it: ``taken``, ``taken_silently`` (no clear answer
    follows), ``lost`` (neither taken nor answered clearly) or ``refused`` (clearly not taken).
    ``text`` is all that it says.
    """

    moment: Moment
    provider: str
    channel: str
    reference: str
    address: str
    answer: str
    provider_id: str
    text: str

    @property
    def accepted(self) -> bool:
        return self.answer in ("taken", "taken_silently")


@dataclass(frozen=True, slots=True)
class Committed:
    """
    The durable part of one message in a commit: its status, its flags, and how many attempts it
    has.
    """

    moment: Moment
    message: str
    status: str
    flags: tuple[str, ...]
    attempts: int
    created: bool


@dataclass(slots=True)
class Hook:
    """
    A webhook: what it says of which write (None: of no message), and when the service took it over.
    """

    sent: Moment
    provider: str
    state: str
    write: Write | None
    answered: Moment | None = None


@dataclass(slots=True)
class Deed:
    """
    Something the outside world asked for: ``kind`` is publish, opt_out, opt_in, cancel, erase,
    put, pause or resume; ``what`` its content.

    ``tried`` is when it was first handed over, ``answered`` when the service first said that it is
    done.
    """

    kind: str
    what: Mapping[str, Any]
    tried: Moment | None = None
    answered: Moment | None = None
    result: Any = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story."""

    moment: Moment
    kind: str
    text: str

    def __str__(self) -> str:
        seconds = self.moment.at
        hours, minutes = int(seconds // 3600), int(seconds % 3600 // 60)
        return f"{hours:3d}:{minutes:02d}:{seconds % 60:06.3f}  {self.kind:<12} {self.text}"


@dataclass(slots=True)
class Ledger:
    """``now`` gives the two clocks: virtual seconds, and the wall clock in ms."""

    now: Callable[[], tuple[float, int]]
    lines: list[Line] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    commits: list[Committed] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    jumps: list[Moment] = field(default_factory=list)
    breaks: list[tuple[float, float]] = field(default_factory=list)
    """Spans of virtual seconds in which the service was down, frozen or could not commit."""
    reloads: list[tuple[Moment, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """Unexpected errors that the service logged."""
    names: dict[str, str] = field(default_factory=dict)

    def known(self, message: str) -> bool:
        """Whether a message was named before."""
        return message in self.names

    def alias(self, message: str) -> str:
        """A short name for a message: m1, m2, … in the order in which they were first named."""
        return self.names.setdefault(message, f"m{len(self.names) + 1}")

    def note(self, kind: str, text: str) -> Moment:
        """Write one line of the story; the moment it happened."""
        at, wall = self.now()
        moment = Moment(len(self.lines), at, wall)
        self.lines.append(Line(moment, kind, text))
        return moment

    def trace(self) -> str:
        """A hash of everything that happened, in its order and with its times."""
        digest = hashlib.sha256()
        for line in self.lines:
            digest.update(
                f"{line.moment.at:.6f} {line.moment.wall} {line.kind} {line.text}\n".encode()
            )
        return digest.hexdigest()
