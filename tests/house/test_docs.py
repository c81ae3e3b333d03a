"""The documentation describes what exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from orchestrator.api.reference import page as http_api_page
from orchestrator.channels import address_kinds, registry
from orchestrator.check.judge import load_configuration
from orchestrator.cli import app
from orchestrator.cli.reference import page as command_line_page
from orchestrator.configuration.policy_file import hash_templates, load_policy
from orchestrator.core.inside import TYPES, is_inside
from orchestrator.core.journey.state import JourneyStatus
from orchestrator.core.message import Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.reasons import SENTENCES, Reason
from orchestrator.core.status import Delivery, Engagement
from orchestrator.events.cloudevents import (
    BATCH_BYTES_MAX,
    BATCH_EVENTS_MAX,
    EVENT_BYTES_MAX,
    TEXT_LENGTH_MAX,
    parse_structured,
)
from orchestrator.events.data import RECIPIENTS_MAX
from orchestrator.recipients import fields as recipient_fields
from orchestrator.recipients.remains import REMAINS
from orchestrator.render.evaluator import Evaluator
from orchestrator.render.filters import OURS
from orchestrator.simulate.event_file import read_event_file
from orchestrator.telemetry.metrics import DECLARED, Metrics
from tests.house.documented import PAGES, commands, mistake

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def doc(name: str) -> str:
    return (DOCS / name).read_text()


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"| `{reason.value}` | {SENTENCES[reason]} |" in doc("reasons.md")


def test_every_metric_is_listed() -> None:
    """Each row of the table follows from the metric's declaration."""
    text = doc("operations.md")
    for family in Metrics().registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        declared = DECLARED.get(family.name.removeprefix("kaskad_"))
        labels = ", ".join(f"`{label}`" for label in declared.labels) if declared else ""
        what = family.documentation.rstrip(".")
        assert f"| `{name}` | {family.type} | {labels or '–'} | {what} |" in text, name


def log_events() -> dict[str, str]:
    """Every event that the product logs, with its level."""
    found = {"library.warning": "warning"}
    for path in [*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "adapters").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[event, *_]
                ):
                    name = event.value if isinstance(event, ast.Constant) else None
                    assert isinstance(name, str), f"{path}:{node.lineno} is not constant"
                    assert re.fullmatch(r"[a-z]+\.[a-z_]+", name), name
                    found[name] = {"exception": "error"}.get(level, level)
    return found


