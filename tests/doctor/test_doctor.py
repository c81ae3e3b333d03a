"""The doctor on one machine: configuration, embedded store, ports, files and keys."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.app.app import App
from orchestrator.cli import app as command
from orchestrator.doctor import Finding, Result, in_time
from orchestrator.doctor.embedded import existing, mounted_as
from orchestrator.doctor.findings import Subject, exit_code
from orchestrator.doctor.keys import stored_signing_key
from orchestrator.doctor.machine import entropy_bits
from orchestrator.primitives.tokens import DAY_MS, new_key
from tests.doctor.setup import MEASURED, Setup, wrong


async def test_a_small_installation_on_a_sound_machine_is_fine(setup: Setup) -> None:
    findings = await setup.findings()
    assert wrong(findings) == ["configuration check warning"]  # a log never confirms a delivery
    areas = {finding.area for finding in findings}
    assert areas == {"configuration", "store", "http", "process"}


async def test_nothing_is_left_behind(setup: Setup) -> None:
    before = sorted(setup.folder.rglob("*"))
    await setup.findings()
    assert sorted(setup.folder.rglob("*")) == before


async def test_what_check_says_is_a_finding_with_its_place_and_its_fix(setup: Setup) -> None:
    setup.configure("receipt_outage: {ratio: 7}\n")
    found = [one for one in await setup.findings() if one.result is Result.ERROR]
    assert [(one.area, one.where) for one in found] == [("configuration", f"{setup.config}:3:25")]
    assert found[0].fix


async def test_a_file_that_cannot_be_read_at_all_ends_the_examination(setup: Setup) -> None:
    setup.write("config/kaskad.yaml", "channels: [")
    findings = await setup.findings()
    assert [(one.area, one.result) for one in findings] == [("configuration", Result.ERROR)]


async def test_an_area_that_breaks_is_a_finding_that_shows_no_secret() -> None:
    async def breaks() -> list[Finding]:
        raise LookupError("a-secret")

    async def hangs() -> list[Finding]:
        raise TimeoutError

    broken, slow = await in_time("store", breaks()), await in_time("kafka", hangs())
    assert [(one.area, one.result) for one in broken + slow] == [
        ("store", Result.ERROR),
        ("kafka", Result.UNREACHABLE),
    ]
    assert "a-secret" not in str(broken)


async def test_a_folder_that_is_no_folder_cannot_hold_a_store(setup: Setup) -> None:
    setup.write("data", "this is a file")
    found = await setup.found("store", "writable")
    assert found.result is Result.ERROR


async def test_several_processes_cannot_share_an_embedded_store(setup: Setup) -> None:
    assert (await setup.found("store", "processes", processes=2)).result is Result.WARNING


async def test_a_store_in_memory_is_warned_of(setup: Setup) -> None:
    setup.configure("store: 'sqlite:///:memory:'\n")
    assert (await setup.found("store", "durable")).result is Result.WARNING


@pytest.mark.parametrize(("migrate", "result"), [("auto", Result.FINE), ("manual", Result.ERROR)])
async def test_an_old_schema_is_reported_and_matters_if_it_is_migrated_by_hand(
    setup: Setup, migrate: str, result: Result
) -> None:
    path = setup.write("data/kaskad.db", "")
    sqlite3.connect(path).close()
    setup.configure(f"migrate: {migrate}\n")
    found = await setup.found("store", "schema")
    assert (found.result, found.what.startswith("to come: 0001_initial")) == (result, True)


async def test_a_file_that_is_no_database_is_reported(setup: Setup) -> None:
    setup.write(
        "data/kaskad.db", "not a database, and longer than the header that one would have" * 20
    )
    assert (await setup.found("store", "schema")).result is Result.ERROR


async def test_a_database_that_everybody_can_read_is_warned_of(setup: Setup) -> None:
    path = setup.write("data/kaskad.db", "")
    path.chmod(0o644)
    found = await setup.found("store", "private")
    assert (found.result, "0644" in found.what) == (Result.WARNING, True)


def test_the_file_system_of_a_folder_is_that_of_its_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\nserver:/x /srv nfs4 rw 0 0\n/dev/sdb /srv/my\\040disk xfs rw 0 0\n"
    )
    places = {"/opt": "ext4", "/srv/data": "nfs4", "/srv/my disk/data": "xfs"}
    assert {place: mounted_as(Path(place), mounts) for place in places} == places
    assert mounted_as(Path("/srv"), tmp_path / "absent") == ""


def test_the_nearest_folder_that_exists_is_looked_at(tmp_path: Path) -> None:
    assert existing(tmp_path / "a" / "b" / "c") == tmp_path


async def test_a_port_that_a_stranger_has_is_an_error(setup: Setup) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen(16)
        port = stranger.getsockname()[1]
        setup.configure(f'http: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:0"}}\n')
        found = [
            one
            for one in await setup.findings()
            if one.check == "port" and one.result is Result.ERROR
        ]
    assert [one.where for one in found] == [f"http.listen 127.0.0.1:{port}"]


async def test_a_port_where_the_service_runs_is_fine_and_so_is_its_store(setup: Setup) -> None:
    with socket.socket() as probe, socket.socket() as other:
        for one in (probe, other):
            one.bind(("127.0.0.1", 0))
        listen, admin = probe.getsockname()[1], other.getsockname()[1]
    setup.configure(f'http: {{listen: "127.0.0.1:{listen}", admin: "127.0.0.1:{admin}"}}\n')
    service = App(setup.config, os.environ)
    await service.start()
    try:
        findings = await setup.findings()
    finally:
        await service.stop()
    assert [one.what for one in findings if one.check == "port"] == [
        "the service is running there"
    ] * 2
    assert [one.what for one in findings if one.check == "schema"] == ["the schema is up to date"]
    assert not any(
        one.result in (Result.ERROR, Result.UNREACHABLE)
        for one in findings
        if one.check not in MEASURED
    )


async def test_an_address_of_another_machine_cannot_be_listened_on(setup: Setup) -> None:
    setup.configure(
        'http: {listen: "192.0.2.1:80", admin: "127.0.0.1:0",'
        ' public_url: "https://kaskad.invalid"}\n'
    )
    found = [
        one for one in await setup.findings() if one.check == "port" and one.result is Result.ERROR
    ]
    assert [one.fix for one in found] == [
        "name an address of this machine, or 0.0.0.0 for all of them"
    ]


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("https://kaskad.invalid", Result.UNREACHABLE),
        ("https://10.1.2.3", Result.WARNING),
        ("https://93.184.215.14", Result.FINE),
        ("http://127.0.0.1:8080", Result.WARNING),
    ],
)
async def test_the_public_address_must_lead_to_where_the_world_can_go(
    setup: Setup, url: str, result: Result
) -> None:
    setup.configure(f'http: {{listen: "0.0.0.0:0", admin: "127.0.0.1:0", public_url: "{url}"}}\n')
    assert (await setup.found("http", "public_url")).result is result


@pytest.mark.parametrize(
    ("key", "result"),
    [
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Result.ERROR),
        ("kaskad-signing-key-secret", Result.WARNING),
        ("q8Zr0t1VwUuT7oJ4mGd2xCkHs5bNfYeL9PiAaRvXEQs=", Result.FINE),
    ],
)
async def test_a_signing_key_that_can_be_guessed_is_reported_but_never_shown(
    setup: Setup, key: str, result: Result
) -> None:
    setup.env["KEY"] = key
    setup.configure("signing_key: ${env:KEY}\n")
    findings = await setup.findings()
    assert [one.result for one in findings if one.check == "signing_key"] == [result]
    assert key not in str(findings)


def test_keys_that_we_make_ourselves_are_strong_by_the_same_measure() -> None:
    assert all(entropy_bits(new_key().hex()) > 200 for _ in range(100))


@pytest.mark.parametrize(
    ("mode", "result"), [(0o644, Result.WARNING), (0o660, Result.WARNING), (0o440, Result.FINE)]
)
async def test_a_secret_s_file_that_others_can_open_is_warned_of(
    setup: Setup, mode: int, result: Result
) -> None:
    setup.write("secrets/hook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", mode)
    setup.configure(
        "statuses: {webhooks: [{url: 'http://127.0.0.1:9/', secret: '${file:../secrets/hook}'}]}\n"
    )
    found = await setup.found("process", "secret_file")
    assert (found.result, found.where.endswith("secrets/hook")) == (result, True)


def test_exit_codes_separate_what_is_wrong_from_what_may_fix_itself() -> None:
    at = Subject("store", "y")
    fine, warning = at.fine("x", "z"), at.warning("x", "z", "m")
    unreachable, error = at.unreachable("x", "z", "m"), at.error("x", "z", "m")
    found = ([fine], [fine, warning], [warning, unreachable], [unreachable, error])
    assert [exit_code(one) for one in found] == [0, 0, 3, 1]


def test_the_table_shows_each_fix_under_its_finding(setup: Setup) -> None:
    setup.configure("store: 'sqlite:///:memory:'\n")
    result = CliRunner().invoke(command, ["doctor", "--config", str(setup.config)])
    lines = result.stdout.splitlines()
    place = next(
        number
        for number, line in enumerate(lines)
        if line.startswith("warning") and "memory" in line
    )
    assert lines[place + 1].strip().startswith("→ name a file")
    assert lines[-1].endswith("0 unreachable")
    assert result.exit_code == 0


def test_json_has_the_same_findings_and_the_exit_code_shows_an_error(setup: Setup) -> None:
    setup.configure("receipt_outage: {ratio: 7}\n")
    result = CliRunner().invoke(command, ["doctor", "--config", str(setup.config), "-o", "json"])
    findings = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {"area", "check", "result", "where", "what", "fix"} == set(findings[0])
    assert any(one["result"] == "error" and one["area"] == "configuration" for one in findings)


@pytest.mark.parametrize(
    ("days", "result", "said"),
    [
        ([10], Result.FINE, "made 10 days ago"),
        ([10, 700], Result.FINE, "1 older still verify"),
        ([410, 900], Result.WARNING, "made 410 days ago"),
        ([], Result.FINE, "made at the first start"),
    ],
)
def test_the_age_of_the_stored_signing_key_is_shown(
    days: list[int], result: Result, said: str
) -> None:
    now = int(time.time() * 1000)
    rows = [(len(days) - place, now - age * DAY_MS) for place, age in enumerate(days)]
    found = stored_signing_key(Subject("store", "x"), rows, own=False)
    assert found.result is result
    assert said in found.what


async def test_the_signing_key_of_a_store_in_use_is_looked_at(setup: Setup) -> None:
    app = App(setup.config, setup.env)
    await app.start_offline(setup.folder / "control.sock")
    try:
        found = [one for one in await setup.findings() if one.check == "signing_key"]
    finally:
        await app.stop()
    assert any("made 0 days ago" in one.what for one in found)
