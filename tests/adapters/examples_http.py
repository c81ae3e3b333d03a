"""One declared gateway stands for the adapter of all of them; tests/declared has the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kaskad_testing.declared import declared_in

DECLARED = Path(__file__).parents[1] / "declared" / "kaskad.yaml"

EXAMPLES = replace(declared_in(DECLARED)[0], adapter="http")
