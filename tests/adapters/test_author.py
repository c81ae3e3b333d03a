"""
An author writes an adapter with the documentation alone, outside of the tree, and runs the suite
over it: it passes, and every mistake is named with how to fix it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"
LINES_MAX = 120
BY_STATUS = "return found or ch.by_http_status(reply, detail=words)"

MISTAKES: dict[str, tuple[str, str, str]] = {
    "throttles": (
        BY_STATUS,
        "return found or ch.NotSent(ch.Reason.THROTTLED)",
        "leave answers whose body says nothing you know to ch.by_http_status(reply)",
    ),
    "believes": (
        "if id is not None and code == 0:",
        "if reply.status == 200:",
        "but it may have been sent\n  To fix it: say Accepted or Refused only of a body that you",
    ),
    "leaks": (
        'ch.said(ch.member(body, "error"), ch.secret_values(self.settings))',
        'ch.said(ch.member(body, "error"))',
        "a secret that the provider repeats stands in the Refused",
    ),
    "shows": ("    key: ch.Secret\n", "    key: str\n", "declare each secret as ch.Secret"),
    "trusts": (
        'raise ch.Forged("X-Pigeon-Signature does not fit the body")',
        "return",
        "was taken for the provider's\n  To fix it: compute the proof over all",
    ),
    "varies": (
        '"ref": message.client_reference,',
        '"ref": message.client_reference, "n": SEEN.append(1) or len(SEEN),',
        "gives another request the second time: its body",
    ),
    "remembers": (
        "for item in ch.objects(",
        "SEEN.append(hook)\n        for item in () if SEEN.count(hook) > 1 else ch.objects(",
        "the same webhook says",
    ),
    "crashes": (
        'ch.text_of(item.get("state"))',
        'item["state"].strip()',
        "makes it raise",
    ),
    "promises": (
        'receipts=frozenset({"sent", "delivered"})',
        'receipts=frozenset({"sent", "delivered", "read"})',
        "it promises the states ['delivered', 'read', 'sent']",
    ),
    "differs": (
        '"to": message.address.value.lstrip("+")',
        '"to": message.address.value',
        "not {'to': '3805",
    ),
}


def blocks() -> tuple[str, str]:
    """The adapter and its examples, as they stand in the documentation."""
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (adapter,) = (one for one in found if "class PigeonSms" in one)
    (examples,) = (one for one in found if "EXAMPLES = Examples(" in one)
    return adapter, examples


def package(root: Path, written: dict[str, tuple[str, str]]) -> None:
    """An author's package: one adapter a module, and its examples beside it."""
    points = [f'{name} = "{name}:PigeonSms"' for name in written]
    (root / "pyproject.toml").write_text(
        '[project]\nname = "pigeons"\nversion = "1"\n\n'
        '[project.entry-points."kaskad.adapters"]\n' + "\n".join(points) + "\n"
    )
    for name, (adapter, examples) in written.items():
        (root / f"{name}.py").write_text(adapter)
        (root / f"examples_{name}.py").write_text(examples)


def suite(root: Path) -> subprocess.CompletedProcess[str]:
    """``kaskad adapter test`` over a directory."""
    command = [sys.executable, "-m", "orchestrator.cli", "adapter", "test", str(root)]
    at = root if root.is_dir() else root.parent
    return subprocess.run(command, capture_output=True, text=True, cwd=at, check=False)


def test_the_pages_adapter_is_short_and_passes(tmp_path: Path) -> None:
    adapter, examples = blocks()
    assert len(adapter.splitlines()) <= LINES_MAX
    package(tmp_path, {"pigeon_sms": (adapter, examples)})
    done = suite(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"pigeon_sms: [3-9]\d checks, none failed", done.stdout)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the suite says of a package whose adapters have one mistake each."""
    adapter, examples = blocks()
    written = {}
    for name, (old, new, _) in MISTAKES.items():
        assert adapter.count(old) == 1, name
        bad = adapter.replace(old, new).replace('"pigeon_sms"', f'"{name}"')
        bad = bad.replace("STATES = {", "SEEN: list[object] = []\nSTATES = {")
        written[name] = (bad, examples.replace('"pigeon_sms"', f'"{name}"'))
    root = tmp_path_factory.mktemp("pigeons")
    package(root, written)
    done = suite(root)
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_fix(broken: str, name: str) -> None:
    report = "\n".join(part for part in broken.split("\n\n") if part.startswith(f"{name}: "))
    assert MISTAKES[name][2] in report, report or broken
    assert "To fix it: " in report


def test_pytest_runs_it_too(tmp_path: Path) -> None:
    package(tmp_path, {"pigeon_sms": blocks()})
    suite = ["--pyargs", "kaskad_testing", "-p", "kaskad_testing.plugin", "--adapters", "."]
    command = [sys.executable, "-m", "pytest", *suite, "-k", "settings or requests"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr


OF_NOBODY = "(examples of an adapter that nobody registers)"


def of_nobody() -> str:
    return blocks()[1].replace('adapter="pigeon_sms"', 'adapter="nobody"')


CANNOT_BE_TESTED: dict[str, tuple[dict[str, str], str]] = {
    "examples that fail": (
        {"examples_pigeon_sms.py": "import no_such_thing"},
        "examples_pigeon_sms.py cannot be imported (ModuleNotFoundError: ",
    ),
    "no TOML": ({"pyproject.toml": "[project"}, "pyproject.toml cannot be read: "),
    "an adapter that fails": (
        {"pigeon_sms.py": "raise ValueError('no pigeons today')"},
        "the adapter pigeon_sms: pigeon_sms:PigeonSms cannot be imported (ValueError: no pigeons",
    ),
    "no adapter": ({"pigeon_sms.py": "PigeonSms = 5"}, "is not a subclass of"),
    "an adapter of nobody": (
        {"pyproject.toml": "", "examples_pigeon_sms.py": OF_NOBODY},
        "has examples of 'nobody', which nothing registers",
    ),
    "one file without them": ({"other.py": ""}, "brings no wire examples"),
}


@pytest.mark.parametrize("case", CANNOT_BE_TESTED)
def test_a_package_that_cannot_be_tested_says_why(tmp_path: Path, case: str) -> None:
    package(tmp_path, {"pigeon_sms": blocks()})
    files, said = CANNOT_BE_TESTED[case]
    for name, text in files.items():
        (tmp_path / name).write_text(text.replace(OF_NOBODY, of_nobody()))
    done = suite(tmp_path / "other.py" if "other.py" in files else tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert said in " ".join(done.stderr.split()), done.stderr


def test_without_examples_it_says_what_to_write(tmp_path: Path) -> None:
    package(tmp_path, {})
    done = suite(tmp_path)
    assert done.returncode == 2
    assert "write a module examples_<adapter>.py" in done.stderr
