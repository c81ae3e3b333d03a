"""
The maker of small wrongs makes the wrongs that it says, one at a time, and leaves people's words
alone.
"""

from __future__ import annotations

import ast
from pathlib import Path

from tests.mutants.mutate import mutants, sites
from tests.mutants.sql import changes

SOURCE = '''
"""Words."""
LIMIT = 3
SENTENCES = {"a": "A sentence."}


def hold(until: int, name: str = "x") -> int | None:
    """Words."""
    if until >= LIMIT and not name:
        self.until = until + 1
        draft.say(f"held {until}")
        draft.leave(until)
        return min(until, 5)
    return None
'''


def wrongs() -> list[str]:
    return [site.what for site in sites(ast.parse(SOURCE))]


def test_every_kind_of_wrong_is_found_where_it_stands() -> None:
    assert sorted(wrongs()) == sorted(
        [
            "4, not 3",
            "'XXx', not 'x'",
            "unless `until >= LIMIT and (not name)`",
            "Or in `until >= LIMIT and (not name)`",
            "Gt in `until >= LIMIT`",
            "bool() of it instead of not",
            "without `self.until = until + 1`",
            "Sub in `until + 1`",
            "2, not 1",
            "without `draft.leave(until)`",
            "returns None, not `min(until, 5)`",
            "max, not min",
            "6, not 5",
        ]
    )


def test_each_wrong_changes_the_text_and_each_in_its_own_way(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    right = ast.unparse(ast.parse(SOURCE))
    made = [ast.unparse(mutant.source()) for mutant in mutants(path)]
    assert right not in made
    assert len(set(made)) == len(made) == len(wrongs())
    assert all("A sentence." in text and "held" in text and "Words." in text for text in made)


def test_every_wrong_knows_its_function_and_line(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    found = {(mutant.what, mutant.function, mutant.line) for mutant in mutants(path)}
    assert ("4, not 3", "", 3) in found
    assert ("max, not min", "hold", 13) in found


SQL = """-- name: put
-- A comment and nothing else.
insert or replace into t (a, b) values ($1, $2) on conflict (a, b) do update set b = 1, c = 2

-- name: read
select min(a) from t where a <= $1 and b between $2 and $3 order by a desc limit 4
"""


def test_wrongs_in_sql_leave_out_a_column_a_condition_an_order_and_nothing_else() -> None:
    found = [(change.line, change.statement, change.what) for change in changes(SQL)]
    assert found == [
        (3, "put", "`ignore`, not `replace`"),
        (3, "put", "without `a,`"),
        (3, "put", "without `, b`"),
        (3, "put", "without `b = 1,`"),
        (3, "put", "without `, c = 2`"),
        (6, "read", "`max`, not `min`"),
        (6, "read", "`<`, not `<=`"),
        (6, "read", "`or`, not `and`"),
        (6, "read", "without `order by a desc`"),
        (6, "read", "`asc`, not `desc`"),
        (6, "read", "without `limit 4`"),
    ]
