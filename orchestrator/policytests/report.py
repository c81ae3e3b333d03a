"""
How the result of tests is told: a line a test, and for each that failed its timeline, expected
beside actual.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.policytests.expected import Line
from orchestrator.policytests.timeline import Moment
from orchestrator.policytests.verdict import Verdict, ending, fits, outcome_differences


def print_verdicts(verdicts: Sequence[Verdict], seconds: float, console: Console) -> None:
    """Everything that failed, then how many there were."""
    for verdict in verdicts:
        if not verdict.passed:
            print_failure(verdict, console)
    failed = sum(not verdict.passed for verdict in verdicts)
    files = len({verdict.test.position.path for verdict in verdicts})
    each = f", {seconds / len(verdicts) * 1000:.1f} ms each" if verdicts else ""
    count = f"{len(verdicts)} test(s) in {files} file(s), {failed} failed ({seconds:.2f} s{each})"
    console.print(f"[{'red' if failed else 'green'}]{count}[/]", highlight=False)


def print_failure(verdict: Verdict, console: Console) -> None:
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
    console.print("")


def rows(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    """
    The timeline in the order of time: what was expected stands beside what came, or beside what
    came in its place.
    """
    since = verdict.test.given.now
    steps = verdict.test.expected.steps
    for line, moment in sorted(beside(verdict), key=lambda pair: when(pair[0], pair[1], since)):
        met = line is not None and moment is not None and fits(line, moment, since)
        strange = line is not None and not met
        strange |= (
            line is None and moment is not None and moment.verb == "send" and steps is not None
        )
        yield (
            "✗" if strange else " ",
            line.text if line else "",
            moment.show(since) if moment else "",
        )
    outcome = verdict.test.expected.outcome
    if outcome is not None:
        wrong = any(outcome_differences(outcome, verdict.happened.message))
        yield "✗" if wrong else " ", outcome.text, ending(verdict.happened.message)


def beside(verdict: Verdict) -> list[tuple[Line | None, Moment | None]]:
    """
    Every moment with the line that it fits; a line that nothing fits with the nearest such moment
    of its channel.
    """
    since = verdict.test.given.now
    waiting = list(verdict.test.expected.steps or ())
    pairs: list[tuple[Line | None, Moment | None]] = []
    for moment in verdict.happened.moments:
        line = next((one for one in waiting if fits(one, moment, since)), None)
        if line is not None:
            waiting.remove(line)
        pairs.append((line, moment))
    for line in waiting:
        alike = [
            (abs(moment.at - since - line.at_ms), place)
            for place, (taken, moment) in enumerate(pairs)
            if taken is None
            and moment is not None
            and (moment.verb, moment.channel) == (line.verb, line.channel)
        ]
        if alike:
            place = min(alike)[1]
            pairs[place] = (line, pairs[place][1])
        else:
            pairs.append((line, None))
    return pairs


def when(line: Line | None, moment: Moment | None, since: int) -> int:
    """Where a pair stands in the timeline, in milliseconds after the test's event."""
    if moment is not None:
        return moment.at - since
    assert line is not None
    return line.at_ms


def as_json(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The same for programs; times are milliseconds after the test's event."""
    return [verdict_json(verdict) for verdict in verdicts]


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    test, happened = verdict.test, verdict.happened
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
        "outcome": ending(happened.message),
        "flags": list(happened.message.flags) if happened.message is not None else [],
        "cost": str(happened.cost),
        "timeline": [moment_json(moment, test.given.now) for moment in happened.moments],
    }


def moment_json(moment: Moment, since: int) -> dict[str, Any]:
    found: dict[str, Any] = {"at_ms": moment.at - since, "what": moment.verb}
    for name in ("channel", "provider", "word", "detail"):
        if value := getattr(moment, name):
            found[name] = value
    if moment.reason is not None:
        found["reason"] = moment.reason.value
    if moment.until is not None:
        found["until_ms"] = moment.until - since
    return found
