"""What is published: a wheel that says what it is, and a source archive that builds the same."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from trove_classifiers import classifiers

from orchestrator import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def build(kind: str, source: Path, into: Path) -> Path:
    """Build one distribution; its path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [built] = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_says_what_it_is_and_where_its_docs_are(wheel: Path) -> None:
    metadata = metadata_of(wheel)
    assert (metadata["Name"], metadata["Version"]) == ("kaskad", __version__)
    assert metadata["License-Expression"] == PROJECT["license"]
    urls = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL", ()))
    assert urls == PROJECT["urls"]
    assert {"Documentation", "Changelog", "Source", "Issues"} <= set(urls)


def test_its_classifiers_are_ones_that_there_are(wheel: Path) -> None:
    given = set(metadata_of(wheel).get_all("Classifier", ()))
    assert given <= classifiers
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert {"Typing :: Typed", f"Programming Language :: Python :: {lowest}"} <= given


@pytest.mark.parametrize("package", ["orchestrator", "adapters", "kaskad_testing"])
def test_every_package_is_typed(wheel: Path, package: str) -> None:
    assert f"{package}/py.typed" in names_in(wheel)


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    archive = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    again = build("wheel", tmp_path / f"kaskad-{__version__}", tmp_path / "again")
    assert names_in(again) == names_in(wheel)


CLIENT = ROOT / "clients" / "python"


def test_the_client_says_as_much_and_builds_from_its_source_archive(tmp_path: Path) -> None:
    built = build("wheel", CLIENT, tmp_path / "wheel")
    metadata = metadata_of(built)
    assert (metadata["Name"], metadata["Version"]) == ("kaskad-client", __version__)
    assert metadata["License-Expression"] == PROJECT["license"]
    urls = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL", ()))
    assert set(urls) == set(PROJECT["urls"])
    assert urls["Documentation"].startswith(PROJECT["urls"]["Documentation"])
    assert set(metadata.get_all("Classifier", ())) <= classifiers
    assert "kaskad_client/py.typed" in names_in(built)
    assert any(name.endswith("/licenses/LICENSE") for name in names_in(built))

    archive = build("sdist", CLIENT, tmp_path / "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    again = build("wheel", tmp_path / f"kaskad_client-{__version__}", tmp_path / "again")
    assert names_in(again) == names_in(built)
