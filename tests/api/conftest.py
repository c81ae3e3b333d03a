"""A site without keys, as a loopback installation has it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.site import Site, open_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as found:
        yield found
