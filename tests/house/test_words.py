"""
One word, one meaning: words that the code once used in a sense of its own do not come back, and a
class name belongs to one package.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("orchestrator", "adapters", "kaskad_testing", "clients", "bench", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "mutants" not in path.parts and path.name != "test_words.py"
)
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]

RETIRED = {
    "desk": "BatchContext",
    "shelf": "PolicyVersions",
    "book": "UnitOfWork, PolicyVersion",
    "draft": "DecisionBuilder",
    "tell": "apply_fact, emit_status",
    "tells": "emits_statuses",
    "told": "FactApplied",
    "hear": "record_receipt, on_result",
    "heard": "ReceiptReceived",
    "hurry": "OtpPriority",
    "patience": "YieldBudget",
    "breath": "YIELD_EVERY",
    "lately": "RecentDecisions",
    "ear": "ReceiptStats",
    "deaf": "OutageDetector",
    "news": "deltas",
    "bury": "dead_letter",
    "buried": "dead_lettered",
    "chores": "maintenance",
    "tidy": "purge",
    "sweep": "purge",
    "strike": "BounceRecorded",
    "strikes": "bounces",
    "mend": "fix",
    "mends": "fixes",
    "mended": "fixed",
    "klass": "message_class",
    "troubles": "errors",
    "crowd": "behaviour",
    "habit": "behaviour",
    "habits": "behaviour",
    "crew": "workers",
    "tally": "statistics",
    "occasion": "test event",
    "props": "scripted provider",
    "befall": "happen",
    "firm": "hard gates",
    "patient": "deferrable gates",
}
"""Words that had a private meaning, and what to say instead."""

RIDDLES = re.compile(
    r"\b(whoever|whomever|befalls?|is heard|are heard|without a word|hurry|patience|chores|tidied"
    r"|buried|mend(?:s|ed)?|desk|shelf|codes come)\b",
    re.IGNORECASE,
)


def parts(name: str) -> Iterator[str]:
    """``heard_before`` and ``HeardBefore`` both give heard, before."""
    yield from (part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def retired(path: Path) -> Iterator[str]:
    """Every name in a file that has a retired word in it."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            for part in RETIRED.keys() & set(parts(token.string)):
                where = f"{path.relative_to(ROOT)}:{token.start[0]}"
                yield f"{where}: {token.string}: say {RETIRED[part]}"


def test_no_name_uses_a_retired_word() -> None:
    assert [found for path in SOURCES for found in retired(path)] == []


def test_no_sentence_is_a_riddle() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*SOURCES, *PAGES]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if RIDDLES.search(line)
    ]
    assert found == []


def test_a_class_name_belongs_to_one_package() -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for path in SOURCES:
        if any(path.is_relative_to(ROOT / folder) for folder in ("tests", "bench", "clients")):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                owners[node.name].add(str(path.relative_to(ROOT)))
    shared = {name: sorted(paths) for name, paths in owners.items() if len(paths) > 1}
    assert shared == {}
