"""``python -m orchestrator.cli`` is the ``kaskad`` command, where no script is installed."""

from orchestrator.cli import main

main()
