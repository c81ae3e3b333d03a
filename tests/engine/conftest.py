"""Every promise of the engine is kept on both stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.world import World


@pytest.fixture(autouse=True, params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Which store the test's world stands on."""
    if request.param == "postgresql":
        monkeypatch.setattr(World, "default_url", request.getfixturevalue("postgres_url"))
    yield request.param
