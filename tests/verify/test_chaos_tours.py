"""
The checker of journeys, digests and experiments can fail: each kind of broken promise, planted once
into a run in which all went well, is found, and only that.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.verify.chaos.checker import Report
from tests.verify.chaos.counts import Counted
from tests.verify.chaos.digests_checker import arm_of
from tests.verify.chaos.faults import Journal
from tests.verify.chaos.known import Known
from tests.verify.chaos.ledger import Ledger, Said, Tour, Trigger
from tests.verify.chaos.processes import ROOT
from tests.verify.chaos.run import stamp
from tests.verify.chaos.stored import QUERIES, Stored, stored_of
from tests.verify.chaos.tours_checker import check_tours
from tests.verify.chaos.witnesses import witnesses

T = 1_800_000_000.0
PEPPER = b"pepper"
ASKED, LEFT = "J1", "J2"
"""A tour that was asked about and came to its end, and one that was left."""


class Tale:
    """
    A run in which all went well, to be spoilt: two tours, a digest of three triggers and the next
    one, two messages of the experiment.
    """

    def __init__(self) -> None:
        self.ledger, self.stored = Ledger(), Stored(pepper=PEPPER)
        self.lines: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.verified: dict[str, Any] = {"busy": [], "differences": []}
        self.journeys_more, self.people = Counter[str](), dict[str, int]()
        self.ends: dict[str, set[str]] = {}
        self.journey(ASKED, "t-1", "completed", T + 9)
        self.steps(ASKED, T, ["0"])
        self.steps(ASKED, T + 1.5, ["1"])
        self.steps(ASKED, T + 3.5, ["2", "2.0.0"])
        self.steps(ASKED, T + 5, ["3"])
        self.steps(ASKED, T + 6, ["3.then.0"])
        self.steps(ASKED, T + 7, ["4", "4.steps.0#1"])
        self.steps(ASKED, T + 8, ["4.steps.1#1", "4.steps.0#2"])
        self.steps(ASKED, T + 9, ["4.steps.1#2"], "completed")
        self.ledger.tours["t-1"].said.append(Said("asked", T + 5.9, T + 6.1))
        for number, policy, created, finished in (
            (0, "tour_hello", T, T + 1.5),
            (1, "tour_more", T + 3.5, T + 5),
            (2, "tour_answer", T + 6, T + 7),
            (3, "tour_round", T + 8, T + 10),
            (4, "tour_round", T + 9, T + 11),
        ):
            said = f"w={policy} t=t-1"
            self.message(f"M1{number}", policy, said, created, finished, journey=ASKED)
        self.journey(LEFT, "t-2", "exited", T + 2)
        self.steps(LEFT, T, ["0"])
        self.steps(LEFT, T + 1, ["1"])
        self.steps(LEFT, T + 2, [], "exited")
        self.ledger.tours["t-2"].said.append(Said("left", T + 1.9, T + 2.1))
        self.message("M20", "tour_hello", "w=tour_hello t=t-2", T, T + 1, journey=LEFT)
        self.digest("D1", T, [1, 2, 3])
        self.digest("D2", T + 3, [4])
        arm = arm_of(PEPPER, "p-1")
        for number in range(2):
            self.message(f"E{number}", "tone", f"a={arm}", T + number, T + 5, arm=arm)

    def journey(self, id: str, key: str, status: str, finished: float) -> None:
        self.ledger.tours[key] = Tour(key, "p-1", f"start-{key}", {id})
        said = {"id": id, "recipient": "p-1", "key": key, "status": status}
        times = {"created_at": stamp(T), "deadline_at": stamp(T + 300)}
        self.runs.append({**said, **times, "finished_at": stamp(finished)})
        self.stored.journeys[id] = {**said, "due_at": None, "lines": []}
        self.ends[id] = {status}

    def steps(self, run: str, at: float, steps: Sequence[str], end: str = "") -> None:
        effects: list[dict[str, Any]] = []
        for step in steps:
            if step in SENDING:
                message = f"M{run[1:]}{SENDING.index(step)}"
                effects.append({"kind": "StartMessage", "message": message, "step": step})
        what = "running" if steps == ["0"] else end
        effects += [{"kind": "EmitJourneyStatus", "what": f"journey.{what}"}] if what else []
        line = {"at": round(at * 1000), "steps": list(steps), "effects": effects}
        self.stored.journeys[run]["lines"].append(line)

    def digest(self, id: str, at: float, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.ledger.triggers[number] = Trigger(number, "p-1", "news", {id})
        said = f"of=.{'.'.join(str(number) for number in numbers)}"
        self.message(id, "gathered", said, at, at + 6, starts=at + 3, event=f"topic-{numbers[0]}")
        self.stored.joined[id] = [{"n": number} for number in numbers[1:]]
        self.messages[-1]["digest"] = {"events": len(numbers), "more": 0}

    def message(
        self,
        id: str,
        policy: str,
        said: str,
        created: float,
        finished: float,
        *,
        starts: float | None = None,
        event: str = "e-1",
        **stored: str,
    ) -> None:
        at = created if starts is None else starts
        attempt = {"step": 0, "outcome": "accepted", "times": {"intent": stamp(at)}}
        self.messages.append(
            {
                "id": id,
                "event": {"id": event},
                "recipient": "p-1",
                "policy": policy,
                "status": "succeeded",
                "created_at": stamp(created),
                "starts_at": stamp(at),
                "finished_at": stamp(finished),
                "reached_at": stamp(finished),
                "digest": None,
                "attempts": [attempt],
            }
        )
        self.stored.messages[id] = {
            "policy": policy,
            "recipient": "p-1",
            "event_id": event,
            **stored,
        }
        self.take(id, said, at)

    def take(self, id: str, said: str, at: float) -> None:
        content = {"text": f"m={id} s=0 n=1 {said}"}
        self.lines.append(
            {"content": content, "provider": "infobip", "address": "+380", "at": at + 0.05}
        )

    def of(self, id: str) -> dict[str, Any]:
        return next(one for one in self.messages if one["id"] == id)

    def broken(self) -> set[str]:
        seen = witnesses(self.ledger, self.lines, self.messages, Journal())
        by_status = Counter(row["status"] for row in self.stored.journeys.values())
        met = {one.get("arm") for one in self.stored.messages.values() if "arm" in one}
        verified = {"messages": len(self.stored.messages), **self.verified}
        people = {str(arm): 1 for arm in met}
        counted = Counted(verified, by_status + self.journeys_more, people | self.people)
        report = Report()
        check_tours(Known(seen, self.lines, self.runs, self.stored, self.ends), counted, report)
        return {words.partition(":")[0] for words in report.broken}


SENDING = ("0", "2.0.0", "3.then.0", "4.steps.1#1", "4.steps.1#2")
START, END, LOST = (
    "P1 a start without its one journey",
    "P1 a journey that did not end once",
    "P1 a trigger in no digest",
)
TWICE, GATHERED = "P2 a step of a journey done twice", "P2 a trigger in two digests"
ORDER, WINDOW = "P3 a journey out of order", "P3 a digest out of its window"
WENT_ON, ARM = "P4 a journey went on after its end", "P6 another arm than the person's"
COUNTS = "P6 counts that are not those of a scan"


def lose_a_start(tale: Tale) -> None:
    tale.ledger.tours["t-9"] = Tour("t-9", "p-1", "start-t-9")


def begin_twice(tale: Tale) -> None:
    tale.runs.append({**tale.runs[0], "id": "J3", "status": "failed"})
    tale.stored.journeys["J3"] = tale.stored.journeys[ASKED] | {"status": "failed", "lines": []}
    tale.steps("J3", T, [], "failed")
    tale.ends["J3"] = {"failed"}


def begin_for_nobody(tale: Tale) -> None:
    tale.ledger.tours["t-1"].recipient = "p-2"
    tale.ledger.tours["t-1"].said.clear()


def answer_with_another(tale: Tale) -> None:
    tale.ledger.tours["t-1"].journeys.add("J7")


def leave_running(tale: Tale) -> None:
    tale.runs[1] |= {"status": "running", "finished_at": None}


def end_twice(tale: Tale) -> None:
    tale.steps(LEFT, T + 2, [], "exited")


def report_two_ends(tale: Tale) -> None:
    tale.ends[LEFT] = {"exited", "completed"}


def keep_a_timer(tale: Tale) -> None:
    tale.stored.timed.add(LEFT)


def end_long_after_the_deadline(tale: Tale) -> None:
    tale.runs[0]["deadline_at"] = stamp(T - 60)


def do_a_step_twice(tale: Tale) -> None:
    tale.stored.journeys[ASKED]["lines"][1]["steps"].append("1")


def send_a_step_twice(tale: Tale) -> None:
    tale.message("M99", "tour_hello", "", T + 0.5, T + 1.5, journey=ASKED)


def take_a_step_of_two_messages(tale: Tale) -> None:
    tale.take("E0", "w=tour_more t=t-1", T + 4)


def lose_a_message(tale: Tale) -> None:
    del tale.stored.messages["M12"]


def store_a_row_twice(tale: Tale) -> None:
    tale.stored.twice.append("M12")


def wait_too_short(tale: Tale) -> None:
    line = tale.stored.journeys[ASKED]["lines"][2]
    line["at"] -= 500
    tale.of("M11")["created_at"] = stamp(T + 3)


def overtake_a_message(tale: Tale) -> None:
    tale.of("M11")["finished_at"] = stamp(T + 5.5)


def take_the_wrong_branch(tale: Tale) -> None:
    tale.of("M10")["status"] = "exhausted"


def answer_who_did_not_ask(tale: Tale) -> None:
    tale.ledger.tours["t-1"].said.clear()


def miss_who_asked(tale: Tale) -> None:
    line = tale.stored.journeys[ASKED]["lines"][4]
    line["steps"] = ["3.else.0"]
    tale.stored.messages["M12"]["policy"] = tale.of("M12")["policy"] = "tour_nudge"


def leave_out_a_step(tale: Tale) -> None:
    tale.stored.journeys[ASKED]["lines"][5]["steps"].remove("4")


def start_after_leaving(tale: Tale) -> None:
    attempt = {"step": 1, "outcome": "accepted", "times": {"intent": stamp(T + 3)}}
    tale.of("M20")["attempts"].append(attempt)


def take_long_after_leaving(tale: Tale) -> None:
    tale.take("M20", "", T + 5)


def end_after_the_answer(tale: Tale) -> None:
    tale.runs[1]["finished_at"] = stamp(T + 2.5)


def end_without_a_word(tale: Tale) -> None:
    tale.ledger.tours["t-2"].said.clear()


def lose_a_trigger(tale: Tale) -> None:
    tale.stored.joined["D1"].pop()
    tale.of("D1")["digest"]["events"] -= 1
    for line in tale.lines:
        line["content"]["text"] = line["content"]["text"].replace("of=.1.2.3", "of=.1.2")


def gather_twice(tale: Tale) -> None:
    tale.stored.joined["D2"].append({"n": 2})
    tale.of("D2")["digest"]["events"] += 1
    for line in tale.lines:
        line["content"]["text"] = line["content"]["text"].replace("of=.4", "of=.4.2")


def send_other_triggers(tale: Tale) -> None:
    for line in tale.lines:
        line["content"]["text"] = line["content"]["text"].replace("of=.1.2.3", "of=.1.3")


def answer_with_another_digest(tale: Tale) -> None:
    tale.ledger.triggers[2].messages.add("D2")


def gather_what_nobody_sent(tale: Tale) -> None:
    del tale.ledger.triggers[3]


def open_two_digests(tale: Tale) -> None:
    tale.of("D2")["created_at"] = stamp(T + 2)
    tale.of("D2")["starts_at"] = stamp(T + 5)


def send_a_digest_early(tale: Tale) -> None:
    tale.of("D1")["attempts"][0]["times"]["intent"] = stamp(T + 2.9)


def gather_too_long(tale: Tale) -> None:
    tale.of("D2")["starts_at"] = stamp(T + 7)
    tale.of("D2")["attempts"].clear()


def change_an_arm(tale: Tale) -> None:
    tale.stored.messages["E1"]["arm"] = "neither"
    for line in tale.lines:
        if line["content"]["text"].startswith("m=E1 "):
            line["content"]["text"] = "m=E1 s=0 n=1 a=neither"


def send_another_arm(tale: Tale) -> None:
    tale.take("E1", "a=neither", T + 3)


def count_too_much(tale: Tale) -> None:
    tale.verified["differences"] = [{"measure": "sends", "counted": 2, "scanned": 1}]


def compare_nothing(tale: Tale) -> None:
    tale.verified["busy"] = [20261201]


def compare_too_few(tale: Tale) -> None:
    tale.verified["messages"] = 3


def count_a_journey_twice(tale: Tale) -> None:
    tale.journeys_more["completed"] = 1


def count_a_person_twice(tale: Tale) -> None:
    tale.people[arm_of(PEPPER, "p-1")] = 2


PLANTED: list[tuple[Callable[[Tale], None], set[str]]] = [
    (lose_a_start, {START}),
    (begin_twice, {START}),
    (begin_for_nobody, {START, ORDER}),
    (answer_with_another, {START}),
    (leave_running, {END, WENT_ON}),
    (end_twice, {END}),
    (report_two_ends, {END}),
    (keep_a_timer, {END}),
    (end_long_after_the_deadline, {END}),
    (do_a_step_twice, {TWICE, ORDER}),
    (send_a_step_twice, {TWICE, ORDER}),
    (take_a_step_of_two_messages, {TWICE}),
    (lose_a_message, {TWICE, ORDER}),
    (store_a_row_twice, {TWICE}),
    (wait_too_short, {ORDER}),
    (overtake_a_message, {ORDER}),
    (take_the_wrong_branch, {ORDER}),
    (answer_who_did_not_ask, {ORDER}),
    (miss_who_asked, {ORDER}),
    (leave_out_a_step, {ORDER}),
    (start_after_leaving, {WENT_ON}),
    (take_long_after_leaving, {WENT_ON}),
    (end_after_the_answer, {WENT_ON}),
    (end_without_a_word, {WENT_ON}),
    (lose_a_trigger, {LOST}),
    (gather_twice, {GATHERED}),
    (send_other_triggers, {GATHERED}),
    (answer_with_another_digest, {GATHERED}),
    (gather_what_nobody_sent, {GATHERED}),
    (open_two_digests, {WINDOW}),
    (send_a_digest_early, {WINDOW}),
    (gather_too_long, {WINDOW}),
    (change_an_arm, {ARM}),
    (send_another_arm, {ARM}),
    (count_too_much, {COUNTS}),
    (compare_nothing, {COUNTS}),
    (compare_too_few, {COUNTS}),
    (count_a_journey_twice, {COUNTS}),
    (count_a_person_twice, {COUNTS}),
]


def test_nothing_is_found_where_all_went_well() -> None:
    assert Tale().broken() == set()


@pytest.mark.parametrize(
    ("spoil", "promises"), PLANTED, ids=[spoil.__name__ for spoil, _ in PLANTED]
)
def test_a_broken_promise_is_found(spoil: Callable[[Tale], None], promises: set[str]) -> None:
    tale = Tale()
    spoil(tale)
    assert tale.broken() == promises


def test_every_promise_is_broken_once_and_documented() -> None:
    text = (ROOT / "docs" / "chaos.md").read_text()
    found = set().union(*(promises for _, promises in PLANTED))
    assert found == {START, END, LOST, TWICE, GATHERED, ORDER, WINDOW, WENT_ON, ARM, COUNTS}
    assert [name for name in sorted(found) if f"| {name} |" not in text] == []


def test_rows_become_documents() -> None:
    state = json.dumps({"policy": "tone"}).encode()
    rows: dict[str, list[Sequence[Any]]] = {
        "messages": [("M1", state), ("M1", state)],
        "joined": [("M1", b'{"n": 2}'), ("M1", b'{"n": 3}')],
        "journeys": [("J1", "p-1", "tour", "t-1", "completed", 9, None, b"{}")],
        "lines": [("J1", b'{"at": 1}\n{"at": 2}\n'), ("J1", b'{"at": 3}\n')],
        "timers": [("J1",)],
        "pepper": [(b"secret",)],
    }
    assert rows.keys() == QUERIES.keys()
    found = stored_of(rows)
    assert found.twice == ["M1"]
    assert [data["n"] for data in found.joined["M1"]] == [2, 3]
    assert [line["at"] for line in found.journeys["J1"]["lines"]] == [1, 2, 3]
    assert (found.timed, found.pepper) == ({"J1"}, b"secret")
