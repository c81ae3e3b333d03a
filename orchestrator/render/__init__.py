"""Words: sandboxed templates, conditions, locales, SMS parts."""

from orchestrator.rendering import *  # noqa: F403
