"""A template is rendered for a person of the store, as a message to them would be."""

from __future__ import annotations

import json
from pathlib import Path

from tests.app.site import lay_out, put_policy, running
from tests.app.test_repair import Verbs

OLENA = {"first_name": "Олена", "phone": "+380501112233", "locale": "uk-UA", "tier": "gold"}


async def test_a_template_is_rendered_for_a_stored_person(
    tmp_path: Path, store_url: str | None
) -> None:
    config = lay_out(tmp_path, store_url or "sqlite:///./k.db")
    put_policy(tmp_path, "order", "{{ recipient.first_name }} ({{ recipient.tier }}) {{ event.n }}")
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"n": 7, "recipient": {"tier": "silver"}}), "utf-8")
    verbs = Verbs(config)
    async with running(config) as site:
        one = site.event()
        one["data"] = {"n": 1, "recipient": {"id": "olena", **OLENA}}
        assert (await site.post(one))[0] == 202
    for who in ("olena", OLENA["phone"]):
        shown = await verbs.json("render", "order", "--recipient", who, "--event", str(event))
        assert shown["sms"]["parts"]["text"] == "Олена (silver) 7"
        if store_url is not None:
            return
    nobody = await verbs.run("render", "order", "--recipient", "nobody", code=1)
    assert "nobody" in nobody
    missing = await verbs.run("render", "order", "--recipient", "olena", code=1)
    assert "event.n" in missing and "missing_variable" in missing
