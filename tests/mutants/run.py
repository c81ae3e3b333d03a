"""
How many small wrongs in a part of the product would be noticed.

    python -m tests.mutants.run                     every mutant of orchestrator/core
    python -m tests.mutants.run --area stores       of another area: a row of AREAS
    python -m tests.mutants.run --sample 400        that many, drawn with --seed
    python -m tests.mutants.run --only orchestrator/core/cascade/decide.py   of one file
    python -m tests.mutants.run --again FILE        the survivors that `--out FILE` wrote

The tests are collected once. Each mutant is then a process of its own, forked from there: the one
wrong function or table is put into its place, and the tests that come through it are run, the
quickest first, up to the first that fails. A wrong in the body of a class (a word, a default) or
in SQL needs everything imported anew, which takes longer. A mutant that needs far more time than
its tests do without it counts as killed. Before the first, nothing at all is changed in both ways:
that has to survive.

Survivors are printed, and written to a file with `--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.mutants.areas import AREAS, Area
from tests.mutants.mutate import Mutant, mutants
from tests.mutants.planting import (
    ROOT,
    SEEN,
    Seen,
    Wrong,
    forget,
    give_sql,
    made,
    module_of,
    name_of,
    outermost,
    put_into_place,
    relative,
)
from tests.support import postgres

EXAMPLES_MAX = 40
CPU_SECONDS = 20
WAIT_SECONDS = 60
KEPT = ("tests.mutants", "tests.support.postgres")
"""Modules that are not imported anew: this program, and the server that it holds."""
SURVIVED, KILLED, CONFUSED = 0, 1, 2
TOO_LONG = (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM)
ARGUMENTS = [
    "-qq",
    "-s",
    "-m",
    "not verify and not browser and not chaos",
    "-p",
    "no:cacheprovider",
    "--no-header",
    "--no-summary",
    "--tb=no",
]


def short_properties() -> None:
    """
    Few examples, always the same ones, and no search for the smallest: only whether one fails is
    asked.
    """
    first = settings.__init__

    def init(self: settings, parent: settings | None = None, **given: Any) -> None:
        given |= {
            "phases": (Phase.explicit, Phase.generate),
            "database": None,
            "derandomize": True,
            "deadline": None,
        }
        given |= {
            "max_examples": min(EXAMPLES_MAX, given.get("max_examples", EXAMPLES_MAX)),
            "print_blob": False,
        }
        given["suppress_health_check"] = list(HealthCheck)
        first(self, parent, **given)

    settings.__init__ = init  # type: ignore[method-assign]
    settings.register_profile("mutants", settings())
    settings.load_profile("mutants")


def all_anew(mutant: Mutant | None, wanted: set[str], seconds: dict[str, float]) -> int:
    """Import the product and the tests again, with the wrong in them."""
    for name in [
        name for name in sys.modules if name.split(".")[0] in ("orchestrator", "adapters", "tests")
    ]:
        if not name.startswith(KEPT):
            del sys.modules[name]
    if mutant is not None and mutant.path.suffix == ".sql":
        give_sql(mutant)
    elif mutant is not None:
        sys.meta_path.insert(0, Wrong(mutant))
    files = sorted({test.split("::")[0] for test in wanted})
    code = pytest.main([*ARGUMENTS, "-x", *files], plugins=[Quickest(wanted, seconds)])
    return SURVIVED if code == pytest.ExitCode.OK else KILLED


class Quickest:
    """Of what was collected, the tests that matter, the quickest first."""

    def __init__(self, wanted: set[str], seconds: dict[str, float]) -> None:
        self.wanted, self.seconds = wanted, seconds

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (i for i in items if i.nodeid in self.wanted),
            key=lambda item: self.seconds[item.nodeid],
        )


# ---- trying


class Trial:
    """
    Takes the place of pytest's own loop over the tests: looks at them once, then tries one mutant
    after another.
    """

    def __init__(self, area: Area, chosen: Sequence[Mutant], jobs: int) -> None:
        self.area, self.chosen, self.jobs = area, chosen, jobs
        self.items: list[pytest.Item] = []
        self.through: dict[str, set[str]] = defaultdict(set)
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        self.stop_at_failure = False
        self.survivors: list[Mutant] = []
        self.timed_out = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = list(session.items)
        with tempfile.TemporaryDirectory() as directory:
            notes = Path(directory) / "seen.json"
            os.waitpid(apart(lambda: self.look(notes)), 0)
            seen = json.loads(notes.read_text())
        self.seconds, self.failed = seen["seconds"], seen["failed"]
        self.through = {name: set(tests) for name, tests in seen["through"].items()}
        if not self.failed:
            self.check_nothing()
        if not self.failed:
            self.try_all()
        return True

    def check_nothing(self) -> None:
        """Without a wrong, tests in a forked process and with everything imported anew pass."""
        quick = {name for name, seconds in self.seconds.items() if seconds < CPU_SECONDS}
        for way in (
            lambda: self.run_all(quick),
            lambda: all_anew(None, quick, self.seconds),
        ):
            _, status = os.waitpid(apart(way), 0)
            if status != 0:
                self.failed.append("a run in which nothing is changed")

    def run_all(self, wanted: set[str]) -> int:
        self.stop_at_failure = True
        for item in self.items:
            if item.nodeid in wanted:
                self.run(item)
        return SURVIVED

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
            if self.stop_at_failure:
                os._exit(KILLED)

    def run(self, item: pytest.Item) -> None:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)

    def look(self, out: Path) -> int:
        """
        In a child: which functions of the area each test comes through, and the time that it takes.
        """
        for path in self.area.files():
            if path.suffix == ".py" and name_of(path) in sys.modules:
                forget(sys.modules[name_of(path)])
        for item in self.items:
            SEEN.clear()
            started = time.monotonic()
            self.run(item)
            self.seconds[item.nodeid] = time.monotonic() - started
            for name in SEEN:
                self.through[name].add(item.nodeid)
        through = {name: sorted(tests) for name, tests in self.through.items()}
        out.write_text(
            json.dumps({"through": through, "seconds": self.seconds, "failed": self.failed})
        )
        return 0

    def tests_for(self, mutant: Mutant) -> set[str]:
        """
        The tests that come through the mutant's function; everything for SQL and for what stands
        outside of functions.
        """
        if mutant.path.suffix == ".sql":
            return set(self.seconds)
        parts = mutant.function.split(".")
        for length in range(len(parts), 0, -1):
            found = self.through.get(f"{module_of(mutant)}:{'.'.join(parts[:length])}")
            if found:
                return found
        if module_of(mutant) not in sys.modules:
            return set()
        inside_a_function = outermost(sys.modules[module_of(mutant)], mutant.function) is not None
        return set() if inside_a_function else set(self.seconds)

    def try_one(self, mutant: Mutant) -> int:
        """In a child: KILLED where a test fails, or the wrong cannot even be imported."""
        wanted = self.tests_for(mutant)
        needed = sum(self.seconds[test] for test in wanted)
        limit = int(CPU_SECONDS + 4 * needed)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # for a wrong that waits for ever
        signal.alarm(int(WAIT_SECONDS + 6 * needed))
        if not wanted:
            return SURVIVED
        if mutant.path.suffix == ".sql":
            return all_anew(mutant, wanted, self.seconds)
        try:
            wrong = made(mutant)
        except Exception:  # whatever it is: such a wrong is noticed at once
            return KILLED
        if not put_into_place(mutant, wrong):
            return all_anew(mutant, wanted, self.seconds)
        self.stop_at_failure = True
        for item in sorted(
            (i for i in self.items if i.nodeid in wanted),
            key=lambda item: self.seconds[item.nodeid],
        ):
            self.run(item)
        if not mutant.function:  # a test may have taken the right value along when it was collected
            return all_anew(mutant, wanted, self.seconds)
        return SURVIVED

    def try_all(self) -> None:
        """Every mutant, ``jobs`` at a time; shows how far it is."""
        waiting, done = list(reversed(self.chosen)), 0
        running: dict[Any, Any] = {}
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                running[apart(lambda mutant=mutant: self.try_one(mutant))] = mutant  # type: ignore[misc]
            child, status = os.wait()
            if child not in running:
                continue
            mutant = running.pop(child)
            done += 1
            forget_databases(child)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) in TOO_LONG:
                self.timed_out += 1
            elif os.WIFEXITED(status) and os.WEXITSTATUS(status) == CONFUSED:
                raise RuntimeError(f"{named(mutant)} could not be tried")
            elif os.WIFEXITED(status) and os.WEXITSTATUS(status) == SURVIVED:
                self.survivors.append(mutant)
                print(f"survives: {named(mutant)}", flush=True)
            print(
                f"\r{done} of {len(self.chosen)}, {len(self.survivors)} survive ",
                end="",
                file=sys.stderr,
                flush=True,
            )
        self.survivors.sort(key=lambda one: (one.path, one.line, one.index))


def apart(work: Callable[[], int]) -> int:
    """The process id of a child that does ``work`` in silence and exits with what it returns."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = CONFUSED
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = work()
    finally:
        os._exit(code)


