"""
Writes the table of all keys from their declarations.

    python -m orchestrator.configuration.keys_page > docs/configuration.md
"""

from __future__ import annotations

import sys

from orchestrator.configuration.keys import rows
from orchestrator.configuration.schema import FILES

HEAD = """\
# Configuration

Every key of the four kinds of files, made from the declarations in `orchestrator/configuration`.
Don't edit this page; run `python -m orchestrator.configuration.keys_page > docs/configuration.md`.

* `kaskad check` says what is wrong with the files, where, and how to fix it.
* `kaskad config show` prints `kaskad.yaml` with defaults filled in and secrets masked.
* `kaskad schema kaskad` (or `governance`, `policy`, `journey`, `test`) prints a JSON Schema for
  editors.
* Every text may hold `${env:NAME}` and `${file:path}`. Secrets belong there. What the environment
  does not have is read from the project's [`.env`](first-steps.md#env).
* A duration is a whole number and a unit (`250ms 30s 10m 24h 7d`), a rate a count and a time
  (`80/s`, `5/1h`), an amount a decimal number in quotes (`"1.20"`).
* Paths are relative to the file. `[]` stands for each entry of a list, `<name>` for your own name.
* Each adapter has settings of its own beside the keys of `channels`: see [adapters](adapters.md).
"""
NAMES = {
    "kaskad": "`config/kaskad.yaml`",
    "governance": "`config/governance.yaml`",
    "policy": "`config/policies/<policy>.yaml`",
    "journey": "`config/journeys/<journey>.yaml`",
}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for kind, source in FILES.items():
        lines = [f"\n## {NAMES[kind]}\n", "| key | kind | default | meaning |", "|---|---|---|---|"]
        for path, name, default, doc in rows(source):
            lines.append(f"| `{path}` | {name} | {default} | {doc} |")
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
