"""What users are told is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from orchestrator.cli import app
from orchestrator.core.reasons import SENTENCES, Reason
from orchestrator.policyfile import hash_templates, load_policy
from orchestrator.render.filters import OURS
from orchestrator.telemetry import Metrics

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def doc(name: str) -> str:
    return (DOCS / name).read_text()


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"| `{reason.value}` | {SENTENCES[reason]} |" in doc("reasons.md")


def test_every_metric_is_listed() -> None:
    text = doc("operations.md")
    for family in Metrics().registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"`{name}`" in text, name


def test_every_verb_is_listed() -> None:
    text = doc("operations.md")
    command = get_command(app)
    for name, verb in command.commands.items():  # type: ignore[attr-defined]
        names = [f"{name} {sub}" for sub in verb.commands] if hasattr(verb, "commands") else [name]
        for full in names:
            assert f"`{full}`" in text, full


def test_every_filter_is_listed() -> None:
    text = doc("templates.md")
    for name in OURS:
        assert re.search(rf"`{name}[(`]", text), name


def test_the_readme_s_policy_is_the_worked_one(tmp_path: Path) -> None:
    block = re.search(r"<!-- (config/policies/\w+\.yaml) -->\n```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert block is not None
    shown = tmp_path / Path(block[1]).name
    shown.write_text(block[2])
    templates = hash_templates(ROOT / "templates")
    real, read = load_policy(ROOT / block[1], templates=templates), load_policy(shown, templates=templates)
    assert (read.policy.cascade, read.policy.when) == (real.policy.cascade, real.policy.when)


def test_links_in_the_docs_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"
