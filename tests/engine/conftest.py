"""Every promise of the engine is kept on both stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.world import World


class WhenAsked:
    """
    A database that is made when a world first asks where it is: many a test needs none, and making
    one takes longer than such a test.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def __get__(self, world: World | None, kind: type[World]) -> str:
        found: str = self._request.getfixturevalue("postgres_url")
        return found


@pytest.fixture(autouse=True, params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Which store the test's world stands on."""
    if request.param == "postgresql":
        monkeypatch.setattr(World, "default_url", WhenAsked(request))
    yield request.param
