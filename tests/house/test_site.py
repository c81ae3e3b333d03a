"""The site of the documentation (`make docs`) has every page, and shows it as it is meant."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PARTS = ["Start", "How to", "Concepts", "Reference"]
FENCE = re.compile(r"( *)```")


class Settings(yaml.SafeLoader):  # type: ignore[misc]
    """Reads mkdocs.yml without importing what its tags name."""


Settings.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, tag, node: tag)
SITE: dict[str, Any] = yaml.load((ROOT / "mkdocs.yml").read_text(), Settings)
ELSEWHERE: dict[str, str] = SITE["extra"]["pages"]
PAGES = [*sorted(DOCS.rglob("*.md")), *(ROOT / path for path in ELSEWHERE.values())]


def entries(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(value, list):
                yield from entries(value)
            else:
                yield value


def test_every_page_is_in_the_navigation_once_and_nothing_else_is() -> None:
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    listed = list(entries(SITE["nav"]))
    assert sorted(listed) == sorted([*pages, *ELSEWHERE]), "mkdocs.yml, nav"


def test_the_navigation_has_four_parts() -> None:
    assert [part for entry in SITE["nav"] for part in entry] == PARTS


def test_every_question_is_in_the_index() -> None:
    index = (DOCS / "how-to" / "README.md").read_text()
    pages = {path.name for path in (DOCS / "how-to").glob("*.md")} - {"README.md"}
    assert [page for page in sorted(pages) if f"]({page})" not in index] == []


def test_pages_from_elsewhere_are_there() -> None:
    assert [path for path in ELSEWHERE.values() if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_belongs_to_a_list_is_indented_by_four(page: Path) -> None:
    """The site's Markdown ends a list at a paragraph or a block with a smaller indentation."""
    before, fenced = "", False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        indent = len(line) - len(line.lstrip())
        if fence := FENCE.match(line):
            fenced = not fenced
            assert len(fence[1]) % 4 == 0, f"line {number}: indent by four"
        elif not fenced and not before.strip():
            assert indent % 4 == 0, f"line {number}: indent by four"
        before = line


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("a.md", "[c](../CHANGELOG.md#x)", "[c](changelog.md#x)"),
        ("providers/a.md", "[c](../../CHANGELOG.md)", "[c](../changelog.md)"),
        ("providers/a.md", "[o](../operations.md#verbs)", "[o](../operations.md#verbs)"),
        ("changelog.md", "[o](docs/operations.md#verbs)", "[o](operations.md#verbs)"),
        ("bench.md", "[floor.py](floor.py)", "floor.py"),
        (
            "a.md",
            "[s](https://s.example/a.md) [h](#here)",
            "[s](https://s.example/a.md) [h](#here)",
        ),
        ("a.md", "a\n```mermaid\nx --> y\n```\nb", "a\nb"),
        ("a.md", "| `a\\|b` | c \\| d |", "| `a|b` | c \\| d |"),
    ],
)
def test_links_and_tables_mean_the_same_on_the_site(name: str, text: str, shown: str) -> None:
    assert runpy.run_path(str(DOCS / "site_hooks.py"))["for_site"](text, name, ELSEWHERE) == shown


@pytest.mark.verify
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    loads = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?(?:https?:)?//[^>]+>")
    for page in tmp_path.rglob("*.html"):
        found = [tag for tag in loads.findall(page.read_text()) if 'rel="canonical"' not in tag]
        found = [tag for tag in found if 'rel="prev"' not in tag and 'rel="next"' not in tag]
        assert found == [], page.name
