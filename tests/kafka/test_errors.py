"""Names of the client library's errors, and the page that explains them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiokafka import errors

from orchestrator.kafka.clients import DIAGNOSES, diagnosis_of

PAGE = (Path(__file__).parents[2] / "docs" / "kafka.md").read_text()
OWN = {"dead_letter", "commit", "unreadable"}


def refused_tls() -> ssl.SSLError:
    error = ssl.SSLError(1, "wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


@pytest.mark.parametrize("kind", sorted({kind for _, kind, _ in DIAGNOSES} | OWN))
def test_every_kind_of_error_is_documented(kind: str) -> None:
    assert f"| `{kind}` | " in PAGE.partition("## Errors")[2]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused_tls(), "certificate"),
        (errors.UnsupportedSaslMechanismError(), "login"),
        (errors.GroupAuthorizationFailedError(), "not_allowed"),
        (errors.UnknownTopicOrPartitionError(), "topic_missing"),
        (errors.MessageSizeTooLargeError(), "too_large"),
        (ConnectionRefusedError(), "unreachable"),
        (ValueError(), "other"),
    ],
)
def test_an_error_of_the_client_library_has_one_kind(error: Exception, kind: str) -> None:
    assert diagnosis_of(error).kind == kind
