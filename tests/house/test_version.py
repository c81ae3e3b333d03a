"""The version is written once; every other place asks for it or is held to it."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

from orchestrator import __version__
from orchestrator.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]


def test_package_chart_image_and_metric_have_the_same_version() -> None:
    chart = (ROOT / "deploy" / "helm" / "kaskad" / "Chart.yaml").read_text()
    assert version("kaskad") == __version__
    assert re.findall(r'^(?:version|appVersion): "?([^"\n]+)"?$', chart, re.M) == [__version__] * 2
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()
    assert Metrics().registry.get_sample_value("kaskad_build_info", {"version": __version__}) == 1
