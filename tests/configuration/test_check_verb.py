"""`kaskad check` and `render` as they are called: for a folder, one file, a channel, bad YAML."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from tests.configuration.mistakes.files import BYTES, YAML_LEVEL
from tests.configuration.mistakes.mistake import Mistake
from tests.configuration.mistakes.project import FILES, environment, write

COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()", "check", "-c"]
BAD_SMS = "{{ event.total | mony }}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, FILES)
    return tmp_path


def kaskad(*words: str, given: str | None = None) -> Result:
    ran = CliRunner(env=dict(environment())).invoke(app, list(words), input=given)
    assert isinstance(ran.exception, SystemExit | None), ran.exception
    return ran


@pytest.mark.parametrize("folder", ["", "config"])
def test_a_folder_means_the_configuration_in_it(project: Path, folder: str) -> None:
    ran = kaskad("check", str(project / folder))
    assert (ran.exit_code, ran.stdout) == (0, "everything is in order\n")


def test_a_folder_without_a_configuration_is_said(project: Path) -> None:
    ran = kaskad("check", str(project / "templates"))
    assert ran.exit_code == 2
    assert "templates/kaskad.yaml:1:1: there is no such configuration file" in ran.stderr


@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        ("config/policies/cart.yaml", "policy: cart\n"),
        ("config/governance.yaml", "sms_countrys: [UA]\n"),
        ("config/policies/cart.test.yaml", "policy: cartt\n"),
        ("templates/cart/sms.text.j2", BAD_SMS),
    ],
)
def test_one_file_means_only_what_concerns_it(project: Path, file: str, wrong: str) -> None:
    (project / "templates/cart/viber.text.j2").write_text("{{ event.total | dat }}\n")
    assert kaskad("check", str(project / "templates/otp/sms.text.j2")).exit_code == 0
    (project / "templates/cart/viber.text.j2").write_text(FILES["templates/cart/viber.text.j2"])
    (project / file).write_text(wrong)
    ran = kaskad("check", str(project / file))
    *problems, last = ran.stdout.splitlines()
    assert problems
    assert all(line.startswith(f"{project / file}:") for line in problems)
    assert last.endswith("warning(s)")


def test_a_file_that_is_not_there_is_said() -> None:
    ran = kaskad("check", "nowhere.yaml")
    assert ran.exit_code == 2
    assert "there is no such configuration file" in ran.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cart", "--channel", "smss"), "nothing for 'smss'; did you mean 'sms'?"),
        (("otp", "--channel", "email"), "nothing for 'email'; there is sms, viber"),
        (("carts", "--channel", "sms"), "there is no template 'carts'; did you mean 'cart'?"),
    ],
)
def test_what_cannot_be_rendered_because_it_is_not_there_is_said(
    project: Path, words: tuple[str, ...], said: str
) -> None:
    config = str(project / "config/kaskad.yaml")
    ran = kaskad("render", *words, "-c", config, given='{"code": "1"}')
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert said in ran.stderr


def test_a_store_that_may_be_a_typo_is_asked_about(project: Path) -> None:
    config = project / "config/kaskad.yaml"
    (project / "data").mkdir()
    with sqlite3.connect(project / "data/kaskad.db") as there:
        there.execute("create table t (x)")
    assert kaskad("check", str(config)).stdout == "everything is in order\n"
    config.write_text(config.read_text().replace("data/kaskad.db", "data/kaskda.db"))
    checked = kaskad("check", str(config))
    assert checked.exit_code == 0
    assert "there is no kaskda.db yet, and kaskad.db beside it" in checked.stdout
    assert "did you mean 'kaskad.db'?" in checked.stdout
    assert "kaskad migrate up --create" in checked.stdout
    refused = kaskad("migrate", "up", "-c", str(config))
    assert refused.exit_code == 2
    assert "add --create to make a new store" in refused.stderr
    assert not (project / "data/kaskda.db").exists()
    assert kaskad("migrate", "up", "--create", "-c", str(config)).exit_code == 0
    assert kaskad("migrate", "up", "-c", str(config)).stdout == "the schema is up to date\n"
    assert kaskad("check", str(config)).stdout == "everything is in order\n"


def test_warnings_fail_a_strict_check_alone(project: Path) -> None:
    config = str(project / "config/kaskad.yaml")
    assert kaskad("check", "--strict", "-c", config).exit_code == 0
    (project / "config/policies/cart.yml").write_text("policy: cart\n")
    lenient, strict = kaskad("check", "-c", config), kaskad("check", "--strict", "-c", config)
    assert (lenient.exit_code, strict.exit_code) == (0, 1)
    assert lenient.stdout == strict.stdout
    assert strict.stdout.endswith("0 error(s), 1 warning(s)\n")


def test_a_ci_system_reads_the_problems_as_junit(project: Path) -> None:
    config = str(project / "config/kaskad.yaml")
    well = ElementTree.fromstring(kaskad("check", "-o", "junit", "-c", config).stdout.encode())
    assert (well.get("tests"), well.get("failures")) == ("1", "0")
    (project / "config/policies/cart.yml").write_text("policy: cart\n")
    (project / "templates/cart/sms.text.j2").write_text(BAD_SMS)
    ran = kaskad("check", "-o", "junit", "-c", config)
    cases = {case.get("name"): case for case in ElementTree.fromstring(ran.stdout.encode())[0]}
    assert ran.exit_code == 1
    failure = cases[str(project / "templates/cart/sms.text.j2")].find("failure")
    assert failure is not None
    assert "mony" in (failure.get("message") or "")
    warned = cases[str(project / "config/policies/cart.yml")]
    assert [one.tag for one in warned] == ["system-out"]
    strict = kaskad("check", "-o", "junit", "--strict", "-c", config)
    assert ElementTree.fromstring(strict.stdout.encode()).get("failures") == "2"


FAULTS = [one for one in (*YAML_LEVEL, *BYTES) if one.path == "config/kaskad.yaml"]


def test_no_fault_of_yaml_ends_check_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    assert len(FAULTS) >= 25
    for fault in FAULTS:
        is_said(fault, tmp_path_factory.mktemp("project"), process=False)


@pytest.mark.verify
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name[:60])
def test_no_fault_of_yaml_ends_the_real_process_in_a_traceback(
    fault: Mistake, tmp_path: Path
) -> None:
    is_said(fault, tmp_path, process=True)


def is_said(fault: Mistake, folder: Path, *, process: bool) -> None:
    """One message with its place, and the exit code of a failed check."""
    fault.make(folder)
    config = folder / fault.path
    if process:
        ran = subprocess.run([*COMMAND, str(config)], capture_output=True, text=True, check=False)
        code, out, err = ran.returncode, ran.stdout, ran.stderr
    else:
        done = kaskad("check", "-c", str(config))
        code, out, err = done.exit_code, done.stdout, done.stderr
    assert code == 1, err
    assert "Traceback" not in out + err
    assert out.startswith(f"{config}:")
