"""
The table of a provider's codes: what each means, at once in an answer or later in a receipt.

    ERRORS = CodeTable(address="305 351-352", opted_out="404", throttled="1 10", taken="507")

Codes are numbers or words as the provider writes them, apart by blanks; ``561-564`` is a range.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from orchestrator.channels.wire import HttpReply
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason

RANGE = re.compile(r"(\d+)-(\d+)")
CODE_CHARS_MAX = 64
REFUSALS = {
    "address": Reason.REFUSED_ADDRESS,
    "recipient": Reason.REFUSED_RECIPIENT,
    "opted_out": Reason.REFUSED_OPTED_OUT,
    "content": Reason.REFUSED_CONTENT,
    "configuration": Reason.REFUSED_CONFIGURATION,
}


@cache
def codes(text: str) -> frozenset[str]:
    """The codes in a text, ranges spelled out."""
    found: set[str] = set()
    for word in text.split():
        ends = RANGE.fullmatch(word)
        found |= {str(n) for n in range(int(ends[1]), int(ends[2]) + 1)} if ends else {word}
    return frozenset(found)


@dataclass(frozen=True, kw_only=True)
class CodeTable:
    """
    ``address`` to ``configuration`` are refusals, by whose fault they are. ``accepted`` counts only
    with the provider's id beside it. ``taken``: the provider had this very request before.
    ``throttled``: nothing was taken, try later; ``pauses`` (ms) says how much later where the
    answer does not. ``uncertain``: it may have been taken.

    ``personal`` are those of the refusals that the recipient's own number or address may have
    caused; ``suppress_after`` and ``classes`` narrow a refusal (``Refused``). Raises ``ValueError``
    for a code with two meanings.
    """

    accepted: str = ""
    address: str = ""
    recipient: str = ""
    opted_out: str = ""
    content: str = ""
    configuration: str = ""
    taken: str = ""
    throttled: str = ""
    uncertain: str = ""
    personal: str = ""
    pauses: Mapping[str, int] = field(default_factory=dict)
    suppress_after: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found: dict[str, str] = {}
        for name in (*REFUSALS, "accepted", "taken", "throttled", "uncertain"):
            for code in codes(getattr(self, name)):
                if code in found:
                    raise ValueError(f"code {code} is both {found[code]} and {name}; choose one")
                found[code] = name
        object.__setattr__(self, "meanings", found)

    def meaning(self, code: object) -> str:
        """The name of the field that has a code; empty for an unknown one."""
        return self.meanings.get(written(code) or "", "")

    def refusal(self, code: object, detail: str = "") -> Refused | None:
        """The refusal that a code is, None if it is none."""
        key = written(code) or ""
        reason = REFUSALS.get(self.meanings.get(key, ""))
        if reason is None:
            return None
        after, classes = self.suppress_after.get(key, 1), self.classes.get(key, ())
        return Refused(reason, key, detail, after, classes, personal=key in codes(self.personal))

    def outcome(
        self, code: object, reply: HttpReply, detail: str = "", provider_id: str | None = None
    ) -> Outcome | None:
        """What an answer with this code means, None for an unknown one."""
        key, meaning = written(code), self.meaning(code)
        if meaning == "accepted":
            return Accepted(provider_id) if provider_id is not None else None
        if meaning == "taken":
            return Accepted(provider_id, duplicate=True)
        if meaning == "throttled":
            pause = reply.retry_after_ms
            return NotSent(
                Reason.THROTTLED,
                self.pauses.get(key or "") if pause is None else pause,
                key,
                detail,
            )
        if meaning == "uncertain":
            return Unknown(Reason.SERVER_ERROR, key, detail)
        return self.refusal(code, detail)


def written(code: object) -> str | None:
    """A code as it stands in a table, None for what can be none."""
    if isinstance(code, int) and not isinstance(code, bool) and abs(code) < 10**9:
        return str(code)
    if isinstance(code, str) and code.isascii() and 0 < len(code) <= CODE_CHARS_MAX:
        return code if code.isprintable() else None
    return None
