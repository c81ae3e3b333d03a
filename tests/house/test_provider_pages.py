"""Every adapter has a page that names its settings, with an example that can be copied."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.channels.registry import ANY_CHANNEL, adapters_available
from orchestrator.configuration.adapter_settings import keys_of, needs_of
from orchestrator.configuration.provider_settings import PROVIDER

FOLDER = Path(__file__).parents[2] / "docs" / "providers"
PAGES = {page.name: page.read_text() for page in sorted(FOLDER.glob("*.md"))}
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```", re.S | re.M)
EXPLAINED_TOGETHER = {"allow_unsigned"}
ADAPTERS = adapters_available()


def examples() -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    """By adapter: the page, the channel and the settings of each example."""
    found: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for name, text in PAGES.items():
        for block in EXAMPLE.findall(text):
            written = yaml.safe_load(block)
            for channel, accounts in written.get("channels", written).items():
                for account in accounts:
                    found.setdefault(account["adapter"], []).append((name, channel, account))
    return found


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_every_adapter_has_a_page_that_names_its_settings(adapter: str) -> None:
    pages = {page for page, _, _ in examples().get(adapter, [])}
    assert len(pages) == 1, f"write docs/providers/….md with an example of `adapter: {adapter}`"
    text = PAGES[pages.pop()]
    settings = set(keys_of(ADAPTERS[adapter].settings_type)) - EXPLAINED_TOGETHER
    assert sorted(key for key in settings if not re.search(rf"\b{key}\b", text)) == []
    assert "report" in text


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_the_example_has_what_is_needed_and_nothing_unknown(adapter: str) -> None:
    settings, supports = ADAPTERS[adapter].settings_type, ADAPTERS[adapter].supports
    common = {key.name for key in PROVIDER.keys}
    for _, channel, account in examples()[adapter]:
        assert supports.channel in (channel, ANY_CHANNEL)
        assert set(account) <= common | set(keys_of(settings))
        assert set(needs_of(settings)) <= set(account)


def test_the_index_names_every_page() -> None:
    index = PAGES["README.md"]
    assert [page for page in PAGES if page != "README.md" and f"({page})" not in index] == []
