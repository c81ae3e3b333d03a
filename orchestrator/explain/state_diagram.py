"""
Draws the states of messages, steps, receipts and journeys from the core's own tables.

    python -m orchestrator.explain.state_diagram > docs/states.md

The diagram and the program use one table each. There is no second list of states, only words for
the moves; a move without words, or words without a move, cannot be drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise

from orchestrator.core.journey.state import JOURNEY_LEGAL, JourneyStatus
from orchestrator.core.message import SENDING_LEGAL, STATUS_LEGAL, TERMINAL, Sending, Status
from orchestrator.core.status import FAILURES, RANK, WAITABLE, Delivery, Engagement, reached

MOVES: dict[tuple[Status, Status], str] = {
    (Status.ACCEPTED, Status.RUNNING): "the first send starts",
    (Status.ACCEPTED, Status.SUPPRESSED): "the cascade ends, nothing was attempted",
    (Status.ACCEPTED, Status.EXPIRED): "the deadline comes first",
    (Status.ACCEPTED, Status.CANCELLED): "goal, API or erasure",
    (Status.RUNNING, Status.SUCCEEDED): "the step's states are reached",
    (Status.RUNNING, Status.EXHAUSTED): "the cascade ends, nobody was reached",
    (Status.RUNNING, Status.SUPPRESSED): "the cascade ends, only a companion was attempted",
    (Status.RUNNING, Status.EXPIRED): "the deadline comes first",
    (Status.RUNNING, Status.CANCELLED): "goal, API or erasure",
    (Status.EXHAUSTED, Status.SUCCEEDED): "a late receipt",
    (Status.EXPIRED, Status.SUCCEEDED): "a late receipt",
}

SENDS: dict[tuple[Sending | None, Sending], str] = {
    (None, Sending.HELD): "a gate says not yet, or every provider is shut",
    (None, Sending.READY): "every gate lets it pass",
    (None, Sending.IDLE): "a gate says never",
    (Sending.HELD, Sending.READY): "the hold is over, every gate lets it pass",
    (Sending.HELD, Sending.IDLE): "left, or called off",
    (Sending.READY, Sending.OPEN): "the last look: every gate lets it pass, its intent is written",
    (
        Sending.READY,
        Sending.HELD,
    ): "a gate says not yet at the last look, or every provider is shut",
    (Sending.READY, Sending.IDLE): "left, or called off",
    (Sending.OPEN, Sending.HELD): "not sent: again later",
    (Sending.OPEN, Sending.READY): "not sent: the next provider; or resent once",
    (Sending.OPEN, Sending.IDLE): "taken, refused, unknown, or left",
}

ENDS: dict[JourneyStatus, str] = {
    JourneyStatus.COMPLETED: "its last step is done",
    JourneyStatus.GOAL_MET: "its goal came",
    JourneyStatus.EXITED: "an exit came, somebody ended it, or the recipient was erased",
    JourneyStatus.EXPIRED: "its deadline comes first",
    JourneyStatus.FAILED: "too many hops or steps, or a policy that is gone",
}

INTRODUCTION = """\
# States

Drawn from the core's own tables by `python -m orchestrator.explain.state_diagram`. The core refuses
every move that is not in them; a test fails if this page is older.
"""


def edges(table: Mapping[Status, frozenset[Status]]) -> Iterator[tuple[Status, Status]]:
    """Every move in a message's table, in the order in which states are declared."""
    for before in Status:
        for after in Status:
            if after in table[before]:
                yield before, after


def sending_edges() -> Iterator[tuple[Sending | None, Sending]]:
    for before in (None, *Sending):
        for after in Sending:
            if after in SENDING_LEGAL[before]:
                yield before, after


def page() -> str:
    """The whole page. Raises ``KeyError`` for a move without words."""
    parts = [INTRODUCTION, *message_part(), *sending_part(), *receipt_part(), *journey_part()]
    return "\n".join(parts)


def mermaid(lines: Iterator[str]) -> Iterator[str]:
    yield "```mermaid"
    yield from lines
    yield "```\n"


