"""Declared gateways of different kinds pass the suite that adapters in code pass."""

from __future__ import annotations

from pathlib import Path

from kaskad_testing.test_replies import *
from kaskad_testing.test_requests import *
from kaskad_testing.test_settings import *
from kaskad_testing.test_webhooks import *

ADAPTERS_OF = (str(Path(__file__).parent / "kaskad.yaml"),)
