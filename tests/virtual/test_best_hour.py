"""
What the best hour is good for: people with habits read more within a day than if they were written
to at once, and nothing leaves after its deadline.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from orchestrator.channels import Accepted, Engagement
from orchestrator.core.effects import Call
from orchestrator.core.facts import ReceiptReceived
from orchestrator.core.message import Attempt, Message
from orchestrator.core.policy import DAY_MS, HOUR_MS
from orchestrator.engine.batch import Decided
from orchestrator.virtual.fast_runner import FastRunner
from orchestrator.virtual.scripted_provider import Later, Reaction
from tests.engine.world import START, event
from tests.simulate.place import Place

POLICY = """\
policy: tale
trigger: {event: tale}
deadline: 20h
SEND_AT
cascade:
  - {channel: viber}
"""
PEOPLE, DAYS, LEARNING_DAYS = 60, 30, 15
KYIV = ZoneInfo("Europe/Kyiv")
UNSEEN_MS = 3 * HOUR_MS
"""A message that nobody has looked at by then stands below others, and is never read."""


class Town:
    """People who look at their phones at an hour of their own, and now and then at any other."""

    def __init__(self) -> None:
        self.favourites = {f"p{n}": Random(f"favourite {n}").randint(7, 22) for n in range(PEOPLE)}
        self.sent = self.read = self.late = 0

    def looks(self, person: str, hour_began: int) -> bool:
        """Whether somebody looks at their phone in the hour that begins at an instant."""
        hour = datetime.fromtimestamp(hour_began / 1000, KYIV).hour
        chance = 0.75 if hour == self.favourites[person] else 0.06 if 7 <= hour <= 22 else 0.0
        return Random(f"{person} {hour_began}").random() < chance

    def respond(self, provider: str, message: Message, attempt: Attempt) -> Reaction:
        at = attempt.intent_at
        self.late += at >= message.deadline_at
        began = at - at % HOUR_MS
        for look in (began + hour * HOUR_MS for hour in range(4)):
            read_at = look + Random(f"{message.recipient} {look} minute").randrange(HOUR_MS)
            if at <= read_at < at + UNSEEN_MS and self.looks(message.recipient, look):
                receipt = Later(read_at - at, Engagement.READ)
                return Reaction(Accepted(message.id), receipts=(receipt,))
        return Reaction(Accepted(message.id))

    def watch(self, decided: Decided, now: int) -> None:
        message = decided.decision.message
        if message.created_at < START + LEARNING_DAYS * DAY_MS:
            return
        self.sent += sum(isinstance(effect, Call) for effect in decided.decision.effects)
        match decided.fact:
            case ReceiptReceived(state=Engagement.READ):
                self.read += now - message.created_at <= DAY_MS


def lived(folder: Path, send_at: str) -> Town:
    """A month of one message a day, at any time; the second half is counted."""
    folder.mkdir()
    place, town = Place(folder), Town()
    place.write("policies/tale.yaml", POLICY.replace("SEND_AT", send_at))
    configuration = place.load()
    policies = dict(configuration.rules.policies)
    runner = FastRunner(configuration, policies, START, town.respond, town.watch, {})
    times = Random("times")
    events = [
        (START + day * DAY_MS + times.randrange(DAY_MS), day, n)
        for day in range(DAYS)
        for n in range(PEOPLE)
    ]
    published = (
        (
            at,
            event(
                f"{day} {n}",
                {"n": n},
                "tale",
                at,
                [{"id": f"p{n}", "phone": f"+38050123{n:04d}", "time_zone": "Europe/Kyiv"}],
            ),
        )
        for at, day, n in sorted(events)
    )
    runner.run(published, lambda count: None, lambda last: last + 2 * DAY_MS)
    return town


def test_people_with_hours_of_their_own_read_at_least_fifteen_percent_more(tmp_path: Path) -> None:
    at_once = lived(tmp_path / "now", "")
    best = lived(tmp_path / "best", "send_at: {best_hour: true, within: 24h}")
    assert best.sent > 0.95 * at_once.sent > 0
    gain = (best.read / best.sent) / (at_once.read / at_once.sent) - 1
    figures = f"at once {at_once.read} of {at_once.sent}, best hour {best.read} of {best.sent}"
    print(f"{figures}: {gain:+.0%}")
    assert gain >= 0.15, figures
    assert at_once.late == best.late == 0
