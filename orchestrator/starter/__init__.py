"""
The project that ``kaskad init`` writes: a configuration on the stand-ins' accounts, a policy with
its test, templates, an event.

    accounts   which adapter and which account each channel has, from what they declare themselves
    examples   what the message is about, in English and Ukrainian
    project    the files, and what to type next
    files/     their texts
"""

from orchestrator.starter.accounts import Unavailable
from orchestrator.starter.project import LocalPorts, Project, free_ports, write_project

__all__ = ["LocalPorts", "Project", "Unavailable", "free_ports", "write_project"]
