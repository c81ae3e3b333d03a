"""
The locks of requirements/: complete, in range, with hashes, and in agreement. ``make lock`` renews
them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
LOCKS = sorted(path.name for path in FOLDER.glob("*.txt") if path.name != "licences.txt")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
DIRECT: list[str] = PYPROJECT["project"]["dependencies"]
IMAGE_EXTRAS = re.findall(r"^IMAGE_EXTRAS := (.+)$", (ROOT / "Makefile").read_text(), re.M)[0]
ENTRY = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[\w.+!-]+)(?: ; .+?)?(?P<rest>(?: --hash=\S+)*)$"
)


def entries(lock: str) -> list[re.Match[str]]:
    """One match an entry, continued lines joined."""
    text = (FOLDER / lock).read_text().replace(" \\\n   ", "")
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "-r "))]
    found = [ENTRY.fullmatch(line) for line in lines]
    assert None not in found, [line for line, match in zip(lines, found, strict=True) if not match]
    return [match for match in found if match]


def locked(lock: str) -> dict[str, set[str]]:
    """The versions of each package, by its normalised name; several if a marker chooses."""
    versions: dict[str, set[str]] = {}
    for entry in entries(lock):
        versions.setdefault(canonicalize_name(entry["name"]), set()).add(entry["version"])
    return versions


def lines_of(source: str) -> list[str]:
    lines = (FOLDER / source).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r "))]


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        ("image.txt", DIRECT + [one for name in IMAGE_EXTRAS.split() for one in EXTRAS[name]]),
        ("test.txt", DIRECT + [one for extra in EXTRAS.values() for one in extra]),
        ("build.txt", PYPROJECT["build-system"]["requires"] + lines_of("build.in")),
        ("tools.txt", lines_of("tools.in")),
    ],
)
def test_every_direct_dependency_is_locked_in_its_range(lock: str, asked: list[str]) -> None:
    versions = locked(lock)
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name == "kaskad":  # an extra that takes in others
            continue
        assert name in versions, f"requirements/{lock} lacks {name}: run `make lock`"
        outside = [one for one in versions[name] if not requirement.specifier.contains(one)]
        assert not outside, f"requirements/{lock}: {outside} is not {requirement}: `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_has_hashes_and_no_index_is_named(lock: str) -> None:
    for entry in entries(lock):
        hashes = entry["rest"].split()
        assert hashes, entry["name"]
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes)
    text = (FOLDER / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.M)


@pytest.mark.parametrize("lock", ["image.txt", "build.txt"])
def test_what_is_tested_is_what_is_shipped(lock: str) -> None:
    tested = locked("test.txt")
    for name, versions in locked(lock).items():
        assert versions <= tested.get(name, versions), name
    assert lock != "image.txt" or set(locked(lock)) <= set(tested)


def test_the_locks_are_of_the_oldest_python_that_is_supported() -> None:
    [version] = re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text())
    assert PYPROJECT["project"]["requires-python"] == f">={version}"
