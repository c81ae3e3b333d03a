"""
A plug-in's channel works everywhere a built-in one does; the product never names it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from orchestrator.channels import Misshapen
from orchestrator.channels.registry import channels
from orchestrator.configuration.store_settings import socket_path
from orchestrator.recipients.document import Person
from orchestrator.recipients.fields import bare_address, checked_profile, scope_of
from orchestrator.render import RenderContext, TemplateProblems, TemplateSet, Unrenderable
from tests.acceptance.place import Place as Installation
from tests.simulate.place import GOVERNANCE, Place, event

pytestmark = pytest.mark.usefixtures("pigeon")

CONFIG = """\
store: sqlite:///./kaskad.db
channels:
  carrier_pigeon:
    - provider: loft
      adapter: pigeon_loft
      base_url: https://loft.example.com
      bell: ${env:BELL}
      cost: {amount: "5.00", currency: UAH}
  sms: [{provider: written, adapter: log}]
templates: ./templates
"""
POLICY = """\
policy: tale
trigger: {event: tale}
class: promotional
deadline: 4h
cascade:
  - {channel: carrier_pigeon, wait: {delivered: 2h}}
  - {channel: sms}
"""
HEAD = """\
policy: tale
given:
  now: "2026-11-21T12:00:00+02:00"
  recipient: {phone: true, pigeon_ring: true, time_zone: Europe/Kyiv}
tests:
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.write("kaskad.yaml", CONFIG)
    made.write("policies/tale.yaml", POLICY)
    made.write("governance.yaml", GOVERNANCE + "consent: {promotional: opt_out}\n")
    made.write("templates/tale/carrier_pigeon.text.j2", "Coo {{ event.n }}")
    (tmp_path / "templates/tale/viber.text.j2").unlink()
    return made


def test_its_address_is_a_field_of_the_profile() -> None:
    profile = checked_profile({"pigeon_ring": "ua-2026-7"}, "")
    assert profile == {"pigeon_ring": "UA-2026-7"}
    with pytest.raises(Misshapen, match="pigeon_ring: it is not a pigeon's ring; write it like"):
        checked_profile({"pigeon_ring": "a sparrow"}, "")
    (address,) = Person("p", profile, lambda kind, value: f"{kind} {value}").addresses
    assert (address.kind, address.value, address.masked()) == ("pigeon_ring", "UA-2026-7", "UA…")
    assert bare_address("UA-2026-7", "address") == "UA-2026-7"


def test_consents_may_name_it() -> None:
    assert scope_of({"channel": "carrier_pigeon"}, "")["channel"] == "carrier_pigeon"
    with pytest.raises(Misshapen, match=r"there is no such channel; use .*carrier_pigeon"):
        scope_of({"channel": "dodo"}, "")


def test_it_says_which_template_parts_it_has_and_what_they_may_say() -> None:
    found = TemplateSet.from_sources({"t": {"carrier_pigeon.uk.text.j2": "Coo"}})
    assert found.parts("t", "carrier_pigeon", "uk") == {"text"}
    with pytest.raises(TemplateProblems, match="the file's name has no part of carrier_pigeon"):
        TemplateSet.from_sources({"t": {"carrier_pigeon.html.j2": "<b>Coo</b>"}})
    channel = channels()["carrier_pigeon"]
    assert channel.structure_problem({"escort": 2}) is None
    assert channel.structure_problem({"escort": "many"}) == "escort must be a number of pigeons"
    assert channel.structure_problem({"wings": 2}) == (
        "carrier_pigeon.yaml has no key 'wings'; it has escort"
    )


def test_a_channel_that_is_gone_is_no_crash_but_a_missing_template() -> None:
    context = RenderContext({}, {}, {}, datetime(2026, 11, 21, tzinfo=UTC), None, "UTC")
    with pytest.raises(Unrenderable, match="there is no channel 'dodo'"):
        TemplateSet.from_sources({}).render("t", "dodo", context)


def test_check_knows_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELL", "ding")
    done = place.kaskad("check")
    assert done.exit_code == 0, done.output
    place.write("kaskad.yaml", CONFIG.replace("  carrier_pigeon:", "  email:"))
    assert (
        "the adapter 'pigeon_loft' serves carrier_pigeon, not email" in place.kaskad("check").output
    )


