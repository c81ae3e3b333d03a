"""Runs the suite over a package and reports in the words of its author."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from kaskad_testing.cases import OPTION
from kaskad_testing.finding import brought

NODE = re.compile(r"::test_(?P<check>\w+)(?:\[(?P<of>.*)\])?", re.DOTALL)


class Reporter:
    """Collects what failed: each check of each adapter once, with how often."""

    def __init__(self) -> None:
        self.checks = 0
        self.failed: dict[tuple[str, str], list[str]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count one check."""
        if report.when == "call":
            self.checks += 1
        if report.failed:
            self.add(report)

    def pytest_collectreport(self, report: Any) -> None:
        """Modules that cannot be loaded."""
        if report.failed:
            self.add(report)

    def add(self, report: Any) -> None:
        match = NODE.search(report.nodeid)
        check = match["check"].replace("_", " ") if match else "the suite cannot be loaded"
        of = ((match and match["of"]) or "").partition(":")[0].partition("-")[0]
        crash = getattr(report.longrepr, "reprcrash", None)
        words = crash.message if crash is not None else str(report.longrepr)
        self.failed.setdefault((of, check), []).append(words.removeprefix("AssertionError: "))


def run(target: str, write: Callable[[str], None]) -> bool:
    """
    Whether the adapters of a target pass; what does not is written. Raises ``NothingToTest``, and
    ``ConfigError`` for a configuration that is wrong.
    """
    names = sorted({one.adapter for one in brought(target).examples})
    reporter = Reporter()
    plain = ["-c", os.devnull, "-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:logging"]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # other plugins take long to load
    suite = ["--pyargs", "kaskad_testing", "-p", "kaskad_testing.plugin", OPTION, target]
    code = pytest.main([*suite, *plain], [reporter])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        write("the suite could not be run to its end")
    for (of, check), words in sorted(reporter.failed.items()):
        more = f"\n  ({len(words) - 1} more like it)" if len(words) > 1 else ""
        write(f"{of}: {check}\n  {words[0].strip()}{more}\n")
    failed = len(reporter.failed)
    write(f"{', '.join(names)}: {reporter.checks} checks, {failed or 'none'} failed")
    return code == pytest.ExitCode.OK and not failed
