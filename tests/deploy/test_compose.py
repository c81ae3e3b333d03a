"""
The compose installation: what it publishes, how it stops, and that its configuration really
sends a message.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ruamel.yaml import YAML

from orchestrator.app.app import App
from orchestrator.check.judge import judge
from orchestrator.doctor import Result, examine
from orchestrator.sandbox import Accounts, Sandbox, SandboxConfig
from orchestrator.sandbox.app_push import FcmStandIn
from orchestrator.stores.postgres.schema import migrate_url
from tests.doctor.setup import MEASURED
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OURS = "${KASKAD_IMAGE:-kaskad}"
ONE_SHOT = {"migrate", "keys", "topics"}
SECONDS = {"s": 1, "m": 60}
REFERENCE = re.compile(r"\$\{env:(\w+)\}")


def compose() -> dict[str, Any]:
    """The file with its merges done, as compose sees it."""
    loaded: dict[str, Any] = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text())
    return loaded


SERVICES: dict[str, dict[str, Any]] = compose()["services"]


def env_file() -> dict[str, str]:
    lines = (DEPLOY / "sandbox.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_only_the_loopback_is_published() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 6
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any(port.endswith(":9464") for port in ports)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_bounded_and_watched(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory"}
    if name in ONE_SHOT:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        from_image = service["image"] == OURS  # whose health check is in the image
        assert from_image or "test" in service["healthcheck"]
    if service["image"] == OURS:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    else:
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.]*", service["image"]), (
            "an image is pinned to a release"
        )


@pytest.mark.parametrize("name", ["kaskad-1", "kaskad-2"])
def test_a_process_has_more_time_than_it_needs_to_drain(name: str) -> None:
    period = SERVICES[name]["stop_grace_period"]
    assert int(period[:-1]) * SECONDS[period[-1]] >= 30


def test_a_process_starts_only_when_the_schema_and_the_topics_are_there() -> None:
    for name in ("kaskad-1", "kaskad-2"):
        needs = SERVICES[name]["depends_on"]
        assert (
            needs["migrate"] == needs["topics"] == {"condition": "service_completed_successfully"}
        )
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, f"{name} needs {needed}"
            finished = how["condition"] == "service_completed_successfully"
            assert finished == (needed in ONE_SHOT)


def test_passwords_stand_in_no_file_and_the_example_names_each() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    assert asked == {"KASKAD_DB_PASSWORD", "GRAFANA_PASSWORD"}
    example = (DEPLOY / ".env.example").read_text()
    assert all(re.search(rf"^{name}=$", example, re.M) for name in asked)


def test_everything_that_the_configuration_asks_for_is_given() -> None:
    asked = set(REFERENCE.findall((DEPLOY / "config" / "kaskad.yaml").read_text()))
    given = set(env_file()) | set(SERVICES["kaskad-1"]["environment"])
    assert asked <= given


def test_the_sandbox_s_accounts_are_those_that_it_prints() -> None:
    known, ours = dict(Accounts().environment()), env_file()
    assert ours.pop("FCM_SERVICE_ACCOUNT") == json.dumps(json.loads(FcmStandIn.account_text()))
    assert ours.items() <= known.items()


def test_the_lock_table_has_room_for_the_processes() -> None:
    command = SERVICES["postgres"]["command"]
    values = dict(one.removeprefix("-c").split("=") for one in command if "=" in one)
    room = int(values["max_locks_per_transaction"]) * int(values["max_connections"])
    assert room >= 4 * 2 * 1_300


def installed(
    folder: Path, sandbox: str, mail: int, postgres: str | None = None, name: str = "kaskad"
) -> Path:
    """
    The configuration of the compose file on this machine: its hosts are ports of the loopback, its
    store is ``postgres`` or, without one, a file.
    """
    text = (DEPLOY / "config" / "kaskad.yaml").read_text()
    store = (
        f"store: {postgres}" if postgres else f"migrate: auto\nstore: sqlite:///{folder}/kaskad.db"
    )
    changes = [
        (r"^store: postgresql://\S+", store),
        (r"^migrate: manual.*\n", "migrate: manual\n" if postgres else ""),
        (r"^sources:\n.*\n  kafka: .*\n", ""),
        (r"^statuses:\n.*\n", ""),
        (r"http://sandbox\.localhost:8090", sandbox),
        (r"host: sandbox\n      port: 8025", f"host: 127.0.0.1\n      port: {mail}"),
        (r'listen: "0\.0\.0\.0:8080"', f'listen: "127.0.0.1:{free_port()}"'),
        (r'admin: "0\.0\.0\.0:9464".*', f'admin: "127.0.0.1:{free_port()}"'),
        (r"  public_url: .*\n  auth: keys", "  auth: off"),
        (r"\.\./\.\./data/vapid\.pem", f"{folder}/vapid.pem"),
        (r"\.\./\.\./(config|templates)", rf"{ROOT}/\1"),
    ]
    for pattern, instead in changes:
        text, count = re.subn(pattern, instead, text, flags=re.M)
        assert count >= 1, pattern
    key = ec.generate_private_key(ec.SECP256R1())
    form = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "vapid.pem").write_bytes(key.private_bytes(*form))
    (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    found = Sandbox()
    await found.start(SandboxConfig())
    yield found
    await found.stop()


async def test_the_configuration_is_in_order(sandbox: Sandbox, tmp_path: Path) -> None:
    problems = judge(installed(tmp_path, sandbox.url, sandbox.smtp_port), env_file()).problems
    assert [str(one) for one in problems if one.severity == "error"] == []


OLENA = {"id": "olena", "phone": "+380501234567", "email": "olena@example.com", "locale": "uk-UA"}


async def test_an_event_reaches_somebody_through_the_sandbox_with_these_accounts(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    app = App(installed(tmp_path, sandbox.url, sandbox.smtp_port), env_file())
    await app.start()
    try:
        async with aiohttp.ClientSession() as session:
            message = await published(session, app, "1")
            status = await ended(session, app, message)
            metrics = await text_of(session, app)
    finally:
        await app.stop()
    assert status["status"] == "succeeded", status
    assert len(list(sandbox.inbox.accepted())) >= 1
    channel = status["succeeded_by"]
    assert f'kaskad_reach_seconds_count{{channel="{channel}",class="otp"}} 1.0' in metrics
    assert f'kaskad_cost_total{{channel="{channel}",currency="UAH"}}' in metrics
    assert 'kaskad_messages_accepted_total{class="otp",policy="otp_code"} 1.0' in metrics
    assert "kaskad_store_up 1.0" in metrics


async def test_two_processes_on_one_postgresql_share_the_work_and_the_doctor_sees_both(
    sandbox: Sandbox, tmp_path: Path, empty_postgres_url: str
) -> None:
    paths = [
        installed(tmp_path, sandbox.url, sandbox.smtp_port, empty_postgres_url, name)
        for name in ("one", "two")
    ]
    with pytest.raises(OSError, match="kaskad migrate up"):
        await App(paths[0], env_file()).start()
    await migrate_url(empty_postgres_url, up=True)
    one, two = (App(path, env_file()) for path in paths)
    await one.start()
    await two.start()
    try:
        findings = await examine(paths[0], env_file(), processes=2)
        async with aiohttp.ClientSession() as session:
            messages = [
                await published(session, app, f"{number}")
                for number, app in enumerate([one, two] * 3)
            ]
            statuses = [await ended(session, two, message) for message in messages]
    finally:
        await one.stop()
        await two.stop()
    assert {status["status"] for status in statuses} == {"succeeded"}
    errors = [one for one in findings if one.result is Result.ERROR and one.check not in MEASURED]
    assert {one.check for one in errors} == {"durable"}  # the tests' server runs without fsync
    schema = next(one for one in findings if one.check == "schema")
    assert schema.what == "the schema is up to date; 2 process(es) at work on it"


async def published(session: aiohttp.ClientSession, app: App, id: str) -> str:
    """
    The message that an event has begun; each is for another person, so that no limit stops it.
    """
    recipient = {**OLENA, "id": f"olena-{id}", "phone": f"+38050{id}234567"}
    data = {"code": "4711", "minutes": 5, "recipient": recipient}
    event = {
        "specversion": "1.0",
        "id": id,
        "source": "shop",
        "type": trigger_of("otp_code"),
        "data": data,
    }
    headers = {"content-type": "application/cloudevents+json"}
    url = f"{app.configuration.settings.http.public_url}/v1/events"
    async with session.post(url, json=event, headers=headers) as answer:
        found = await answer.json()
    return str(found["results"][0]["messages"][0])


def trigger_of(policy: str) -> str:
    """The event that starts a policy."""
    loaded = YAML(typ="safe").load((ROOT / "config" / "policies" / f"{policy}.yaml").read_text())
    return str(loaded["trigger"]["event"])


async def ended(session: aiohttp.ClientSession, app: App, message: str) -> dict[str, Any]:
    """The message once it has ended."""
    url = f"{app.configuration.settings.http.public_url}/v1/messages/{message}"
    async with asyncio.timeout(30):
        while True:
            async with session.get(url) as answer:
                found: dict[str, Any] = await answer.json()
            if found["finished_at"]:
                return found
            await asyncio.sleep(0.1)


async def text_of(session: aiohttp.ClientSession, app: App) -> str:
    """The rules as Prometheus would read them."""
    async with session.get(f"http://{app.configuration.settings.http.admin}/metrics") as answer:
        return await answer.text()
