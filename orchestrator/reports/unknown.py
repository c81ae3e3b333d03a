"""Names that a report is asked for, and that neither the configuration nor any count has."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.configuration.reading import clip, suggestion

NAMES_MAX = 10


class UnknownName(LookupError):
    """
    There is no such thing, and never was; the text says how to fix it. ``kind`` is `policy`,
    `journey` or `experiment`.
    """

    def __init__(self, kind: str, name: str, known: Collection[str]) -> None:
        names = sorted(known)
        more = " …" if len(names) > NAMES_MAX else ""
        nothing = (
            "no policy has one yet: give it `experiment`"
            if kind == "experiment"
            else "none is configured yet"
        )
        listed = f"there are {', '.join(names[:NAMES_MAX])}{more}" if names else nothing
        super().__init__(f"there is no {kind} {clip(name)!r}; {suggestion(name, names, listed)}")
        self.kind = kind
