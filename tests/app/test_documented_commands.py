"""
Every command in the documentation does what its page says: it is run beside a service that works
with the worked configuration, on a terminal of 80 columns.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.cli.common import USAGE
from orchestrator.demo.stack import DemoStack
from tests.house.documented import PAGES, ROOT, commands, mistake

pytestmark = pytest.mark.verify

COLUMNS = 80
ELSEWHERE = {
    "adapter": "tests/acceptance/test_published.py and tests/declared",
    "bench": "tests/bench",
    "demo": "tests/demo",
    "init": "tests/acceptance/test_first_hour.py",
    "run": "tests/app and tests/acceptance",
    "sandbox": "tests/sandbox",
    "webhooks": "tests/app: it asks somebody else's server",
    "whatsapp": "tests/adapters: it asks Meta",
}
"""Verbs that do not end, or that need more than an installation, and where they are tried."""
MAY_FAIL = {
    "check --strict": "the demonstration's secrets stand in clear, which is a warning",
    "check --no-secrets --strict -o junit": "the same",
    "test": "the worked tests are about the worked accounts, these are the demonstration's",
    "test --coverage": "the same",
    "test -o json": "the same",
    "test -o junit": "the same",
    "test config/policies/survey.test.yaml -k morning": "the same",
    "test config/policies/survey.test.yaml:17": "the same",
    "doctor": "the demonstration is no good installation",
    "doctor --processes 2": "the same",
    "doctor --processes 3": "the same",
    "explain shop/cart/c-981": "there is no such event",
    "report experiment NAME": "no policy has an experiment",
    "explain --provider-id SM5f1c": "no provider has given that id",
    "unknown resolve 01KB9WZJ7E0000000000000000 0 --delivered": "its outcome is known",
}
"""What has reason to answer no here: exit code 1, in words."""
REFUSED = {
    "migrate up": (3, "is in use by process"),
    "migrate status": (3, "is in use by process"),
    "simulate --events november.jsonl --policy cart_abandoned --against cart_abandoned_b.yaml"
    " --fit": (2, "say how providers behave with --providers"),
    "simulate --events events.jsonl --against HEAD --fit": (2, "say how providers behave"),
    "render followed_topics --event first.json --digest second.json": (2, "there is no template"),
}
"""What a page asks for in another situation: while nothing runs, or after weeks of sending."""
FILES = {
    "customers.csv": "id,phone,email,first_name\nc-1,+380671112233,ivan@example.com,Іван\n",
    "yes.csv": "recipient,channel,topic,state,at\nuser-42,sms,news,in,2026-11-01T10:00:00Z\n",
    "codes.txt": "SPRING-7F3K\nSPRING-9QX2\n",
    "blocked.csv": "address,channel\n+380671112244,sms\n",
}


def lay_out(folder: Path) -> None:
    """What the pages speak of beside the configuration, in a repository of two commits."""
    shutil.copytree(ROOT / "docs" / "samples", folder / "docs" / "samples")
    shutil.copy(folder / "docs/samples/november.jsonl", folder / "november.jsonl")
    shutil.copy(folder / "config/policies/cart_abandoned.yaml", folder / "cart_abandoned_b.yaml")
    (folder / "backups").mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "event.json").write_text(json.dumps(event("c-0")), "utf-8")
    (folder / ".gitignore").write_text("*.db*\n*.p8\n*.pem\n*.sock\n")
    who = ("-c", "user.name=k", "-c", "user.email=k@example.com")
    commit = (*who, "commit", "-q", "--allow-empty", "-m")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*commit, "1"), (*commit, "2")):
        subprocess.run(("git", *words), cwd=folder, check=True)


def event(id: str) -> dict[str, Any]:
    """An abandoned cart of user-42."""
    (line,) = [
        one
        for one in map(json.loads, (ROOT / "docs/samples/november.jsonl").open(encoding="utf-8"))
        if one["type"] == "shop.cart.abandoned"
    ][:1]
    person = {"id": "user-42", "phone": "+380501234567", "email": "olena@example.com"}
    data = {**line["data"], "cart_id": id, "recipient": {**line["data"]["recipient"], **person}}
    return {**line, "id": id, "source": "shop/cart", "data": data, "time": None}


class Terminal:
    """Runs commands as a page has them, with the ids and places of this installation."""

    def __init__(self, stack: DemoStack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.config = folder / "config" / "kaskad.yaml"
        self.message = self.journey = self.key = self.head = ""
        self._runner = CliRunner(
            env={"KASKAD_CONFIG": str(self.config), "COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
        )

    async def run(self, words: Sequence[str]) -> Result:
        read = {"-": "november.jsonl", "send": "event.json"}
        file = next((name for word, name in read.items() if word in words), None)
        given = (self.folder / file).read_bytes() if file is not None else None
        return await asyncio.to_thread(self._runner.invoke, app, list(words), given)

    async def prepare(self, page: str) -> None:
        """For each page anew: a person with a message and a journey, a key, an audit entry."""
        cart = {name: value for name, value in event(f"c-{page}").items() if value is not None}
        data = {**cart["data"], "goal_id": page, "weekly_km": 6}
        goal = {**cart, "type": "app.goal.started", "id": f"g-{page}", "data": data}
        made = await self.stack.publish([cart, goal])
        (self.message,) = made[0]["messages"]
        url = f"{self.stack.url}/v1/journeys?recipient=user-42&status=running"
        async with self.stack.session.get(url) as answer:
            self.journey = (await answer.json())["items"][0]["id"]
        key = await self.run(("keys", "create", "--scope", "events", "-o", "json"))
        self.key = json.loads(key.stdout)["id"]
        self.head = json.loads((await self.run(("audit", "verify", "-o", "json"))).stdout)["head"]

    def here(self, words: Sequence[str]) -> list[str]:
        """The words with what stands for something in the page replaced."""
        id = self.key if list(words[:2]) == ["keys", "revoke"] else self.message
        replaced = {
            "ID": id,
            "MESSAGE": id,
            "olena": "user-42",
            "J01K…": self.journey,
            "NAME": "cart_abandoned" if "policies" in words else "trek_running",
            "SM5f1c": "paper-1",
            "42:9f86…": self.head,
            "http://host:9464": f"http://127.0.0.1:{self.stack.admin_port}",
            "A..B": "HEAD~1..HEAD",
        }
        file = str(self.config) if "--config" in words else "november.jsonl"
        found: list[str] = []
        for word in words:
            given = re.sub(r"^01K[0-9A-Z]+…?$", id, word)
            given = given.replace("/backups", str(self.folder / "backups"))
            found.append(file if word == "FILE" else replaced.get(given, given))
        # so many runs that its numbers are worth something take a minute each
        fewer = words[0] == "simulate" and "--tune" not in words
        return [*found, "--runs", "2"] if fewer else found


@pytest.fixture
async def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Terminal]:
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    async with DemoStack(tmp_path / "config", seed=7) as stack:
        lay_out(tmp_path)
        yield Terminal(stack, tmp_path)


def worth_running(words: Sequence[str]) -> bool:
    """Whether these are more than a verb that the text names, and end by themselves."""
    if not words or words[0] in ELSEWHERE or "--watch" in words or "--probe" in words:
        return False
    said = mistake(list(words))
    return said is None and words[0] != "--help"


async def test_every_command_of_every_page_runs(terminal: Terminal) -> None:
    ran: set[str] = set()
    wrong: list[str] = []
    for page in PAGES:
        found = [words for words in commands(page) if worth_running(words)]
        if any(" ".join(words) not in ran for words in found):
            await terminal.prepare(page.stem)
        for words in found:
            line = " ".join(words)
            if line in ran:
                continue
            ran.add(line)
            done = await terminal.run(terminal.here(words))
            where = f"{page.name}: {line}: {done.exit_code}\n{done.output[-800:]}"
            assert done.exception is None or isinstance(done.exception, SystemExit), where
            code, says = REFUSED.get(line, (0, ""))
            allowed = {code, 1} if line in MAY_FAIL else {code}
            if done.exit_code == USAGE and re.fullmatch("[a-z ]+", line):
                continue  # the text speaks of a verb by its name alone
            if done.exit_code not in allowed or says not in done.output:
                wrong.append(where)
    assert not wrong, "\n\n".join(wrong)
    assert len(ran) > 80
    assert set(MAY_FAIL) | set(REFUSED) <= ran, "an exception that no page needs any more"
