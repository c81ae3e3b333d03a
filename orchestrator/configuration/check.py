"""
Everything that can be wrong with a configuration, its policies, its governance and its templates.

    check(config_path, env) ──► [Problem, …]     errors stop `kaskad run`, warnings don't

The single values are checked where they are read; what only shows when everything is known together
is looked for in ``lintinstallation.py`` (providers, money, addresses) and ``lintpolicy.py`` (one
cascade among these providers).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.configuration.governance_file import read_governance
from orchestrator.configuration.lint_installation import Installation, lint_installation
from orchestrator.configuration.lint_policy import lint_policy
from orchestrator.configuration.policy_file import TEST_SUFFIX, read_policies
from orchestrator.configuration.reading import Report
from orchestrator.configuration.settings_file import read_settings
from orchestrator.configuration.yaml_file import Position, Problem
from orchestrator.core.policy import Governance
from orchestrator.render import TemplateProblems, TemplateSet

__all__ = ["Problem", "check"]


def check(config_path: Path, env: Mapping[str, str]) -> list[Problem]:
    """
    All problems of an installation, by file and place; an empty list means that everything is in
    order.
    """
    report = Report()
    settings = read_settings(config_path, env, report)
    if settings is None:
        return report.problems
    governance, governance_root = Governance(), None
    if settings.governance is not None:
        governance, governance_root = read_governance(settings.governance, report)
    files = read_policies(
        settings.policies, report, templates=lambda template: "", defaults=settings.defaults
    )
    look_beside_policies(settings.policies, report)
    installation = Installation(
        settings=settings,
        governance=governance,
        governance_root=governance_root,
        templates=read_templates(settings.templates, report),
        report=report,
    )
    lint_installation(installation)
    for file in files.values():
        lint_policy(file, installation)
    unique = dict.fromkeys(report.problems)
    return sorted(unique, key=lambda problem: (problem.path, problem.line, problem.column))


def look_beside_policies(directory: Path, report: Report) -> None:
    """Files that look like policies and are none, and a directory without any."""
    if not directory.is_dir():
        return
    for path in sorted(directory.glob("*.yml")):
        report.warn(
            Position(str(path), 1, 1),
            "this file is not read, because it ends in .yml",
            "rename it to .yaml",
        )
    if not any(not path.name.endswith(TEST_SUFFIX) for path in directory.glob("*.yaml")):
        report.warn(
            Position(str(directory), 1, 1),
            "there is no policy here",
            "write one: policies/order_shipped.yaml",
        )


def read_templates(directory: Path, report: Report) -> TemplateSet | None:
    """The templates; None where they cannot be used, which is reported."""
    if not directory.is_dir():
        fix = "make it, or say under `templates` where they are"
        report.error(Position(str(directory), 1, 1), "there is no such directory of templates", fix)
        return None
    try:
        return TemplateSet.load(directory)
    except TemplateProblems as error:
        for one in error.problems:
            report.error(Position(str(one.path), one.line, one.column), one.what, one.fix)
        return None
