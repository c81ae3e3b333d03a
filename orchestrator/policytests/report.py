"""
The report of a test run: for each failed test its timeline, expected beside actual.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.policytests.expected import ExpectedStep
from orchestrator.policytests.timeline import TimelineEntry
from orchestrator.policytests.verdict import Judgement, ending, fits, outcome_differences


def print_verdicts(verdicts: Sequence[Judgement], seconds: float, console: Console) -> None:
    """Everything that failed, then how many there were."""
    for verdict in verdicts:
        if not verdict.passed:
            print_failure(verdict, console)
    failed = any(not verdict.passed for verdict in verdicts)
    count = counted(verdicts, seconds)
    console.print(f"[{'red' if failed else 'green'}]{count}[/]", highlight=False)


def counted(verdicts: Sequence[Judgement], seconds: float) -> str:
    """How many there were, and how many failed."""
    failed = sum(not verdict.passed for verdict in verdicts)
    files = len({verdict.test.position.path for verdict in verdicts})
    each = f", {seconds / len(verdicts) * 1000:.1f} ms each" if verdicts else ""
    return f"{len(verdicts)} test(s) in {files} file(s), {failed} failed ({seconds:.2f} s{each})"


def print_failure(verdict: Judgement, console: Console) -> None:
    """One failed test: what differs, and the whole timeline."""
    test = verdict.test
    headline = (
        f"[red]FAILED[/] {escape(test.position.path)}:{test.position.line}  {escape(test.name)}"
    )
    console.print(headline, highlight=False, soft_wrap=True)
    for difference in verdict.differences:
        said = (
            f"{difference.expected}, but: {difference.actual}"
            if difference.expected
            else difference.actual
        )
        console.print(f"  line {difference.line}: {escape(said)}", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2), show_edge=False)
    table.add_column("")
    table.add_column("expected")
    table.add_column("actual")
    for sign, wanted, actual in rows(verdict):
        table.add_row(f"[red]{sign}[/]" if sign.strip() else "", escape(wanted), escape(actual))
    console.print(table)
    for name, other in verdict.observed.others.items():
        console.print(f"     {escape(name)}, which plays together with it:", highlight=False)
        for entry in other.entries:
            console.print(f"       {escape(entry.show(test.given.now))}", highlight=False)
    console.print("")


def rows(verdict: Judgement) -> Iterator[tuple[str, str, str]]:
    """The timeline by time: each expected line beside the actual one."""
    since = verdict.test.given.now
    steps = verdict.test.expected.steps
    for line, entry in sorted(beside(verdict), key=lambda pair: when(pair[0], pair[1], since)):
        met = line is not None and entry is not None and fits(line, entry, since)
        strange = line is not None and not met
        strange |= line is None and entry is not None and entry.verb == "send" and steps is not None
        yield (
            "✗" if strange else " ",
            line.text if line else "",
            entry.show(since) if entry else "",
        )
    outcome = verdict.test.expected.outcome
    if outcome is not None:
        wrong = any(outcome_differences(outcome, verdict.observed.message))
        yield "✗" if wrong else " ", outcome.text, ending(verdict.observed.message)


def beside(verdict: Judgement) -> list[tuple[ExpectedStep | None, TimelineEntry | None]]:
    """
    Every entry with the line it fits; a line nothing fits, with its channel's nearest entry.
    """
    since = verdict.test.given.now
    waiting = list(verdict.test.expected.steps or ())
    pairs: list[tuple[ExpectedStep | None, TimelineEntry | None]] = []
    for entry in verdict.observed.entries:
        line = next((one for one in waiting if fits(one, entry, since)), None)
        if line is not None:
            waiting.remove(line)
        pairs.append((line, entry))
    for line in waiting:
        alike = [
            (abs(entry.at - since - line.at.ms), place)
            for place, (taken, entry) in enumerate(pairs)
            if taken is None
            and entry is not None
            and (entry.verb, entry.channel) == (line.verb, line.channel)
        ]
        if alike:
            place = min(alike)[1]
            pairs[place] = (line, pairs[place][1])
        else:
            pairs.append((line, None))
    return pairs


def when(line: ExpectedStep | None, entry: TimelineEntry | None, since: int) -> int:
    """The time of a pair in the timeline, in milliseconds after the test's event."""
    if entry is not None:
        return entry.at - since
    assert line is not None
    return line.at.ms


def as_json(verdicts: Sequence[Judgement]) -> list[dict[str, Any]]:
    """The same for programs; times are milliseconds after the test's event."""
    return [verdict_json(verdict) for verdict in verdicts]


def verdict_json(verdict: Judgement) -> dict[str, Any]:
    test, observed = verdict.test, verdict.observed
    return {
        "file": test.position.path,
        "line": test.position.line,
        "policy": test.policy.name,
        "name": test.name,
        "passed": verdict.passed,
        "differences": [
            {"line": one.line, "expected": one.expected, "actual": one.actual}
            for one in verdict.differences
        ],
        "outcome": ending(observed.message),
        "flags": list(observed.message.flags) if observed.message is not None else [],
        "cost": str(observed.cost),
        "timeline": [entry_json(entry, test.given.now) for entry in observed.entries],
        "others": {
            name: {
                "outcome": ending(other.message),
                "timeline": [entry_json(entry, test.given.now) for entry in other.entries],
            }
            for name, other in observed.others.items()
        },
    }


def entry_json(entry: TimelineEntry, since: int) -> dict[str, Any]:
    found: dict[str, Any] = {"at_ms": entry.at - since, "what": entry.verb}
    for name in ("channel", "provider", "word", "detail"):
        if value := getattr(entry, name):
            found[name] = value
    if entry.reason is not None:
        found["reason"] = entry.reason.value
    if entry.until is not None:
        found["until_ms"] = entry.until - since
    return found
