"""
Sample events: what the tests of policies give their policies, and an ``event.json`` of the project.

They are read roughly, and what is wrong in a test file is reported elsewhere: here it is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.channels.registry import address_fields
from orchestrator.configuration.policy_file import test_files
from orchestrator.configuration.reading import find
from orchestrator.configuration.yaml_file import ConfigError, Node, load

EVENT_FILES = ("event.json", "events.json", "config/event.json")
PERSON: Mapping[str, Any] = {
    "id": "user-42",
    "first_name": "Олена",
    "last_name": "Коваль",
    "gender": "female",
    "locale": "uk-UA",
    "time_zone": "Europe/Kyiv",
    **{name: kind.sample(1) for name, kind in address_fields().items() if not kind.several},
}


@dataclass
class Samples:
    """``by_policy`` has the data of events; ``people`` every key that a test's recipient has."""

    by_policy: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    by_type: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)

    def of(self, policy: str, event: str) -> list[dict[str, Any]]:
        """The sample events of a policy whose trigger is of this type."""
        return [*self.by_policy.get(policy, ()), *self.by_type.get(event, ())]


def read_samples(folders: Sequence[Path], project: Path) -> Samples:
    """The samples beside the policies and journeys, and in the project's own event file."""
    samples = Samples()
    for path in (path for folder in folders for path in test_files(folder)):
        try:
            root = load(path)
        except ConfigError:
            continue
        named = find(root, "policy") or find(root, "journey")
        if named is not None:
            found = [one for one in events_of(root) if one]
            samples.by_policy.setdefault(named.text, []).extend(found)
        samples.people.update(people_of(root))
    for name in EVENT_FILES:
        for type, data in written_events(project / name):
            samples.by_type.setdefault(type, []).append(data)
    return samples


def givens(root: Node) -> Iterator[Node | None]:
    """What the file gives, then what each test gives."""
    yield find(root, "given")
    tests = find(root, "tests")
    for test in tests.value if tests is not None and tests.kind == "list" else ():
        yield find(test, "given")


def plain_map(node: Node | None) -> dict[str, Any]:
    found = node.plain() if node is not None and node.kind == "map" else {}
    return dict(found)


def events_of(root: Node) -> Iterator[dict[str, Any]]:
    """The event of each test, over that of the file."""
    shared, *own = (plain_map(find(given, "event")) for given in givens(root))
    for event in own or [{}]:
        yield {**shared, **event}


def people_of(root: Node) -> set[str]:
    """Every key that a recipient of the tests has."""
    return {key for given in givens(root) for key in plain_map(find(given, "recipient"))}


def written_events(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Type and data of the CloudEvents in a JSON file; nothing of a file that holds none."""
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return
    for one in found if isinstance(found, list) else [found]:
        data = one.get("data") if isinstance(one, dict) else None
        if isinstance(data, dict) and isinstance(one.get("type"), str):
            yield one["type"], {key: data[key] for key in data if key != "recipient"}


def has_path(value: Any, path: tuple[str | int, ...]) -> bool:
    """Whether data has something at a path; any element of a list will do."""
    if not path:
        return True
    if isinstance(value, list):
        rest = path[1:] if path[0] == "[]" else path
        return not value or any(has_path(one, rest) for one in value)
    if isinstance(value, dict):
        return path[0] in value and has_path(value[str(path[0])], path[1:])
    return False


def names_at(values: list[Any], path: tuple[str | int, ...]) -> set[str]:
    """The keys that some of the values have at a path."""
    for key in path:
        below: list[Any] = []
        for value in values:
            if isinstance(value, dict) and key in value:
                below.append(value[str(key)])
            elif isinstance(value, list):
                below += value if key == "[]" else []
        values = below
    return {key for value in values if isinstance(value, dict) for key in value}
