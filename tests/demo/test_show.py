"""The demonstration from beginning to end, with less of a day, and all of its weeks."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.core.message import Message
from orchestrator.demo import run
from orchestrator.demo.run import Show, all_journeys, everything
from orchestrator.demo.show import ending, summarise
from orchestrator.demo.stack import DemoStack
from orchestrator.demo.story import stories
from orchestrator.stores.journey_rows import JourneyRow

COLUMNS = 80
JOURNEYS = {
    "reorder": "routine",
    "partner_stickers": "joyride",
    "trek_running": "trek",
    "odyssey_home": "odyssey",
}


class Shown:
    """What a show of a seed left behind."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.journeys: list[JourneyRow] = []
        self.taken = self.published = self.planned = 0

    def text(self) -> str:
        console = Console(file=io.StringIO(), width=COLUMNS)
        summary = summarise(self.messages, self.published, self.journeys, self.taken)
        console.print(ending(summary, JOURNEYS))
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()


async def shown(events: int) -> Shown:
    found = Shown()
    with tempfile.TemporaryDirectory(prefix="kaskad-demo-") as directory:
        async with DemoStack(Path(directory), 7) as stack:
            show = Show(stack, Console(file=io.StringIO()), 7, events, quiet=False)
            found.published = await show.run()
            found.messages = await everything(stack)
            found.journeys = await all_journeys(stack)
            found.taken = stack.taken_in_all()
            people = show.customers.people
            found.planned = len(stories(people, events, 7, stack.begins))
    return found


@pytest.mark.verify
async def test_people_go_through_every_kind_of_journey_and_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "PACES", ((60.0, 3.0), (600.0, 6.0)))
    monkeypatch.setattr(run, "WEEKS_SECONDS", 300.0)  # a slow machine takes the time that it needs
    found = await shown(200)
    ends = Counter((one.journey, one.status) for one in found.journeys)
    assert {name for name, _ in ends} == set(JOURNEYS)
    assert {status for _, status in ends} == {"completed", "goal_met", "exited"}
    assert all(message.terminal for message in found.messages)
    assert found.published >= 200 + found.planned
    answers = Counter(
        message.policy for message in found.messages for one in message.attempts if one.replies
    )
    assert answers["nps"] > 0, answers
    reasons = {one.reason.value for one in found.messages if one.reason is not None}
    assert not reasons & {"too_long", "no_code", "missing_variable", "template_error"}
    summary = summarise(found.messages, found.published, found.journeys, found.taken)
    assert summary.accounted_for
    assert set(summary.arms["wishlist_news"]) <= {"plain", "warm", "nothing"}
    assert summary.gathered > summary.digests > 0
    text = found.text()
    assert all(len(line) <= COLUMNS for line in text.splitlines())
    assert f"providers took {found.taken} messages, as our histories say" in " ".join(text.split())
    assert not summarise(found.messages, 0, (), found.taken + 1).accounted_for


async def test_an_unknown_outcome_may_have_been_taken_or_not() -> None:
    summary = summarise((), 0)
    for taken, accepted, unknown, right in ((5, 4, 1, True), (4, 4, 1, True), (6, 4, 1, False)):
        summary.taken, summary.accepted, summary.unknown = taken, accepted, unknown
        assert summary.accounted_for is right
