"""The events of an installation, exported and simulated: as they are, and without personal data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.cli.event_files import write_events
from tests.app.site import Site, lay_out, put_policy, running
from tests.app.test_repair import Verbs

TEMPLATE = "{{ recipient.first_name }}, {{ event.note }} {{ event.n }}"
POLICY = """\
policy: {name}
trigger: {{event: shop.{name}}}
deadline: 1h
cascade: [{{channel: sms, when: event.n != 2}}]
"""
SINCE = "2026-01-01T00:00:00Z"
BEHAVIOUR = "sms: {delivered: {share: 1, median: 2s, p95: 2s}}\n"
OLENA = {
    "id": "olena@example.com",
    "first_name": "Олена",
    "last_name": "Коваль",
    "phone": "+380501112233",
    "email": "Olena@example.com",
    "locale": "uk-UA",
    "tier": "gold",
}
TARAS = {"id": "taras-7", "first_name": "Taras", "phone": "+380671112233"}
PERSONAL = ("лен", "Олен", "Ковал", "olena", "Olena", "1112233", "Taras", "taras")
NOTE = "для Олени Коваль, тел. +380501112233, пошта olena@example.com, 2026-11-02"


async def lived(site: Site) -> None:
    """Three events: of one person, of one whose step is left out, of two at once."""
    one = site.event()
    one["data"] = {"n": 1, "note": NOTE, "order_id": "70000", "recipient": OLENA}
    two = site.event()
    two["data"] = {"n": 2, "note": "x", "recipient": TARAS}
    both = site.event() | {"time": "2026-11-20T10:00:00Z"}
    both["data"] = {"n": 3, "note": "y", "recipients": [OLENA, TARAS]}
    other = site.event("nothing")  # it triggers nothing, so no message has it
    status, answer = await site.post(one, two, both, other)
    assert status == 202, answer
    opted_out = {"opt_outs": [{"address": TARAS["phone"], "channel": "sms"}]}
    async with site._session.post(f"{site.public}/v1/opt-outs", json=opted_out) as answered:
        assert answered.status == 200


def place(folder: Path, store: str | None) -> Path:
    config = lay_out(folder, store or "sqlite:///./k.db")
    put_policy(folder, "order", TEMPLATE, POLICY)
    (folder / "behaviour.yaml").write_text(BEHAVIOUR, "utf-8")
    return config


def events_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


async def test_exported_events_are_simulated_masked_or_not_with_the_same_result(
    tmp_path: Path, store_url: str | None
) -> None:
    config = place(tmp_path, store_url)
    verbs, plain, masked = Verbs(config), tmp_path / "plain.jsonl", tmp_path / "masked.jsonl"
    async with running(config) as site:
        await lived(site)
        with plain.open("w", encoding="utf-8") as target:
            done = await write_events(config, target, {"since": SINCE})
        assert done == {"events": 3, "erased": 0}
    # without a service it is the same
    said = await verbs.run("events", "export", str(masked), "--masked", "--mask", "order_id")
    assert "exported: 3 event(s)" in said
    one, two, both = events_in(plain)
    assert [event["data"]["n"] for event in (one, two, both)] == [1, 2, 3]
    profile = {"attributes": {"tier": "gold"}, **OLENA}
    del profile["tier"]
    assert one["data"] == {"n": 1, "note": NOTE, "order_id": "70000", "recipient": profile}
    assert [person["id"] for person in both["data"]["recipients"]] == [OLENA["id"], TARAS["id"]]
    assert "consents" not in str(both), "the opt-out came after the event"
    text = masked.read_text("utf-8")
    assert not [word for word in PERSONAL if word in text] and "70000" not in text
    shown = events_in(masked)
    person = shown[0]["data"]["recipient"]
    assert shown[2]["data"]["recipients"][0] == person
    assert person["phone"] in shown[0]["data"]["note"]
    if store_url is not None:
        return  # a file is simulated alike, whatever it comes from
    first, second = [
        await verbs.json(
            *("simulate", "--events", str(file), "--runs", "1"),
            *("--providers", str(tmp_path / "behaviour.yaml")),
        )
        for file in (plain, masked)
    ]
    assert first == second
    assert "condition_false" in json.dumps(first), "the second event's step is left out"
