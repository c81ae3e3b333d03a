"""What is said of a project, and whether that is what a mistake asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.check.judge import judge
from orchestrator.configuration.yaml_file import Problem
from orchestrator.policytests.beside import test_problems as problems_of_tests
from tests.configuration.mistakes.mistake import WARNING, Mistake
from tests.configuration.mistakes.project import environment


def problems(folder: Path, *, secrets: bool = True) -> list[Problem]:
    """Everything that `kaskad check` says, with paths relative to the folder."""
    env = environment() if secrets else {}
    verdict = judge(folder / "config/kaskad.yaml", env, secrets=secrets)
    found = list(verdict.problems)
    if verdict.configuration is not None:
        found += problems_of_tests(verdict.configuration)
    return [replace(one, path=one.path.replace(f"{folder}/", "")) for one in found]


def fits(mistake: Mistake, said: Problem) -> bool:
    """Whether a message is at the right place, of the right kind, and has the right fix."""
    what = (WARNING if said.severity == "warning" else "") + said.what
    return (
        (said.path, said.line, said.severity) == (mistake.path, mistake.line, mistake.severity)
        and mistake.said in what
        and mistake.fix in said.fix
    )
