import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.errors import ToolError
from kugetsu.tools.globbing import Glob

NAMES = st.text(alphabet="ab.", min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.py", "a.py"),
        ("*.py", "deep/down/a.py"),
        ("*", ".hidden"),
        ("src/*.py", "src/a.py"),
        ("src/*.py", "pkg/src/a.py"),
        ("src/**/*.ts", "src/a.ts"),
        ("src/**/*.ts", "src/x/y/a.ts"),
        ("src/**", "src/x/y"),
        ("src/", "src/x/y"),
        ("**", "x/y"),
        ("**/a/**/b/**/c", "x/a/b/b/y/c"),
        ("/*.md", "README.md"),
        ("./src/*.py", "src/a.py"),
        ("*.{c,h}", "x.h"),
        ("{src,lib}/**/*.{js,ts{,x}}", "lib/q/a.tsx"),
        ("f[0-9].txt", "f7.txt"),
        ("f[!0-9].txt", "fx.txt"),
        ("f[^0-9].txt", "fx.txt"),
        ("f?.txt", "f7.txt"),
        ("a,b", "a,b"),
        ("[", "["),
        ("{", "{"),
    ],
)
def test_a_pattern_matches(pattern: str, path: str) -> None:
    assert Glob(pattern).matches(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.py", "a.pyc"),
        ("src/*.py", "src/x/a.py"),
        ("src/*.py", "mysrc/a.py"),
        ("src/**", "src"),
        ("/*.md", "docs/README.md"),
        ("*.{c,h}", "x.cc"),
        ("f[^0-9].txt", "f7.txt"),
        ("f?.txt", "f.txt"),
        ("README*", "readme.md"),
        ("a/b", "a/x/b"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, path: str) -> None:
    assert not Glob(pattern).matches(path)


def test_case_may_be_alike() -> None:
    assert Glob("readme*", fold_case=True).matches("docs/README.md")


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4), st.text(alphabet="ab*?", min_size=1, max_size=5))
def test_a_pattern_without_a_slash_is_about_the_name_alone(names: list[str], pattern: str) -> None:
    assert Glob(pattern).matches("/".join(names)) is fnmatch.fnmatchcase(names[-1], pattern)


@settings(deadline=None)
@given(st.lists(NAMES, max_size=4), st.lists(NAMES, max_size=3), NAMES)
def test_two_stars_stand_for_any_directories(before: list[str], between: list[str], name: str) -> None:
    path = "/".join([*before, "top", *between, name])
    assert Glob(f"top/**/{name}").matches(path)


def test_a_hostile_pattern_is_matched_in_no_time() -> None:
    assert not Glob("*a" * 40 + "b").matches("a" * 200)
    assert not Glob("**/a/" * 20 + "b").matches("a/" * 100 + "c")


@pytest.mark.parametrize("pattern", ["", "  ", "{a,b}" * 12])
def test_an_empty_or_exploding_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ToolError, match="glob pattern"):
        Glob(pattern)
