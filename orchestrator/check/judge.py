"""
Everything that can be wrong with a configuration, its policies, its governance and its templates.

    judge(path, env) ──► Verdict(problems, configuration)   errors stop `kaskad run`, warnings don't

``check``, ``run``, a reload, ``test``, ``simulate`` and ``doctor`` judge by this one function, so
what one of them takes no other refuses. Single values are checked where they are read; what only
shows when everything is known together is in ``installation`` (providers, money,
addresses) and ``policy`` (one cascade among these providers).

Without ``secrets``, a reference that cannot be looked up on this machine is no problem, and every
other check is made all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.check.experiments import lint_experiment_names
from orchestrator.check.files import look_beside, missing_folder
from orchestrator.check.inside import lint_circles
from orchestrator.check.installation import Installation, lint_installation
from orchestrator.check.journey import lint_journey, sent_by
from orchestrator.check.policy import lint_policy
from orchestrator.check.samples import read_samples
from orchestrator.configuration.conversation import conversation_policy, conversation_templates
from orchestrator.configuration.governance_file import read_governance
from orchestrator.configuration.journey_file import read_journeys
from orchestrator.configuration.loading import Configuration, rules_of
from orchestrator.configuration.policy_file import (
    PolicyFile,
    hash_templates,
    read_policies,
)
from orchestrator.configuration.reading import Report, suggestion
from orchestrator.configuration.settings import Settings
from orchestrator.configuration.settings_file import read_settings
from orchestrator.configuration.yaml_file import ConfigError, Position, Problem
from orchestrator.core.policy import CONVERSATION, Governance
from orchestrator.render import TemplateProblems, TemplateSet


@dataclass(frozen=True)
class Assessment:
    """``problems`` in the order of the files; ``configuration`` is None if one is an error."""

    problems: tuple[Problem, ...]
    configuration: Configuration | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop the configuration from being used."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def load_configuration(
    path: Path, env: Mapping[str, str], *, secrets: bool = True
) -> Configuration:
    """Everything that a configuration file names. Raises ``ConfigError`` with every error."""
    verdict = judge(path, env, secrets=secrets)
    if verdict.configuration is None:
        raise ConfigError(verdict.errors)
    return verdict.configuration


def judge(path: Path, env: Mapping[str, str], *, secrets: bool = True) -> Assessment:
    """Read and check everything that a configuration file names."""
    report = Report()
    settings = read_settings(path, env, report, secrets=secrets)
    if settings is None:
        return Assessment(in_order(report))
    governance, root = Governance(), None
    if settings.governance is not None:
        governance, root = read_governance(settings.governance, report)
        if root is None:
            name_place(report, settings, "governance", str(settings.governance))
    hashes = hash_templates(settings.templates, settings.default_locale)
    files: dict[str, PolicyFile] = {}
    if settings.policies.is_dir():
        defaults = settings.defaults
        files = read_policies(settings.policies, report, templates=hashes, defaults=defaults)
    else:
        missing_folder(settings, "policies", settings.policies, report)
    journeys = read_journeys(settings.journeys, report)
    if named(settings, "journeys") and not settings.journeys.is_dir():
        missing_folder(settings, "journeys", settings.journeys, report)
    look_beside(settings, report)
    templates = read_templates(settings, report)
    samples = read_samples((settings.policies, settings.journeys), settings.path.parent.parent)
    answering = {governance.replies.help, governance.replies.stop, CONVERSATION}
    installation = Installation(
        settings, governance, root, templates, report, samples, sent_by(journeys) | answering
    )
    lint_installation(installation, files.values())
    for file in files.values():
        lint_policy(file, installation)
    for journey in journeys.values():
        lint_journey(journey, files, installation)
    lint_circles(files, journeys, report)
    lint_experiment_names(files, report)
    if report.failed or templates is None:
        return Assessment(in_order(report))
    policies = {name: file.policy for name, file in files.items()}
    own = conversation_policy(settings.channels)
    if own is not None and own.name not in policies:
        policies[own.name] = own
        templates.add_missing(own.template, conversation_templates(settings.channels))
    way = {name: one.journey for name, one in journeys.items()}
    rules = rules_of(settings, policies, governance, way)
    written = root.plain() if root is not None and root.kind == "map" else {}
    configuration = Configuration(settings, files, templates, rules, written, journeys)
    return Assessment(in_order(report), configuration)


def named(settings: Settings, key: str) -> bool:
    """Whether a key is written in the configuration file."""
    return settings.written is not None and key in settings.written.keys


def name_place(report: Report, settings: Settings, key: str, path: str) -> None:
    """Report a file that is not there where the configuration names it."""
    written = settings.written.keys if settings.written is not None else {}
    last = report.problems[-1]
    if key not in written or Path(path).exists():
        return
    there = [one.name for one in Path(path).parent.glob("*.yaml")]
    fix = suggestion(Path(path).name, there, f"write it, or remove `{key}`")
    report.problems[-1] = written[key].problem(f"there is no such file: {last.path}", fix)


def in_order(report: Report) -> tuple[Problem, ...]:
    """Each problem once, by file and place; no warning beside an error at the same place."""
    wrong = {(one.path, one.line, one.column) for one in report.problems if one.severity == "error"}
    unique = [
        one
        for one in dict.fromkeys(report.problems)
        if one.severity == "error" or (one.path, one.line, one.column) not in wrong
    ]
    return tuple(sorted(unique, key=lambda one: (one.path, one.line, one.column)))


def judge_policy(file: PolicyFile, base: Configuration) -> None:
    """Raises ``ConfigError`` if one more policy does not fit a configuration."""
    report = Report()
    lint_policy(
        file, Installation(base.settings, base.rules.governance, None, base.templates, report)
    )
    report.refuse()


def read_templates(settings: Settings, report: Report) -> TemplateSet | None:
    """The templates; None if they cannot be used, which is reported."""
    if not settings.templates.is_dir():
        missing_folder(settings, "templates", settings.templates, report)
        return None
    try:
        return TemplateSet.load(settings.templates, settings.default_locale)
    except TemplateProblems as error:
        for one in error.problems:
            report.error(Position(str(one.path), one.line, one.column), one.what, one.fix)
        return None
