"""
The version to compare with: another policy file, another configuration, or a git revision of this
one.

    --against config/policies/cart_abandoned_b.yaml     the policy of the same name in that file
    --against ../other-branch/config                   a folder with kaskad.yaml, or the file itself
    --against main~3                                    the configuration as it was in a revision

Between two revisions, ``A..B`` leads from A to B; an end that is left out is this configuration.

A file or a folder is what might come next, so the difference leads from this configuration to it. A
revision is what was before, so the difference leads from it to this configuration.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.check.judge import judge_policy, load_configuration
from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.policy_file import TEST_SUFFIX, hash_templates, load_policy
from orchestrator.configuration.yaml_file import load
from orchestrator.policytests.file import nearby
from orchestrator.simulate.simulation import Version

CONFIG_NAMES = ("kaskad.yaml", "config/kaskad.yaml")
GIT_SECONDS = 60


class NoSuchVersion(Exception):
    """The version to compare with was not found; the text says why and how to fix it."""


def find_version(
    against: str, base: Version, config: Path, env: Mapping[str, str], scratch: Path
) -> Version:
    """
    The version that ``--against`` names. ``scratch`` is an empty folder for what comes out of git.
    Raises ``NoSuchVersion``, or ``ConfigError`` for what is wrong in it.
    """
    path = Path(against)
    if path.is_dir():
        found = next((path / name for name in CONFIG_NAMES if (path / name).is_file()), None)
        if found is None:
            raise NoSuchVersion(
                f"{against}: there is no {CONFIG_NAMES[0]} in this folder; name the one with the"
                " configuration"
            )
        return whole(against, load_configuration(found.absolute(), env, secrets=False))
    if path.is_file():
        root = load(path)
        if root.kind == "map" and "policy" in root.value:
            return with_policy(path, base)
        return whole(against, load_configuration(path.absolute(), env, secrets=False))
    then = from_git(against, config, base.configuration, scratch)
    return replace(whole(against, load_configuration(then, env, secrets=False)), earlier=True)


def between(
    span: str, base: Version, config: Path, env: Mapping[str, str], scratch: Path
) -> list[Version]:
    """
    The two versions of ``A..B``, each a revision, or this configuration where it is left out.
    Raises ``NoSuchVersion``, ``ConfigError``.
    """
    first, dots, second = span.partition("..")
    if not dots or not (first or second) or second.startswith("."):
        raise NoSuchVersion(
            f"{span!r} is not two revisions; write main..HEAD, or main.. for the files"
        )
    found = []
    for number, revision in enumerate((first, second)):
        if not revision:
            found.append(base)
            continue
        folder = scratch / str(number)
        folder.mkdir()
        then = from_git(revision, config, base.configuration, folder)
        found.append(whole(revision, load_configuration(then, env, secrets=False)))
    return found


def whole(label: str, configuration: Configuration) -> Version:
    return Version(label, configuration, configuration.rules.policies)


def with_policy(path: Path, base: Version) -> Version:
    """The same configuration with one policy from another file in the place of its namesake."""
    settings = base.configuration.settings
    if path.name.endswith(TEST_SUFFIX):
        raise NoSuchVersion(f"{path}: these are tests; name the policy to compare with")
    file = load_policy(
        path, templates=hash_templates(settings.templates), defaults=settings.defaults
    )
    judge_policy(file, base.configuration)
    name = file.policy.name
    if name not in base.policies:
        known = ", ".join(sorted(base.policies))
        raise NoSuchVersion(
            f"{path}: there is no policy {name!r} to compare it with; there are {known}"
        )
    return Version(str(nearby(path)), base.configuration, {**base.policies, name: file.policy})


def from_git(revision: str, config: Path, configuration: Configuration, scratch: Path) -> Path:
    """
    The configuration file as it was in a revision, with everything it names, below ``scratch``.
    """
    folder = config.parent
    top = Path(git(folder, revision, "rev-parse", "--show-toplevel").decode().strip())
    git(
        folder,
        revision,
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        f"{revision}^{{commit}}",
    )
    settings = configuration.settings
    wanted = [
        folder,
        settings.policies,
        settings.templates,
        *([settings.governance] if settings.governance else []),
    ]
    inside = [
        path.resolve().relative_to(top).as_posix()
        for path in wanted
        if path.resolve().is_relative_to(top)
    ]
    archive = git(
        top, revision, "archive", "--format=tar", revision, "--", *existing(top, revision, inside)
    )
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(scratch, filter="data")
    found = scratch / config.resolve().relative_to(top)
    if not found.is_file():
        raise NoSuchVersion(
            f"{revision}: there was no {config.name} in it yet; name a later revision"
        )
    return found


def existing(top: Path, revision: str, paths: Iterable[str]) -> list[str]:
    """Those of some paths that a revision has."""
    listed = (
        git(top, revision, "ls-tree", "-r", "-d", "-t", "--name-only", "-z", revision)
        .decode()
        .split("\0")
    )
    files = git(top, revision, "ls-tree", "-r", "--name-only", "-z", revision).decode().split("\0")
    known = {*listed, *files, "."}
    return [path for path in dict.fromkeys(paths) if path in known]


def git(folder: Path, revision: str, *arguments: str) -> bytes:
    """The output of a git command. Raises ``NoSuchVersion``."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise NoSuchVersion(
            f"there is no file or folder {revision!r}, and no git to look for a revision"
        ) from None
    except subprocess.TimeoutExpired:
        raise NoSuchVersion(f"git did not answer within {GIT_SECONDS} s") from None
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if any("not a git repository" in line for line in said):
        raise NoSuchVersion(
            f"there is no file or folder {revision!r}, and {folder} is in no git repository"
        )
    why = f": {said[-1]}" if said else ""
    raise NoSuchVersion(f"there is no file, folder or git revision {revision!r}{why}")
