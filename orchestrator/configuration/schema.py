"""
JSON Schemas of the configuration's files, for editors.

They know the keys, the kinds and the closed lists, and help while typing; ``kaskad check`` knows
everything else.

Reference: JSON Schema 2020-12.
"""

from __future__ import annotations

from orchestrator.configuration.governance_file import GOVERNANCE
from orchestrator.configuration.journey_keys import DEFINITIONS, JOURNEY
from orchestrator.configuration.keys import Schema, Table, describe, table_of
from orchestrator.configuration.policy_keys import policy_keys
from orchestrator.configuration.settings import Defaults, Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILES: dict[str, Table[object]] = {
    "kaskad": table_of(Settings),
    "governance": GOVERNANCE,
    "policy": policy_keys(Defaults()),
    "journey": JOURNEY,
}


def schema(kind: str) -> Schema:
    """
    The schema of ``policy``, ``journey``, ``governance`` or ``kaskad``; raises ``KeyError`` for
    anything else.
    """
    made: Schema = {"$schema": DIALECT, "title": f"Kaskad: {kind}"} | describe(FILES[kind])
    if kind == "journey":
        made["$defs"] = {name: describe(keys()) for name, keys in DEFINITIONS.items()}
    return made
