"""
A synthetic town: people of whom everything is known, who answer messages by rules of their own.

Nothing here shares a formula with what is fitted. People differ in how readily they read (the same
person on every channel), there are two audiences, some do not have a channel, everybody sleeps,
some phones are off for good, and a message may make somebody write STOP. Providers report in
batches and date their reports by clocks that are off.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.channels import Accepted, Delivery, Engagement, Reason, Refused
from orchestrator.virtual.scripted_provider import Later, Reaction

ZONE = ZoneInfo("Europe/Kyiv")
START = datetime(2026, 11, 2, tzinfo=UTC)
DAYS = 14
YES = {"state": "in", "at": "2026-11-01T00:00:00Z"}
HOUR_MS = 3_600_000
CONFIG = """\
store: sqlite:///./kaskad.db
channels:
  viber:
    - provider: infobip
      adapter: infobip_viber
      base_url: ${env:NO_SUCH_URL}
      api_key: ${env:NO_SUCH_KEY}
      webhook_token: ${env:NO_SUCH_TOKEN}
      sender: Shop
      cost: {amount: "0.70", currency: UAH}
  whatsapp:
    - provider: meta
      adapter: whatsapp_cloud
      phone_number_id: ${env:NO_SUCH_ID}
      access_token: ${env:NO_SUCH_TOKEN}
      app_secret: ${env:NO_SUCH_SECRET}
      verify_token: ${env:NO_SUCH_TOKEN}
      cost: {amount: "1.90", currency: UAH}
  sms:
    - provider: twilio
      adapter: twilio_sms
      account_sid: ${env:NO_SUCH_SID}
      auth_token: ${env:NO_SUCH_TOKEN}
      from: Shop
      cost: {amount: "1.20", currency: UAH, per: part}
templates: ./templates
"""
GOVERNANCE = """\
time_zone: Europe/Kyiv
sms_countries: [UA]
quiet_hours: {night: {window: "22:00-08:00", classes: [promotional]}}
"""
SALE = """\
policy: sale
trigger: {event: sale}
class: promotional
deadline: 20h
cascade:
  - {channel: viber, wait: {delivered: 2m, read: 30m}}
  - {channel: whatsapp, wait: {delivered: 2m, read: 1h}}
  - {channel: sms, wait: {delivered: 10m}}
"""
PARCEL = """\
policy: parcel
trigger: {event: parcel}
class: transactional
deadline: 12h
cascade:
  - {channel: viber, wait: {delivered: 1m, read: 20m}}
  - {channel: sms, wait: {delivered: 10m}}