def test_every_log_event_is_listed_and_no_other() -> None:
    section = doc("operations.md").partition("## Log events")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+\.\w+)` \| (\w+) \| ", section, re.M))
    assert listed == log_events(), "docs/operations.md, Log events"


def test_every_verb_is_listed() -> None:
    text = doc("operations.md")
    command = get_command(app)
    for name, verb in command.commands.items():  # type: ignore[attr-defined]
        names = [f"{name} {sub}" for sub in verb.commands] if hasattr(verb, "commands") else [name]
        for full in names:
            assert f"`{full}`" in text, full


def test_the_page_of_the_command_line_is_what_its_parser_says_today() -> None:
    assert doc("command-line.md") == command_line_page(), (
        "run: python -m orchestrator.cli.reference > docs/command-line.md"
    )


def test_every_flag_is_in_the_reference() -> None:
    """Counted apart from the page's own walk through the verbs."""
    text = doc("command-line.md")

    def look(command: Any, name: str) -> None:
        if hasattr(command, "commands"):
            for word, below in command.commands.items():
                look(below, f"{name} {word}")
            if not command.invoke_without_command:
                return
        part = text.partition(f"### `{name}`\n")[2].partition("\n### ")[0]
        assert part, name
        for one in command.params:
            flags = [flag for flag in one.opts if flag.startswith("-") and one.name != "help"]
            for flag in flags:
                assert re.search(rf"^\| `[^`]*{re.escape(flag)}\b", part, re.M), (name, flag)

    for verb, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        look(command, f"kaskad {verb}")


def test_the_page_of_the_http_api_is_what_the_route_table_says_today() -> None:
    assert doc("http-api.md") == http_api_page(), (
        "run: python -m orchestrator.api.reference > docs/http-api.md"
    )


@pytest.mark.parametrize("field", ["id", *recipient_fields.CHECKS, *registry.address_fields()])
def test_every_field_of_a_recipient_is_listed(field: str) -> None:
    assert f"\n| `{field}` |" in doc("events.md")


def test_every_type_of_status_event_is_listed_and_no_other() -> None:
    states = [*Delivery, *Engagement, OutcomeKind.NOT_SENT, OutcomeKind.UNKNOWN]
    types = {f"kaskad.message.{status}" for status in Status}
    types |= {f"kaskad.attempt.{state}" for state in states}
    types |= {f"kaskad.journey.{status}" for status in JourneyStatus}
    types |= {"kaskad.opt_out", "kaskad.reply"}
    assert types == set(TYPES)
    assert set(re.findall(r"\| `(kaskad\.[\w.]+)` \|", doc("status-events.md"))) == types


@pytest.mark.parametrize(
    "limit",
    [
        f"{EVENT_BYTES_MAX // 1024} KiB",
        f"{BATCH_BYTES_MAX // 1024**2} MiB",
        f"{BATCH_EVENTS_MAX:,} events".replace(",", " "),
        f"{RECIPIENTS_MAX:,}".replace(",", " "),
        f"{TEXT_LENGTH_MAX:,} characters".replace(",", " "),
        f"{address_kinds.SUBSCRIPTIONS_MAX} subscriptions",
        f"{address_kinds.DEVICES_MAX} of",
        f"{recipient_fields.CONSENTS_MAX} of",
        f"{recipient_fields.KEYS_MAX} keys",
        f"{address_kinds.EMAIL_LENGTH_MAX} characters",
        f"{address_kinds.PHONE_LENGTH_MAX} characters",
        f"{address_kinds.ENDPOINT_LENGTH_MAX:,} characters".replace(",", " "),
    ],
)
def test_every_limit_of_events_is_the_one_that_holds(limit: str) -> None:
    assert limit in doc("events.md")


def test_what_remains_of_an_erased_person_is_listed() -> None:
    for one in REMAINS:
        assert f"| {one.what} | {one.why} | {one.kept} |" in doc("operations.md")


def test_every_filter_is_listed() -> None:
    text = doc("templates.md")
    for name in OURS:
        assert re.search(rf"`{name}[(`]", text), name


def test_the_readme_s_policy_is_the_worked_one(tmp_path: Path) -> None:
    block = re.search(
        r"<!-- (config/policies/\w+\.yaml) -->\n```yaml\n(.*?)```",
        (ROOT / "README.md").read_text(),
        re.S,
    )
    assert block is not None
    shown = tmp_path / Path(block[1]).name
    shown.write_text(block[2])
    templates = hash_templates(ROOT / "templates")
    real, read = (
        load_policy(ROOT / block[1], templates=templates),
        load_policy(shown, templates=templates),
    )
    assert (read.policy.cascade, read.policy.when) == (real.policy.cascade, real.policy.when)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"], ids=named)
def test_links_in_the_docs_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = page.parent / name if name else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ +(.*)$", found.read_text(), re.M)
            assert anchor in {anchor_of(heading) for heading in headings}, target


def anchor_of(heading: str) -> str:
    """The fragment that leads to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_in_the_index_and_in_the_readme() -> None:
    index, readme = doc("README.md"), (ROOT / "README.md").read_text()
    for page in DOCS.glob("*.md"):
        if page.name != "README.md":
            assert f"]({page.name})" in index, page.name
        assert f"](docs/{page.name})" in readme, page.name


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_in_the_docs_is_one(page: Path) -> None:
    for line in commands(page):
        said = mistake(line)
        assert said is None or mentions_only(line, said), (" ".join(line), said)


def mentions_only(line: list[str], said: str) -> bool:
    """A verb that the text speaks of by its name alone need not be a whole command."""
    return said.startswith("Missing") and all(re.fullmatch(r"[a-z]+", word) for word in line)


def test_a_command_that_is_none_would_be_noticed() -> None:
    assert mistake(["simulate", "--evnts", "x"]) is not None
    assert mistake(["chek"]) == "there is no verb 'chek'"
    assert mistake(["dlq", "lst"]) == "there is no verb 'lst'"
    assert mistake(["optout"]) is not None
    assert mistake(["simulate", "--events", "x", "--runs", "0"]) is not None
    assert mistake(["simulate", "--events", "x"]) is None


def test_the_readme_s_event_is_taken_and_starts_its_policy() -> None:
    shown = re.search(
        r"<!-- event.json -->\n```json\n(.*?)```", (ROOT / "README.md").read_text(), re.S
    )
    assert shown is not None
    event = parse_structured(shown[1].encode())
    policy = load_policy(
        ROOT / "config/policies/price_drop.yaml", templates=hash_templates(ROOT / "templates")
    ).policy
    assert event.type == policy.event
    assert Evaluator()(policy.when or "true", {"event": event.data}) is True


def test_the_sample_events_reach_every_worked_policy() -> None:
    traffic = read_event_file(str(DOCS / "samples" / "november.jsonl"))
    policies = load_configuration(
        ROOT / "config" / "kaskad.yaml", {}, secrets=False
    ).rules.policies.values()
    events = {policy.event for policy in policies if policy.event}
    outside = {event for event in events if not is_inside(event)}
    assert outside <= set(traffic.types)
