"""What some runs ask people, what those answer, and the policy that goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from orchestrator.core.inside import PREFIX, REPLY
from orchestrator.core.policy import CONVERSATIONAL, HOUR_MS, MINUTE_MS, Policy, Step
from orchestrator.core.values import replace
from tests.simulation.options import Options

QUESTION_SHARE = 0.2
"""Of the runs."""
ANSWERED_SHARE, DOUBLE_SHARE = 0.6, 0.4
"""Of the questions that are taken by a provider; of the answers that it reports twice."""
ASKED, WHY = "asked", "why"
REPLY_EVENT = PREFIX + REPLY
ASKING_CHANNELS = ("sms", "viber")
ANSWERING_CHANNELS = ("sms", "viber", "whatsapp")
CHOICES = """
choices: [{id: "1", title: "Так"}, {id: "2", title: "Ні"}]
"""
MEANT = {"1": "1", "2.": "2", "так": "1", "«Ні»": "2", "2 – Ні": "2", "ТАК": "1"}
"""What an answer means, for those that mean one of the choices."""
WORDS = (*MEANT, "1", "так", "12", "може", "стоп")


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """What a person writes back, how many seconds after the question, and how often it comes."""

    text: str
    seconds: float
    times: int


def asks(options: Options) -> bool:
    """Whether a run asks anything."""
    return Random(f"questions {options.seed}").random() < QUESTION_SHARE


def answers(options: Options) -> Random | None:
    """What draws the answers of a run, apart from all else; None for a run that asks nothing."""
    return Random(f"answers {options.seed}") if asks(options) else None


def draw_answer(rng: Random) -> WrittenAnswer | None:
    """The answer to one question, if there is one."""
    if rng.random() >= ANSWERED_SHARE:
        return None
    seconds = rng.choice((0.0, rng.expovariate(2), rng.expovariate(1 / 60), 7_000.0))
    return WrittenAnswer(rng.choice(WORDS), seconds, 2 if rng.random() < DOUBLE_SHARE else 1)


def asking(templates: Mapping[str, str]) -> dict[str, str]:
    """The parts of a template that asks on the channels that show choices as lines or buttons."""
    return {**templates, **{f"{channel}.yaml.j2": CHOICES for channel in ASKING_CHANNELS}}


def with_questions(
    options: Options, policies: Mapping[str, Policy], channels: list[str]
) -> dict[str, Policy]:
    """The policies, of which all that are triggered by the shop ask: the same in every rulebook."""
    if not asks(options):
        return dict(policies)
    rng = Random(f"why {options.seed}")
    asked = {name: one for name, one in policies.items() if name.startswith("p")}
    found = {**policies, **{name: ask(one) for name, one in asked.items()}}
    able = [channel for channel in ANSWERING_CHANNELS if channel in channels]
    order = rng.sample(able, rng.randint(1, len(able)))
    found[WHY] = Policy(
        WHY,
        "0",
        REPLY_EVENT,
        tuple(Step(channel) for channel in order),
        when=f"event.policy in {sorted(asked)} and event.choice == '1'",
        message_class=CONVERSATIONAL,
        topic="topic0",
        template=WHY,
        deadline_ms=rng.choice((10 * MINUTE_MS, HOUR_MS)),
    )
    return found


def ask(policy: Policy) -> Policy:
    """The policy with a template that asks."""
    return replace(policy, template=ASKED)
