"""Events wait a moment for a slot, and no longer."""

from __future__ import annotations

from orchestrator.engine.lanes import FACTS, FIRST_OF_EVENTS, OTP_LANE, Lanes
from orchestrator.engine.room import HOLD_SECONDS_MAX, REST_SECONDS_MAX, Room


class Place:
    """A room whose slots and time are set by hand."""

    def __init__(self, slots: int | None) -> None:
        self.slots = slots
        self.seconds = 0.0
        self.room = Room(lambda: self.slots, lambda: self.seconds)

    def after(self, seconds: float) -> int:
        self.seconds += seconds
        return self.room.events_max(256)


def test_a_batch_takes_as_many_events_as_there_are_slots() -> None:
    assert Place(40).after(0) == 40
    assert Place(1_000).after(0) == 256
    assert Place(None).after(0) == 256


def test_events_wait_for_a_slot_and_take_the_first() -> None:
    place = Place(0)
    assert [place.after(0), place.after(HOLD_SECONDS_MAX / 2)] == [0, 0]
    place.slots = 3
    assert place.after(0.01) == 3
    place.slots = 0
    assert place.after(HOLD_SECONDS_MAX * 0.9) == 0  # a new wait


def test_where_no_slot_comes_events_are_taken_and_waits_become_rare() -> None:
    place, waited = Place(0), 0.0
    for _ in range(60_000):
        waited += 0.01 if place.after(0.01) == 0 else 0.0
    assert waited < 600 * 0.01
    rest = 0.0
    while place.after(0.01) == 256:
        rest += 0.01
    assert rest <= REST_SECONDS_MAX + 1


def test_no_event_waits_once_the_service_stops() -> None:
    place = Place(0)
    assert place.after(0) == 0
    place.room.end()
    assert place.after(0) == 256


def test_only_events_wait_and_facts_and_otps_pass() -> None:
    lanes: Lanes[str] = Lanes(lambda: 0.0, apart=False)
    lanes.put(FIRST_OF_EVENTS + 1, "event", alone=False)
    assert lanes.take(0, lambda size_max: 0) == []
    assert lanes.waits(0)
    lanes.put(FACTS, "fact", alone=False)
    assert lanes.take(0, lambda size_max: 0) == ["fact"]
    lanes.put(OTP_LANE, "code", alone=False)
    assert lanes.take(0, lambda size_max: 0) == ["code"]
    assert lanes.take(0, lambda size_max: 1) == ["event"]
    assert not lanes.waits(0)
