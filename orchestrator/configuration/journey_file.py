"""
Journeys from YAML: one a file, checked, versioned, and written back as JSON for the store.

    config/journeys/trek_running.yaml ──► JourneyFile(journey, path, raw, root)

A journey's ``version`` is the first 12 hex characters of a SHA-256 over its canonical data, so that
comments and spelling don't count. The policies that it sends have versions of their own.
``*.test.yaml`` beside a journey holds its tests and is never loaded as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.configuration.journey_keys import JOURNEY
from orchestrator.configuration.keys import read
from orchestrator.configuration.policy_file import (
    TEST_SUFFIX,
    content_version,
    kind_of,
    read_mapping,
)
from orchestrator.configuration.reading import Report, Section, place
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.journey.journey import Journey
from orchestrator.core.values import replace


@dataclass(frozen=True, slots=True)
class JourneyFile:
    """A journey with the text it was read from; ``root`` knows the place of every key."""

    journey: Journey
    path: Path
    raw: str
    root: Node


def journey_files(directory: Path) -> list[Path]:
    """The journey files of a directory, by name; none if there is no such directory."""
    return sorted(path for path in directory.glob("*.yaml") if kind_of(path) == "policy")


def read_journeys(directory: Path, report: Report) -> dict[str, JourneyFile]:
    """Every journey of a directory that could be read; all problems go to ``report``."""
    files: dict[str, JourneyFile] = {}
    for path in journey_files(directory):
        file = parse_journey(path, report)
        if file is None:
            continue
        name = file.journey.name
        if name in files:
            what = f"the journey {name!r} is also in {files[name].path.name}"
            report.error(place(file.root, "journey"), what, "give one of them another name")
            continue
        files[name] = file
    return files


def parse_journey(path: Path, report: Report) -> JourneyFile | None:
    """
    One journey file as far as it can be read; None if it is not even a mapping. Problems go to
    ``report``.
    """
    found = read_mapping(path, report, "journey", "write `journey:`, `enter:` and `steps:`")
    if found is None:
        return None
    raw, root = found
    mismatch = other_content(root)
    if mismatch is not None:
        report.error(root.position, *mismatch)
        return None
    journey = read(JOURNEY, Section(root, report, "the journey"))
    assert journey is not None
    return JourneyFile(replace(journey, version=journey_version(journey)), path, raw, root)


def other_content(root: Node) -> tuple[str, str] | None:
    """What a mapping is that was put where journeys stand, and where it belongs."""
    keys = set(root.value)
    if keys & {"enter", "steps"}:
        return None
    if keys & {"trigger", "cascade"}:
        return "the file holds a policy, not a journey", "move it to the directory of policies"
    if "tests" in keys:
        what = f"the file holds tests, and its name does not end in {TEST_SUFFIX}"
        return what, f"rename it to <journey>{TEST_SUFFIX}"
    return None


def journey_version(journey: Journey) -> str:
    """The content hash (12 hex characters) of a journey."""
    return content_version(journey_to_document(replace(journey, version="")))


def journey_to_document(journey: Journey) -> dict[str, Any]:
    """The journey as JSON types, for the store; ``journey_from_document`` reads it back."""
    document: dict[str, Any] = msgspec.to_builtins(journey)
    return document


def journey_from_document(document: dict[str, Any]) -> Journey:
    """
    The journey that ``journey_to_document`` wrote; fields that an older version did not write get
    their defaults.
    """
    return msgspec.convert(document, Journey)
