"""`kaskad webhooks test` sends one signed event to a receiver on a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kaskad_client import InvalidWebhook, StatusEvent, verify_webhook
from orchestrator.channels import new_webhook_secret
from orchestrator.cli import app
from tests.support.ports import free_port

SECRET = new_webhook_secret()
CONFIG = """\
store: "sqlite:///./k.db"
channels:
  sms:
    - {{provider: t, adapter: twilio_sms, account_sid: AC1, auth_token: "${{env:NO}}", from: Shop}}
statuses: {{webhooks: [{{url: "{url}", secret: {secret}}}]}}
"""


class Receiver(ThreadingHTTPServer):
    """Verifies what it gets, and answers with ``status``."""

    status = 204
    answer = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.events: list[StatusEvent] = []
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        status = self.server.status
        try:
            self.server.events.append(verify_webhook(SECRET, self.headers, body))
        except InvalidWebhook:
            status = 401
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(self.server.answer) if status != 204 else 0))
        self.end_headers()
        if status != 204:
            self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing on standard error."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def kaskad(*arguments: str, secret: str | None = SECRET) -> Result:
    environment = {"KASKAD_WEBHOOK_SECRET": secret}
    return CliRunner().invoke(app, ["webhooks", "test", *arguments], env=environment)


def test_one_signed_event_is_sent_and_its_answer_shown(receiver: Receiver) -> None:
    done = kaskad(receiver.url)
    assert (done.exit_code, done.stdout) == (0, f"{receiver.url}\n  204: taken\n")
    [event] = receiver.events
    assert (event["type"], event["source"]) == ("kaskad.message.succeeded", "kaskad")
    assert event["data"]["status"] == "succeeded" and event["id"].startswith("test_")
    assert event["data"]["attempts"][0]["channel"] == event["data"]["succeeded_by"]


def test_any_type_can_be_sent_and_json_is_printed(receiver: Receiver) -> None:
    for what in ("kaskad.message.exhausted", "kaskad.attempt.delivered"):
        done = kaskad(receiver.url, "--type", what, "-o", "json")
        [one] = json.loads(done.stdout)
        assert (one["url"], one["taken"], one["status"]) == (receiver.url, True, 204)
    assert [one["type"] for one in receiver.events][1] == "kaskad.attempt.delivered"
    wrong = kaskad(receiver.url, "--type", "kaskad.message.succeded")
    assert (wrong.exit_code, "kaskad.message.succeeded" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (302, "redirects are not followed"),
        (400, "refuses the signature"),
        (404, "nothing listens"),
        (410, "leave this receiver alone"),
        (418, "could not read the event"),
        (503, "it failed"),
    ],
)
def test_an_answer_that_takes_nothing_is_explained(
    receiver: Receiver, status: int, said: str
) -> None:
    receiver.status, receiver.answer = status, b"because  of\nreasons"
    done = kaskad(receiver.url)
    assert done.exit_code == 1 and f"{status}: not taken; " in done.stdout
    assert said in done.stdout and "its answer: because of reasons" in done.stdout
    assert receiver.paths == ["/hook"]


def test_another_secret_is_refused_by_the_receiver(receiver: Receiver) -> None:
    done = kaskad(receiver.url, secret=new_webhook_secret())
    assert (done.exit_code, "compare the secrets" in done.stdout) == (1, True)


def test_nobody_listening_is_an_exit_code_of_its_own() -> None:
    done = kaskad(f"http://127.0.0.1:{free_port()}/hook")
    assert (done.exit_code, "no answer: " in done.stdout) == (3, True)


def test_the_receivers_of_the_configuration_are_tried_with_their_own_secrets(
    receiver: Receiver, tmp_path: Path
) -> None:
    config = tmp_path / "kaskad.yaml"
    config.write_text(CONFIG.format(url=receiver.url, secret=SECRET))
    for arguments in ((), (receiver.url,)):
        done = kaskad(*arguments, "-c", str(config), secret=None)
        assert (done.exit_code, "204: taken" in done.stdout) == (0, True)
    other = kaskad("https://other.example/hook", "-c", str(config), secret=None)
    assert (other.exit_code, receiver.url in other.stderr) == (2, True)


def test_a_secret_of_the_configuration_that_is_not_there_is_named(
    receiver: Receiver, tmp_path: Path
) -> None:
    config = tmp_path / "kaskad.yaml"
    config.write_text(CONFIG.format(url=receiver.url, secret='"${env:ABSENT_SECRET}"'))
    done = kaskad("-c", str(config), secret=None)
    assert done.exit_code == 2 and "ABSENT_SECRET" in done.stderr
    assert "KASKAD_WEBHOOK_SECRET" in done.stderr and len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("url", "secret", "said"),
    [
        ("shop.example/hook", SECRET, "is no URL"),
        ("https://shop.example/hook", "abc", "here is a new one: whsec_"),
    ],
    ids=("a URL without a scheme", "a secret of another shape"),
)
def test_what_cannot_be_tried_is_said(url: str, secret: str, said: str) -> None:
    done = kaskad(url, secret=secret)
    assert (done.exit_code, said in done.stderr) == (2, True)
