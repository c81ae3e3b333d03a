"""
The whole thing on one machine: embedded store, sandbox providers, a shop's events, a live view, a
summary.

    people   a made-up customers, the same in every run of a seed
    stack    the service and the sandbox, started for the show
    show     what is seen while it runs, and the summary
"""

from orchestrator.demo.run import run_demo

__all__ = ["run_demo"]