def message_part() -> Iterator[str]:
    yield "## A message's status\n"
    yield from mermaid(message_diagram())
    yield "| from | to | when |\n|---|---|---|"
    yield from (
        f"| `{before}` | `{after}` | {MOVES[before, after]} |"
        for before, after in edges(STATUS_LEGAL)
    )
    ends = ", ".join(f"`{status}`" for status in Status if status in TERMINAL)
    yield f"\nTerminal: {ends}. A terminal status is emitted once, and corrected at most once.\n"


def message_diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {next(iter(Status))}: an event matched"
    yield from (
        f"    {before} --> {after}: {MOVES[before, after]}" for before, after in edges(STATUS_LEGAL)
    )
    yield from (f"    {status} --> [*]" for status in Status if status in TERMINAL)


def sending_part() -> Iterator[str]:
    yield "## The sending half of a step\n"
    yield from mermaid(sending_diagram())
    yield "| from | to | when |\n|---|---|---|"
    for before, after in sending_edges():
        yield f"| {f'`{before}`' if before else 'started'} | `{after}` | {SENDS[before, after]} |"
    yield (
        "\nOne decision takes it along one of these at most. Its waiting half is nothing but time"
        " and receipts.\n"
    )


def sending_diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    for before, after in sending_edges():
        yield (
            f"    {before or '[*]'} --> {after}:"
            f" {SENDS[before, after].replace(':', ',').replace(';', ',')}"
        )
    yield f"    {Sending.IDLE} --> [*]"


def ranks() -> list[Delivery]:
    return sorted(Delivery, key=lambda state: RANK[state])


def receipt_part() -> Iterator[str]:
    yield "## What receipts say\n"
    yield from mermaid(receipt_diagram())
    yield "| rank | state | a failure | proves |\n|---|---|---|---|"
    for state in ranks():
        proved = (
            ", ".join(f"`{name}`" for name in WAITABLE if name in reached(state, {})) or "nothing"
        )
        yield f"| {RANK[state]} | `{state}` | {'yes' if state in FAILURES else 'no'} | {proved} |"
    yield "\n| engagement | proves |\n|---|---|"
    for word in Engagement:
        found = reached(Delivery.CREATED, {word.value: 0})
        yield f"| `{word}` | {', '.join(f'`{name}`' for name in WAITABLE if name in found)} |"
    yield (
        "\nAn attempt's state is the highest that was ever reported, in whatever order and however"
        " often: a failure never takes back a delivery,\nand a delivery heals a failure. Engagement"
        " is a set of first times."
    )
    yield ""


def receipt_diagram() -> Iterator[str]:
    """The order of ranks; failures stand side by side, because any of them ends the wait."""
    yield "flowchart LR"
    steps = [state for state in ranks() if state not in FAILURES]
    yield f"    {' --> '.join(steps)}"
    before = max(
        (state for state in steps if RANK[state] < min(RANK[f] for f in FAILURES)),
        key=lambda state: RANK[state],
    )
    after = min(
        (state for state in steps if RANK[state] > RANK[before]), key=lambda state: RANK[state]
    )
    yield from (f"    {before} --> {state} --> {after}" for state in ranks() if state in FAILURES)
    positive = [name for name in WAITABLE if name in set(Engagement)]
    chain = [str(after), *positive]
    yield from (f"    {low} -.-> {high}" for low, high in pairwise(chain))


def journey_part() -> Iterator[str]:
    yield "## A journey's status\n"
    yield from mermaid(journey_diagram())
    yield "| from | to | when |\n|---|---|---|"
    yield from (f"| `{before}` | `{after}` | {ENDS[after]} |" for before, after in journey_edges())
    yield "\nA journey ends once, and nothing is sent after that.\n"


def journey_edges() -> Iterator[tuple[JourneyStatus, JourneyStatus]]:
    for before in JourneyStatus:
        yield from ((before, after) for after in JourneyStatus if after in JOURNEY_LEGAL[before])


def journey_diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {JourneyStatus.RUNNING}: an event started it"
    for before, after in journey_edges():
        yield f"    {before} --> {after}: {ENDS[after]}"
        yield f"    {after} --> [*]"


if __name__ == "__main__":
    sys.stdout.write(page())
