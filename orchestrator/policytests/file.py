"""
Tests of a policy as YAML: ``config/policies/cart_abandoned.test.yaml`` beside
``cart_abandoned.yaml``.

    policy: cart_abandoned
    given: {…}                  what all tests of the file share
    tests:
      - name: nobody opens the push, Viber is seen
        given: {…}
        expect: {…}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.policy_file import TEST_SUFFIX
from orchestrator.configuration.reading import Report, Section, suggestion
from orchestrator.configuration.yaml_file import ConfigError, Node, Position, load
from orchestrator.core.journey.journey import Journey
from orchestrator.core.policy import Policy
from orchestrator.policytests.expected import Expected, read_expected
from orchestrator.policytests.given import Given, lay_over, read_given
from orchestrator.policytests.journeys import (
    ExpectedRun,
    read_run,
    sent_by,
    stand_in,
    without_own,
)

ALL_LOCALES = "all"


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """
    One test; ``position`` is where it begins. ``together`` are policies that play beside the one
    under test. A test of several locales is one of each.
    """

    name: str
    policy: Policy
    given: Given
    expected: Expected
    position: Position
    together: tuple[Policy, ...] = ()
    journey: Journey | None = None
    """Of a test of a journey; ``policy`` then stands in for it (``journeys.stand_in``)."""
    expected_run: ExpectedRun = field(default_factory=ExpectedRun)


def find_test_files(paths: Sequence[Path], configuration: Configuration) -> list[Path]:
    """
    The test files that paths name: a file itself, all below a folder, and without any path all
    beside the policies.

    Raises ``ConfigError`` for a path that is not there or is no test file.
    """
    report = Report()
    found: dict[Path, None] = {}
    settings = configuration.settings
    beside_journeys = [settings.journeys] if settings.journeys.is_dir() else []
    for path in paths or [settings.policies, *beside_journeys]:
        position = Position(str(path), 1, 1)
        if path.is_dir():
            found.update(dict.fromkeys(sorted(path.rglob(f"*{TEST_SUFFIX}"))))
        elif not path.is_file():
            report.error(position, "there is no such file", "name a test file or a folder of them")
        elif not path.name.endswith(TEST_SUFFIX):
            beside = path.with_name(path.name.removesuffix(".yaml") + TEST_SUFFIX)
            report.error(
                position, f"tests stand in files that end in {TEST_SUFFIX}", f"name {beside.name}"
            )
        else:
            found[path] = None
    report.refuse()
    return [nearby(path) for path in found]


def nearby(path: Path) -> Path:
    """The path as people would type it, where it is below the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def read_test_file(path: Path, configuration: Configuration, report: Report) -> list[PolicyTest]:
    """The tests of a file as far as they can be read; what is wrong goes to ``report``."""
    try:
        root = load(path)
    except ConfigError as error:
        report.problems.extend(error.problems)
        return []
    if root.kind != "map":
        report.error(root.position, "the file holds no tests", "write `policy:` and `tests:`")
        return []
    section = Section(root, report, "the test file")
    journey = read_journey_name(section, configuration) if section.has("journey") else None
    if section.has("journey"):
        section.known.add("policy")
        policy = stand_in(journey, configuration) if journey is not None else None
    else:
        policy = read_policy_name(section, configuration)
    shared = section.get("given")
    nodes = section.items("tests", "tests")
    if not nodes and not section.nodes.get("tests"):
        report.error(
            root.position,
            "the test file has no `tests`",
            "write at least one: tests: [{name: …, given: …, expect: …}]",
        )
    section.done()
    if policy is None:
        return []
    found: list[PolicyTest] = []
    names: dict[str, Position] = {}
    for node in nodes:
        for test in read_test(node, shared, policy, configuration, report, journey):
            if test.name in names:
                report.error(
                    test.position,
                    f"the test {test.name!r} is also on line {names[test.name].line}",
                    "rename one",
                )
            names[test.name] = test.position
            found.append(test)
    return found


def read_policy_name(section: Section, configuration: Configuration) -> Policy | None:
    """The policy under test."""
    section.need("policy", "name the policy: policy: cart_abandoned")
    name = section.text("policy", None)
    if name is None:
        return None
    policies = configuration.rules.policies
    if name not in policies:
        fix = suggestion(name, policies, f"there are {', '.join(sorted(policies))}")
        section.report.error(section.at("policy"), f"there is no policy {name!r}", fix)
        return None
    return policies[name]


def read_journey_name(section: Section, configuration: Configuration) -> Journey | None:
    """The journey under test."""
    name = section.text("journey", None)
    if name is None:
        return None
    journeys = configuration.rules.journeys
    if name not in journeys:
        fix = suggestion(name, journeys, f"there are {', '.join(sorted(journeys)) or 'none'}")
        section.report.error(section.at("journey"), f"there is no journey {name!r}", fix)
        return None
    return journeys[name]


def read_test(
    node: Node,
    shared: Node | None,
    policy: Policy,
    configuration: Configuration,
    report: Report,
    journey: Journey | None = None,
) -> list[PolicyTest]:
    """One test, or one for each of its locales; none if it is unusable."""
    section = Section(node, report, "the test")
    if section.broken:
        return []
    section.need("name", "say what is promised: name: nobody opens the push, Viber is seen")
    name = section.text("name", "unnamed")
    together = read_together(section, policy, configuration)
    if journey is not None:
        together = (*sent_by(journey, configuration), *together)
    locales = read_locales(section, policy, configuration)
    given_node = lay_over(shared, section.get("given"))
    section.need("expect", "say what must happen: expect: {outcome: succeeded by viber}")
    section.known.update(("given", "expect"))
    found = []
    for locale in locales or [""]:
        given = read_given(given_node, section.position, policy, configuration, report, locale)
        now = given.now if given is not None else 0
        expect, run = section.section("expect", "`expect`"), ExpectedRun()
        if journey is not None:
            own = section.get("expect")
            run = read_run(own, journey, section, now)
            expect = Section(without_own(own), report, "`expect`", section.position)
        expected = (
            Expected(position=run.position)
            if journey is not None and without_own(section.get("expect")) is None
            else read_expected(expect, policy, configuration, now, locale, together)
        )
        called = f"{name} [{locale}]" if locale else name
        if given is not None:
            where = (section.position, together, journey, run)
            found.append(PolicyTest(called, policy, given, expected, *where))
    section.done()
    return found


def read_together(
    section: Section, policy: Policy, configuration: Configuration
) -> tuple[Policy, ...]:
    """Read `together`: other policies that play in the test."""
    policies = configuration.rules.policies
    others = [name for name in policies if name != policy.name]
    names = section.words("together", "policies", others, None) if section.has("together") else ()
    return tuple(policies[name] for name in names or ())


def read_locales(section: Section, policy: Policy, configuration: Configuration) -> list[str]:
    """Read `locales`: a list, or `all` that the policy's template is written in."""
    node = section.get("locales")
    if node is None:
        return []
    if node.kind == "str" and node.value == ALL_LOCALES:
        templates = configuration.templates
        written = {
            locale or templates.default_locale
            for step in policy.plan
            for locale, _, _ in templates.written(policy.template, step.channel)
        }
        return sorted(written)
    if node.kind != "list" or not all(one.kind == "str" for one in node.value):
        section.wrong(node, "locales", "all, or a list: [uk, en]")
        return []
    return [one.value for one in node.value]
