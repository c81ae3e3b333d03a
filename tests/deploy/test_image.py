"""The image: what can be said of it without building it. It is built by ``make image``."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continued lines joined, comments left out."""
    lines = [
        line
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if not line.lstrip().startswith("#")
    ]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (word, rest)
        for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())
    ]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    begin = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[begin:]


def one(word: str) -> str:
    found = [rest for name, rest in last_stage() if name == word]
    assert len(found) == 1, (word, found)
    return found[0]


def test_it_runs_the_service_as_a_user_of_its_own_that_a_cluster_can_check() -> None:
    assert re.fullmatch(r"\d+:\d+", one("USER"))
    assert one("USER") != "0:0"
    assert json.loads(one("ENTRYPOINT")) == ["kaskad"]
    assert json.loads(one("CMD")) == ["run"]
    assert one("STOPSIGNAL") == "SIGTERM"


def test_its_health_check_asks_the_admin_listener_without_a_shell() -> None:
    check = one("HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert command[0] == "python3"
    assert "KASKAD_HEALTH_URL" in command[2]
    environment = next(rest for word, rest in last_stage() if word == "ENV")
    assert "KASKAD_HEALTH_URL=http://127.0.0.1:9464/livez" in environment


def test_pip_and_compilers_stay_in_the_build_stage() -> None:
    runtime = " ".join(rest for word, rest in last_stage() if word == "RUN")
    assert "pip" not in runtime
    assert "apt-get" not in runtime


def test_the_base_is_a_tag_here_and_a_digest_at_release() -> None:
    words = [(word, rest) for word, rest in instructions() if word in {"ARG", "FROM"}]
    (_, base), (_, stage) = words[:2]
    assert base == "BASE=debian:bookworm-slim"
    assert stage == "${BASE} AS base"
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert "BASE=${{ steps.base.outputs.name }}" in release
    assert 'org.opencontainers.image.base.name="${BASE}"' in one("LABEL")


def test_everything_from_the_package_index_is_held_to_its_hash() -> None:
    installs = [
        part
        for word, rest in instructions()
        if word == "RUN"
        for part in rest.split("&&")
        if re.search(r"bin/pip .*\b(install|wheel)\b", part)
    ]
    assert len(installs) == 4
    for part in installs:
        ours = "--no-deps" in part and ("--no-index" in part or "--no-build-isolation" in part)
        assert "--require-hashes" in part or ours, part


def test_every_action_is_pinned_to_a_commit() -> None:
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for action in re.findall(r"uses: (.+)", workflow.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_what_is_copied_exists_and_is_not_left_out_of_the_context() -> None:
    ignored = set((ROOT / ".dockerignore").read_text().split())
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source not in ignored
    assert {".git", "tests", "data", ".venv"} <= ignored
