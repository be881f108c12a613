import errno
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.errors import RepositoryError, WorkspaceError
from kugetsu.tasks import redacted
from kugetsu.workspace.failures import explain, refused_by_machine
from kugetsu.workspace.inherited import Config, config_text, identity, parse_config
from kugetsu.workspace.wording import printable

SECRETS = st.text(st.sampled_from("abcXYZ0189-_.~!$&*+,;=%:@"), min_size=6).filter(lambda text: text.strip("*"))


@given(SECRETS, st.sampled_from(["https", "http", "git", "HTTPS"]), st.sampled_from(["", " and more", "'", "/x y"]))
def test_no_credentials_of_a_url_are_ever_shown(secret: str, scheme: str, after: str) -> None:
    url = f"{scheme}://user:{secret}@host.example/path"
    shown = redacted(f"fatal: unable to access '{url}{after}")
    assert shown == f"fatal: unable to access '{scheme}://***@host.example/path{after}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://token@github.com/a/b", "https://***@github.com/a/b"),
        ("https://host/a?access_token=x&y=1 failed", "https://host/a?*** failed"),
        ("ssh://git@host/a", "ssh://git@host/a"),
        ("ssh://git:pass@host/a", "ssh://***@host/a"),
        ("git@host:a/b", "git@host:a/b"),
        ("https://a:b@h/x https://c:d@h/y", "https://***@h/x https://***@h/y"),
        ("https://host/@scope/package", "https://host/@scope/package"),
        ("a@b", "a@b"),
    ],
)
def test_the_rest_of_a_message_stays_readable(text: str, shown: str) -> None:
    assert redacted(text) == shown


@given(st.binary())
def test_names_are_shown_without_control_characters(name: bytes) -> None:
    assert printable(name).isprintable()


def test_ordinary_names_are_shown_as_they_are() -> None:
    assert printable(Path("/ünï/日本 x")) == "/ünï/日本 x"
    assert printable(b"a\x1b[31m\xff") == "a?[31m?"


@given(st.binary(max_size=300), st.booleans())
def test_whatever_git_prints_becomes_an_error_that_names_the_place(printed: bytes, remote: bool) -> None:
    error = explain(printed, "fetch", "the-place", remote=remote)
    assert isinstance(error, WorkspaceError | RepositoryError)
    assert error.message.isprintable()


def test_the_most_telling_line_is_shown() -> None:
    error = explain(b"warning: noise\nhint: more\nfatal: the reason\n", "merge", "/x")
    assert error.message == "`git merge` failed in /x: the reason"
    assert explain(b"", "merge", "/x").message == "`git merge` failed in /x: it gave no reason"


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("fatal: Authentication failed for 'https://h/'", RepositoryError, "refused the sign-in"),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", RepositoryError, "sign-in"),
        ("Host key verification failed.", RepositoryError, "refused the sign-in"),
        ("remote: Permission to a/b.git denied to c.", RepositoryError, "refused the sign-in"),
        ("ERROR: Repository not found.", RepositoryError, "no repository at"),
        ("fatal: repository 'https://h/x/' not found", RepositoryError, "no repository at"),
        ("fatal: '/x' does not appear to be a git repository", RepositoryError, "no repository at"),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", RepositoryError, "cannot be reached"),
        ("fatal: unable to access 'https://h/': SSL certificate problem: expired", RepositoryError, "secure"),
        ("ssh: connect to host h port 22: Connection refused", RepositoryError, "cannot be reached"),
        ("fatal: write error: No space left on device", WorkspaceError, "disk is full"),
        ("fatal: Unable to create '/m/x.lock': Permission denied", WorkspaceError, "no permission"),
        ("fatal: transport 'ext' not allowed", RepositoryError, "cannot fetch"),
    ],
)
def test_failures_of_remotes_are_told_apart(line: str, kind: type[Exception], words: str) -> None:
    error = explain(f"{line}\nfatal: Could not read from remote repository.\n".encode(), "fetch", "URL", remote=True)
    assert isinstance(error, kind)
    assert words in error.message


def test_a_refusal_of_the_machine_names_the_file_and_a_way_out() -> None:
    error = refused_by_machine(OSError(errno.ENOSPC, "No space left on device", "/x/y"), "make a worktree")
    assert str(error) == "cannot make a worktree (/x/y): No space left on device (free some space, then try again)"


VALUES = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]))


@given(value=VALUES)
def test_a_setting_survives_being_written(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = config_text(Config({"core.excludesfile": value, "core.editor": "not taken over"}))
    assert b"not taken over" not in text
    assert _read(text, tmp_path_factory.mktemp("config")) == value


def _read(text: bytes, folder: Path) -> str:
    import subprocess

    (folder / "config").write_bytes(text)
    listed = subprocess.run(
        ["git", "config", "--list", "--show-scope", "-z", "-f", folder / "config"], capture_output=True, check=True
    )
    return parse_config(listed.stdout).values["core.excludesfile"]


def test_an_identity_is_taken_from_the_nearest_place_that_has_one() -> None:
    config = Config({"user.name": "U", "user.email": "u@x", "author.name": "A"})
    assert identity(config, {"EMAIL": "e@x"}) == {
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "u@x",
        "GIT_COMMITTER_NAME": "U",
        "GIT_COMMITTER_EMAIL": "u@x",
    }
    assert identity(Config({}), {"EMAIL": "e@x"})["GIT_AUTHOR_EMAIL"] == "e@x"
    assert identity(Config({"user.name": "<>"}), {})["GIT_AUTHOR_NAME"] == "Kugetsu"


def test_settings_without_a_value_are_true_and_the_last_one_counts() -> None:
    listing = b"global\0core.eol\nlf\0local\0core.eol\ncrlf\0local\0core.symlinks\0command\0core.safecrlf\nfalse\0"
    assert parse_config(listing).values == {"core.eol": "crlf", "core.symlinks": "true"}


@pytest.mark.parametrize("piece", ["a", "a://", "a://a@", "http://x?"])
def test_text_made_to_be_slow_is_not(piece: str) -> None:
    started = time.process_time()
    redacted(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 5
