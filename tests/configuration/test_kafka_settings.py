"""`kaskad check` finds mistakes in a Kafka connection without opening one."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.configuration.reading import Report
from orchestrator.configuration.settings_file import read_settings
from tests.certificates import make_certificates
from tests.configuration.bad_settings import SMS


def problems(folder: Path, security: str, servers: str = "kafka.example:9092") -> list[str]:
    path = folder / "kaskad.yaml"
    path.write_text(
        SMS + f"sources: {{kafka: {{bootstrap_servers: '{servers}', topics: [a], security:"
        f" {security}}}}}\n"
    )
    report = Report()
    read_settings(path, {"TOKEN": "token-token", "SID": "ACcafe"}, report)
    return [f"{problem.severity}: {problem.what}" for problem in report.problems]


LOGIN = "username: u, password: '${env:TOKEN}'"


def test_a_password_in_the_clear_is_a_warning_but_on_this_machine(tmp_path: Path) -> None:
    clear = f"{{protocol: SASL_PLAINTEXT, {LOGIN}}}"
    assert problems(tmp_path, clear) == ["warning: the password goes over the network in the clear"]
    assert problems(tmp_path, clear, "127.0.0.1:9092,[::1]:9092,localhost:9092") == []
    assert (
        problems(tmp_path, f"{{protocol: SASL_PLAINTEXT, sasl_mechanism: SCRAM-SHA-256, {LOGIN}}}")
        == []
    )
    assert problems(tmp_path, f"{{protocol: SASL_SSL, {LOGIN}}}") == []


def test_files_of_tls_are_tried(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    assert (
        problems(tmp_path, "{protocol: SSL, ca: ca.pem, cert: client.pem, key: client.key}") == []
    )
    assert (
        problems(tmp_path, "{protocol: SSL, cert: broker.pem}") == []
    )  # the key stands in the same file
    assert problems(tmp_path, "{protocol: SSL, ca: client.key}") == [
        "error: the file of `ca` cannot be used"
    ]
    assert problems(tmp_path, "{protocol: SSL, cert: client.pem}") == [
        "error: the file of `cert` cannot be used"
    ]
    assert problems(tmp_path, "{protocol: SSL, cert: client.pem, key: broker.key}") == [
        "error: the file of `cert` cannot be used"
    ]


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    make_certificates(tmp_path, password=b"secret")
    assert problems(tmp_path, "{protocol: SSL, cert: client.pem, key: client.key}") == [
        "error: the file of `cert` cannot be used"
    ]


@pytest.mark.parametrize("key", ["ca", "cert", "key"])
def test_files_of_tls_without_tls_are_a_mistake(tmp_path: Path, key: str) -> None:
    make_certificates(tmp_path)
    assert problems(tmp_path, f"{{{key}: ca.pem}}") == [
        f"error: `{key}` is given, but `protocol` is PLAINTEXT, which has no TLS"
    ]
