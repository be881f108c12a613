"""Tasks about issues, and who hears of them, as users say it."""

from pathlib import Path

import pytest

from support.command_line import CommandLine

ISSUE = "forge.example/team/tool#7"


@pytest.fixture
def project(user: CommandLine, repo: Path) -> CommandLine:
    """A user whose settings know the repository of an issue."""
    config = user.directory / ".config" / "kugetsu" / "kugetsu.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'model = "nobody/x"\ncheck = "exit 9"\n[projects."Forge.example/Team/Tool"]\nrepo = "{repo}"\n'
        f'model = "{user.script()}"\ncheck = "true"\n'
    )
    return user


def test_an_issue_says_where_to_work_and_names_the_task_from_then_on(project: CommandLine, repo: Path) -> None:
    done = project.run("run", "Fix it", "--subject", "https://forge.example/Team/Tool/issues/7#note", "--json")
    assert done.code == 0, done.stderr
    report = done.json()
    assert (report["repo"], report["subject"], report["check"]["command"]) == (str(repo), ISSUE, "true")
    for name in (ISSUE, "team/tool#7", "https://forge.example/team/tool/-/issues/7", report["id"]):
        assert project.run("show", name, "--json").json()["id"] == report["id"]
    assert f"about       {ISSUE}\n" in project.run("show", "team/tool#7").stdout
    newer = project.run("submit", "Once more", "--subject", "team/tool#7").stdout.strip()
    assert project.run("pause", ISSUE, "--json").json()["id"] == newer
    assert project.run("resume", ISSUE, "--json").json()["state"] == "completed"
    unknown = project.run("show", "team/tool#8")
    assert unknown.code == 2
    assert "team/tool#8" in unknown.stderr


def test_what_is_said_counts_more_than_the_project(project: CommandLine, repo: Path) -> None:
    other = project.directory / "other"
    project.git("clone", "-q", str(repo), str(other), cwd=project.directory)
    script = project.script({"text": "ok"}, name="other.json")
    asked = ["--subject", ISSUE, "--repo", "other", "--model", script, "--check", ""]
    report = project.run("run", "Do it", *asked, "--json").json()
    assert (report["repo"], report["model"], report["check"]) == (str(other), script, None)


def test_who_hears_of_a_task_is_kept_with_it(user: CommandLine, quick: list[str]) -> None:
    reply_to = ["--reply-to", "target=ops", "--reply-to", "thread_id="]
    for command in ("submit", "run"):
        done = user.run(command, "Do it", *quick, *reply_to, "--json")
        assert done.code == 0, done.stderr
        shown = user.run("show", done.json()["id"], "--json").json()
        assert shown["reply_to"] == {"target": "ops", "thread_id": ""}


def test_what_cannot_be_is_refused_with_its_name(user: CommandLine, quick: list[str]) -> None:
    refusals = [
        (["--subject", "seven"], "'seven' names no issue"),
        (["--reply-to", "ops"], "--reply-to: ops has no value"),
        (["--reply-to", "a=1", "--reply-to", "a=2"], "--reply-to: a is named twice"),
        (["--reply-to", "Chat Id=1"], "'Chat Id'"),
        (["--repo", ""], "repository"),
    ]
    for number, (arguments, words) in enumerate(refusals):
        done = user.run("run" if number % 2 else "submit", "Do it", *quick, *arguments)
        assert (done.code, done.stdout) == (2, ""), arguments
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert user.tasks() == []
