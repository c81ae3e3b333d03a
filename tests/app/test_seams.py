"""
An exception of a type that nobody foresaw, at every seam of a running service: it ends in a durable
outcome or in a rest that grows, other messages go on, and the log stays short.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.log.log import Log
from adapters.webhook.webhook import SignedWebhook
from orchestrator.configuration.loading import PolicyVersions
from orchestrator.dispatch import outgoing
from orchestrator.dispatch.senders import AiohttpSender
from orchestrator.render.conditions import Expression
from orchestrator.statuses.sinks import WebhookSink
from orchestrator.stores.rows import Changes
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.telemetry.metrics import Metrics
from tests.app.site import POLICY, Site, lay_out, put_policy, running, until

LINES_MAX = 12
MORE = """\
  viber: [{provider: hook, adapter: webhook, url: "http://127.0.0.1:9/", secret: SECRET}]
statuses: {webhooks: [{url: "http://127.0.0.1:9/", secret: SECRET}]}
""".replace("SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
SPOILT = POLICY.replace("sms}}", 'sms, when: "event.n > 0"}}')
HOOKED = POLICY.replace("sms", "viber")


class Odd(Exception):
    """A type that nobody catches by name."""


def failing(original: Any, fails: Callable[..., bool]) -> Any:
    """The same function, which raises where ``fails`` says so."""

    def call(*arguments: Any, **named: Any) -> Any:
        if fails(*arguments, **named):
            raise Odd("it failed")
        return original(*arguments, **named)

    return call


def lay_out_seams(folder: Path) -> Path:
    """Besides ``order`` a policy ``spoilt`` by SMS with a condition, and one over HTTP."""
    config = lay_out(folder, more=MORE)
    put_policy(folder, "spoilt", "Order {{ event.n }}", SPOILT)
    put_policy(folder, "hooked", "Order", HOOKED, "viber")
    return config


async def others_go_on(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Messages of another policy are sent, the probes answer, and no cause fills the log."""
    for _ in range(3):
        assert (await site.ended(await site.publish()))["status"] == "succeeded"
        assert await site.status("/livez") == 200
    lines = capsys.readouterr().err.splitlines()
    causes = Counter(json.loads(line)["event"] for line in lines)
    assert all(count <= LINES_MAX for count in causes.values()), causes


OUTCOMES: dict[str, tuple[Any, str, Callable[..., bool], str, str]] = {
    "render": (
        outgoing,
        "render_step",
        lambda ready, *_: ready.policy.name == "spoilt",
        "spoilt",
        "template_error",
    ),
    "condition": (
        Expression,
        "evaluate",
        lambda one, scope: "message" in scope,
        "spoilt",
        "condition_error",
    ),
    "prepare": (
        PolicyVersions,
        "find",
        lambda self, name, version: name == "spoilt",
        "spoilt",
        "template_error",
    ),
    "request": (SignedWebhook, "request", lambda *_: True, "hooked", "refused_content"),
    "send": (
        Log,
        "send",
        lambda self, message: message.topic == "spoilt",
        "spoilt",
        "response_unreadable",
    ),
    "sender": (
        AiohttpSender,
        "call",
        lambda *_, **more: True,
        "hooked",
        "response_unreadable",
    ),
}
"""
Of each seam: the function that raises and when, the policy whose message meets it, and the reason
that the message or its attempt ends with.
"""


