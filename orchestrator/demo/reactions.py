"""What people do with what reaches them: look into their inboxes, and answer questions."""

from __future__ import annotations

import random
from collections.abc import Sequence

from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.status import Delivery
from orchestrator.demo.people import Customers
from orchestrator.demo.stack import DemoStack

PROVIDERS = {"viber": "infobip", "sms": "twilio"}
"""Where questions are asked, and whose stand-in reports the answers."""
SHARE = {"nps": 0.8, "nps_why": 0.7}
MARKS = ("10", "9", "10", "8", "6", "9", "3", "10", "5", "7")
WHY = {
    "uk": ("Довго їхала посилка", "Подряпана коробка", "Кур'єр не передзвонив"),
    "en": ("The parcel took a week", "The box was scratched", "The courier did not call"),
}


class Reactions:
    """Everybody reacts to a message once, the same in every run of a seed."""

    def __init__(self, stack: DemoStack, customers: Customers) -> None:
        self._stack = stack
        self._people = {person["id"]: person for person in customers.people}
        self._customers = customers
        self._done: set[str] = set()

    async def to(self, messages: Sequence[Message]) -> None:
        """React to those of the messages that have arrived and are still new to their people."""
        for message in messages:
            if message.id in self._done or not message.attempts:
                continue
            last = message.attempts[-1]
            if last.channel == "in_app":
                self._done.add(message.id)
                if self._customers.uses({"id": message.recipient}, "inbox"):
                    await self._stack.read_inbox(message.recipient)
            elif message.policy in SHARE and arrived(last):
                self._done.add(message.id)
                await self._answer(message, last.channel)

    async def _answer(self, message: Message, channel: str) -> None:
        """A digit for the question, words for why; or nothing, as people are."""
        person = self._people[message.recipient]
        chance = random.Random(f"{message.policy}|{person['id']}")
        if chance.random() < SHARE[message.policy]:
            words = MARKS if message.policy == "nps" else WHY[person["locale"][:2]]
            await self._stack.reply(PROVIDERS[channel], person["phone"], chance.choice(words))


def arrived(attempt: Attempt) -> bool:
    """Whether a question is on the person's phone."""
    if attempt.channel == "sms":
        return attempt.outcome is OutcomeKind.ACCEPTED and attempt.state is not Delivery.FAILED
    return attempt.channel in PROVIDERS and attempt.state is Delivery.DELIVERED
