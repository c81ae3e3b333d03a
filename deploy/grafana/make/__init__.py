"""
The Grafana dashboards, written down once: ``python3 -m deploy.grafana.make`` makes
``dashboards/*.json``.

Every panel says what it is called, what it asks, in which unit, and why one would look at it.
Standard library only.
"""

from deploy.grafana.make.operations import OPERATIONS
from deploy.grafana.make.overview import OVERVIEW
from deploy.grafana.make.providers import PROVIDERS

ALL = {"overview": OVERVIEW, "providers": PROVIDERS, "operations": OPERATIONS}
