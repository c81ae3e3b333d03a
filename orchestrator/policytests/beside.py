"""What is wrong in the tests beside the policies, for ``kaskad check``."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.policy_file import test_files
from orchestrator.configuration.reading import Report
from orchestrator.configuration.yaml_file import Problem
from orchestrator.policytests.file import read_test_file


def test_problems(configuration: Configuration) -> list[Problem]:
    """
    The mistakes in every test file, as warnings: the service starts without its tests. Of one test
    the first, because the others mostly follow from it.
    """
    report = Report()
    settings = configuration.settings
    for path in (*test_files(settings.policies), *test_files(settings.journeys)):
        read_test_file(path, configuration, report)
    ordered = sorted(dict.fromkeys(report.problems), key=lambda one: (one.path, one.line))
    return [replace(one, severity="warning") for one in ordered]


def policies_without_tests(configuration: Configuration) -> list[str]:
    """The policies with a trigger that no test beside them is of, by name."""
    report = Report()
    tested = {
        test.policy.name
        for path in test_files(configuration.settings.policies)
        for test in read_test_file(path, configuration, report)
    }
    triggered = {name for name, one in configuration.rules.policies.items() if one.event}
    return sorted(triggered - tested)
