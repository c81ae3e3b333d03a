"""The bench counts right: its sink, its drivers, its copies of messages, and the way it judges."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench import machine
from bench.events import EVENT_BYTES, ORDER, batch, event
from bench.figures import Figure, at_least, at_most, number, quantile, table
from bench.groups.latency import between
from bench.lives import lives
from bench.profile import read_stacks
from bench.run import NAMES, as_json, bench, chosen, report
from bench.seed import Seeds, ends_of, make_patterns, read_only
from bench.stage import Stage
from bench.wire import Framer, answer, post
from bench.worker import BenchError, Worker, environment
from orchestrator.events.cloudevents import parse_batch
from orchestrator.events.event import Event


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(tmp_path, quick=True) as stage:
        yield stage


# ---- the wire


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 1000])
def test_messages_are_cut_from_a_stream_however_it_comes(pieces: int) -> None:
    stream = (
        post("here", "/a", b'{"x": 1}', "application/json")
        + answer("200 OK", b"")
        + answer("202 Accepted", b"fine")
    )
    size = -(-len(stream) // pieces)
    framer = Framer()
    found = [
        pair
        for start in range(0, len(stream), size)
        for pair in framer.feed(stream[start : start + size])
    ]
    assert [body for _, body in found] == [b'{"x": 1}', b"", b"fine"]
    assert found[0][0].startswith(b"POST /a HTTP/1.1\r\nHost: here")


def test_every_event_has_a_kilobyte_and_is_taken_by_the_service() -> None:
    assert {len(event(n).encode()) for n in (1, 77, 999_999_999)} == {EVENT_BYTES}
    found = parse_batch(batch(5, 100, ORDER))
    assert [one.id for one in found if isinstance(one, Event)] == [
        f"e-{n:09d}" for n in range(5, 105)
    ]


# ---- the helpers, in processes of their own


async def test_the_sink_counts_what_a_real_client_posts(stage: Stage) -> None:
    bare = await stage.bare()
    await bare.ask("client", port=stage.sink_port, count=130)
    sent = await stage.sink.ask("count")
    assert (sent["viber"], sent["sms"], sent["strange"]) == (130, 0, 0)
    await stage.sink.ask("reset")
    assert (await stage.sink.ask("count"))["viber"] == 0


async def test_the_sink_stamps_marked_messages_once(stage: Stage, tmp_path: Path) -> None:
    bare = await stage.bare()
    before = time.time_ns()
    await bare.ask("client", port=stage.sink_port, count=3)
    await stage.sink.ask("stamps", file=str(tmp_path / "stamps"))
    flat = memoryview((tmp_path / "stamps").read_bytes()).cast("q")
    assert flat[0] == 42 and len(flat) == 2
    assert before <= flat[1] <= time.time_ns()


async def test_every_receipt_that_is_posted_arrives(stage: Stage) -> None:
    bare = await stage.bare()
    await bare.ask("serve")
    posted = await stage.poster.ask("flood", port=bare.hello["port"], count=150, seconds=30)
    assert posted["statuses"] == {"200": 150}
    assert (await bare.ask("served"))["count"] == 150


async def test_what_the_sink_takes_is_reported_to_whoever_the_poster_is_aimed_at(
    stage: Stage,
) -> None:
    bare = await stage.bare()
    await stage.poster.ask("aim", ports=[bare.hello["port"]], kinds="delivered")
    await bare.ask("serve")
    await bare.ask("client", port=stage.sink_port, count=20)
    answered = await stage.poster.ask("wait", count=20, seconds=20)
    assert answered["statuses"] == {"200": 20}


async def test_a_helper_that_fails_says_why_and_lives_on(stage: Stage) -> None:
    with pytest.raises(BenchError, match="KeyError"):
        await stage.sink.ask("dance")
    assert (await stage.sink.ask("count"))["viber"] == 0


async def test_a_helper_ends_when_nobody_asks_any_more(tmp_path: Path) -> None:
    worker = await Worker.start("bench.publisher")
    await worker.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


# ---- CPU


def test_the_cpu_of_a_process_is_its_own_and_a_dead_one_has_none() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "sum(range(10**7)); input()"], stdin=subprocess.PIPE
    )
    deadline = time.monotonic() + 30
    while machine.cpu_seconds(child.pid) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    used = machine.cpu_seconds(child.pid)
    child.communicate(b"\n")
    assert used > 0
    with pytest.raises(ProcessLookupError):
        machine.cpu_seconds(child.pid)


# ---- judging


def test_a_bar_that_is_missed_or_was_not_measured_is_named_and_nothing_passes_in_silence() -> None:
    slow = Figure("slow", "a slow thing", "ms", [5.0, 9.0, 7.0], at_most(6))
    fast = Figure("fast", "a fast thing", "/s", [5.0], at_least(5))
    none = Figure("none", "nothing", "s", [], at_most(1), why_not="it broke")
    away = Figure("away", "a row", "s", [], at_most(1), why_not="no broker", absent=True)
    every = [slow, fast, none, away]
    assert [one.missed for one in every] == [True, False, False, False]
    assert [one.unjudged for one in every] == [False, False, True, False]
    text = report("a machine", {"group": every}, 1)
    assert text.startswith("a machine\n")
    assert "MISSED  a slow thing: 7.00 ms, the bar is ≤ 6.00" in text
    assert "NOT MEASURED  nothing, the bar is ≤ 1.00: it broke" in text
    assert "left out on this machine: a row: no broker" in text
    assert "not measured: it broke" in table({"group": [none]})
    document = as_json("a machine", {"group": every}, False, 1)
    assert (document["missed"], document["unjudged"]) == (["slow"], ["none"])


def test_a_figure_that_rests_on_another_was_not_measured_for_the_same_reason() -> None:
    away = Figure("away", "a row", "s", why_not="no server", absent=True)
    ratio = Figure("ratio", "a row over another", "×", bar=at_most(2))
    ratio.excuse(away, otherwise="needs more")
    assert (ratio.why_not, ratio.unjudged) == ("no server", False)
    ratio.excuse(otherwise="needs more")
    assert (ratio.why_not, ratio.unjudged) == ("needs more", True)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100)])
def test_a_quantile_is_a_value_that_was_seen(share: float, expected: float) -> None:
    assert quantile([float(n) for n in range(1, 101)], share) == expected


def test_numbers_have_three_figures_or_so() -> None:
    assert [number(n) for n in (1234567.0, 234.5, 12.34, 0.5, 0.0123, None)] == [
        "1 234 567",
        "234",
        "12.3",
        "0.50",
        "0.0123",
        "-",
    ]


def test_groups_are_chosen_by_name_and_an_unknown_one_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert chosen("") == list(NAMES)
    assert chosen("life, ceilings") == ["ceilings", "life"]
    assert bench("life,speed", {}) == 2
    assert "no group speed" in capsys.readouterr().err


def test_a_call_that_was_never_seen_is_not_left_out_of_the_latencies() -> None:
    assert between({1: 0, 2: 1_000_000}, {1: 2_000_000, 2: 2_000_000}, 2) == [2.0, 1.0]
    with pytest.raises(BenchError, match="2 provider calls were expected and 1"):
        between({1: 0, 2: 0}, {1: 5}, 2)


def test_stacks_are_added_up_by_function_and_by_module() -> None:
    shares = read_stacks(
        [
            (
                "main (app.py:1);decide (/x/orchestrator/core/cascade/decide.py:10);copy"
                " (/x/orchestrator/core/message.py:9) 3"
            ),
            "main (app.py:1);decide (/x/orchestrator/core/cascade/decide.py:12) 1",
            "main (app.py:1);_worker (/usr/lib/python3.11/concurrent/futures/thread.py:81) 50",
        ]
    )
    assert shares.total == 4
    assert shares.own == {
        "copy (orchestrator/core/message.py)": 3,
        "decide (orchestrator/core/cascade/decide.py)": 1,
    }
    assert shares.whole["decide (orchestrator/core/cascade/decide.py)"] == 4
    assert shares.modules == {"orchestrator/core": 4}


# ---- with a real service


@pytest.mark.verify
async def test_lives_are_counted_and_a_missing_receipt_is_not_overlooked(stage: Stage) -> None:
    service = await stage.service("lives")
    cost = await lives(stage, [service], 120)
    assert cost.cpu_us > 0 and cost.per_second > 0
    with read_only(service.database) as db:
        assert db.execute("select status, count(*) from messages group by 1").fetchall() == [
            ("succeeded", 120)
        ]
    await stage.aim([service], "none")
    with pytest.raises(BenchError, match="5 receipts were expected"):
        await stage.receipts(5, within=0.2)


@pytest.mark.verify
async def test_a_copied_message_is_one_the_service_goes_on_with(stage: Stage) -> None:
    service = await make_patterns(stage, "copies")
    seeds = Seeds(service.database)
    assert seeds.policies == {"bench_far", "bench_step"}
    seeds.grow("bench_far", [None] * 500)
    at = int(time.time() * 1000)
    due = [at + n for n in range(100)]
    first, last = seeds.grow("bench_far", due)
    seeds.grow("bench_step", [at] * 30)
    await stage.sink.ask("reset")
    await service.start()
    ended = await ends_of(service.database, first, last, due, within=60)
    assert all(end >= at + n for n, end in enumerate(ended))
    deadline = time.monotonic() + 60
    while (await stage.sink.ask("count"))["sms"] < 30 and time.monotonic() < deadline:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.1)
    assert (await stage.sink.ask("count"))["sms"] == 30, service.last_words()
    with read_only(service.database) as db:
        far = db.execute(
            "select count(*) from messages where policy='bench_far' and status='running'"
        ).fetchone()
    assert far == (800,)


@pytest.mark.verify
def test_a_run_prints_json_and_ends_with_the_verdict(tmp_path: Path) -> None:
    env = {**environment(), "BENCH_QUICK": "1", "BENCH_JSON": str(tmp_path / "figures.json")}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "commands", "-o", "json"],
        check=False,
        env=env,
        capture_output=True,
        timeout=300,
    )
    document = json.loads((tmp_path / "figures.json").read_text())
    assert json.loads(done.stdout) == document
    assert done.returncode == (1 if document["missed"] or document["unjudged"] else 0)
    assert [one["key"] for one in document["groups"]["commands"]] == [
        "help_seconds",
        "check_seconds",
    ]
