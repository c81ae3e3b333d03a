"""
The comparison of a test's expectations with its result: every difference, at its place in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.message import Message
from orchestrator.policytests.expected import Expected, ExpectedEnd, ExpectedStep, ExpectedText
from orchestrator.policytests.file import PolicyTest
from orchestrator.policytests.journeys import run_differences
from orchestrator.policytests.runner import Observed
from orchestrator.policytests.timeline import TimelineEntry


@dataclass(frozen=True, slots=True)
class Difference:
    """
    ``line`` is where the test says otherwise; ``expected`` is "" for something unexpected.
    """

    line: int
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A test and its result; it passed if there is no difference."""

    test: PolicyTest
    observed: Observed
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        return not self.differences


def judge(test: PolicyTest, observed: Observed) -> Judgement:
    """Compare everything that the test cares about."""
    since = test.given.now
    differences = [
        Difference(line, "", f"this could not be done: {what}")
        for line, what in observed.impossible
    ]
    if test.journey is not None:
        found = run_differences(test.expected_run, observed.run, observed.started, observed.person)
        differences += [Difference(*one) for one in found]
        differences += step_differences(test.expected, observed, since)
        differences += rest_differences(test.expected, observed)
    else:
        differences += expected_differences(test.expected, observed, since)
    for name, expected in test.expected.others.items():
        other = observed.others.get(name, Observed())
        differences += [
            Difference(
                one.line,
                f"{name}: {one.expected}" if one.expected else "",
                one.actual if one.expected else f"{name}: {one.actual}",
            )
            for one in expected_differences(expected, other, since)
        ]
    return Judgement(test, observed, tuple(differences))


def expected_differences(
    expected: Expected, observed: Observed, since: int
) -> Iterator[Difference]:
    """Compare what one policy did; times count from ``since`` (UTC milliseconds)."""
    found: list[Difference] = []
    if expected.outcome is not None:
        found += outcome_differences(expected.outcome, observed.message)
    yield from found
    if observed.message is None and (
        expected.outcome is None or expected.outcome.status is not None
    ):
        said = (
            "no message: the event did not trigger the policy (its `when` is false, or could not be"
            " evaluated)"
        )
        if not found:
            yield Difference(expected.position.line, "a message", said)
    else:
        yield from step_differences(expected, observed, since)
        yield from rest_differences(expected, observed)


def outcome_differences(outcome: ExpectedEnd, message: Message | None) -> Iterator[Difference]:
    """The end of the message."""
    actual = ending(message)
    if message is None or outcome.status is None:
        same = message is None and outcome.status is None
    else:
        same = message.status is outcome.status
        same = (
            same
            and outcome.by in (None, message.succeeded_by)
            and outcome.reason in (None, message.reason)
        )
    if not same:
        yield Difference(outcome.position.line, outcome.text, actual)


def ending(message: Message | None) -> str:
    """The end of a message, in the words of `outcome`."""
    if message is None:
        return "no message"
    by = f" by {message.succeeded_by}" if message.succeeded_by else ""
    because = f" because {message.reason.value}" if message.reason else ""
    return f"{message.status.value}{by}{because}"


def step_differences(expected: Expected, observed: Observed, since: int) -> Iterator[Difference]:
    """
    Sends must be the same (the order within one instant means nothing); other lines must be found.
    """
    if expected.steps is None:
        return
    sends = [entry for entry in observed.entries if entry.verb == "send"]
    wanted = [line for line in expected.steps if line.verb == "send"]
    for line, entry in unpaired(wanted, sends, since):
        if entry is not None:
            what = f"{entry.show(since)}: nothing of `steps` expects it"
            yield Difference(expected.position.line, "", what)
        elif line is not None:
            yield Difference(line.position.line, line.text, instead(line, observed.entries, since))
    for line in expected.steps:
        if line.verb != "send" and not any(fits(line, entry, since) for entry in observed.entries):
            yield Difference(line.position.line, line.text, instead(line, observed.entries, since))


