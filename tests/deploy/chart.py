"""
The chart as it was last rendered, kept beside the tests: so that they need no helm, and every
change of it is seen.

``python -m tests.deploy.chart`` renders again, with ``helm`` from PATH or ``$HELM``. The first line
of each file says of which chart it was made; the tests refuse one that is older than the chart.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "kaskad"
RENDERED = Path(__file__).parent / "rendered"
VALUES: dict[str, list[str]] = {
    "default": [],
    "full": ["--values", str(CHART / "ci" / "full-values.yaml")],
}
KUBERNETES = "1.31.0"


def helm() -> str | None:
    """The path of helm, None if it is not installed."""
    return os.environ.get("HELM") or shutil.which("helm")


def digest() -> str:
    """Every file of the chart, links followed."""
    found = hashlib.sha256()
    for path in sorted(CHART.rglob("*")):
        if path.is_file() and "dashboards" not in path.parts:
            found.update(str(path.relative_to(CHART)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def render(name: str, *more: str) -> str:
    """The manifests that helm makes of the chart."""
    program = helm()
    assert program is not None
    command = [
        program,
        "template",
        "kaskad",
        str(CHART),
        "--namespace",
        "messaging",
        "--kube-version",
        KUBERNETES,
    ]
    done = subprocess.run(
        [*command, *VALUES[name], *more], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


def documents(text: str) -> list[dict[str, Any]]:
    """The objects of a stream of manifests. Kubernetes reads YAML 1.1."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    return [one for one in yaml.load_all(text) if one]


def kept(name: str) -> str:
    """The manifests as they were last rendered."""
    return (RENDERED / f"{name}.yaml").read_text()


if __name__ == "__main__":
    for name in VALUES:
        (RENDERED / f"{name}.yaml").write_text(f"# chart: {digest()}\n{render(name)}")
