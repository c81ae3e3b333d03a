"""
A checker that cannot fail proves nothing: each kind of broken promise, planted once, is found, and
only that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.verify.chaos import settings
from tests.verify.chaos.checker import Report, check, crowded
from tests.verify.chaos.faults import DRAIN, KILL, PAUSE, STACK, WEIGHTS, Happened, Journal, drawn
from tests.verify.chaos.ledger import Ledger, Stop
from tests.verify.chaos.processes import ROOT
from tests.verify.chaos.run import keep, stamp
from tests.verify.chaos.witnesses import dark_of, lag_of, witnesses

T = 1_800_000_000.0
LOST, DOUBLED, RESENT = (
    "P1 accepted and not there",
    "P2 taken twice by a provider",
    "P2 a taken or unknown step sent again",
)
UNMATCHED = "P2 taken without an intent, or an answer without a taking"


class Tale:
    """
    A run in which all went well, to be spoilt: one order (step 0 and 1) and one promotion, a second
    apart.
    """

    def __init__(self) -> None:
        self.ledger, self.journal = Ledger(), Journal()
        self.messages: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.message("order", "p-1", T)
        self.attempt(0, 0, T)
        self.attempt(0, 1, T + 10)
        self.message("promo", "p-2", T + 1)
        self.attempt(1, 0, T + 1)

    def message(self, policy: str, recipient: str, at: float) -> None:
        number = len(self.messages)
        self.ledger.took(f"e-{number}", policy, recipient, at, "http", f"m{number}")
        self.messages.append(
            {
                "id": f"m{number}",
                "event": {"id": f"e-{number}"},
                "recipient": recipient,
                "policy": policy,
                "class": "promotional" if policy == "promo" else "transactional",
                "status": "succeeded",
                "reason": None,
                "deadline_at": stamp(at + 60),
                "finished_at": stamp(at + 20),
                "attempts": [],
            }
        )

    def attempt(
        self, message: int, step: int, at: float, outcome: str = "accepted", taken: bool = True
    ) -> None:
        attempts = self.messages[message]["attempts"]
        attempts.append(
            {
                "number": len(attempts),
                "step": step,
                "outcome": outcome,
                "error": None,
                "times": {"intent": stamp(at), "answered": stamp(at + 0.1)},
            }
        )
        if taken:
            self.take(f"m{message}", step, at + 0.05)

    def take(self, message: str, step: int, at: float, provider: str = "infobip") -> None:
        content = {"text": f"m={message} s={step} n=1"}
        self.lines.append(
            {"content": content, "provider": provider, "address": "+380500000001", "at": at}
        )

    def lose(self, message: int, number: int, answered_at: float) -> None:
        """The process of an attempt died, and another took over."""
        attempt = self.messages[message]["attempts"][number]
        attempt["error"] = {"reason": "process_died"}
        attempt["outcome"] = "unknown"
        attempt["times"]["answered"] = stamp(answered_at)

    def report_of(self) -> Report:
        return check(witnesses(self.ledger, self.lines, self.messages, self.journal))


def lose_message(tale: Tale) -> None:
    tale.ledger.took("e-9", "order", "p-9", T, "kafka")


def split_event(tale: Tale) -> None:
    tale.ledger.took("e-0", "order", "p-1", T, "kafka", "m77")


def leave_open(tale: Tale) -> None:
    tale.messages[0] |= {"status": "running", "finished_at": None}


def end_late(tale: Tale) -> None:
    tale.messages[0]["finished_at"] = stamp(T + 121)


def take_twice(tale: Tale) -> None:
    tale.take("m1", 0, T + 5)


def send_again(tale: Tale) -> None:
    tale.attempt(1, 0, T + 5, "unknown", taken=False)


def take_without_intent(tale: Tale) -> None:
    tale.take("m1", 1, T + 5)


def accept_without_taking(tale: Tale) -> None:
    tale.attempt(1, 1, T + 5, taken=False)


def overtake(tale: Tale) -> None:
    tale.lines[1]["at"] = T + settings.VIBER_WAIT_SECONDS - 2


def send_after_opt_out(tale: Tale) -> None:
    tale.ledger.stops.append(Stop("opt_out", T + 9.9, recipient="p-1"))


def write_after_cancel(tale: Tale) -> None:
    tale.ledger.stops.append(Stop("cancel", T + 10.2, event="e-0"))
    tale.lines[1]["at"] = T + 12


def send_after_goal(tale: Tale) -> None:
    tale.ledger.stops.append(Stop("goal", T + 4, event="e-0"))


def exceed_cap(tale: Tale) -> None:
    for number in range(settings.CAP_LIMIT):
        tale.message("promo", "p-2", T + 2 + number)
        tale.attempt(2 + number, 0, T + 2 + number)


def exceed_deadline(tale: Tale) -> None:
    tale.messages[1]["deadline_at"] = stamp(T + 0.5)


def exceed_rate(tale: Tale) -> None:
    for number in range(2 * settings.BULK_RATE + 5):
        tale.message("order", f"p-{100 + number}", T + 30)
        tale.attempt(2 + number, 0, T + 30)
        tale.lines[-1]["provider"] = "bulk"


def keep_exceeding_rate(tale: Tale) -> None:
    """Never too many in one second, too many in ten: every process with a bucket of its own."""
    for number in range(14 * settings.BULK_RATE):
        at = T + 30 + number / (1.5 * settings.BULK_RATE)
        tale.message("order", f"p-{100 + number}", at)
        tale.attempt(2 + number, 0, at)
        tale.lines[-1]["provider"] = "bulk"


def lose_for_nothing(tale: Tale) -> None:
    tale.lose(1, 0, T + 20)


def drain_and_lose(tale: Tale) -> None:
    tale.journal.faults.append(Happened(DRAIN, "worker1", T + 1, T + 2, code=0, took=1.0))
    tale.lose(1, 0, T + 20)


def take_over_late(tale: Tale) -> None:
    tale.journal.faults.append(Happened(KILL, "worker1", T + 1.1, T + 2))
    tale.lose(1, 0, T + 50)


def lose_long_before_any_cause(tale: Tale) -> None:
    tale.journal.faults.append(Happened(KILL, "worker1", T + 9, T + 10))
    tale.lose(1, 0, T + 20)


def take_over_late_because_of_another_death(tale: Tale) -> None:
    tale.journal.faults += [
        Happened(KILL, "worker1", T + 1.1, T + 2),
        Happened(KILL, "worker2", T + 30, T + 31),
    ]
    tale.lose(1, 0, T + 50)


def send_after_takeover(tale: Tale) -> None:
    tale.journal.faults.append(Happened(KILL, "worker1", T + 1.1, T + 2))
    tale.lose(1, 0, T + 6)
    tale.lines[2]["at"] = T + 9


def send_after_a_no_long_after_waking(tale: Tale) -> None:
    write_after_cancel(tale)
    tale.journal.faults.append(Happened(PAUSE, "worker1", T + 10, T + 10.3))


def drain_badly(tale: Tale) -> None:
    tale.journal.faults.append(Happened(DRAIN, "worker1", T, T + 2, code=1, took=1.0))


def drain_slowly(tale: Tale) -> None:
    tale.journal.faults.append(Happened(DRAIN, "worker1", T, T + 30, code=0, took=26.0))


def end_without_reason(tale: Tale) -> None:
    tale.messages[0]["status"] = "exhausted"


def answer_wrongly(tale: Tale) -> None:
    tale.ledger.wrong.append("POST /v1/events was answered 409: conflict")


PLANTED: list[tuple[Callable[[Tale], None], set[str]]] = [
    (lose_message, {LOST}),
    (split_event, {"P1 taken twice over as an event"}),
    (leave_open, {"P1 not ended by its deadline and 60 s"}),
    (end_late, {"P1 not ended by its deadline and 60 s"}),
    (take_twice, {DOUBLED}),
    (send_again, {RESENT}),
    (take_without_intent, {UNMATCHED}),
    (accept_without_taking, {UNMATCHED}),
    (overtake, {"P3 overtaken"}),
    (send_after_opt_out, {"P4 sent after a no"}),
    (write_after_cancel, {"P4 sent after a no"}),
    (send_after_goal, {"P4 sent after a no"}),
    (exceed_cap, {"P4 over a cap"}),
    (exceed_deadline, {"P4 after the deadline"}),
    (exceed_rate, {"P4 faster than the rate"}),
    (keep_exceeding_rate, {"P4 faster than the rate"}),
    (lose_for_nothing, {"P5 unknown without a cause"}),
    (drain_and_lose, {"P5 unknown without a cause"}),
    (take_over_late, {"P5 taken over too late"}),
    (take_over_late_because_of_another_death, {"P5 taken over too late"}),
    (lose_long_before_any_cause, {"P5 unknown without a cause"}),
    (send_after_takeover, {"P5 sent after its takeover"}),
    (send_after_a_no_long_after_waking, {"P4 sent after a no"}),
    (drain_badly, {"P5 a drain that went wrong"}),
    (drain_slowly, {"P5 a drain that went wrong"}),
    (end_without_reason, {"P6 ended without a reason"}),
    (answer_wrongly, {"answers that should never be"}),
]


def test_nothing_is_found_where_all_went_well() -> None:
    assert Tale().report_of().broken == []


@pytest.mark.parametrize(
    ("spoil", "promises"), PLANTED, ids=[spoil.__name__ for spoil, _ in PLANTED]
)
def test_a_broken_promise_is_found(spoil: Callable[[Tale], None], promises: set[str]) -> None:
    tale = Tale()
    spoil(tale)
    assert {words.partition(":")[0] for words in tale.report_of().broken} == promises


def test_a_frozen_process_that_writes_late_is_counted_and_not_blamed() -> None:
    tale = Tale()
    write_after_cancel(tale)
    tale.journal.faults.append(Happened(PAUSE, "worker1", T + 10, T + 11.9))
    report = tale.report_of()
    assert report.broken == []
    assert report.figures["sends of a frozen process after a no (counted, documented)"] == 1


def test_a_send_after_its_takeover_is_counted() -> None:
    tale = Tale()
    tale.journal.faults.append(Happened(PAUSE, "worker1", T + 1, T + 9))
    tale.lose(1, 0, T + 6)
    tale.lines[2]["at"] = T + 9
    report = tale.report_of()
    assert report.broken == []
    assert report.figures["sends after their takeover (counted, documented)"] == 1


def test_a_takeover_in_time_is_measured() -> None:
    tale = Tale()
    tale.journal.faults.append(Happened(KILL, "worker1", T + 1.1, T + 2))
    tale.lose(1, 0, T + 31)
    report = tale.report_of()
    assert report.broken == []
    assert report.figures["intents taken over from the dead"] == 1


def test_a_stand_in_that_had_to_wait_for_a_processor_blames_nobody() -> None:
    tale = Tale()
    write_after_cancel(tale)
    tale.ledger.lags.append((T + 10.5, 1.5))
    assert tale.report_of().broken == []


def test_what_left_late_or_from_a_stopped_process_counts_against_the_rate() -> None:
    tale = Tale()
    for number in range(2 * settings.BULK_RATE + 1):
        at = T + 30 + number / (2 * settings.BULK_RATE)
        tale.message("order", f"p-{100 + number}", at)
        tale.attempt(2 + number, 0, at)
        tale.lines[-1] |= {"provider": "bulk", "at": T + 31.2}
    tale.journal.faults.append(Happened(PAUSE, "worker1", T + 27, T + 31))
    assert [words.partition(":")[0] for words in tale.report_of().broken] == [
        "P4 faster than the rate"
    ]
    tale.ledger.lags = [
        (T + 30, 0.5)
    ]  # unless the stand-ins had to wait for a processor themselves
    assert tale.report_of().broken == []


def test_a_time_in_which_nobody_was_ready_is_not_held_against_a_deadline() -> None:
    tale = Tale()
    end_late(tale)
    tale.ledger.ready = [(T + 70, 1), (T + 80, 0), (T + 85, 1)]
    assert tale.report_of().broken == []
    assert dark_of(tale.ledger.ready)(T + 82, T + 200) == 3


def test_the_lag_around_an_instant_is_the_longest_near_it() -> None:
    lag = lag_of([(T, 0.1), (T + 3, 0.7), (T + 60, 9.0)])
    assert lag(T + 1) == 0.7
    assert lag(T + 30) == 0.0


def test_a_message_exactly_a_window_ago_no_longer_counts() -> None:
    assert list(crowded([0, 1, 2, 20], 3, 20)) == []
    assert list(crowded([0, 1, 2, 19.9], 3, 20)) == [[0, 1, 2, 19.9]]


def test_the_same_seed_draws_the_same_faults_and_as_many_kills_as_were_asked_for() -> None:
    plan = drawn(7, 50, workers=3, postgres=True, broker=True)
    assert plan == drawn(7, 50, workers=3, postgres=True, broker=True)
    assert plan != drawn(8, 50, workers=3, postgres=True, broker=True)
    kills = sum({"kill": 1, "kill starting": 2, "kill all": 3}.get(fault.kind, 0) for fault in plan)
    assert 50 <= kills <= 52


def test_a_kill_of_all_counts_the_workers_that_were_up() -> None:
    faults = [
        Happened(KILL, "worker1", T),
        Happened(STACK, "worker2, worker3", T),
        Happened(STACK, "", T),
    ]
    assert Journal(faults).kills == 3


def test_the_evidence_of_a_run_is_kept(tmp_path: Path) -> None:
    tale = Tale()
    tale.ledger.stops.append(Stop("goal", T, event="e-0"))
    tale.ledger.answers["202"] += 1
    seen = witnesses(tale.ledger, tale.lines, tale.messages, tale.journal)
    keep(tmp_path, seen, "table")
    kept = json.loads((tmp_path / "ledger.json").read_text())
    assert kept["events"][0]["messages"] == ["m0"]
    assert kept["stops"][0]["event"] == "e-0"
    assert len((tmp_path / "messages.json").read_text().splitlines()) == len(tale.messages)


def test_the_documentation_names_every_fault_and_every_promise() -> None:
    text = (ROOT / "docs" / "chaos.md").read_text()
    promises = [name for name in Tale().report_of().figures if name.startswith("P")]
    assert len(promises) > 12
    assert [name for name in promises if f"| {name} |" not in text] == []
    assert [kind for kind in WEIGHTS if f"| `{kind}` |" not in text] == []
