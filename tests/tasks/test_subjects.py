import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.tasks import Subject, parse_subject


@pytest.mark.parametrize(
    ("text", "host", "path", "number"),
    [
        ("github.com/octo/cat#12", "github.com", "octo/cat", 12),
        ("GitHub.com/Octo/Cat#12", "github.com", "octo/cat", 12),
        ("octo/cat#1", "", "octo/cat", 1),
        ("  octo/cat#1\n", "", "octo/cat", 1),
        ("a/b/c#1", "", "a/b/c", 1),
        ("a.b/c/d#1", "a.b", "c/d", 1),
        ("localhost/c/d#1", "localhost", "c/d", 1),
        ("localhost:3000/c/d#1", "localhost:3000", "c/d", 1),
        ("git.example.org:8443/my.group/sub-group/x_y.z#999", "git.example.org:8443", "my.group/sub-group/x_y.z", 999),
        ("https://github.com/octo/cat/issues/12", "github.com", "octo/cat", 12),
        ("https://github.com/octo/cat/pull/12", "github.com", "octo/cat", 12),
        ("https://github.com/octo/cat/pull/12/files?w=1#r2", "github.com", "octo/cat", 12),
        ("http://git.example.org:3000/octo/cat/pulls/12#issuecomment-4", "git.example.org:3000", "octo/cat", 12),
        ("https://gitlab.com/big/group/cat/-/merge_requests/7", "gitlab.com", "big/group/cat", 7),
        ("https://gitlab.com/big/group/cat/-/issues/7", "gitlab.com", "big/group/cat", 7),
        ("http://gitea/octo/cat/issues/3", "gitea", "octo/cat", 3),
    ],
)
def test_a_name_of_an_issue_is_understood(text: str, host: str, path: str, number: int) -> None:
    assert parse_subject(text) == Subject(host, path, number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#1",
        "cat#1",
        "octo/cat",
        "octo/cat#",
        "octo/cat#0",
        "octo/cat#01",
        "octo/cat#-1",
        "octo/cat#1x",
        "octo/cat#1 and more",
        "octo//cat#1",
        "/octo/cat#1",
        "octo/cat/#1",
        "octo/ca t#1",
        "octo/cät#1",
        "octo/cat#\u0661",
        "octo/cat#" + "9" * 40,
        "a/b/c/d/e/f/g/h#1",
        "github.com/cat#1/2",
        "https://github.com/octo/cat",
        "https://github.com/octo/cat/issues",
        "https://github.com/octo/cat/issues/new",
        "https://github.com/octo/cat/issues/12x",
        "https://github.com/cat/issues/12",
        "https://user:secret@github.com/octo/cat/issues/12",
        "ftp://github.com/octo/cat/issues/12",
        "k3f9abcdef",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert parse_subject(text) is None


hosts = st.sampled_from(["", "github.com", "localhost", "git.example.org:8443"])
parts = st.lists(st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,20}", fullmatch=True), min_size=2, max_size=4)


@given(hosts, parts, st.integers(1, 10**17))
def test_a_subject_is_read_back_from_how_it_is_kept(host: str, path: list[str], number: int) -> None:
    if host == "" and len(path) > 2:
        path[0] = path[0].replace(".", "_")  # with a dot in it, it would be a host
    subject = Subject(host, "/".join(path), number)
    if host or path[0] != "localhost":
        assert parse_subject(str(subject)) == subject
    assert subject.project == str(subject).partition("#")[0]


@given(st.text(max_size=60) | st.from_regex(r"[\w./:#-]{0,60}", fullmatch=True))
def test_whatever_is_read_is_one_name(text: str) -> None:
    subject = parse_subject(text)
    if subject is not None:
        assert parse_subject(str(subject)) == subject
        assert " " not in str(subject)
