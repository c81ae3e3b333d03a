"""The option that names whose adapters are tested."""

from __future__ import annotations

import pytest

from kaskad_testing.cases import OPTION


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--adapters PACKAGE``, as often as there are packages."""
    parser.addoption(
        OPTION,
        action="append",
        metavar="PACKAGE",
        help="A directory, a Python file or an installed package with adapters and wire examples.",
    )
