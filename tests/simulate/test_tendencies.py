"""How people differ, and when they act, is found again in what they did."""

from __future__ import annotations

import random
from zoneinfo import ZoneInfo

import pytest

from orchestrator.simulate.hours import HOURS, Hours, fit_hours, hour_of
from orchestrator.simulate.tendencies import (
    NODES,
    Cell,
    Spread,
    Trials,
    fit_tendency,
    level_of,
    logistic,
)

KYIV = ZoneInfo("Europe/Kyiv")
VIBER = Cell("infobip", "sale", "promotional", "viber")
WHATSAPP = Cell("meta", "sale", "promotional", "whatsapp")
PARCEL = Cell("infobip", "parcel", "transactional", "viber")
USUAL = {"viber": 0.6, "whatsapp": 0.65}


def people_who_read(spread: Spread, count: int, each: int) -> Trials:
    """Viber reads at logit -1, WhatsApp, tried only where Viber was not read, at 0."""
    rng, found = random.Random(7), {}
    for number in range(count):
        person, inner = rng.gauss(), {"viber": rng.gauss(), "whatsapp": rng.gauss()}
        rows: dict[Cell, tuple[int, int]] = {}
        for _ in range(each):
            for cell, level in ((VIBER, -1.0), (WHATSAPP, 0.0)):
                lean = spread.person * person + spread.channel * inner[cell.channel]
                read = rng.random() < logistic(level + lean)
                tried, done = rows.get(cell, (0, 0))
                rows[cell] = (tried + 1, done + read)
                if read:
                    break
        found[f"person-{number}"] = rows
    return found


def test_a_channel_for_those_who_did_not_read_another_is_no_channel_that_nobody_reads() -> None:
    trials = people_who_read(Spread(1.5, 0.3), 600, 4)
    found = fit_tendency(trials, USUAL, Spread(1.0, 0.5))
    assert found.spread.person == pytest.approx(1.5, abs=0.4)
    assert found.cells[VIBER].logit == pytest.approx(-1.0, abs=0.3)
    assert found.cells[WHATSAPP].logit == pytest.approx(0.0, abs=0.4)
    done, tried = (
        sum(rows[WHATSAPP][place] for rows in trials.values() if WHATSAPP in rows)
        for place in (1, 0)
    )
    assert done / tried < 0.45  # which is what counting alone would say, of people who read 50 %


def test_a_person_goes_on_as_before() -> None:
    trials = people_who_read(Spread(2.5, 0.0), 400, 6)
    found = fit_tendency(trials, USUAL, Spread(1.0, 0.5))
    always = next(one for one, rows in trials.items() if rows[VIBER] == (6, 6))
    never = next(one for one, rows in trials.items() if rows[VIBER] == (6, 0))
    chances = [(number + 0.5) / 20 for number in range(20)]

    def reads(person: str) -> float:
        leanings = [found.leaning(person, "viber", chance, 0.5) for chance in chances]
        return sum(logistic(found.cells[VIBER].logit + one) for one in leanings) / len(leanings)

    assert reads(always) > 0.75
    assert reads(never) < 0.2


def test_what_is_not_known_is_taken_from_what_is_like_it() -> None:
    trials: Trials = {f"p{number}": {PARCEL: (4, 3)} for number in range(200)}
    trials |= {f"s{number}": {VIBER: (1, 0)} for number in range(3)}
    found = fit_tendency(trials, USUAL, Spread(0.5, 0.5))
    seen, hardly = found.cells[PARCEL], found.cells[VIBER]
    assert logistic(seen.logit) == pytest.approx(0.75, abs=0.05)
    assert logistic(hardly.logit) > 0.3  # three who did not read say little
    assert hardly.error > 2 * seen.error
    other_policy = found.level(PARCEL._replace(policy="new"))
    other_provider = found.level(Cell("other", "new", "service", "viber"))
    assert other_policy is not None and other_provider is not None
    assert seen.error < other_policy.error < other_provider.error
    assert found.level(Cell("twilio", "sale", "promotional", "sms")) is None


def test_thousands_of_trials_of_one_person_are_no_trouble() -> None:
    trials: Trials = {f"p{number}": {PARCEL: (4, 3)} for number in range(50)}
    trials["tester"] = {PARCEL: (20_000, 10)}
    found = fit_tendency(trials, USUAL, Spread(1.0, 0.5))
    assert logistic(found.cells[PARCEL].logit + found.leaning("tester", "viber", 0.5, 0.5)) < 0.3


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("spread", [Spread(0, 0), Spread(1, 0.5), Spread(0.5, 4)])
def test_people_who_differ_do_it_as_often_altogether(share: float, spread: Spread) -> None:
    level = level_of(share, spread)
    shares = [logistic(level + spread.person * z + spread.channel * w) for z, w in NODES]
    assert sum(shares) / len(shares) == pytest.approx(share, abs=1e-6)


def test_people_who_sleep_at_night_are_found_to() -> None:
    """Though two thirds of all messages are sent by day."""
    true = Hours([0.03] * 7 + [1.5] * 15 + [1.0, 0.3], KYIV)
    rng, spans = random.Random(1), []
    for _ in range(2_000):
        start = 1_764_000_000_000 + int(rng.uniform(0, 20 * 86_400_000))
        if 9 <= hour_of(true.local(start)) < 21 or rng.random() < 0.5:
            spans.append((start, start + true.span_ms(start, rng.lognormvariate(0, 1.7) * 9e5)))
    found = fit_hours(spans, KYIV)
    assert max(found.activity[:7]) < 0.3
    assert min(found.activity[9:21]) > 0.9
    night = 1_764_000_000_000 // 86_400_000 * 86_400_000 + 23 * 3_600_000  # 1:00 in Kyiv
    assert found.span_ms(night, 1_800_000) > 4 * 3_600_000  # half an hour awake: in the morning
    assert fit_hours(spans[:50], KYIV).activity == (1.0,) * HOURS


@pytest.mark.parametrize("start", range(0, 86_400_000, 7_000_001))
def test_waking_time_is_turned_into_the_clock_s_and_back(start: int) -> None:
    hours = Hours([0.02] * 8 + [1.0] * 16, KYIV)
    for waking in (0, 1_000, 3_600_000, 100_000_000):
        end = start + hours.span_ms(start, waking)
        assert hours.waking_ms(start, end) == pytest.approx(waking, abs=2)
