"""
Figures that tests have measured, printed at the end of the run, whichever worker ran the test.

    def test_…(record_property): record_property(MEASURED, "300 seeds, …")
"""

from __future__ import annotations

from typing import Any

MEASURED = "measured"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each figure, in the order of the tests."""
    reports = sorted(terminalreporter.getreports("passed"), key=lambda report: report.nodeid)
    lines = [
        value for report in reports for name, value in report.user_properties if name == MEASURED
    ]
    if lines:
        terminalreporter.section("measured")
    for line in lines:
        terminalreporter.write_line(line)
