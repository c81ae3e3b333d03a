"""YAML is 1.2, safe, and every complaint about it names its place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.configuration.yaml_file import BYTES_MAX, ConfigError, Problem, load, loads

REFUSED = [
    ("a: 1\na: 2\n", "f.yaml:2:1: the key 'a' is here twice; remove one; the first is on line 1"),
    (
        "x: {b: 1, 'b': 2}",
        "f.yaml:1:11: the key 'b' is here twice; remove one; the first is on line 1",
    ),
    (
        "a: !!str 5",
        "f.yaml:1:4: the tag !!str is not allowed; remove it; quote the value where it is a text",
    ),
    (
        "a: !!python/object:os.system x",
        (
            "f.yaml:1:4: the tag !!python/object:os.system is not allowed; remove it; quote the"
            " value where it is a text"
        ),
    ),
    (
        "a: !env X",
        "f.yaml:1:4: the tag !env is not allowed; remove it; quote the value where it is a text",
    ),
    ("a: &x 1\n<<: *x", "f.yaml:2:1: merge keys (<<) are not part of YAML 1.2; write the keys out"),
    (
        "a: *nowhere",
        "f.yaml:1:4: the alias *nowhere has no anchor before it; define &nowhere first",
    ),
    ("a: &x [*x]", "f.yaml:1:8: the alias *x has no anchor before it; define &x first"),
    (
        "a: 1\n---\nb: 2",
        "f.yaml:2:1: a second YAML document begins here; keep one document in a file",
    ),
    (
        "%YAML 1.1\n---\na: no",
        "f.yaml:2:1: this file asks for an older YAML; remove the %YAML line; files are YAML 1.2",
    ),
    ("? [a]\n: 1", "f.yaml:1:3: a key must be a word; write a plain word before the colon"),
    ("'': 1", "f.yaml:1:1: a key must be a word; write a plain word before the colon"),
    (
        "a: b: c",
        (
            "f.yaml:1:5: this is not YAML: mapping values are not allowed here; "
            "quote a text that contains ': ', and check the indentation"
        ),
    ),
    (
        "a:\n\t- b",
        ("f.yaml:2:1: this is not YAML: a tab stands where spaces belong; indent with spaces"),
    ),
    (
        "a: [1, 2",
        (
            "f.yaml:1:4: this is not YAML: expected ',' or ']', but got '<stream end>'; "
            "close the bracket or quote that is still open"
        ),
    ),
    ("ok: 1\nbad: \x07", "f.yaml:2:6: the character U+0007 is not allowed; remove it"),
    ("[" * 40, "f.yaml:1:33: this is nested more than 32 levels deep; flatten it"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_what_is_not_allowed_is_refused_at_its_place(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loads(text, "f.yaml")
    assert [str(problem) for problem in refused.value.problems] == [expected]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("21:00", "21:00"),
        ("1_000", "1_000"),
        ("0o17", 15),
        ("017", 17),
        ("0xff", 255),
        ("-5", -5),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("'5'", "5"),
        ("'true'", "true"),
        ("2026-11-21", "2026-11-21"),
        ("= ", "="),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    assert loads(f"[{text}]").plain() == [value]


def test_keys_are_words_whatever_they_look_like() -> None:
    assert loads("{on: 1, NO: 2, 5: 3, true: 4}").plain() == {"on": 1, "NO": 2, "5": 3, "true": 4}


def test_every_value_and_key_knows_its_place() -> None:
    root = loads("a:\n  - {b: c}\n  - 'd'\n", "f.yaml")
    inner = root.value["a"].value[0]
    assert (inner.keys["b"].line, inner.keys["b"].column) == (2, 6)
    assert (inner.value["b"].position.line, inner.value["b"].position.column) == (2, 9)
    assert (root.value["a"].value[1].position.line, root.value["a"].value[1].position.column) == (
        3,
        5,
    )


def test_references_may_stand_unquoted_inside_braces_and_keep_positions() -> None:
    root = loads("hooks: [{url: u, secret: ${env:HOOK_SECRET}}, ${file:/run/secrets/a.pem}, after]")
    assert root.plain() == {
        "hooks": [
            {"url": "u", "secret": "${env:HOOK_SECRET}"},
            "${file:/run/secrets/a.pem}",
            "after",
        ]
    }
    assert root.value["hooks"].value[2].position.column == 75


def test_an_alias_stands_for_its_value() -> None:
    assert loads("a: &x {k: [1]}\nb: *x").plain() == {"a": {"k": [1]}, "b": {"k": [1]}}


def test_aliases_that_grow_without_end_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match=r"expands to more than|more than 100 aliases"):
        loads("\n".join(lines))


def test_many_aliases_are_refused() -> None:
    with pytest.raises(ConfigError, match="more than 100 aliases"):
        loads("a: &x 1\nb: [" + ", ".join(["*x"] * 101) + "]")


def test_nesting_through_aliases_counts_as_nesting() -> None:
    deep = "[" * 20 + "]" * 20
    with pytest.raises(ConfigError, match="nested more than 32"):
        loads(f"a: &x {deep}\nb: {'[' * 15}*x{']' * 15}")


def test_a_file_past_the_size_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("a: " + "x" * BYTES_MAX)
    with pytest.raises(
        ConfigError, match=r"big\.yaml:1:1: the file is larger than 1048576 bytes; split it"
    ):
        load(path)


def test_a_file_that_is_not_utf_8_is_refused_where_it_stops_being_it(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"ok: 1\nname: \xe9t\xe9")
    with pytest.raises(
        ConfigError, match=r"latin\.yaml:2:7: the file is not UTF-8; save it as UTF-8"
    ):
        load(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"none\.yaml:1:1: the file cannot be read: no such file or directory; check",
    ):
        load(tmp_path / "none.yaml")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load(path).plain() == {"a": 1}


def test_a_warning_says_that_it_is_one() -> None:
    assert str(Problem("f", 1, 2, "x", "y", "warning")) == "f:1:2: warning: x; y"


CHARACTERS = "ab:\n -?[]{},&*!|>'\"%@`#~0\t\\\x07\ue000\ud800é\u2028\ufeff\x85"
PIECES = ["${env:A}", "---\n", "...", "- ", "k: ", "<<: ", "&a ", "*a ", "%YAML 1.2\n", "!!str "]
HOSTILE = st.lists(st.sampled_from([*CHARACTERS, *PIECES]), max_size=60).map("".join)


@given(HOSTILE)
def test_whatever_stands_in_a_file_the_answer_is_a_tree_or_a_problem_with_a_place(
    text: str,
) -> None:
    try:
        loads(text).plain()
    except ConfigError as error:
        assert all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text("abc :#'\"{}[]äЖ$", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcö-_", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_json_is_yaml_and_reads_back_as_itself(value: Any) -> None:
    import json

    assert loads(json.dumps(value, ensure_ascii=False)).plain() == value
