"""Files of people: what spreadsheets write is read, and what cannot be is kept apart."""

from __future__ import annotations

import asyncio
import csv
import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from tests.app.site import lay_out, running

IN_EXCEL = (
    "\ufeffSource;AT;Address;Channel\r\n"
    '"колцентр; лист";2026-01-02T03:04:05Z;+380501234567;sms\r\n'
    ";;;\r\n"
    "колцентр;;0501234568;*\r\n"
    "колцентр;; +380 50 123 45 69 ;\r\n"
    "колцентр;;немає;\r\n"
    'колцентр;;"Olena@example.com\r\n'
    "колцентр;;Olena@Example.com;\r\n"
)
OPT_OUTS_HEADER = ["recipient", "address", "kind", "channel", "topic", "at", "source"]


def kaskad(config: Path, *words: str, input: bytes | None = None) -> Result:
    runner = CliRunner(env={"KASKAD_CONFIG": str(config)})
    return runner.invoke(app, ["people", *words], input=input)


def rows_of(text: str, separator: str = ",") -> list[list[str]]:
    return list(csv.reader(text.splitlines(), delimiter=separator))


@pytest.fixture(params=["sqlite", "postgres"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "sqlite":
        return lay_out(tmp_path)
    return lay_out(tmp_path, str(request.getfixturevalue("postgres_url")))


async def test_a_list_from_a_spreadsheet_opts_out_and_what_is_refused_is_kept_apart(
    config: Path,
) -> None:
    path = config.with_name("list.csv")
    path.write_text(IN_EXCEL, "utf-8", newline="")
    async with running(config) as site:
        ran = await asyncio.to_thread(kaskad, config, "import", str(path), "--what", "opt-outs")
        assert ran.exit_code == 1, ran.output
        assert ran.stdout.startswith("recorded: 3 opt-outs\nrefused: 3;")
        for phone in ("+380501234567", "+380501234569"):
            message = await site.publish(recipient={"id": phone, "phone": phone})
            assert (await site.ended(message))["reason"] == "opted_out"
        other = await site.publish(recipient={"id": "o", "phone": "+380501234568"})
        assert (await site.ended(other))["status"] == "succeeded"
    refused = config.with_name("list.refused.csv")
    header, national, note, quote = rows_of(refused.read_text("utf-8-sig"), ";")
    assert header == ["refused_line", "refused_reason", "Source", "AT", "Address", "Channel"]
    assert national[0] == "4" and '"+380501234568"' in national[1]
    assert national[2:] == ["колцентр", "", "0501234568", "*"]
    assert note[0] == "6" and "neither a phone nor a mailbox" in note[1]
    assert quote[0] == "7" and quote[2] == 'колцентр;;"Olena@example.com'
    assert refused.stat().st_mode & 0o077 == 0


def test_refused_lines_are_imported_once_they_are_fixed(config: Path) -> None:
    path = config.with_name("list.csv")
    path.write_text("recipient,address,note\n", "utf-8")
    assert (
        "there is no column 'note'"
        in kaskad(config, "import", str(path), "--what", "opt-outs").stderr
    )
    path.write_text("address\n0501234567\n", "utf-8")
    assert kaskad(config, "import", str(path), "--what", "opt-outs").exit_code == 1
    refused = config.with_name("list.refused.csv")
    text = refused.read_text("utf-8-sig")
    refused.write_text(text.replace(",0501234567", ",+380501234567"), "utf-8")
    again = kaskad(config, "import", str(refused), "--what", "opt-outs", "-o", "json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout) == {"recorded": 1, "refused": 0, "refused_file": None}


WRONG_FILES = [
    ("address\n+380501234567;колцентр\n".encode("cp1251"), "line 2 is not UTF-8 (byte 0xea)"),
    ("address\n+380501234567\n".encode("utf-16"), "it is UTF-16"),
    (b"", "it is empty"),
    (b"channel,topic\nsms,*\n", "there is no column recipient or address"),
    (b"phone\n+380501234567\n", "there is no column 'phone'; did you mean address?"),
    (b"address,,channel\n", "column 2 has no name"),
    (b"address,Address\n", "two columns mean address"),
]


@pytest.mark.parametrize(("content", "said"), WRONG_FILES)
def test_a_file_that_cannot_be_used_is_refused_before_anything_is_recorded(
    tmp_path: Path, content: bytes, said: str
) -> None:
    config = lay_out(tmp_path)
    ran = kaskad(config, "import", "-", "--what", "opt-outs", input=content)
    assert (ran.exit_code, ran.stderr.startswith(f"standard input: {said}")) == (2, True), (
        ran.stderr
    )
    assert not (tmp_path / "k.db").exists()


RECIPIENTS = """\
id,phone,email,first_name,Місто,attributes,devices
olena,+380501234567,olena@example.com,Олена,"Київ, Поділ","{""bonus"": 12.5, ""vip"": true}",
ivan,,ivan@example.com,Іван,,,"[{""platform"": ""fcm"", ""token"": ""t1""}]"
petro,12,,Петро,Львів,,
maria,+380501234569,,Марія,,{oops,
"""
CONSENTS = """\
topic;recipient;state;at;source;classes
news;olena;in;2026-01-02T03:04:05Z;form;
*;olena;out;2026-02-02T03:04:05Z;whatsapp;promotional service
news;ivan;in;;form;
sale;ivan;out;2026-03-02T03:04:05Z;form;
sale;ivan;in;2026-03-03T03:04:05Z;form;
food;ivan;out;2026-03-04T03:04:05Z;form;
"""


def test_what_is_exported_is_imported_elsewhere_as_it_was(
    tmp_path: Path, postgres_url: str
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    here, there = lay_out(tmp_path / "here"), lay_out(tmp_path / "there", postgres_url)
    for what, text, refused in (
        ("recipients", RECIPIENTS, 2),
        ("consents", CONSENTS, 1),
        ("opt-outs", "address\nivan@example.com\nnobody@example.com\n", 0),
    ):
        path = here.with_name(f"{what}.csv")
        path.write_text(text, "utf-8")
        ran = kaskad(here, "import", str(path), "--what", what, "-o", "json")
        assert json.loads(ran.stdout)["refused"] == refused, ran.output
    exported = {}
    for what in ("recipients", "consents", "opt-outs"):
        path = here.with_name(f"{what}.out.csv")
        ran = kaskad(here, "export", "--what", what, str(path), "--excel")
        assert ran.exit_code == 0 and ran.stdout == "", ran.output
        assert ("1 more opt-outs" in ran.stderr) == (what == "opt-outs")
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
        taken = kaskad(there, "import", str(path), "--what", what)
        assert taken.exit_code == 0, taken.output
        exported[what] = kaskad(here, "export", "--what", what).stdout
        assert kaskad(there, "export", "--what", what).stdout == exported[what]
    people = list(csv.DictReader(exported["recipients"].splitlines()))
    assert [one["id"] for one in people] == ["ivan", "olena"]
    assert json.loads(people[1]["attributes"]) == {
        "Місто": "Київ, Поділ",
        "bonus": 12.5,
        "vip": True,
    }
    header, address, own = rows_of(exported["opt-outs"])
    assert header == OPT_OUTS_HEADER
    assert (address[:3], own[0], own[4]) == (["", "ivan@example.com", "email"], "ivan", "food")
    assert "promotional" in exported["consents"]


def test_an_import_that_was_killed_half_way_does_no_harm_and_is_run_again(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    path, count = tmp_path / "list.csv", 12_000
    lines = (f"+38050{number:07d},2026-01-02T03:04:05Z" for number in range(count))
    path.write_text("address,at\n" + "\n".join(lines), "utf-8")
    command = [sys.executable, "-m", "orchestrator.cli", "people", "import", str(path)]
    command += ["--what", "opt-outs", "-c", str(config)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while addresses_in(tmp_path / "k.db") == 0 and first.poll() is None:
            time.sleep(0.02)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert first.returncode == -signal.SIGKILL
    assert 0 < addresses_in(tmp_path / "k.db") < count
    ran = kaskad(config, "import", str(path), "--what", "opt-outs")
    assert ran.stdout == f"recorded: {count} opt-outs\n", ran.output
    with sqlite3.connect(tmp_path / "k.db") as database:
        documents = [
            json.loads(row[0]) for row in database.execute("select document from addresses")
        ]
    assert len(documents) == count
    assert {len(document["consents"]) for document in documents} == {1}


def addresses_in(database: Path) -> int:
    """How many addresses are stored, 0 if there is no table yet."""
    if not database.exists():
        return 0
    try:
        with sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True) as found:
            return int(found.execute("select count(*) from addresses").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
