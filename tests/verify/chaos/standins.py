"""
The stand-in providers in a process of their own: ``python -m tests.verify.chaos.standins PORT
SMTP_PORT RECORD``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from orchestrator.sandbox import SandboxConfig, serve

ALIASES = {"bulk": "infobip", "bulk_sms": "twilio"}
"""Second accounts: each has a script and a rate of its own."""
RECEIPT_TRIES = 9


async def main(port: int, smtp_port: int, record: Path) -> None:
    """
    Serve until killed. What is in ``record`` was accepted: each line is on the disk before its
    sender is answered.
    """
    config = SandboxConfig(
        http_port=port,
        smtp_port=smtp_port,
        record=record,
        seed=1,
        aliases=ALIASES,
        receipt_tries=RECEIPT_TRIES,
    )
    await serve(config, lambda sandbox: print(f"stand-ins at {sandbox.url}", flush=True))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
