"""JSON that two programs could read apart is refused, and everything else is read as it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.events.cloudevents import parse_structured
from orchestrator.events.malformed import Malformed
from orchestrator.primitives import strict_json as strictjson


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"\xef\xbb\xbf{}", "bad_json"),
        (b'{"a": NaN}', "bad_json"),
        (b'{"a": Infinity}', "bad_json"),
        (b'{"a": "\\ud800"}', "bad_json"),
        (b'{"a": 1e999}', "number_too_large"),
        (b'{"a": 18446744073709551616}', "number_too_large"),
        (b'{"a": -9223372036854775809}', "number_too_large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number_too_large"),
        (b'{"a": 1, "a": 2}', "duplicate_key"),
        (b'{"a": 1, "\\u0061": 1}', "duplicate_key"),
        (b'{"x": "\\u003a", "a": 1, "a": 1}', "duplicate_key"),
        (b'{"x": [{"a": {"b": ":"}, "a": {}}]}', "duplicate_key"),
        (b"[" * 65 + b"]" * 65, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b"[" * 5000 + b"]" * 5000, "too_deep"),
        (b"[]", "not_an_event"),
        (b"7", "not_an_event"),
        (b"null", "not_an_event"),
    ],
)
def test_what_is_no_plain_json_object_is_refused_with_a_word_for_it(sent: bytes, code: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_structured(sent)
    assert caught.value.code == code


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(':"\\{a'),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(':"\\ab', max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_json_without_oddities_is_read_as_the_standard_library_reads_it(
    value: Any, ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert strictjson.parse(text.encode()) == json.loads(text)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "a:", '"'])), min_size=1, max_size=4),
    JSON,
    st.booleans(),
)
def test_a_doubled_key_is_always_found(names: list[tuple[str]], value: Any, escaped: bool) -> None:
    members = [f"{json.dumps(name)}: {json.dumps(value)}" for (name,) in names]
    if escaped:
        members.append('"colon": "\\u003a"')
    sent = ("{" + ", ".join(members) + "}").encode()
    if len({name for (name,) in names}) == len(names):
        assert set(strictjson.parse(sent)) >= {name for (name,) in names}
    else:
        with pytest.raises(strictjson.NotJson, match="twice"):
            strictjson.parse(sent)


@given(JSON, JSON)
def test_equal_values_have_the_same_canonical_bytes_and_different_ones_have_others(
    left: Any, right: Any
) -> None:
    spaced = json.loads(json.dumps(left, indent=2))
    assert strictjson.canonical(left) == strictjson.canonical(spaced)
    same = strictjson.canonical(left) == strictjson.canonical(right)
    assert same == (tagged(left) == tagged(right))


def tagged(value: Any) -> Any:
    """A value in which True is not 1: Python's equality otherwise, as JSON means it."""
    if isinstance(value, dict):
        return {name: tagged(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [tagged(inner) for inner in value]
    return (type(value).__name__, value) if isinstance(value, bool) or value is None else value
