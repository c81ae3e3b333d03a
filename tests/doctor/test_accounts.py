"""``kaskad check --probe``: accounts are asked by real requests, WhatsApp's for its templates."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web
from typer.testing import CliRunner

from kaskad_testing.finding import in_directory
from orchestrator.channels import HttpAdapter, HttpReply
from orchestrator.check.judge import load_configuration
from orchestrator.cli import app
from orchestrator.configuration.yaml_file import Problem
from orchestrator.doctor.accounts import probe_accounts
from tests.doctor.setup import Setup
from tests.support.ports import free_port

BODY = {"type": "BODY", "text": "Order {{1}} by {{2}}"}


def approved(name: str, language: str, status: str = "APPROVED", *parts: Any) -> dict[str, Any]:
    return {"name": name, "language": language, "status": status, "components": [BODY, *parts]}


@dataclass
class Provider:
    """Answers every path with what was put there, 404 else; ``calls`` are what was asked."""

    url: str = ""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append((request.method, request.path_qs))
        after = request.query.get("after", "")
        status, body = self.answers.get(request.path + after, (404, {}))
        return web.json_response(body, status=status)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    found, server = Provider(), web.Application()
    server.router.add_route("*", "/{any:.*}", found.answer)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


def whatsapp(url: str) -> str:
    keys = "phone_number_id: '1', business_id: '2', access_token: t, app_secret: s, verify_token: v"
    return f"whatsapp: [{{provider: wa, adapter: whatsapp_cloud, {keys}, base_url: '{url}'}}]"


def configured(setup: Setup, channels: str, **templates: str) -> Setup:
    channel = channels.partition(":")[0]
    step = f"{{channel: {channel}}}"
    setup.write("config/policies/p.yaml", f"policy: p\ntrigger: {{event: e}}\ncascade: [{step}]\n")
    for name, text in templates.items():
        file = {"yaml": "whatsapp.yaml.j2", "uk": "whatsapp.uk.yaml.j2"}
        file["text"] = f"{channel}.text.j2"
        setup.write(f"templates/p/{file[name]}", text)
    setup.configure(channels=channels)
    return setup


async def problems(setup: Setup) -> list[Problem]:
    return await probe_accounts(load_configuration(setup.config, {}))


async def test_an_account_that_answers_is_in_order(setup: Setup, provider: Provider) -> None:
    keys = f"api_key: k, sender: Shop, base_url: '{provider.url}', webhook_token: t"
    configured(setup, f"sms: [{{provider: a, adapter: infobip_sms, {keys}}}]")
    provider.answers["/account/1/balance"] = (200, {"balance": 5})
    assert await problems(setup) == []
    assert provider.calls == [("GET", "/account/1/balance")]


async def test_refused_credentials_are_an_error_at_the_account(
    setup: Setup, provider: Provider
) -> None:
    keys = f"api_key: secret-key, sender: Shop, base_url: '{provider.url}', webhook_token: t"
    configured(setup, f"sms: [{{provider: a, adapter: infobip_sms, {keys}}}]")
    provider.answers["/account/1/balance"] = (401, {})
    (problem,) = await problems(setup)
    assert (problem.severity, problem.line) == ("error", 1)
    assert "credentials are refused" in problem.what and "secret-key" not in str(problem)


async def test_turbosms_says_no_with_a_good_status(setup: Setup, provider: Provider) -> None:
    keys = f"token: t, sender: Shop, base_url: '{provider.url}'"
    configured(setup, f"sms: [{{provider: a, adapter: turbosms_sms, {keys}}}]")
    refused = {"response_code": 103, "response_status": "REQUIRED_TOKEN", "response_result": None}
    provider.answers["/user/balance.json"] = (200, refused)
    (problem,) = await problems(setup)
    assert "103 REQUIRED_TOKEN" in problem.what


async def test_bots_are_asked_about_themselves(setup: Setup, provider: Provider) -> None:
    keys = f"auth_token: secret, sender: Shop, base_url: '{provider.url}'"
    configured(setup, f"viber: [{{provider: v, adapter: viber_bot, {keys}}}]", text="Hi")
    provider.answers["/pa/get_account_info"] = (200, {"status": 0, "status_message": "ok"})
    assert await problems(setup) == []
    refused = {"status": 2, "status_message": "invalidAuthToken"}
    provider.answers["/pa/get_account_info"] = (200, refused)
    (problem,) = await problems(setup)
    assert "answered 2 invalidAuthToken" in problem.what
    provider.answers["/pa/get_account_info"] = (200, [])
    assert len(await problems(setup)) == 1
    keys = f"token: '1:secret', base_url: '{provider.url}'"
    configured(setup, f"telegram: [{{provider: t, adapter: telegram_bot, {keys}}}]", text="Hi")
    provider.answers["/bot1:secret/getMe"] = (200, {"ok": True, "result": {"id": 1}})
    assert await problems(setup) == []
    provider.answers["/bot1:secret/getMe"] = (401, {"ok": False, "error_code": 401})
    (problem,) = await problems(setup)
    assert "credentials are refused" in problem.what and "secret" not in problem.what


async def test_accounts_without_a_question_are_named(setup: Setup) -> None:
    configured(setup, "sms: [{provider: quiet, adapter: log}]")
    asked = ["check", "--probe", "--config", str(setup.config)]
    shown = await asyncio.to_thread(CliRunner().invoke, app, asked)
    assert "not asked: quiet" in shown.output


async def test_a_provider_that_cannot_be_reached_is_a_warning(setup: Setup) -> None:
    keys = f"token: t, sender: Shop, base_url: 'http://127.0.0.1:{free_port()}'"
    configured(setup, f"sms: [{{provider: a, adapter: turbosms_sms, {keys}}}]")
    (problem,) = await problems(setup)
    assert (problem.severity, "ConnectError" in problem.what) == ("warning", True)


@pytest.mark.parametrize(
    "error", [httpx.ConnectTimeout, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError]
)
async def test_a_network_that_fails_is_a_warning_that_says_how(
    setup: Setup, error: type[httpx.TransportError]
) -> None:
    keys = "token: t, sender: Shop, base_url: 'https://gateway.example'"
    configured(setup, f"sms: [{{provider: a, adapter: turbosms_sms, {keys}}}]")
    with respx.mock:
        respx.route(host="gateway.example").mock(side_effect=error("broken"))
        (problem,) = await problems(setup)
    assert (problem.severity, error.__name__ in problem.what) == ("warning", True)


async def test_credentials_do_not_follow_a_redirect_to_another_host(setup: Setup) -> None:
    keys = "token: t, sender: Shop, base_url: 'https://gateway.example'"
    configured(setup, f"sms: [{{provider: a, adapter: turbosms_sms, {keys}}}]")
    elsewhere = {"Location": "https://elsewhere.example/"}
    with respx.mock(assert_all_called=False) as mocked:
        mocked.route(host="gateway.example").respond(302, headers=elsewhere)
        other = mocked.route(host="elsewhere.example").respond(200, json={})
        (problem,) = await problems(setup)
    assert problem.severity == "error" and not other.called


URL_BUTTON = {"type": "URL", "text": "Open", "url": "https://shop.example/{{1}}"}
TWO = 'template: order\nlanguage: uk\nbody: ["{{ event.id }}", "{{ event.by }}"]\n'


@pytest.mark.parametrize(
    ("catalogue", "wrong"),
    [
        ([approved("order", "uk")], None),
        ([approved("other", "uk")], "no template 'order'"),
        ([approved("order", "en")], "not there in 'uk'"),
        ([approved("order", "uk", "PAUSED")], "is PAUSED"),
        ([], "no template 'order'"),
        ([approved("order", "uk", "APPROVED", {"type": "HEADER", "format": "IMAGE"})], "header"),
        (
            [approved("order", "uk", "APPROVED", {"type": "BUTTONS", "buttons": [URL_BUTTON]})],
            "the button URL of 'order' in 'uk' takes 1 parameter(s), not 0",
        ),
        (
            [{**approved("order", "uk"), "components": [{"type": "BODY", "text": "{{1}}"}]}],
            "takes 1 parameter(s), not 2",
        ),
    ],
)
async def test_a_template_is_compared_with_the_accounts(
    setup: Setup, provider: Provider, catalogue: list[Any], wrong: str | None
) -> None:
    configured(setup, whatsapp(provider.url), yaml=TWO)
    provider.answers["/v25.0/1"] = (200, {"id": "1"})
    provider.answers["/v25.0/2/message_templates"] = (200, {"data": catalogue})
    found = await problems(setup)
    if wrong is None:
        assert found == []
        return
    (problem,) = found
    assert wrong in problem.what and problem.severity == "error"
    assert problem.path.endswith("p/whatsapp.yaml.j2")
    assert problem.path.startswith(str(setup.folder))


@pytest.mark.parametrize(
    ("buttons", "fits"),
    [
        ('[{quick_reply: STOP}, {url: "{{ event.id }}"}]', True),
        ('["{{ event.id }}"]', True),
        ("[{quick_reply: STOP}]", False),
        ("[a, b]", False),
    ],
)
async def test_buttons_are_compared_by_their_urls(
    setup: Setup, provider: Provider, buttons: str, fits: bool
) -> None:
    configured(setup, whatsapp(provider.url), yaml=f"{TWO}buttons: {buttons}\n")
    provider.answers["/v25.0/1"] = (200, {"id": "1"})
    replies = [{"type": "QUICK_REPLY", "text": "Stop"}, URL_BUTTON]
    found = approved("order", "uk", "APPROVED", {"type": "BUTTONS", "buttons": replies})
    provider.answers["/v25.0/2/message_templates"] = (200, {"data": [found]})
    assert (await problems(setup) == []) is fits


async def test_every_page_of_the_catalogue_is_read(setup: Setup, provider: Provider) -> None:
    configured(setup, whatsapp(provider.url), yaml=TWO)
    more = {"cursors": {"after": "AFTER"}, "next": "https://graph.facebook.com/next"}
    provider.answers["/v25.0/1"] = (200, {"id": "1"})
    first = {"data": [approved("other", "uk")], "paging": more}
    provider.answers["/v25.0/2/message_templates"] = (200, first)
    provider.answers["/v25.0/2/message_templatesAFTER"] = (200, {"data": [approved("order", "uk")]})
    assert await problems(setup) == []


async def test_a_template_whose_parameters_depend_on_the_event_is_left_alone(
    setup: Setup, provider: Provider
) -> None:
    loop = "template: order\nlanguage: uk\nbody:\n{% for one in event.all %}  - x\n{% endfor %}"
    configured(setup, whatsapp(provider.url), yaml=loop)
    provider.answers["/v25.0/1"] = (200, {"id": "1"})
    provider.answers["/v25.0/2/message_templates"] = (200, {"data": []})
    assert await problems(setup) == []


async def test_the_verb_lists_the_templates(setup: Setup, provider: Provider) -> None:
    configured(setup, whatsapp(provider.url), yaml=TWO)
    provider.answers["/v25.0/2/message_templates"] = (200, {"data": [approved("order", "uk")]})
    arguments = ["whatsapp", "templates", "--config", str(setup.config)]
    shown = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines()[-1].split() == ["order", "uk", "APPROVED", "2", "0", "0"]
    as_json = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--output", "json"])
    assert json.loads(as_json.output)["wa"][0]["body"] == 2


async def test_the_verb_names_the_account_whose_templates_cannot_be_read(
    setup: Setup, provider: Provider
) -> None:
    configured(setup, whatsapp(provider.url), yaml=TWO)
    provider.answers["/v25.0/2/message_templates"] = (400, {})
    arguments = ["whatsapp", "templates", "--config", str(setup.config)]
    shown = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert shown.exit_code != 0
    assert "'wa' could not be looked at: its templates cannot be read (status 400)" in shown.output


def test_every_http_gateway_has_a_probe_that_keeps_its_secrets_out_of_the_url() -> None:
    for module in in_directory(Path(__file__).parents[1] / "adapters"):
        examples = module.EXAMPLES
        adapter = examples.build()
        if not isinstance(adapter, HttpAdapter):
            continue
        call = adapter.probe(0.0)
        if call is not None:
            shown = [secret for secret in examples.secrets if secret in call.url]
            assert not shown or examples.secret_in_url
            refused = HttpReply(status=401, headers={}, body=b"", now=0.0)
            assert adapter.probed(refused)
