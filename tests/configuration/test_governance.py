"""Governance is read whole and refused with positions and fixes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.configuration.governance_file import (
    CALENDARS,
    CONSENTS,
    governance_from_document,
    governance_to_document,
    read_governance,
)
from orchestrator.configuration.reading import Report
from orchestrator.configuration.yaml_file import ConfigError
from orchestrator.core.policy import (
    CLASSES,
    HOUR_MS,
    Budget,
    Cap,
    Gap,
    Governance,
    QuietHours,
    Window,
)

ROOT = Path(__file__).parents[2]


def load_governance(path: Path) -> Governance:
    report = Report()
    governance, _ = read_governance(path, report)
    report.refuse()
    return governance


def read(tmp_path: Path, text: str) -> Governance:
    path = tmp_path / "g.yaml"
    path.write_text(text)
    return load_governance(path)


BAD = [
    (
        "quiet_hour: {}",
        "g.yaml:1:1: the governance has no key 'quiet_hour'; did you mean 'quiet_hours'?",
    ),
    (
        "quiet_hours: {night: {window: 21-9}}",
        (
            "g.yaml:1:31: `window` '21-9' is not a time of day and another; write it in quotes as"
            ' "21:00-09:00", or "all"'
        ),
    ),
    (
        'quiet_hours: {night: {window: "21:60-09:00"}}',
        (
            "g.yaml:1:31: `window` '21:60-09:00' has a time that does not exist; "
            'write it in quotes as "21:00-09:00", or "all"'
        ),
    ),
    (
        'quiet_hours: {night: {window: "24:00-09:00"}}',
        (
            "g.yaml:1:31: `window` '24:00-09:00' has a time that does not exist; "
            'write it in quotes as "21:00-09:00", or "all"'
        ),
    ),
    (
        'quiet_hours: {night: {window: "09:00-09:00"}}',
        "g.yaml:1:31: `window` '09:00-09:00' begins when it ends; for a whole day write \"all\"",
    ),
    (
        "quiet_hours: {night: {zone: recipient}}",
        'g.yaml:1:22: `quiet_hours.night` has no `window`; write window: "21:00-09:00"',
    ),
    (
        'quiet_hours: {night: {window: "all", windows: {sun: "all"}}}',
        "g.yaml:1:47: `quiet_hours.night` has `window` and `windows`; keep one of them",
    ),
    (
        'quiet_hours: {night: {windows: {funday: "all"}}}',
        (
            "g.yaml:1:33: 'funday' is not a day of the week; use mon tue wed thu fri sat sun, or a"
            " span such as mon-fri"
        ),
    ),
    (
        'quiet_hours: {night: {windows: {mon-fri: "all", wed: "all"}}}',
        "g.yaml:1:49: wed already has a window; name each day once",
    ),
    (
        'quiet_hours: {night: {window: "all", zone: Europe/Warschau}}',
        "g.yaml:1:44: `zone` 'Europe/Warschau' is not a time zone; did you mean 'Europe/Warsaw'?",
    ),
    (
        'quiet_hours: {night: {window: "all", classes: [promo]}}',
        "g.yaml:1:48: an entry of `classes` cannot be 'promo'; did you mean 'promotional'?",
    ),
    (
        'quiet_hours: {night: {window: "all", on_hit: hold}}',
        "g.yaml:1:46: `on_hit` cannot be 'hold'; write defer, skip_step or drop",
    ),
    (
        'quiet_hours: {night: {window: "all", max_defer: 14}}',
        "g.yaml:1:49: `max_defer` 14 has no unit; write it: 14s, 14m, 14h or 14d",
    ),
    (
        "frequency_caps: {week: {limit: 0, per: 7d}}",
        "g.yaml:1:32: `limit` cannot be 0; write a number from 1 to 100000",
    ),
    (
        "frequency_caps: {week: {limit: 3}}",
        (
            "g.yaml:1:24: `frequency_caps.week` has no `per`; write the window: per: 7d, or per:"
            " calendar_day"
        ),
    ),
    (
        "frequency_caps: {week: {limit: 3, per: calender_day}}",
        "g.yaml:1:40: `per` 'calender_day' is no window; did you mean 'calendar_day'?",
    ),
    ("min_gaps: {gap: {gap: 2}}", "g.yaml:1:23: `gap` 2 has no unit; write it: 2s, 2m, 2h or 2d"),
    (
        "consent: {promotional: bypass}",
        (
            "g.yaml:1:24: `consent.promotional` cannot be bypass: only one-time codes may go out"
            " without asking; write opt_in or opt_out"
        ),
    ),
    (
        "consent: {service: no}",
        "g.yaml:1:20: `consent.service` cannot be 'no'; write opt_in, opt_out or bypass",
    ),
    (
        "sms_countries: [UA, XX]",
        "g.yaml:1:21: 'XX' is not a country code; write ISO codes such as UA",
    ),
    ("sms_countries: [ua]", "g.yaml:1:17: 'ua' is not a country code; did you mean 'UA'?"),
    (
        "sms_countries: UA",
        (
            "g.yaml:1:16: `sms_countries` is a text; write a list of country codes:"
            " sms_countries: [UA]"
        ),
    ),
    (
        "budget: {sms: {per_day: lots, currency: UAH}}",
        'g.yaml:1:25: `per_day` is not an amount of money (lots); write an amount such as "1.20"',
    ),
    (
        "budget: {sms: {per_day: 5, currency: hryvnia}}",
        (
            "g.yaml:1:38: `currency` 'hryvnia' is not a currency code; write UAH, three capital"
            " letters"
        ),
    ),
    (
        "budget: {sms: {per_day: 5}}",
        "g.yaml:1:15: `budget.sms` has no `currency`; write its currency: currency: UAH",
    ),
    (
        "time_zone: Kyiv",
        ("g.yaml:1:12: `time_zone` 'Kyiv' is not a time zone; did you mean 'Europe/Kyiv'?"),
    ),
    ("quiet_hours: [a]", "g.yaml:1:14: `quiet_hours` is a list; write a mapping: key: value"),
]


@pytest.mark.parametrize(("text", "expected"), BAD)
def test_bad_governance_is_refused_with_place_and_fix(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in refused.value.problems] == [
        expected
    ]


def test_norway_is_a_country_and_not_a_no(tmp_path: Path) -> None:
    assert read(tmp_path, "sms_countries: [NO, UA]").sms_countries == ("NO", "UA")


def test_nothing_said_is_the_defaults(tmp_path: Path) -> None:
    governance = read(tmp_path, "")
    assert governance.consent == {
        "otp": "bypass",
        "conversational": "opt_out",
        "transactional": "opt_out",
        "service": "opt_out",
        "promotional": "opt_in",
    }
    assert (governance.time_zone, governance.caps, governance.sms_countries) == ("UTC", (), ())


def test_every_rule_is_read(tmp_path: Path) -> None:
    governance = read(
        tmp_path,
        """
