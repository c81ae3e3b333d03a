"""Which examples each test of the suite runs over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

import pytest

from kaskad_testing.examples import Examples
from kaskad_testing.finding import brought
from orchestrator import channels as ch

OPTION = "--adapters"
F = TypeVar("F", bound=Callable[..., None])
Chosen = Callable[[Examples], bool]


def every(examples: Examples) -> bool:
    """All adapters."""
    return True


def http(examples: Examples) -> bool:
    """The adapters that speak HTTP."""
    return issubclass(examples.adapter_type, ch.HttpAdapter)


def signed(examples: Examples) -> bool:
    """Those whose provider proves that a webhook is its own."""
    return examples.sign is not None


def body_signed(examples: Examples) -> bool:
    """Those whose proof is over the body."""
    return examples.sign is not None and examples.signs_body


def of(chosen: Chosen = every) -> Callable[[F], F]:
    """One run of a test (``examples``) for each adapter chosen."""
    return lambda test: marked(test, chosen, None)


def each(part: str, chosen: Chosen = every) -> Callable[[F], F]:
    """One run (``examples``, ``case``) for each example of a part of each adapter chosen."""
    return lambda test: marked(test, chosen, part)


def marked(test: F, chosen: Chosen, part: str | None) -> F:
    test.__dict__["runs_over"] = (chosen, part)
    return test


@cache
def examples_of(targets: tuple[str, ...]) -> tuple[Examples, ...]:
    """The examples of several packages."""
    return tuple(one for target in targets for one in brought(target).examples)


def targets_of(metafunc: pytest.Metafunc) -> tuple[str, ...]:
    """The packages that the command line names, or the module of tests itself (``ADAPTERS_OF``)."""
    named = metafunc.config.getoption(OPTION, None) or getattr(metafunc.module, "ADAPTERS_OF", ())
    if not named:
        raise pytest.UsageError(f"say whose adapters to test: {OPTION} PACKAGE")
    return tuple(map(str, named))


def runs(metafunc: pytest.Metafunc) -> None:
    """What ``pytest_generate_tests`` of each module is: a run for each adapter or example."""
    runs_over = getattr(metafunc.function, "runs_over", None)
    targets = targets_of(metafunc)
    if runs_over is None:
        if "adapter" in metafunc.fixturenames:
            pairs = [(t, name) for t in targets for name in sorted(brought(t).adapters)]
            names = [name for _, name in pairs]
            metafunc.parametrize(("target", "adapter"), pairs, ids=names)
        return
    chosen, part = runs_over
    found = [one for one in examples_of(targets) if chosen(one)]
    if part is None:
        metafunc.parametrize("examples", found, ids=[one.adapter for one in found])
        return
    metafunc.parametrize(("examples", "case"), list(params(found, part)))


def params(found: Iterable[Examples], part: str) -> Iterable[Any]:
    for one in found:
        for case in getattr(one, part):
            yield pytest.param(one, case, id=f"{one.adapter}: {case.promise}")
