"""Files and folders beside what is read: misnamed, misplaced, or not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.channels.registry import channels
from orchestrator.configuration.policy_file import TEST_SUFFIX, kind_of
from orchestrator.configuration.reading import Report, listed, suggestion
from orchestrator.configuration.scalars import meant
from orchestrator.configuration.settings import Settings
from orchestrator.configuration.store_settings import databases_beside
from orchestrator.configuration.yaml_file import Position
from orchestrator.render.file_names import name_meant

YAML_LIKE = re.compile(r"\.ya?ml\b", re.IGNORECASE)
TEST_LIKE = re.compile(r"[._-]tests?\.|^test[_-]", re.IGNORECASE)
LEFTOVERS = (".bak", ".orig", ".rej", ".swp", ".tmp", "~")
NOT_READ = "this file is not read"


def visible(directory: Path, pattern: str = "*") -> Iterator[Path]:
    """Files that people mean: none that are hidden, or that editors leave."""
    for path in sorted(directory.glob(pattern)):
        hidden = any(part.startswith((".", "#")) for part in path.relative_to(directory).parts)
        if path.is_file() and not hidden and not path.name.endswith(LEFTOVERS):
            yield path


def look_beside(settings: Settings, report: Report) -> None:
    """Warn of files that nobody reads, and of a store that may be another one."""
    if settings.policies.is_dir():
        look_beside_policies(settings.policies, report)
    if settings.journeys.is_dir():
        look_beside_journeys(settings.journeys, report)
    if settings.templates.is_dir():
        look_beside_templates(settings.templates, report)
    path = settings.store.path
    if path is not None and (there := databases_beside(path)):
        written = settings.written.keys if settings.written is not None else {}
        what = f"there is no {path.name} yet, and {listed(there)} beside it: a new one knows no"
        what += " opt-outs"
        fix = (
            f"{suggestion(path.name, there, 'name the right file')} or: kaskad migrate up --create"
        )
        position = written.get("store", Position(str(settings.path), 1, 1))
        report.warn(position, what, fix)


def missing_folder(settings: Settings, key: str, path: Path, report: Report) -> None:
    """Report a folder that is not there, where it is named if it is named."""
    written = settings.written.keys if settings.written is not None else {}
    beside = path.parent
    there = [one.name for one in beside.glob("*/")] if beside.is_dir() else []
    near = meant(path.name, [one for one in there if one != path.name])
    above = (path.parent.parent / path.name) if path.parent == settings.path.parent else None
    fix = f"make it, or say under `{key}` where they are"
    if near is not None:
        fix = f"did you mean {near!r}?"
    elif above is not None and above.is_dir():
        fix = f"did you mean '../{above.name}'?"
    position = written.get(key, Position(str(path), 1, 1))
    report.error(position, f"there is no such directory of {key}: {path}", fix)


def look_beside_policies(directory: Path, report: Report) -> None:
    """Warn of files that look like policies and are none, and of a directory without any."""
    for path in visible(directory, "**/*"):
        position = Position(str(path), 1, 1)
        if path.parent != directory:
            if path.suffix in (".yaml", ".yml") and not path.name.endswith(TEST_SUFFIX):
                what = f"{NOT_READ}, because it is in a folder below the policies"
                report.warn(position, what, f"move it to policies/{path.name}")
            continue
        if path.suffix == ".yaml":
            continue
        stem = YAML_LIKE.split(path.name)[0]
        if TEST_LIKE.search(path.name):
            name = re.sub(r"^test[_-]|[._-]tests?$", "", stem, flags=re.IGNORECASE)
            what = f"{NOT_READ}, because tests end in {TEST_SUFFIX}"
            report.warn(position, what, f"rename it to {name}{TEST_SUFFIX}")
        elif YAML_LIKE.search(path.name) or looks_like_policy(path):
            ending = path.name.removeprefix(stem) or "nothing"
            what = f"{NOT_READ}, because it ends in {ending}"
            report.warn(position, what, f"rename it to {stem}.yaml")
    if not any(kind_of(path) == "policy" for path in directory.glob("*.yaml")):
        fix = "write one: policies/order_shipped.yaml"
        if not any(NOT_READ in one.what for one in report.problems):
            report.warn(Position(str(directory), 1, 1), "there is no policy here", fix)


def look_beside_journeys(directory: Path, report: Report) -> None:
    """Warn of files that look like journeys, or tests of them, and are not read."""
    for path in visible(directory, "**/*"):
        position = Position(str(path), 1, 1)
        if path.parent != directory and path.suffix in (".yaml", ".yml"):
            what = f"{NOT_READ}, because it is in a folder below the journeys"
            report.warn(position, what, f"move it to {directory.name}/{path.name}")
        elif path.suffix != ".yaml" and YAML_LIKE.search(path.name):
            stem = YAML_LIKE.split(path.name)[0]
            ending = path.name.removeprefix(stem)
            what = f"{NOT_READ}, because it ends in {ending}"
            report.warn(position, what, f"rename it to {stem}.yaml")


def looks_like_policy(path: Path) -> bool:
    """Whether a file without a known ending begins like a policy."""
    if path.suffix:
        return False
    with path.open("rb") as file:
        head = file.read(4096)
    return b"policy:" in head and (b"trigger:" in head or b"tests:" in head)


def look_beside_templates(directory: Path, report: Report) -> None:
    """Warn of files that look like parts of a template and are none."""
    for path in visible(directory, "**/*"):
        position = Position(str(path), 1, 1)
        below = path.relative_to(directory).parts
        first = path.name.partition(".")[0]
        name = name_meant(path.name)
        if name is None or meant(first, channels()) is None or "." not in path.name:
            continue
        if len(below) == 1:
            what = f"{NOT_READ}, because it is in no template's folder"
            report.warn(position, what, f"move it into the folder of its template: order/{name}")
        elif len(below) > 2:
            inner = name_meant(f"{first}.{below[-2]}.{path.name.partition('.')[2]}") or name
            what = f"{NOT_READ}, because it is in a folder below its template's"
            report.warn(position, what, f"move it to {below[0]}/{inner}")
        elif path.suffix != ".j2":
            what = f"{NOT_READ}, because it does not end in .j2"
            report.warn(position, what, f"rename it to {name}")
