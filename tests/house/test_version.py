"""What is written once about the package; every other place asks for it or is held to it."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

from typer.testing import CliRunner

import kaskad_client
from orchestrator import __version__
from orchestrator.cli import app
from orchestrator.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
CHART = (ROOT / "deploy" / "helm" / "kaskad" / "Chart.yaml").read_text()
IMAGE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_package_command_chart_image_and_metric_have_the_same_version() -> None:
    assert version("kaskad") == __version__
    assert CliRunner().invoke(app, ["--version"]).stdout == f"kaskad {__version__}\n"
    assert re.findall(r'^(?:version|appVersion): "?([^"\n]+)"?$', CHART, re.M) == [__version__] * 2
    assert kaskad_client.__version__ == __version__
    assert f"ARG VERSION={__version__}\n" in IMAGE
    assert Metrics().registry.get_sample_value("kaskad_build_info", {"version": __version__}) == 1


def test_package_and_image_name_the_same_addresses_and_licence() -> None:
    urls = PROJECT["urls"]
    for label, text in (
        ("url", urls["Homepage"]),
        ("documentation", urls["Documentation"]),
        ("licenses", PROJECT["license"]),
    ):
        assert f'org.opencontainers.image.{label}="{text}"' in IMAGE
