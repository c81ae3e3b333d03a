"""``kaskad test``: unit tests of policies in virtual time."""

from __future__ import annotations

import gc
import io
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import (
    CHECK_FAILED,
    USAGE,
    ConfigOption,
    JunitOption,
    fail,
    find_config,
    output_format,
    print_json,
)
from orchestrator.cli.junit import JunitCase, print_junit
from orchestrator.cli.progress import busy
from orchestrator.cli.trying import installation, progress, quiet_logs, wide_console

if TYPE_CHECKING:
    from orchestrator.configuration.loading import Configuration
    from orchestrator.configuration.yaml_file import Problem
    from orchestrator.policytests.coverage import JourneyCoverage, PolicyCoverage
    from orchestrator.policytests.file import PolicyTest
    from orchestrator.policytests.verdict import Judgement

TEXT_COLUMNS = 120
SHARE = 25
"""How many tests are worth a process of their own."""
PROBLEMS_MAX = 50
WITH_LINE = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::\d+)?")


def register(app: typer.Typer) -> None:
    app.command()(test)


def test(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Test files or folders, or FILE:LINE for one test; else all beside the policies."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("-k", "--name", help="Only tests whose name has this in it.")
    ] = "",
    listed: Annotated[
        bool, typer.Option("--list", help="Print the tests, and run none of them.")
    ] = False,
    covered: Annotated[
        bool,
        typer.Option(
            "--coverage",
            help="Also print steps that no test sends or does, reasons that none meets, ways of"
            " journeys that none takes, and policies and journeys without a test.",
        ),
    ] = False,
    watching: Annotated[
        bool,
        typer.Option(
            "--watch", help="Run them again whenever a file changes, and print what is different."
        ),
    ] = False,
    config: ConfigOption = None,
    output: JunitOption = "text",
) -> None:
    """Unit tests of policies, in virtual time: what is sent when, why not, and how it ends."""
    from orchestrator.policytests.coverage import coverage, journey_coverage

    shape = output_format(output, "text", "json", "junit")
    quiet_logs()
    path = find_config(config)
    if watching:
        if shape != "text" or listed or covered:
            fail("--watch prints for people: leave -o, --list and --coverage away", USAGE)
        watch_tests(path, lambda: chosen_tests(paths or [], name, installation(path)))
        return
    with busy("reading"):
        configuration = installation(path)
        chosen = chosen_tests(paths or [], name, configuration)
    if listed:
        print_tests(chosen, shape)
        return
    started = time.perf_counter()
    verdicts = run_tests(chosen, configuration)
    seconds = time.perf_counter() - started
    some, rules = bool(paths or name), configuration.rules
    found = (
        coverage(verdicts, rules, only_tested=some),
        journey_coverage(verdicts, rules, only_tested=some),
    )
    print_result(verdicts, found if covered else None, seconds, shape)
    raise typer.Exit(0 if all(verdict.passed for verdict in verdicts) else CHECK_FAILED)


def chosen_tests(paths: list[Path], name: str, configuration: Configuration) -> list[PolicyTest]:
    """The tests that paths and ``name`` leave; ends the program if there is none."""
    tests = collect_tests(paths, configuration)
    chosen = [one for one in tests if name.casefold() in one.name.casefold()]
    if not chosen:
        fail(nothing_to_test(paths, name, [one.name for one in tests], configuration), USAGE)
    return chosen


def watch_tests(config: Path, collect: Callable[[], list[PolicyTest]]) -> None:
    """Run the tests again whenever a file of the project changes."""
    from orchestrator.cli.watching import project_folders, watch
    from orchestrator.policytests.report import counted

    def look() -> tuple[dict[str, str], str]:
        tests, started = collect(), time.perf_counter()
        verdicts = run_tests(tests, installation(config))
        failed = [one for one in verdicts if not one.passed]
        texts = {
            f"FAILED {Path(one.test.position.path).name}  {one.test.name}": failure_text(one)
            for one in failed
        }
        return texts, counted(verdicts, time.perf_counter() - started)

    watch(project_folders(config), look)


def print_tests(tests: Sequence[PolicyTest], shape: str) -> None:
    """Print where each test is, in the form in which `kaskad test` takes it, and its name."""
    if shape == "json":
        print_json(
            [
                {
                    "file": one.position.path,
                    "line": one.position.line,
                    "policy": one.policy.name,
                    "name": one.name,
                }
                for one in tests
            ]
        )
        return
    for one in tests:
        typer.echo(f"{one.position.path}:{one.position.line}  {one.name}")


def print_result(
    verdicts: Sequence[Judgement],
    coverage: tuple[Sequence[PolicyCoverage], Sequence[JourneyCoverage]] | None,
    seconds: float,
    shape: str,
) -> None:
    """Print what a run has found, in one of its three forms."""
    from orchestrator.policytests import coverage as words
    from orchestrator.policytests.report import as_json, print_verdicts

    policies, journeys = coverage or ((), ())
    if shape == "json":
        found = as_json(verdicts)
        all_of_it = {
            "tests": found,
            "coverage": words.coverage_json(policies),
            "journey_coverage": words.journey_coverage_json(journeys),
        }
        print_json(found if coverage is None else all_of_it)
        return
    if shape == "junit":
        print_junit("kaskad test", [junit_case(one) for one in verdicts], seconds)
    else:
        print_verdicts(verdicts, seconds, wide_console())
    for line in (*words.coverage_lines(policies), *words.journey_coverage_lines(journeys)):
        # standard output is one XML document
        typer.echo(line, err=shape == "junit")


