"""Spans in tests are exact, and read back as they are written."""

from __future__ import annotations

import pytest

from orchestrator.virtual.spans import parse_span, show_span


@pytest.mark.parametrize("text", ["0s", "250ms", "1h30m", "2m", "1d2h3m4s5ms", "90s", "36h"])
def test_a_span_means_the_same_when_it_is_written_again(text: str) -> None:
    span = parse_span(text)
    assert span is not None
    assert parse_span(show_span(span)) == span


@pytest.mark.parametrize("text", ["", "1", "m", "1m1h", "1.5h", "-1m", "1 m", "99999999d"])
def test_what_is_no_span_is_none(text: str) -> None:
    assert parse_span(text) is None
