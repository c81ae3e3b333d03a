"""The programs in other languages that the docs show, run as they are printed."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.channels import new_webhook_secret, webhook_key, webhook_signature
from tests.app.site import lay_out, running

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def shown(page: str, name: str) -> str:
    """A program of a page, by the name above it."""
    found = re.search(
        rf"<!-- {re.escape(name)} -->\n```js\n(.*?)```", (DOCS / page).read_text(), re.S
    )
    assert found is not None
    return found[1]


def node(path: Path, program: str, *arguments: str) -> str:
    path.write_text(program, "utf-8")
    command = ["node", str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_node_verifies_what_the_service_signs(tmp_path: Path) -> None:
    program = shown("status-events.md", "verify.js") + (
        "const [secret, headers, body] = process.argv.slice(2);\n"
        "const found = verify(secret, JSON.parse(headers), Buffer.from(body));\n"
        "console.log(found && found.type);\n"
    )
    secret, body, now = (
        new_webhook_secret(),
        '{"type": "kaskad.message.succeeded"}',
        int(time.time()),
    )

    def verified(secret: str, body: str, at: int) -> str:
        signature = webhook_signature(key, "s-1", str(at), signed)
        headers = {
            "webhook-id": "s-1",
            "webhook-timestamp": str(at),
            "webhook-signature": f"v1,AAAA {signature}",
        }
        return node(tmp_path / "verify.js", program, secret, json.dumps(headers), body)

    key, signed = webhook_key(secret), body.encode()
    assert verified(secret, body, now) == "kaskad.message.succeeded"
    assert verified(secret, body + " ", now) == "null"
    assert verified(new_webhook_secret(), body, now) == "null"
    assert verified(secret, body, now - 400) == "null"


async def test_node_publishes(tmp_path: Path) -> None:
    async with running(lay_out(tmp_path)) as site:
        program = shown("events.md", "publish.mjs").replace("http://127.0.0.1:8080", site.public)
        program += "console.log(JSON.stringify(await publish(JSON.parse(process.argv[2]))));\n"
        path = tmp_path / "publish.mjs"
        event = json.dumps(site.event())
        answer = json.loads(await asyncio.to_thread(node, path, program, event))
        assert answer["results"][0]["status"] == "accepted"
        assert (await site.ended(answer["results"][0]["messages"][0]))["status"] == "succeeded"