def junit_case(verdict: Judgement) -> JunitCase:
    """A test as a case; what failed is shown as on the terminal."""
    test = verdict.test
    where = (test.policy.name, test.name, test.position.path, test.position.line)
    if verdict.passed:
        return JunitCase(*where)
    first = verdict.differences[0]
    said = f"{first.expected}, but: {first.actual}" if first.expected else first.actual
    return JunitCase(*where, failure=said, text=failure_text(verdict))


def failure_text(verdict: Judgement) -> str:
    """A test that failed, as on the terminal but without colours."""
    from rich.console import Console

    from orchestrator.policytests.report import print_failure

    text = io.StringIO()
    print_failure(verdict, Console(file=text, width=TEXT_COLUMNS))
    return text.getvalue()


def nothing_to_test(
    paths: list[Path], wanted: str, names: list[str], configuration: Configuration
) -> str:
    """The message for a run without tests, and how to fix that."""
    from orchestrator.configuration.reading import suggestion

    if names:
        return (
            f"no test has {wanted!r} in its name;"
            f" {suggestion(wanted, names, f'there is, for instance, {names[0]!r}')}"
        )
    where = " or ".join(str(path) for path in paths) or str(configuration.settings.policies)
    fix = f"write them beside a policy, as {configuration.settings.policies}/<policy>.test.yaml"
    return f"there are no tests in {where}; {fix}"


def collect_tests(paths: list[Path], configuration: Configuration) -> list[PolicyTest]:
    """Every test that the paths name; ends the program with all that is wrong in their files."""
    from orchestrator.configuration.reading import Report
    from orchestrator.configuration.yaml_file import ConfigError
    from orchestrator.policytests.file import find_test_files, read_test_file

    report = Report()
    lines: dict[Path, set[int]] = {}
    named = [without_line(path, lines) for path in paths]
    try:
        files = find_test_files(named, configuration)
    except ConfigError as error:
        fail(str(error), USAGE)
    found = [test for file in files for test in read_test_file(file, configuration, report)]
    if report.failed:
        fail(problem_list(report.problems), USAGE)
    wanted = {path.resolve(): numbers for path, numbers in lines.items()}
    for path, numbers in wanted.items():
        own = [test for test in found if Path(test.position.path).resolve() == path]
        chosen = [tests_at(path, line, own) for line in numbers]
        found = [test for test in found if test not in own or any(test in at for at in chosen)]
    return found


def without_line(path: Path, lines: dict[Path, set[int]]) -> Path:
    """The file of ``FILE:LINE``, whose line is added to ``lines``; else the path as it is."""
    match = None if path.exists() else WITH_LINE.fullmatch(str(path))
    if match is None:
        return path
    file = Path(match["file"])
    lines.setdefault(file, set()).add(int(match["line"]))
    return file


def tests_at(path: Path, line: int, tests: Sequence[PolicyTest]) -> list[PolicyTest]:
    """The test that a line is in; ends the program if it is in none."""
    from orchestrator.policytests.file import nearby

    starts = [test.position.line for test in tests if test.position.line <= line]
    if not starts or line > len(path.read_text().splitlines()):
        there = ", ".join(str(test.position.line) for test in tests)
        fail(f"{nearby(path)}: there is no test at line {line}; tests begin at {there}", USAGE)
    return [test for test in tests if test.position.line == max(starts)]


def problem_list(problems: Iterable[Problem]) -> str:
    """
    Each problem once, in the order of the files; of very many, the first and a count.
    """
    lines = [
        str(problem)
        for problem in sorted(
            dict.fromkeys(problems), key=lambda one: (one.path, one.line, one.column)
        )
    ]
    more = len(lines) - PROBLEMS_MAX
    return "\n".join(
        [*lines[:PROBLEMS_MAX], *([f"… and {more} more like these"] if more > 0 else [])]
    )


def run_tests(tests: list[PolicyTest], configuration: Configuration) -> list[Judgement]:
    """Run every test, many of them on all processors, with progress where somebody watches."""
    from orchestrator.policytests.journey_runner import runner_of
    from orchestrator.policytests.verdict import judge
    from orchestrator.simulate.workers import share_out, workers
    from orchestrator.virtual.shared_tools import SharedTools

    tools = SharedTools()

    def share(number: int) -> list[Judgement]:
        found = [
            judge(one, runner_of(one)(one, configuration, tools).run())
            for one in tests[number * SHARE :][:SHARE]
        ]
        # each runner leaves reference cycles behind
        gc.collect()
        return found

    shares = -(-len(tests) // SHARE)
    gc.freeze()
    found: dict[int, list[Judgement]] = {}
    with progress("testing", len(tests)) as advance:
        for number, verdicts in share_out(share, shares, workers()):
            found[number] = verdicts
            advance(len(verdicts))
    return [verdict for number in range(shares) for verdict in found[number]]
