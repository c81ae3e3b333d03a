"""The carrier pigeon, installed as pip would: a folder on the path with its own metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.channels import registry

PLUG_IN = Path(__file__).parent / "carrier_pigeon"


@pytest.fixture
def pigeon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PLUG_IN))
        registry.refresh()
        yield
    registry.refresh()