quiet_hours:
  night: {windows: {fri-sun: "22:00-08:00", mon: "all"}, zone: Europe/Kyiv,
          on_hit: drop, max_defer: 14h}
frequency_caps:
  week: {limit: 3, per: 7d, classes: [promotional]}
  month: {limit: 9, per: calendar_month, channels: [sms], on_hit: skip_step}
min_gaps: {gap: {gap: 2h, channels: [viber], classes: [service]}}
budget: {sms: {per_day: 500.00, currency: UAH, on_hit: drop}}
consent: {otp: opt_out}
""",
    )
    evening = Window(22 * 60, 8 * 60)
    windows = (Window(0, 1440), None, None, None, evening, evening, evening)
    assert governance.quiet_hours == (
        QuietHours("night", windows, "Europe/Kyiv", None, (), (), "drop", 14 * HOUR_MS),
    )
    assert governance.caps == (
        Cap("week", 3, 7 * 24 * HOUR_MS, None, ("promotional",)),
        Cap("month", 9, None, "month", (), ("sms",), "skip_step"),
    )
    assert governance.gaps == (Gap("gap", 2 * HOUR_MS, ("service",), ("viber",)),)
    assert governance.budgets == (Budget("sms", "500.00", "UAH", "drop"),)
    assert governance.consent["otp"] == "opt_out"


def test_days_may_span_the_weekend(tmp_path: Path) -> None:
    governance = read(tmp_path, 'quiet_hours: {q: {windows: {sat-mon: "all"}}}')
    assert [bool(window) for window in governance.quiet_hours[0].windows] == [True] + [
        False
    ] * 4 + [True] * 2


def test_the_version_is_of_the_meaning(tmp_path: Path) -> None:
    one = read(tmp_path, "min_gaps: {g: {gap: 1h}}")
    assert one.version == read(tmp_path, "# remark\nmin_gaps: {g: {gap: 60m}}").version
    assert one.version != read(tmp_path, "min_gaps: {g: {gap: 2h}}").version


def test_the_worked_governance_is_well() -> None:
    assert load_governance(ROOT / "config" / "governance.yaml").sms_countries == ("UA", "PL")


WORDS = st.text(min_size=1, max_size=10)
LISTS = st.lists(WORDS, max_size=3).map(tuple)
WINDOWS = st.none() | st.builds(Window, st.integers(0, 1440), st.integers(0, 1440))
GOVERNANCE = st.builds(
    Governance,
    version=WORDS,
    quiet_hours=st.lists(
        st.builds(
            QuietHours,
            name=WORDS,
            windows=st.tuples(*[WINDOWS] * 7),
            classes=LISTS,
            max_defer_ms=st.none() | st.integers(1),
        ),
        max_size=2,
    ).map(tuple),
    caps=st.lists(
        st.builds(
            Cap,
            name=WORDS,
            limit=st.integers(1),
            channels=LISTS,
            calendar=st.sampled_from((None, *CALENDARS.values())),
        ),
        max_size=2,
    ).map(tuple),
    gaps=st.lists(st.builds(Gap, name=WORDS, gap_ms=st.integers(1), classes=LISTS), max_size=2).map(
        tuple
    ),
    budgets=st.lists(st.builds(Budget, WORDS, WORDS, WORDS), max_size=2).map(tuple),
    consent=st.fixed_dictionaries(
        {message_class: st.sampled_from(CONSENTS) for message_class in CLASSES}
    ),
    time_zone=WORDS,
    sms_countries=LISTS,
)


@given(GOVERNANCE)
def test_governance_survives_the_store(governance: Governance) -> None:
    assert (
        governance_from_document(json.loads(json.dumps(governance_to_document(governance))))
        == governance
    )
