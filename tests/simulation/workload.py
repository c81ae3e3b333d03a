"""
The deeds of the outside world in a run: events, opt-outs, replies, goals, cancellations,
erasures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from orchestrator.core.inputs import UNTIL_RESUMED
from tests.simulation.options import Options
from tests.simulation.policies import DIGEST_EVENT, GOAL_EVENT, OUTAGE_EVENT
from tests.simulation.providers.base import iso
from tests.simulation.scenery import Human, Scenery
from tests.simulation.truth import Deed

CONSENTED_MS = 86_400_000
"""The time before the run at which all recipients gave their consents."""
OUTAGE_EVENTS, OUTAGE_SECONDS = 12, 480.0
SHARE_WITH_SCHEDULES = 0.4
"""Of the runs; in the others every message starts at once."""
LATER_MS = (-60_000, 5_000, 90_000, 600_000, 3_600_000)
TEXTS = ("STOP", "стоп", "START", "дякую", "ТАК", "не стоп")


@dataclass(frozen=True, slots=True)
class DeedPlan:
    """The virtual second at which each deed is first tried."""

    at: float
    deed: Deed


class Workload:
    """
    Draws everything before the run, so that faults and the service's own speed cannot change what
    is asked of it.
    """

    def __init__(self, options: Options, scenery: Scenery) -> None:
        self._options = options
        self._scenery = scenery
        self._rng = Random(f"workload {options.seed}")
        self._spelling = Random(f"spelling {options.seed}")
        self._oddity = Random(f"oddity {options.seed}")
        self._schedules = Random(f"schedules {options.seed}")
        self._has_schedules = self._schedules.random() < SHARE_WITH_SCHEDULES
        self.plans: list[DeedPlan] = []

    def draw(self) -> list[DeedPlan]:
        """All deeds in the order of their times."""
        rng, options = self._rng, self._options
        humans = self._scenery.humans
        for number in range(options.events):
            at = rng.uniform(0, options.span_seconds) if rng.random() < 0.6 else rng.uniform(0, 120)
            count = rng.randint(1, len(humans)) if options.fan_outs and rng.random() < 0.3 else 1
            people = rng.sample(humans, count)
            self._publish(
                at,
                f"e{number}",
                rng.choice(("shop.a", "shop.a", "shop.b")),
                f"c{rng.randint(0, number)}",
                people,
            )
        events = list(self.plans)
        for number in range(options.goals):
            event = rng.choice(events)
            someone = rng.choice(event.deed.what["people"])
            human = next(human for human in humans if human.id == someone)
            self._publish(
                self._near(event.at), f"g{number}", GOAL_EVENT, event.deed.what["cart"], [human]
            )
        for _ in range(options.opt_outs):
            self._add(self._near(rng.choice(events).at), "opt_out", self._scope(rng.choice(humans)))
        for _ in range(options.replies):
            self._add(self._near(rng.choice(events).at), *self._reply(rng.choice(humans)))
        for _ in range(options.cancels):
            event = rng.choice(events)
            self._add(self._near(event.at), "cancel", {"event": event.deed.what["id"]})
        for _ in range(options.erasures):
            self._add(
                self._near(rng.choice(events).at), "erase", {"recipient": rng.choice(humans).id}
            )
        for number in range(OUTAGE_EVENTS if options.receipt_outage else 0):
            early = number < OUTAGE_EVENTS // 2  # while receipts still come: these are the baseline
            at = rng.uniform(0, 0.2) if early else 0.6
            at = at * options.span_seconds + rng.uniform(0, OUTAGE_SECONDS)
            self._publish(at, f"o{number}", OUTAGE_EVENT, f"o{number}", [rng.choice(humans)])
        self._gather()
        self._pause_and_resume()
        return sorted(self.plans, key=lambda plan: plan.at)

    def _gather(self) -> None:
        """Events of a few topics in bursts, for the policy that gathers them."""
        if "digest" not in self._scenery.books[0].policies:
            return
        rng, options = Random(f"topics {self._options.seed}"), self._options
        bursts = [rng.uniform(0, options.span_seconds) for _ in range(3)]
        for number in range(rng.randint(6, 20)):
            at = rng.choice(bursts) + rng.expovariate(1 / 60)
            human, topic = rng.choice(self._scenery.humans[:3]), f"t{rng.randrange(2)}"
            id = f"d{number}"
            data = {
                "cart": topic,
                "n": f"n{number}",
                "total": 500,
                "recipient": self._profile(human),
            }
            event = {"specversion": "1.0", "id": id, "source": "shop", "type": DIGEST_EVENT}
            body = json.dumps({**event, "data": data}).encode()
            what = {"id": id, "type": DIGEST_EVENT, "cart": topic, "total": 500, "odd": None}
            what |= {"people": [human.id], "time": None, "starts_at": None, "body": body}
            self._add(at, "publish", what)
            if rng.random() < 0.1:
                self._add(self._later(rng, at), "cancel", {"event": id})

    @staticmethod
    def _later(rng: Random, at: float) -> float:
        return at + rng.expovariate(1 / 30)

    def _pause_and_resume(self) -> None:
        """Operators pause something for a time, with its end or until they resume it."""
        rng = Random(f"what is paused {self._options.seed}")
        policies = self._scenery.books[0].policies
        things = [("channel", name) for name in self._scenery.channels]
        things += [("provider", name) for name in self._scenery.accounts]
        things += [("policy", name) for name in policies]
        for _ in range(self._options.operator_pauses):
            kind, name = rng.choice(sorted(things))
            at = rng.choice((rng.uniform(0, 120), rng.uniform(0, self._options.span_seconds)))
            lasts = rng.choice((20.0, 400.0, 4_000.0))
            thing = {"kind": kind, "name": name}
            if rng.random() < 0.5:
                until = self._options.start + int((at + lasts) * 1000)
                self._add(at, "pause", {**thing, "until": until})
            else:
                self._add(at, "pause", {**thing, "until": UNTIL_RESUMED})
                until = self._options.start + int((at + lasts) * 1000)
                if rng.random() < 0.5:  # its end is brought forward instead
                    self._add(at + lasts / 2, "pause", {**thing, "until": until})
                else:
                    self._add(at + lasts, "resume", thing)

    def _add(self, at: float, kind: str, what: dict[str, Any]) -> None:
        self.plans.append(DeedPlan(at, Deed(kind, what)))

    def _near(self, at: float) -> float:
        """Soon after something else: that is where races are."""
        return at + self._rng.choice(
            (
                0.0,
                self._rng.expovariate(2),
                self._rng.expovariate(1 / 40),
                self._rng.expovariate(1 / 900),
            )
        )

    def _publish(self, at: float, id: str, type: str, cart: str, people: list[Human]) -> None:
        rng, options = self._rng, self._options
        total = rng.choice((50, 200, 500))
        happened = options.start + int(at * 1000)
        if rng.random() < 0.2:
            happened -= rng.choice((30_000, 600_000, 7_200_000))
        time = happened if rng.random() < 0.8 else None
        profiles = [self._profile(human) for human in people]
        odd = self._oddity.choice(people) if self._oddity.random() < 0.3 else None
        if odd is not None:
            profiles[people.index(odd)]["locale"] = "no locale at all!"
        data: dict[str, Any] = {"cart": cart, "total": total}
        data |= {"recipient": profiles[0]} if len(people) == 1 else {"recipients": profiles}
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": id,
            "source": "shop",
            "type": type,
            "data": data,
        }
        if time is not None:
            event["time"] = iso(time)
        starts_at = None
        if self._has_schedules and type != GOAL_EVENT and self._schedules.random() < 0.25:
            starts_at = options.start + int(at * 1000) + self._schedules.choice(LATER_MS)
            event["kaskadnotbefore"] = iso(starts_at)
        what = {
            "id": id,
            "type": type,
            "cart": cart,
            "total": total,
            "people": [human.id for human in people],
            "odd": odd.id if odd is not None else None,
            "time": time,
            "starts_at": starts_at,
        }
        self._add(at, "publish", what | {"body": json.dumps(event).encode()})

    def _profile(self, human: Human) -> dict[str, Any]:
        agreed = iso(self._options.start - CONSENTED_MS)
        consents = [{**entry, "at": agreed} for entry in human.consents]
        return {"id": human.id, **human.profile, **({"consents": consents} if consents else {})}

    def _written(self, kind: str, address: str) -> str:
        """An address as somebody may write it."""
        if kind == "email":
            name, _, domain = address.partition("@")
            return self._spelling.choice((address, f"{name}@{domain.upper()}", f" {address}"))
        return address

    def _scope(self, human: Human) -> dict[str, Any]:
        """
        An opt-out by API: of a person or of a bare address, from everything, a channel, a topic, or
        both.
        """
        rng = self._rng
        channel = rng.choice(("*", "*", *self._scenery.channels))
        topic = rng.choice(("*", "*", "*", f"topic{rng.randrange(self._options.policies)}"))
        kinds = [kind for kind in ("phone", "email", "viber_bot_id") if kind in human.profile]
        if kinds and rng.random() < 0.5:
            kind = rng.choice(kinds)
            return {
                "kind": kind,
                "address": human.profile[kind],
                "written": self._written(kind, human.profile[kind]),
                "channel": channel,
                "topic": topic,
            }
        return {"recipient": human.id, "channel": channel, "topic": topic}

    def _reply(self, human: Human) -> tuple[str, dict[str, Any]]:
        """Somebody writes back, or leaves by the provider's own means."""
        rng = self._rng
        able = [
            a
            for a in self._scenery.accounts.values()
            if a.stand_in.kind in human.profile and a.stand_in.kind != "web_push"
        ]
        if not able:
            return "opt_out", self._scope(human)
        account = rng.choice(able)
        stand_in = account.stand_in
        what = {
            "provider": account.name,
            "kind": stand_in.kind,
            "address": human.profile[stand_in.kind],
        }
        what["channel"] = stand_in.channel
        if rng.random() < 0.3 and stand_in.preference("1", "out", 0) is not None:
            return "prefer", what | {"state": rng.choice(("out", "out", "in"))}
        return "reply", what | {"text": rng.choice(TEXTS)}