def forget_databases(child: int) -> None:
    """Drop what a child has made on the shared server: it ended at its first failure."""
    if (server := postgres.SHARED) is not None:
        names = server.sql(f"SELECT datname FROM pg_database WHERE datname LIKE 't_{child}_%'")
        for (name,) in names:
            server.drop_database(f"/{name}")


def named(mutant: Mutant) -> str:
    return (
        f"{mutant.path.relative_to(ROOT)}:{mutant.line}  {mutant.function or 'module'}:"
        f" {mutant.what}"
    )


def choose(
    area: Area, only: str | None, again: Path | None, sample: int | None, seed: int
) -> tuple[list[Mutant], int]:
    """What is tried, and out of how many."""
    everything = [
        mutant
        for path in area.files()
        if only in (None, relative(path))
        for mutant in mutants(path)
    ]
    if again is not None:
        survivors = set(again.read_text("utf-8").splitlines())
        return [mutant for mutant in everything if named(mutant) in survivors], len(everything)
    if sample is None or sample >= len(everything):
        return everything, len(everything)
    return random.Random(seed).sample(everything, sample), len(everything)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutation tests, area by area.")
    parser.add_argument("--area", choices=AREAS, default="core")
    parser.add_argument(
        "--sample", type=int, help="how many mutants, drawn at random; all where left out"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one file, such as orchestrator/core/cascade/decide.py")
    parser.add_argument("--again", type=Path, help="a file of survivors: try those once more")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a file for the survivors, one a line")
    parser.add_argument("--at-least", type=float, default=0.9, help="the share that must be killed")
    return parser.parse_args()


def main() -> int:
    """0 where enough are killed, 1 where not, 2 where the tests fail without any wrong."""
    options = arguments()
    out = options.out.resolve() if options.out is not None else None
    area = AREAS[options.area]
    chosen, among = choose(area, options.only, options.again, options.sample, options.seed)
    os.chdir(ROOT)
    print(f"{len(chosen)} of {among} mutants (seed {options.seed})", flush=True)
    short_properties()
    sys.meta_path.insert(0, Seen(area.files()))
    trial = Trial(area, chosen, options.jobs)
    with postgres.Server() as postgres.SHARED:
        pytest.main([*ARGUMENTS, *area.tests], plugins=[trial])
    if trial.failed or not trial.seconds:
        print(f"without any wrong these fail: {', '.join(trial.failed) or 'all'}", file=sys.stderr)
        return 2
    killed = len(chosen) - len(trial.survivors)
    print(
        f"\n{killed} of {len(chosen)} killed: {killed / max(1, len(chosen)):.1%} ({trial.timed_out}"
        " by taking too long)"
    )
    tried = Counter(relative(one.path) for one in chosen)
    for file, count in sorted(Counter(relative(one.path) for one in trial.survivors).items()):
        print(f"  {file}: {count} of {tried[file]} survive")
    if out is not None:
        out.write_text("".join(f"{named(one)}\n" for one in trial.survivors))
    return 0 if killed >= options.at_least * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