"""


@dataclass(frozen=True)
class Citizen:
    """
    One of the people. ``keen`` is how readily they read, ``has`` are their channels, ``off`` those
    of their devices that nothing reaches; they sleep from ``asleep`` to ``awake`` (local hours).
    """

    id: str
    phone: str
    young: bool
    keen: float
    has: frozenset[str]
    off: frozenset[str]
    awake: float
    asleep: float


class Town:
    """The town of a seed, with so many people; every one gets about ``each`` messages."""

    def __init__(self, seed: int, people: int, each: int) -> None:
        self.seed = seed
        rng = random.Random(f"town {seed}")
        self.reads = {"viber": rng.uniform(0.9, 1.2), "whatsapp": rng.uniform(0.8, 1.1)}
        self.report_every_ms = rng.choice([5_000, 10_000, 20_000])
        self.clocks_off_ms = {"infobip": -45_000, "meta": 30_000, "twilio": -5_000}
        self.stop_share = rng.uniform(0.005, 0.02)
        owning = {"viber": rng.uniform(0.6, 0.8), "whatsapp": rng.uniform(0.4, 0.7)}
        self.citizens = [self._citizen(rng, number, owning) for number in range(people)]
        self._by_id = {one.id: one for one in self.citizens}
        self._events = list(self._happenings(rng, each))

    def _citizen(self, rng: random.Random, number: int, owning: dict[str, float]) -> Citizen:
        young = rng.random() < 0.5
        likely = 1.15 if young else 0.85
        has = {name for name, share in owning.items() if rng.random() < share * likely}
        return Citizen(
            f"citizen-{number}",
            f"+38050{1_000_000 + number}",
            young,
            rng.betavariate(3, 1.5) if young else rng.betavariate(1, 3),
            frozenset({*has, "sms"}),
            frozenset(name for name in ("viber", "whatsapp", "sms") if rng.random() < 0.04),
            rng.uniform(6, 9),
            rng.uniform(22, 24.5),
        )

    def _happenings(self, rng: random.Random, each: int) -> Iterator[dict[str, Any]]:
        """Sales go to everybody, parcels mostly to the young: two policies, two audiences."""
        for one in self.citizens:
            sales = rng.randint(1, each)
            parcels = rng.randint(1, 2 * each) if one.young else rng.randint(0, 1)
            for type, count in (("sale", sales), ("parcel", parcels)):
                for number in range(count):
                    at = START + timedelta(
                        days=rng.randrange(DAYS), hours=rng.gauss(13, 4) % 24 - 2
                    )
                    yield event(one, type, number, at)

    def write(self, folder: Path, policies: dict[str, str], governance: str = GOVERNANCE) -> Path:
        """Write the town's installation with some policies; returns its events."""
        texts = {"kaskad.yaml": CONFIG, "governance.yaml": governance}
        for name, text in policies.items():
            texts[f"policies/{name}.yaml"] = text
            for channel in ("viber", "sms"):
                texts[f"templates/{name}/{channel}.text.j2"] = "Good day"
            texts[f"templates/{name}/whatsapp.yaml.j2"] = "template: good_day\nlanguage: uk\n"
        texts["events.jsonl"] = "".join(json.dumps(one) + "\n" for one in self._events)
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder / "events.jsonl"

    def react(
        self, luck: int, channel: str, provider: str, person: str, event: str, at: int
    ) -> Reaction:
        """What one person does with one message; ``luck`` is another month of the same town."""
        one = self._by_id[person]
        rng = random.Random(f"{self.seed} {luck} {person} {event} {channel}")
        chance = {name: rng.random() for name in ("lost", "read", "stop", "jitter")}
        lags = [rng.lognormvariate(0, 1) for _ in range(3)]
        if channel not in one.has:
            return Reaction(Refused(Reason.REFUSED_RECIPIENT, "none"))
        if channel in one.off or chance["lost"] < 0.03:
            return Reaction(Accepted())
        arrived = at + round(3_000 * lags[0])
        found = [self._report(provider, at, arrived, Delivery.DELIVERED, chance["jitter"])]
        if channel != "sms" and chance["read"] < min(0.97, one.keen * self.reads[channel]):
            read = self._awake(one, arrived, round(12 * 60_000 * lags[1] ** 1.7))
            found.append(self._report(provider, at, read, Engagement.READ, chance["jitter"]))
            if chance["stop"] < self.stop_share:
                stop = self._awake(one, read, round(60_000 * lags[2]))
                found.append(
                    self._report(provider, at, stop, Engagement.UNSUBSCRIBED, chance["jitter"])
                )
        return Reaction(Accepted(), receipts=tuple(found))

    def _report(
        self, provider: str, sent: int, at: int, state: Delivery | Engagement, jitter: float
    ) -> Later:
        """A report that comes with the provider's next batch and says what its clock says."""
        every = self.report_every_ms
        comes = -(-at // every) * every + round(2_000 * jitter)
        return Later(comes - sent, state, dated_ms=at + self.clocks_off_ms[provider] - sent)

    def _awake(self, one: Citizen, start: int, lag_ms: int) -> int:
        """When somebody acts who would take so long and does nothing while asleep."""
        at, left = start, lag_ms
        while True:
            local = datetime.fromtimestamp(at / 1000, UTC).astimezone(ZONE)
            hour = local.hour + local.minute / 60 + local.second / 3600
            if one.asleep - 24 <= hour < one.awake:
                at += round((one.awake - hour) * HOUR_MS)
                continue
            until = round((one.asleep - hour) * HOUR_MS) if hour < one.asleep else 0
            if not until:
                at += round((24 - hour + one.awake) * HOUR_MS)
                continue
            if left <= until:
                return at + left
            at, left = at + until, left - until


def event(one: Citizen, type: str, number: int, at: datetime) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{type}-{one.id}-{number}",
        "source": "town",
        "type": type,
        "time": at.isoformat().replace("+00:00", "Z"),
        "data": {"recipient": {"id": one.id, "phone": one.phone, "consents": [YES]}},
    }
