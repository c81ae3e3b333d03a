"""Watch mode, completion, pages of a template, colours: what authors of policies meet."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.cli.completion import Shell
from tests.app.site import lay_out, put_policy

SECONDS = 60
KASKAD = [sys.executable, "-m", "orchestrator.cli"]
TEST = """\
policy: order
tests:
  - name: an order becomes an SMS
    given:
      now: "2026-11-21T10:00:00+02:00"
      event: {n: 7}
      recipient: {phone: true}
    expect:
      steps: [0s send sms]
"""
COLOUR = re.compile(r"\x1b\[(?:\d+;)*3[1-7]m")


class Watching:
    """A verb that watches, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.text = ""

    def until(self, words: str) -> str:
        """What it has printed since the last call, up to a line with these words."""
        assert self.process.stdout is not None
        end = time.monotonic() + SECONDS
        while words not in self.text:
            ready, _, _ = select.select([self.process.stdout], [], [], 1)
            assert time.monotonic() < end, self.text
            if ready:
                piece = os.read(self.process.stdout.fileno(), 65_536)
                assert piece, self.text
                self.text += piece.decode()
        found, _, rest = self.text.partition(words)
        self.text = rest
        return found + words


@contextmanager
def watching(config: Path, *words: str) -> Iterator[Watching]:
    process = subprocess.Popen(
        [*KASKAD, *words, "--watch", "-c", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield Watching(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def test_check_watches_and_prints_only_what_is_different(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    template = tmp_path / "templates" / "order" / "sms.text.j2"
    other = template.with_name("sms.uk.text.j2")
    with watching(config, "check") as shown:
        shown.until("0 error(s), 1 warning(s)")
        template.write_text("Order {{ event.n ", "utf-8")
        broken = shown.until("1 error(s)")
        assert "sms.text.j2 changed" in broken and "sms.text.j2:1:" in broken
        other.write_text("Order {{ event.n ", "utf-8")
        worse = shown.until("2 error(s)")
        assert "sms.uk.text.j2:1:" in worse and "sms.text.j2:1:" not in worse
        template.write_text("Order {{ event.n }}", "utf-8")
        better = shown.until("1 error(s)")
        assert re.search(r"gone: .*sms\.text\.j2:1:", better)
        assert "\x1b" not in broken + worse + better


def test_tests_are_watched_and_a_file_that_cannot_be_read_is_waited_for(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    file = tmp_path / "policies" / "order.test.yaml"
    file.write_text(TEST, "utf-8")
    with watching(config, "test") as shown:
        shown.until("1 file(s), 0 failed")
        file.write_text(TEST.replace("0s send", "9s send"), "utf-8")
        assert "FAILED" in shown.until("1 file(s), 1 failed")
        file.write_text("policy: [", "utf-8")
        assert "order.test.yaml" in shown.until("waiting for the next change")
        file.write_text(TEST, "utf-8")
        shown.until("1 file(s), 0 failed")


@pytest.mark.parametrize("words", [("check", "-o", "json"), ("test", "--list")])
def test_what_is_for_programs_is_not_watched(tmp_path: Path, words: tuple[str, ...]) -> None:
    config = str(lay_out(tmp_path))
    done = CliRunner().invoke(app, [*words, "--watch", "-c", config])
    assert (done.exit_code, "--watch" in done.stderr) == (2, True)


def test_bash_completes_verbs_options_and_files(tmp_path: Path) -> None:
    """A real bash evaluates the script, and is asked as it asks when somebody presses Tab."""
    bin = tmp_path / "bin"
    bin.mkdir()
    script = bin / "kaskad"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m orchestrator.cli "$@"\n', "utf-8")
    script.chmod(0o755)
    ask = """
eval "$(kaskad completion bash)"
how=$(complete -p kaskad); function=${how##*-F }; function=${function%% *}
ask() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  "$function" kaskad; echo "${COMPREPLY[@]}"
}
ask kaskad mess
ask kaskad messages un
ask kaskad check --str
echo "$how"
"""
    env = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", ask], capture_output=True, text=True, env=env, check=True
    )
    verb, under, option, how = done.stdout.splitlines()
    assert (verb, under, option) == ("messages", "untimed", "--strict")
    assert "-o default" in how, "files where there is nothing else"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_scripts(shell: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["completion", shell])
    assert "_KASKAD_COMPLETE=complete_" + shell in done.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed, so nothing reads the script")
    (tmp_path / "script").write_text(done.stdout, "utf-8")
    subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_the_shells_are_those_of_the_help() -> None:
    done = CliRunner().invoke(app, ["completion", "csh"])
    assert done.exit_code == 2
    assert all(shell.value in done.stderr for shell in Shell)


def on_a_terminal(env: dict[str, str], *words: str) -> str:
    """What a verb prints on a terminal of 80 columns."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [*KASKAD, *words], stdout=child, stderr=child, env={**os.environ, "COLUMNS": "80", **env}
    )
    os.close(child)
    text = b""
    try:
        while piece := os.read(parent, 65_536):
            text += piece
    except OSError:  # the other end was closed
        pass
    os.close(parent)
    process.wait(SECONDS)
    return text.decode()


def test_no_color_is_obeyed(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    (tmp_path / "policies" / "order.test.yaml").write_text(
        TEST.replace("0s send", "9s send"), "utf-8"
    )
    terminal = {"TERM": "xterm-256color"}
    coloured = on_a_terminal(terminal, "test", "-c", str(config))
    plain = on_a_terminal({**terminal, "NO_COLOR": "1"}, "test", "-c", str(config))
    assert "FAILED" in coloured and "FAILED" in plain
    assert COLOUR.search(coloured) and not COLOUR.search(plain)


def test_a_page_shows_a_template_in_every_language(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    put_policy(tmp_path, "order", "Order {{ event.n }}, {{ recipient.first_name }}")
    folder = tmp_path / "templates" / "order"
    (folder / "sms.uk.text.j2").write_text("Замовлення {{ event.n }}", "utf-8")
    (folder / "email.subject.j2").write_text("Order <{{ event.n }}>", "utf-8")
    (folder / "email.text.j2").write_text("Order {{ event.n }}", "utf-8")
    (folder / "email.html.j2").write_text("<b>Order {{ event.n }}</b>", "utf-8")
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"n": 7, "recipient": {"first_name": "O'Hara"}}), "utf-8")
    page = tmp_path / "page.html"
    words = ("render", "order", "--event", str(event), "--locale", "all", "-c", str(config))
    done = CliRunner().invoke(app, [*words, "--html", str(page), "-o", "json"])
    shown = json.loads(done.stdout)
    assert [name for name in shown if name.startswith("sms")] == ["sms en", "sms uk"]
    assert shown["sms en"]["parts"]["text"] == "Order 7, O'Hara"
    assert shown["sms uk"]["parts"]["text"] == "Замовлення 7"
    html = page.read_text("utf-8")
    assert '<iframe sandbox title="email en: html" srcdoc="' in html
    assert "&lt;b&gt;Order 7&lt;/b&gt;" in html and "Замовлення 7" in html
    assert "Order &lt;7&gt;" in html
