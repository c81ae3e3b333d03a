"""A receipt that refuses our configuration shuts the provider, as an answer would."""

from __future__ import annotations

import pytest
import structlog

from orchestrator.channels import Delivery, Receipt
from orchestrator.core.outcomes import Refused
from orchestrator.core.reasons import Reason
from orchestrator.engine.commands import RecordReceipt
from tests.dispatch.test_express import until
from tests.dispatch.test_sends import Shop, shop
from tests.engine.world import shared_metrics


async def asked(at: Shop) -> str:
    """A message that the provider has not answered yet."""
    message = await at.publish("1", first_name="Olena")
    await at.adapter.asked.get()
    return message


async def sent(at: Shop) -> str:
    """A message that the provider has taken."""
    message = await asked(at)
    at.adapter.may_answer.set()
    await until(lambda: at.at_rest)
    return message


def failed(reason: Reason, provider_id: str | None = None) -> Receipt:
    failure = Refused(reason, "401", "no such sender")
    return Receipt(state=Delivery.FAILED, provider_id=provider_id, failure=failure)


def alerts() -> float:
    labels = {"channel": "viber", "provider": "viber_a", "reason": "refused_configuration"}
    found = shared_metrics().registry.get_sample_value("kaskad_refusals_total", labels)
    return found or 0.0


@pytest.mark.parametrize("early", [False, True])
async def test_a_receipt_that_refuses_our_configuration_shuts_the_provider_once(
    early: bool,
) -> None:
    async with shop() as at:
        before = alerts()
        with structlog.testing.capture_logs() as logs:
            if early:  # it comes before the answer with its reference
                receipt = failed(Reason.REFUSED_CONFIGURATION, f"id-{await asked(at)}")
                await at.world.engine.submit(RecordReceipt("viber_a", receipt))
                assert at.provider.breaker.closed
                at.adapter.may_answer.set()
                await until(lambda: at.at_rest)
            else:
                message = await sent(at)
                receipt = failed(Reason.REFUSED_CONFIGURATION)
                for _ in range(2):  # the repeat is no news
                    await at.world.engine.submit(RecordReceipt("viber_a", receipt, message, 0))
        assert at.provider.breaker.shut_until(at.world.now) is not None
        assert [
            one["code"] for one in logs if one["event"] == "provider.configuration_refused"
        ] == ["401"]
        assert alerts() == before + 1


@pytest.mark.parametrize(
    "reason", [Reason.REFUSED_RECIPIENT, Reason.REFUSED_CONTENT, Reason.REFUSED_ADDRESS]
)
async def test_a_receipt_about_a_person_shuts_nothing(reason: Reason) -> None:
    async with shop() as at:
        message = await sent(at)
        await at.world.engine.submit(RecordReceipt("viber_a", failed(reason), message, 0))
        assert at.provider.breaker.closed


async def test_a_receipt_for_a_provider_that_is_gone_shuts_no_other() -> None:
    async with shop() as at:
        message = await sent(at)
        at.dispatcher.use({})
        receipt = failed(Reason.REFUSED_CONFIGURATION)
        await at.world.engine.submit(RecordReceipt("viber_a", receipt, message, 0))
        assert at.provider.breaker.closed
