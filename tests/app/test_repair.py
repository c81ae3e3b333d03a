"""A template was broken: the messages that it has ended are sent by one command, each once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from orchestrator.engine.commands import DeadLetter
from tests.app.site import lay_out, put_policy, running, until

COUNT = 300
SECONDS = 120
BROKEN, FIXED = "{{ 10 // event.zero }}", "Order {{ event.n }}"


class Verbs:
    """The command itself, in processes of their own, beside the running service."""

    def __init__(self, config: Path) -> None:
        self._env = {**os.environ, "KASKAD_CONFIG": str(config)}

    async def begin(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "orchestrator.cli", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._env,
        )

    async def run(self, *words: str, code: int = 0) -> str:
        process = await self.begin(*words)
        out, err = await process.communicate()
        assert process.returncode == code, (words, out, err)
        return out.decode() + err.decode()

    async def json(self, *words: str) -> Any:
        process = await self.begin(*words, "-o", "json")
        out, err = await process.communicate()
        assert process.returncode == 0, (words, out, err)
        return json.loads(out)


def sent(folder: Path) -> Counter[str]:
    """How often each text has left."""
    file = folder / "sent.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return Counter(json.loads(line)["content"]["text"] for line in lines)


async def test_a_killed_retry_goes_on_and_nobody_gets_two(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    put_policy(tmp_path, "order", BROKEN)
    verbs = Verbs(config)
    async with running(config) as site:
        await site.post(*(site.event(zero=0) for _ in range(COUNT)))

        async def suppressed(count: int) -> bool:
            chosen = ("--reason", "template_error", "--limit", "1000")
            return len(await verbs.json("messages", "list", *chosen)) == count

        await until(lambda: suppressed(COUNT), SECONDS)
        put_policy(tmp_path, "order", FIXED)
        assert await site.app.reload() == []
        chosen = ("--reason", "template_error", "--since", "2h", "--policy", "order")
        dry = await verbs.run("messages", "retry", *chosen, "--dry-run")
        assert (dry.splitlines()[0], sent(tmp_path)) == (f"{COUNT} would start", Counter())

        killed = await verbs.begin("messages", "retry", *chosen)

        async def some_left() -> bool:
            return bool(sent(tmp_path))

        await until(some_left, SECONDS)
        killed.send_signal(signal.SIGKILL)
        await killed.wait()
        both = [verbs.json("messages", "retry", *chosen) for _ in range(2)]
        counts = [found["counts"] for found in await asyncio.gather(*both)]
        assert all(sum(found.values()) == COUNT and "refused" not in found for found in counts)

        async def all_left() -> bool:
            return len(sent(tmp_path)) == COUNT

        await until(all_left, SECONDS)
        again = await verbs.json("messages", "retry", *chosen)
        assert again["counts"] == {"already_retried": COUNT}
        assert sent(tmp_path) == {f"Order {n}": 1 for n in range(1, COUNT + 1)}
        await explained(verbs)


async def explained(verbs: Verbs) -> None:
    """Both messages name the other one."""
    [old] = await verbs.json("messages", "list", "--reason", "template_error", "--limit", "1")
    assert f"as {old['retried_as']}" in await verbs.run("explain", old["id"])
    shown = await verbs.run("messages", "show", old["retried_as"])
    assert f"retry of  {old['id']}" in shown
    assert f"it was started in the place of message {old['id']}" in shown


async def test_the_verbs_say_what_was_wrong_with_what_they_were_given(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    verbs = Verbs(config)
    async with running(config) as site:
        id = await site.publish()
        await site.ended(id)
        for words, code, says in (
            (("retry",), 2, "say which messages"),
            (("retry", id, "--since", "2h"), 2, "one of these"),
            (("retry", "--since", "yesterday"), 2, "--since takes a duration"),
            (("retry", "--status", "running"), 2, "--status takes one of suppressed"),
            (("retry", "--reason", "template"), 1, "did you mean template_error?"),
            (("retry", id), 1, "it has succeeded"),
            (("retry", "01KNOBODY"), 1, "there is no message 01KNOBODY"),
            (("cancel", id), 1, "the message has ended already"),
            (("cancel", "--all"), 0, "nothing to do"),
            (("list", "--recipient", "+380500000001"), 0, id),
        ):
            assert says in await verbs.run("messages", *words, code=code), words
        assert await verbs.run("unknown", "list") == "no outcome is unknown\n"
        undecided = await verbs.run("unknown", "resolve", id, "0", code=2)
        assert "say which" in undecided
        resolved = await verbs.run("unknown", "resolve", id, "0", "--delivered", code=1)
        assert "the outcome of attempt 0 is accepted" in resolved


async def test_dead_letters_are_replayed_and_purged_by_the_many(tmp_path: Path) -> None:
    config = lay_out(tmp_path)
    verbs = Verbs(config)
    async with running(config) as site:
        good = [json.dumps(site.event()).encode() for _ in range(3)]
        for reason, body in [*(("too_early", body) for body in good), ("bad_json", b"{")]:
            await site.app.runtime.engine.submit(DeadLetter("kafka:a/0/1", reason, "why", body))
        assert len(await verbs.json("dlq", "list", "--reason", "too_early")) == 3
        assert "3 would replay" in await verbs.run(
            "dlq", "replay", "--since", "1h", *("--dry-run", "--reason", "too_early")
        )
        assert not sent(tmp_path)
        first = await verbs.json("dlq", "replay", "--reason", "too_early")
        again = await verbs.json("dlq", "replay", "--reason", "too_early")
        assert (first["counts"], again["counts"]) == ({"accepted": 3}, {"already_replayed": 3})
        refused = await verbs.run("dlq", "replay", "--all", code=1)
        assert "3 already replayed" in refused and "refused, bad_json" in refused

        async def all_left() -> bool:
            return len(sent(tmp_path)) == 3

        await until(all_left, SECONDS)
        assert set(sent(tmp_path).values()) == {1}
        assert "say which" in await verbs.run("dlq", "purge", code=2)
        kept = await verbs.json("dlq", "purge", "--all", "--replayed")
        assert kept["counts"] == {"purged": 3, "kept": 1}
        [left] = await verbs.json("dlq", "list")
        assert left["reason"] == "bad_json"
        assert await verbs.run("dlq", "purge", left["id"]) == "1 purged\n"