@pytest.mark.parametrize("seam", OUTCOMES)
async def test_a_seam_that_raises_ends_in_a_durable_outcome(
    seam: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    owner, name, fails, policy, reason = OUTCOMES[seam]
    started = False
    fails_now = failing(
        getattr(owner, name), lambda *given, **more: started and fails(*given, **more)
    )
    monkeypatch.setattr(owner, name, fails_now)
    async with running(lay_out_seams(tmp_path)) as site:
        started = True
        capsys.readouterr()
        ids = [await site.publish(policy) for _ in range(20)]
        for id in ids:

            async def decided(id: str = id) -> bool:
                found = await site.message(id)
                attempts = [attempt["outcome"] for attempt in found["attempts"]]
                return found["finished_at"] is not None or (
                    bool(attempts) and "pending" not in attempts
                )

            await until(decided)
            assert reason in repr(await site.message(id))
        await others_go_on(site, capsys)


REAL: dict[str, tuple[str, dict[str, Any]]] = {
    "an assertion of Jinja": ("{{ event.s|truncate(event.n) }}", {"s": "a" * 15, "n": 2}),
    "a division by zero": ("{{ 10 / (event.n - 1) }}", {"n": 1}),
}


@pytest.mark.parametrize("case", REAL)
async def test_a_template_that_fails_on_an_event_ends_its_message_and_no_other(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template, data = REAL[case]
    config = lay_out_seams(tmp_path)
    put_policy(tmp_path, "spoilt", template)
    async with running(config) as site:
        capsys.readouterr()
        for _ in range(5):
            found = await site.ended(await site.publish("spoilt", **data))
            assert (found["status"], found["reason"]) == ("suppressed", "template_error")
        await others_go_on(site, capsys)


@pytest.mark.parametrize("key", ["event.s|int", "event.s", "[event.s|int]"])
async def test_a_dedupe_key_of_any_length_makes_one_message_of_two_events(
    key: str, tmp_path: Path
) -> None:
    config = lay_out_seams(tmp_path)
    dedupe = f'dedupe: {{key: "{key}", window: 1h}}\n'
    put_policy(tmp_path, "spoilt", "Order", POLICY + dedupe.replace("{", "{{").replace("}", "}}"))
    async with running(config) as site:
        event = site.event("spoilt", n=10**18 - 1, s="9" * 4_000)
        (_, first), (_, second) = await site.post(event), await site.post({**event, "id": "again"})
        found = [
            await site.ended(answer["results"][0]["messages"][0]) for answer in (first, second)
        ]
        assert found[0]["status"] == "succeeded"
        if not key.startswith("["):  # within a list it cannot be written, and counts as no key
            assert found[1]["reason"] == "deduplicated"


async def test_one_event_that_fails_takes_no_other_of_its_batch_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(lay_out_seams(tmp_path)) as site:
        spoil_commits(monkeypatch)
        capsys.readouterr()
        events = [site.event("spoilt" if number == 5 else "order") for number in range(20)]
        status, answer = await site.post(*events)
        assert status == 202
        results = [result["status"] for result in answer["results"]]
        assert results == ["accepted"] * 5 + ["refused"] + ["accepted"] * 14
        assert answer["results"][5]["error"]["code"] == "internal_error"
        status, answer = await site.post(events[5])
        assert (status, answer["code"]) == (500, "internal_error")
        await others_go_on(site, capsys)


def spoil_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits with a message of the policy ``spoilt`` fail."""

    def fails(store: SqliteStore, changes: Changes) -> bool:
        return any(row.message.policy == "spoilt" for row in changes.created)

    monkeypatch.setattr(SqliteStore, "commit", failing(SqliteStore.commit, fails))


async def test_a_message_whose_every_fact_fails_rests_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = [0]
    async with running(lay_out_seams(tmp_path)) as site:
        spoil_after_acceptance(monkeypatch, claims)
        capsys.readouterr()
        id = await site.publish("spoilt")
        await asyncio.sleep(2)
        await others_go_on(site, capsys)
        assert (await site.message(id))["finished_at"] is None
        assert 1 <= claims[0] <= 10  # and not some thousands
        monkeypatch.undo()
        assert (await site.ended(id, 60))["status"] == "succeeded"


def spoil_after_acceptance(monkeypatch: pytest.MonkeyPatch, tries: list[int]) -> None:
    """Commits that change a message of the policy ``spoilt`` fail; ``tries`` counts them."""

    def fails(store: SqliteStore, changes: Changes) -> bool:
        spoilt = any(row.message.policy == "spoilt" for row in changes.changed)
        tries[0] += spoilt
        return spoilt

    monkeypatch.setattr(SqliteStore, "commit", failing(SqliteStore.commit, fails))


LOOPS: dict[str, tuple[Any, str, Any]] = {
    "timers": (SqliteStore, "due", lambda *_: True),
    "another provider's backlog": (SqliteStore, "claim", lambda self, queue, *_: queue == "hook"),
    "sink": (WebhookSink, "deliver", lambda *_: True),
    "reading status events": (SqliteStore, "outbox", lambda *_: True),
    "metrics of a decision": (Metrics, "decided", lambda *_: True),
    "metrics of an answer": (Metrics, "answered", lambda *_: True),
    "metrics of a commit": (Metrics, "batch_committed", lambda *_: True),
}


@pytest.mark.parametrize("loop", LOOPS)
async def test_a_loop_that_fails_rests_and_keeps_nobody_from_anything(
    loop: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    owner, name, fails = LOOPS[loop]
    calls = [0]

    def counted(*arguments: Any, **named: Any) -> bool:
        failed: bool = fails(*arguments, **named)
        calls[0] += failed
        return failed

    monkeypatch.setattr(owner, name, failing(getattr(owner, name), counted))
    async with running(lay_out_seams(tmp_path)) as site:
        capsys.readouterr()
        await site.publish("hooked")
        await asyncio.sleep(2)
        await others_go_on(site, capsys)
        assert 1 <= calls[0] < 100


@pytest.mark.parametrize("seam", ["verify", "receipts", "answer"])
async def test_a_webhook_whose_adapter_raises_is_answered_500_and_the_next_one_is_read(
    seam: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with running(lay_out_seams(tmp_path)) as site:
        with monkeypatch.context() as patch:
            for name in ("verify", "receipts", "answer"):
                result = iter(()) if name == "receipts" else None
                patch.setattr(SignedWebhook, name, lambda *_, result=result: result)
            patch.setattr(SignedWebhook, seam, failing(None, lambda *_: True))
            capsys.readouterr()
            for _ in range(30):
                assert await site.receipt("hook", b"{}") == 500
            await others_go_on(site, capsys)
        assert await site.receipt("hook", b"{}") == 403
