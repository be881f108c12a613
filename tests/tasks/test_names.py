import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.tasks import branch_name, new_task_id, slug


def test_ids_are_short_plain_and_all_different() -> None:
    ids = {new_task_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[a-z2-9]{10}", name) for name in ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fix the failing date parser test", "fix-the-failing-date-parser-test"),
        ("Ünïcode & spaces!", "unicode-spaces"),
        ("日本語", "task"),
        ("", "task"),
        ("../../etc/passwd", "etc-passwd"),
        ("word " * 30, "word-word-word-word-word-word-word-word"),
        ("x" * 100, "x" * 40),
    ],
)
def test_slugs(text: str, expected: str) -> None:
    assert slug(text) == expected


@given(st.text())
def test_a_branch_name_is_one_that_git_takes(text: str) -> None:
    name = branch_name("abc", text)
    assert re.fullmatch(r"kugetsu/abc-[a-z0-9]+(-[a-z0-9]+)*", name)
    assert len(name) < 64