def test_check_says_what_is_wrong_with_a_plug_in(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELL", "ding")
    place.write("kaskad.yaml", CONFIG.replace("  sms:", "  dodo:"))
    said = " ".join(place.kaskad("check").output.split())
    assert "the channel 'dodo' is broken: carrier_pigeon:NO_SUCH_BIRD cannot be imported" in said
    place.write("kaskad.yaml", CONFIG.replace("  carrier_pigeon:", "  carrier_pidgeon:"))
    said = " ".join(place.kaskad("check").output.split())
    assert "there is no channel 'carrier_pidgeon'; did you mean 'carrier_pigeon'?" in said


TRIALS = {
    "a receipt closes it": (
        "{providers: {loft: {delivered: 30m}}}",
        "{steps: [0s send carrier_pigeon], outcome: succeeded by carrier_pigeon, cost: 5.00}",
    ),
    "silence moves the cascade on": (
        "{providers: {carrier_pigeon: accepts}}",
        "{steps: [0s send carrier_pigeon, 2h send sms], text: {carrier_pigeon: contains Coo}}",
    ),
    "an opt-out from it leaves the others": (
        "{recipient: {consents: [{channel: carrier_pigeon, state: out}]}}",
        "{not_sent: [carrier_pigeon],"
        " steps: [0s skip carrier_pigeon because opted_out, 0s send sms]}",
    ),
    "a reply of STOP is an opt-out": (
        "{then: [{at: 3m, reply: {channel: carrier_pigeon, text: STOP}}]}",
        "{not_sent: [sms]}",
    ),
    "a person without a ring is not reached by it": (
        "{recipient: {pigeon_ring: false}}",
        "{steps: [0s skip carrier_pigeon because no_address, 0s send sms]}",
    ),
    "caps count it": (
        "{history: [{ago: 3h, sent: carrier_pigeon, class: promotional},"
        " {ago: 2h, sent: carrier_pigeon, class: promotional}]}",
        "{not_sent: [carrier_pigeon, sms], outcome: expired because frequency_cap}",
    ),
}


@pytest.mark.parametrize("name", TRIALS)
def test_policies_with_it_can_be_tested(place: Place, name: str) -> None:
    given, expect = TRIALS[name]
    text = f"  - name: it\n    given: {given.replace('{', '{event: {n: 1}, ', 1)}\n"
    (verdict,) = place.verdicts(f"{text}    expect: {expect}\n", HEAD)
    assert verdict.passed, verdict.differences


def test_policies_with_it_can_be_simulated(place: Place) -> None:
    events = [event(number) for number in range(1, 9)]
    for number, one in enumerate(events):
        one["data"]["recipient"]["pigeon_ring"] = f"UA-2026-{number}"
    file = place.events(events)
    done = place.kaskad("simulate", "--events", file, "--runs", "1", "-o", "json")
    assert done.exit_code == 0, done.output
    assert "carrier_pigeon" in done.stdout


class Flights(Installation):
    """The whole service, with a loft that notes every flight."""

    def __init__(self, directory: Path, loft: str) -> None:
        super().__init__(
            directory, "  - channel: carrier_pigeon\n    wait: {delivered: 20s}\n  - channel: sms\n"
        )
        self._loft = loft

    def _write_files(self) -> None:
        super()._write_files()
        folder = self.directory / "templates" / "tale"
        (folder / "carrier_pigeon.text.j2").write_text("Coo {{ event.n }}")
        (folder / "carrier_pigeon.yaml.j2").write_text("escort: 2")
        config = self.directory / "kaskad.yaml"
        account = f"{{provider: loft, adapter: pigeon_loft, base_url: '{self._loft}', bell: ding}}"
        channel = f"channels:\n  carrier_pigeon: [{account}]\n"
        config.write_text(config.read_text().replace("channels:\n", channel, 1))


@asynccontextmanager
async def a_loft(flights: list[dict[str, Any]]) -> AsyncIterator[str]:
    async def fly(request: web.Request) -> web.Response:
        flights.append(await request.json())
        return web.json_response({"flight": f"flight-{len(flights)}"})

    app = web.Application()
    app.router.add_post("/flights", fly)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_the_service_sends_it_hears_its_receipt_and_explains_it(tmp_path: Path) -> None:
    flights: list[dict[str, Any]] = []
    async with a_loft(flights) as loft, Flights(tmp_path, loft) as place:
        id = await place.notify(pigeon_ring="ua-2026-7")
        await place.until(id, lambda message: message["attempts"])
        await place.until(id, lambda message: message["attempts"][0]["provider_id"])
        (flight,) = flights
        assert (flight["ring"], flight["note"], flight["escort"]) == ("UA-2026-7", "Coo 1", 2)
        hook, landed = f"{place.url}/v1/receipts/loft", json.dumps(flight | {"landed": True})
        async with place.session.post(hook, data=landed, headers={"bell": "dong"}) as answer:
            assert answer.status == 403
        async with place.session.post(hook, data=landed, headers={"bell": "ding"}) as answer:
            assert answer.status == 200
        message = await place.ended(id)
        assert (message["status"], message["succeeded_by"]) == ("succeeded", "carrier_pigeon")
        assert message["attempts"][0]["address"] == "UA…"
        socket = socket_path(place.app.configuration.settings.store)
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
            session.get(f"http://kaskad/control/explain/{id}") as answer,
        ):
            assert "carrier_pigeon" in await answer.text()
        schemas = (await place.get("/openapi.json"))["components"]["schemas"]
        assert "pigeon_ring" in schemas["Profile"]["properties"]
        bare = await place.ended(await place.notify(id="ivan", pigeon_ring=None))
        assert [attempt["channel"] for attempt in bare["attempts"]] == ["sms"]
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
            session.get(f"http://kaskad/control/explain/{bare['id']}") as answer,
        ):
            assert "a pigeon's ring" in await answer.text()
