"""
The policy a message was decided by, beside today's: its text as it was, and every value that has
changed since.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.primitives.durations import duration

GONE = "—"


def policy_view(
    name: str,
    version: str,
    then: Mapping[str, Any] | None,
    now: Mapping[str, Any] | None,
    version_now: str | None,
) -> dict[str, Any]:
    """
    ``then`` and ``now`` are stored versions (``{"policy", "raw", "templates"}``), None where there
    is none. ``differs`` is None where it cannot be said.
    """
    same = version == version_now
    found: list[dict[str, str]] = []
    text_diff: list[str] = []
    if then is not None and now is not None and not same:
        found = [
            *differences(then["policy"], now["policy"]),
            *template_differences(then["templates"], now["templates"]),
        ]
        text_diff = list(
            text_differences(str(then["raw"]), str(now["raw"]), version, str(version_now))
        )
    return {
        "name": name,
        "version": version,
        "text": str(then["raw"]) if then is not None else None,
        "version_today": version_now,
        "differs": not same,
        "words": words(name, version, then, version_now),
        "differences": found,
        "diff": text_diff,
    }


def words(name: str, version: str, then: Mapping[str, Any] | None, version_now: str | None) -> str:
    if version_now is None:
        today = "and there is no such policy any more"
    elif version == version_now:
        today = "which is still today's"
    else:
        today = f"and today's is another, version {version_now}"
    kept = "" if then is not None else "; the store no longer keeps its text"
    return f"The policy {name} decided in version {version}, {today}{kept}."


def differences(then: Any, now: Any, where: str = "") -> Iterator[dict[str, str]]:
    """
    Every place at which two documents differ, in the order of the first one's keys; versions do not
    count.
    """
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*then, *now]):
            if (where, key) == ("", "version"):
                continue
            yield from differences(
                then.get(key), now.get(key), f"{where}.{key}" if where else str(key)
            )
    elif isinstance(then, list) and isinstance(now, list) and not (is_pair(then) or is_pair(now)):
        for index in range(max(len(then), len(now))):
            old = then[index] if index < len(then) else None
            new = now[index] if index < len(now) else None
            yield from differences(old, new, f"{where}[{index}]")
    elif then != now:
        yield {
            "where": where.removesuffix("_ms"),
            "then": shown(where, then),
            "now": shown(where, now),
        }


def is_pair(value: list[Any]) -> bool:
    """A wait: ``[state, ms]``."""
    return len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def shown(where: str, value: Any) -> str:
    """A value as a policy's author writes it."""
    if value is None:
        return GONE
    if where.endswith("_ms") and isinstance(value, int):
        return duration(value)
    if isinstance(value, list) and is_pair(value):
        return f"{value[0]}: {duration(value[1])}"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key}: {shown(str(key), inner)}"
            for key, inner in value.items()
            if inner not in (None, [], "")
        )
    if isinstance(value, list):
        return ", ".join(shown("", inner) for inner in value) or GONE
    return str(value)


def template_differences(
    then: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[dict[str, str]]:
    """Template files that came, went or changed."""
    old = {
        f"templates/{name}/{file}": text
        for name, files in then.items()
        for file, text in files.items()
    }
    new = {
        f"templates/{name}/{file}": text
        for name, files in now.items()
        for file, text in files.items()
    }
    for file in sorted({*old, *new}):
        if old.get(file) != new.get(file):
            was, is_now = ("another text" if file in side else GONE for side in (old, new))
            yield {"where": file, "then": was, "now": is_now}


def text_differences(then: str, now: str, version: str, version_now: str) -> Iterator[str]:
    lines = difflib.unified_diff(
        then.splitlines(), now.splitlines(), version, version_now, lineterm="", n=2
    )
    return iter(lines)
