from __future__ import annotations

from pathlib import Path

import pytest

from tests.doctor.ward import Ward


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)
