"""Where traces go."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from pydantic import SecretStr

from orchestrator.configuration.keys import Kind, nested, setting
from orchestrator.configuration.kinds import RATIO, SECRET, TEXT, TEXT_SCHEMA
from orchestrator.configuration.reading import Section
from orchestrator.configuration.urls import split_url

EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def read_collector(section: Section, key: str, default: str) -> str:
    """
    A collector's URL. Plain http is usual and no cause for a warning: it stands beside the service,
    and a span carries nothing about a person.
    """
    url = section.text(key, None)
    if url is not None and split_url(url) is None:
        section.error(key, f"`{key}` is not a URL", "write http://localhost:4318")
    return url or default


@dataclass(frozen=True)
class TraceSettings:
    """Traces to a collector, over OTLP/HTTP; needs the extra `kaskad[otel]`."""

    endpoint: str = setting(
        Kind("URL", read_collector, TEXT_SCHEMA),
        "The collector; without a path, `/v1/traces` is added.",
        need='write endpoint: "http://localhost:4318"',
    )
    sample: float = setting(
        RATIO, "The share of messages whose publisher brought no trace context.", 1.0
    )
    authorization: SecretStr | None = setting(SECRET, "The collector's `Authorization` header.")
    service_name: str = setting(TEXT, "What the collector calls this installation.", "kaskad")

    def checked(self, section: Section) -> TraceSettings:
        """The same; an error if OpenTelemetry is not installed."""
        try:
            there = find_spec(EXPORTER) is not None
        except ModuleNotFoundError:
            there = False
        if not there:
            what = "traces need OpenTelemetry, which is not installed"
            section.error(
                "endpoint", what, "run `pip install 'kaskad[otel]'`, or leave the key out"
            )
        return self


@dataclass(frozen=True)
class Telemetry:
    """What the service tells of itself, beside metrics and logs."""

    traces: TraceSettings | None = setting(nested(TraceSettings), "One trace a message.")