def unpaired(
    lines: list[ExpectedStep], sends: list[TimelineEntry], since: int
) -> Iterator[tuple[ExpectedStep | None, TimelineEntry | None]]:
    """
    The lines and sends that remain when as many as possible are paired (bipartite matching by
    augmenting paths, because a line with an approximate time may fit several sends).
    """
    line_of: dict[int, int] = {}

    def pair(row: int, tried: set[int]) -> bool:
        for column, entry in enumerate(sends):
            if column in tried or not fits(lines[row], entry, since):
                continue
            tried.add(column)
            if column not in line_of or pair(line_of[column], tried):
                line_of[column] = row
                return True
        return False

    for row in range(len(lines)):
        pair(row, set())
    paired = set(line_of.values())
    yield from ((line, None) for row, line in enumerate(lines) if row not in paired)
    yield from ((None, entry) for column, entry in enumerate(sends) if column not in line_of)


def fits(line: ExpectedStep, entry: TimelineEntry, since: int) -> bool:
    """Whether a entry is what a line means."""
    until = line.until is None or (
        entry.until is not None and line.until.holds(entry.until - since)
    )
    return (
        (entry.verb, entry.channel) == (line.verb, line.channel)
        and line.at.holds(entry.at - since)
        and line.provider in (None, entry.provider)
        and line.reason in (None, entry.reason)
        and until
    )


def instead(line: ExpectedStep, found: list[TimelineEntry], since: int) -> str:
    """The entry of the line's channel that best explains why the line did not come true."""
    own = [
        entry
        for entry in found
        if entry.channel == line.channel and entry.verb in ("send", "skip", "leave", "hold")
    ]
    same_verb = [entry for entry in own if entry.verb == line.verb]
    telling = (
        [entry for entry in own if entry.verb in ("skip", "hold")] if line.verb == "send" else own
    )
    nearest = min(
        same_verb or telling or own,
        key=lambda entry: abs(entry.at - since - line.at.ms),
        default=None,
    )
    if nearest is not None:
        return nearest.show(since)
    end = next((entry for entry in found if entry.verb == "end"), None)
    return f"{line.channel} was never reached" + (f": {end.show(since)}" if end is not None else "")


def rest_differences(expected: Expected, observed: Observed) -> Iterator[Difference]:
    """Differences in flags, cost, channels that must not be used, and texts."""
    message = observed.message
    flags = sorted(message.flags) if message is not None else []
    if expected.flags is not None and flags != sorted(expected.flags):
        yield Difference(
            expected.position.line,
            f"flags [{', '.join(expected.flags)}]",
            f"flags [{', '.join(flags)}]",
        )
    if expected.cost is not None and not expected.cost.holds(observed.cost):
        yield Difference(
            expected.cost.position.line, f"cost {expected.cost.text}", f"cost {observed.cost}"
        )
    for channel, position in expected.not_sent:
        sent = next((m for m in observed.entries if (m.verb, m.channel) == ("send", channel)), None)
        if sent is not None:
            yield Difference(position.line, f"nothing sent on {channel}", "it was sent")
    for words in expected.words:
        yield from word_differences(words, observed.sent.get(words.channel))


def word_differences(
    words: ExpectedText, content: Mapping[str, Any] | None
) -> Iterator[Difference]:
    """Compare a channel's text; any white space counts as one space."""
    wanted = f"text of {words.channel} {words.how} {words.text!r}"
    if content is None:
        yield Difference(words.position.line, wanted, f"nothing was sent on {words.channel}")
        return
    texts = [" ".join(text.split()) for text in strings(content)]
    looked_for = " ".join(words.text.split())
    match words.how:
        case "contains":
            good = any(looked_for in text for text in texts)
        case "lacks":
            good = not any(looked_for in text for text in texts)
        case _:
            good = looked_for in texts
    if not good:
        yield Difference(words.position.line, wanted, " | ".join(texts)[:400])


def strings(content: Any) -> Iterator[str]:
    """Every text in a rendered content."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from strings(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from strings(value)
