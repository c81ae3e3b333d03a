"""What a publisher cannot see is counted: content, conditions, status events, unknown sends."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from orchestrator.app import maintenance
from orchestrator.app.maintenance import Maintenance
from orchestrator.core.outcomes import Unknown
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.statuses import outbox
from tests.app.site import lay_out, put_policy, running, until
from tests.engine.world import World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOWHERE = f'statuses: {{webhooks: [{{url: "http://127.0.0.1:1/hook", secret: {SECRET}}}]}}'
CONDITIONED = """\
policy: {name}
trigger: {{event: shop.{name}, when: "event.total / event.items > 3"}}
deadline: 1h
cascade: [{{channel: sms}}]
"""
SMS = Policy("texts", "v1", "shop.event", (Step("sms"),))


async def test_content_conditions_and_a_receiver_that_is_gone_are_counted_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "GAUGE_SECONDS", 0.05)
    monkeypatch.setattr(outbox, "FIRST_PAUSE_SECONDS", 0.05)
    config = lay_out(tmp_path, more=NOWHERE)
    put_policy(tmp_path, "broken", "Dear {{ event.nobody }}")
    put_policy(tmp_path, "divided", "Cheap", CONDITIONED)
    async with running(config) as site, aiohttp.ClientSession() as session:

        async def metrics() -> str:
            async with session.get(f"{site.admin}/metrics") as answer:
                return await answer.text()

        async def all_counted() -> bool:
            found = await metrics()
            return "kaskad_status_failures_total{" in found and bool(
                re.search(r'kaskad_status_backlog\{sink="webhook:127.0.0.1:1#\w+"\} [1-9]', found)
            )

        message = await site.ended(await site.publish("broken"))
        await site.post(site.event("divided", total=5, items=0))
        await until(all_counted)
        found = await metrics()
    assert message["reason"] == "missing_variable"
    assert (
        'kaskad_content_failures_total{channel="sms",policy="broken",reason="missing_variable"} 1.0'
        in found
    )
    assert 'kaskad_condition_errors_total{policy="divided"} 1.0' in found
    assert re.search(r'kaskad_status_sink_up\{sink="webhook:127.0.0.1:1#\w+"\} 0.0', found)


async def read_no_keys() -> None:
    """This process has none."""


async def test_sends_that_stay_unknown_are_counted() -> None:
    async with World(SMS) as world:
        [message] = (await world.publish()).messages
        await world.send(message, Unknown(Reason.TIMED_OUT))
        keeper = Maintenance(world.runtime, lambda: None, read_no_keys, works=True)
        await keeper.count_unknown()
        registry = world.runtime.edges.metrics.registry
        assert registry.get_sample_value("kaskad_unknown_unresolved") == 1
