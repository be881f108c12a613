import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.errors import KugetsuError, RepositoryError
from kugetsu.workspace.address import RemoteUrl, parse_address
from workspace.workspace_lab import FILES, Lab
from workspace.workspace_remote import GitServer, git_server


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def server(lab: Lab) -> Iterator[GitServer]:
    with git_server(lab.directory) as serving:
        yield serving


def mirrors(lab: Lab) -> list[Path]:
    return sorted(path for path in (lab.home / "mirrors").iterdir() if path.suffix != ".lock")


async def refused(lab: Lab, url: str, base: str = "") -> KugetsuError:
    with pytest.raises(KugetsuError) as caught:
        await lab.create(url, base)
    assert not lab.left_overs()
    return caught.value


async def test_a_url_is_cloned_once_and_fetched_before_each_task(lab: Lab, server: GitServer) -> None:
    repo = lab.repository()
    url = server.url("repo")
    first = await lab.create(url)
    assert first.base == lab.git(repo, "rev-parse", "main")
    assert first.notes == ()
    tip = lab.commit(repo, {"later": "x"})
    second = await lab.create(url)
    assert second.base == tip
    [mirror] = mirrors(lab)
    assert mirror.name.startswith(f"127-0-0-1-{server.port}-repo-")
    assert lab.agent(second, "git for-each-ref --format='%(refname)'").splitlines() == [
        f"refs/heads/{second.branch}",
        "refs/heads/main",
        "refs/remotes/origin/main",
    ]


async def test_work_on_a_url_is_delivered_into_its_mirror(lab: Lab, server: GitServer) -> None:
    repo = lab.repository()
    workspace = await lab.create(server.url("repo"))
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.deliver()
    await workspace.close()
    assert await lab.forget(workspace)
    assert not lab.left_overs()
    [mirror] = mirrors(lab)
    assert lab.show(mirror, workspace.branch, "new") == "x"
    assert lab.git(repo, "branch", "--list", "kugetsu/*") == ""
    follow_up = await lab.create(server.url("repo"), workspace.branch)
    assert (follow_up.path / "new").read_text() == "x"


@pytest.mark.parametrize("base", ["topic", "origin/topic", "v1", "refs/heads/topic"])
async def test_a_base_is_looked_for_at_the_remote(lab: Lab, base: str) -> None:
    repo = lab.repository()
    lab.git(repo, "checkout", "-q", "-b", "topic")
    tip = lab.commit(repo, {"topic": "x"})
    lab.git(repo, "tag", "-a", "v1", "-m", "one")
    lab.git(repo, "checkout", "-q", "main")
    if base == "refs/heads/topic":
        base = tip
    workspace = await lab.create(f"file://{repo}", base)
    assert workspace.base == tip


async def test_the_default_base_follows_the_remotes_head(lab: Lab) -> None:
    repo = lab.repository()
    url = f"file://{repo}"
    await lab.create(url)
    lab.git(repo, "checkout", "-q", "-b", "trunk")
    tip = lab.commit(repo, {"trunk": "x"})
    lab.git(repo, "branch", "-q", "-D", "main")
    workspace = await lab.create(url)
    assert workspace.base == tip
    assert lab.agent(workspace, "git rev-parse origin/trunk").strip() == tip
    error = await refused_after(lab, url, "main")
    assert error.message == f"`main` is no branch, tag or commit of {url}"
    assert "`trunk`" in error.fix


async def refused_after(lab: Lab, url: str, base: str) -> KugetsuError:
    with pytest.raises(KugetsuError) as caught:
        await lab.create(url, base)
    return caught.value


async def test_tags_that_moved_and_branches_that_were_rewritten_are_followed(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "tag", "latest")
    lab.git(repo, "branch", "a")
    url = f"file://{repo}"
    await lab.create(url)
    lab.git(repo, "commit", "-q", "--amend", "-m", "rewritten")
    lab.git(repo, "tag", "-f", "latest")
    lab.git(repo, "branch", "-q", "-D", "a")
    lab.git(repo, "branch", "a/b")
    tip = lab.git(repo, "rev-parse", "HEAD")
    assert (await lab.create(url)).base == tip
    assert (await lab.create(url, "latest")).base == tip
    assert (await lab.create(url, "a/b")).base == tip


async def test_a_remote_with_a_detached_head_needs_a_base(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "checkout", "-q", "--detach")
    url = f"file://{repo}"
    error = await refused(lab, url)
    assert "`main`" in error.fix
    assert (await lab.create(url, "main")).base == lab.git(repo, "rev-parse", "main")


async def test_a_sha256_remote_works(lab: Lab) -> None:
    repo = lab.repository("repo", None, "--object-format=sha256")
    workspace = await lab.create(f"file://{repo}")
    assert len(workspace.base) == 64


async def test_a_git_url_works(lab: Lab) -> None:
    repo = lab.repository()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ("--export-all", f"--base-path={lab.directory}", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr")
    daemon = subprocess.Popen(["git", "daemon", *options], stderr=subprocess.DEVNULL, start_new_session=True)  # noqa: ASYNC220 - starts at once
    try:
        for _ in range(200):
            if lab.try_git(lab.directory, "ls-remote", f"git://127.0.0.1:{port}/repo") == 0:
                break
            await asyncio.sleep(0.02)
        assert (await lab.create(f"git://127.0.0.1:{port}/repo")).base == lab.git(repo, "rev-parse", "HEAD")
        assert "no repository at" in (await refused_after(lab, f"git://127.0.0.1:{port}/none", "")).message
    finally:
        os.killpg(daemon.pid, 15)
        daemon.wait()


async def test_many_tasks_on_one_url_share_a_clone_and_few_fetches(lab: Lab, server: GitServer) -> None:
    lab.repository()
    made = await asyncio.gather(*(lab.create(server.url("repo")) for _ in range(12)))
    assert len({workspace.path for workspace in made}) == 12
    assert len(mirrors(lab)) == 1
    assert server.packs <= 2


async def test_two_processes_on_one_url_share_a_clone(lab: Lab, server: GitServer) -> None:
    lab.repository()
    script = (
        "import asyncio, os, sys\nfrom pathlib import Path\nfrom kugetsu.tasks import Task\n"
        "from kugetsu.workspace import GitWorkspaces\n"
        "async def main():\n"
        "    workspaces = GitWorkspaces(Path(sys.argv[1]))\n"
        "    tasks = [Task(id=f'{sys.argv[3]}{n}', prompt='p', repo=sys.argv[2], model='m') for n in range(3)]\n"
        "    await asyncio.gather(*map(workspaces.create, tasks))\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(lab.home), server.url("repo")]
    server.hold.clear()
    running = [await asyncio.create_subprocess_exec(*command, name, env=lab.environ) for name in ("a", "b", "c")]
    await asyncio.sleep(0.5)
    server.hold.set()
    assert [await process.wait() for process in running] == [0, 0, 0]
    assert len(mirrors(lab)) == 1
    assert len(list((lab.home / "worktrees").iterdir())) == 9


async def test_the_event_loop_runs_on_while_a_fetch_is_waited_for(lab: Lab, server: GitServer) -> None:
    lab.repository()
    server.hold.clear()
    making = [asyncio.create_task(lab.create(server.url("repo"))) for _ in range(3)]
    longest, last = 0.0, time.monotonic()
    for _ in range(40):
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    server.hold.set()
    await asyncio.gather(*making)
    assert longest < 0.2


async def test_a_clone_that_was_cut_is_made_again(lab: Lab, server: GitServer) -> None:
    repo = lab.repository("repo", {"large": os.urandom(200_000).hex()})
    server.cut = 5000
    error = await refused(lab, server.url("repo"))
    assert isinstance(error, RepositoryError)
    assert "cannot be reached" in error.message
    assert mirrors(lab) == []
    server.cut = 0
    assert (await lab.create(server.url("repo"))).base == lab.git(repo, "rev-parse", "HEAD")


async def test_what_a_killed_clone_left_is_removed_and_never_used(lab: Lab, server: GitServer) -> None:
    lab.repository()
    remote = RemoteUrl(server.url("repo"))
    left = lab.home / "mirrors" / f".{remote.mirror_name}.git.12345678"
    (left / "objects").mkdir(parents=True)
    await lab.create(remote.url)
    assert [path.name for path in mirrors(lab)] == [f"{remote.mirror_name}.git"]


async def test_a_clone_that_is_cancelled_leaves_nothing_and_the_next_goes_through(lab: Lab, server: GitServer) -> None:
    lab.repository()
    server.hold.clear()
    making = asyncio.create_task(lab.create(server.url("repo")))
    while not server.packs:
        await asyncio.sleep(0.01)
    waiting = asyncio.create_task(lab.create(server.url("repo")))
    await asyncio.sleep(0.05)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    server.hold.set()
    await waiting
    assert len(mirrors(lab)) == 1


async def test_a_fetch_that_was_cut_leaves_the_mirror_as_it_was(lab: Lab, server: GitServer) -> None:
    repo = lab.repository()
    url = server.url("repo")
    await lab.create(url)
    tip = lab.commit(repo, {"large": os.urandom(200_000).hex()})
    server.cut = 5000
    with pytest.raises(RepositoryError):
        await lab.create(url)
    [mirror] = mirrors(lab)
    lab.git(mirror, "fsck")
    server.cut = 0
    assert (await lab.create(url)).base == tip


async def test_locks_that_a_killed_fetch_left_are_removed(lab: Lab) -> None:
    repo = lab.repository()
    url = f"file://{repo}"
    await lab.create(url)
    [mirror] = mirrors(lab)
    for name in ("refs/remotes/origin/main.lock", "refs/remotes/origin/HEAD.lock", "refs/tags/v1.lock"):
        (mirror / name).touch()
    lab.git(repo, "tag", "v1")
    assert (await lab.create(url)).base == lab.git(repo, "rev-parse", "HEAD")
    tip = lab.commit(repo, {"later": "x"})
    assert (await lab.create(url)).base == tip


async def test_an_empty_remote_is_named_and_works_once_it_has_a_commit(lab: Lab) -> None:
    for options in ((), ("--object-format=sha256",)):
        repo = lab.directory / f"empty{len(options)}"
        lab.git(lab.directory, "init", "-q", *options, repo)
        error = await refused_after(lab, f"file://{repo}", "")
        assert error.message == f"file://{repo} has no commit yet"
        tip = lab.commit(repo, FILES)
        assert (await lab.create(f"file://{repo}")).base == tip


async def test_a_remote_that_does_not_exist_is_named(lab: Lab, server: GitServer) -> None:
    for url in (server.url("nowhere"), f"file://{lab.directory}/nowhere"):
        error = await refused(lab, url)
        assert isinstance(error, RepositoryError)
        assert error.message.startswith(f"there is no repository at {url}")


async def test_a_remote_that_cannot_be_reached_is_named(lab: Lab) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/repo"
    error = await refused(lab, url)
    assert isinstance(error, RepositoryError)
    assert error.message.startswith(f"{url} cannot be reached")


async def test_a_remote_that_is_ill_is_named(lab: Lab, server: GitServer) -> None:
    server.status = 503
    assert "cannot be reached" in (await refused(lab, server.url("repo"))).message


async def test_a_remote_that_wants_a_sign_in_never_asks_and_is_named(lab: Lab, server: GitServer) -> None:
    lab.repository()
    server.credentials = "una:s3cret"
    error = await refused(lab, server.url("repo"))
    assert isinstance(error, RepositoryError)
    assert "refused the sign-in" in error.message
    assert "credential helper" in error.fix


async def test_credentials_of_a_url_are_used_but_never_shown_or_stored(lab: Lab, server: GitServer) -> None:
    repo = lab.repository()
    server.credentials = "una:s3cret"
    workspace = await lab.create(server.url("repo", "una:s3cret"))
    assert workspace.base == lab.git(repo, "rev-parse", "HEAD")
    for wrong in ("una:wr0ng", "t0ken"):
        error = await refused_after(lab, server.url("repo", wrong), "")
        assert "refused the sign-in" in error.message
        assert wrong.rpartition(":")[2] not in str(error)
    assert len(mirrors(lab)) == 1
    written = [path for path in lab.home.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert written == []
    assert "s3cret" not in repr(workspace.notes)


async def test_a_credential_helper_of_the_user_is_asked(lab: Lab, server: GitServer) -> None:
    repo = lab.repository()
    server.credentials = "una:s3cret"
    lab.configure("credential.helper=!printf 'username=una\\npassword=s3cret\\n' #")
    assert (await lab.create(server.url("repo"))).base == lab.git(repo, "rev-parse", "HEAD")


async def test_an_ssh_command_of_the_user_is_used(lab: Lab) -> None:
    repo = lab.repository()
    ssh = lab.directory / "ssh"
    ssh.write_text('#!/bin/sh\necho "$SSH_AUTH_SOCK $*" >> "$0.log"\nshift $(($# - 1))\nexec sh -c "$1"\n')
    ssh.chmod(0o755)
    lab.environ |= {"GIT_SSH_COMMAND": str(ssh), "GIT_SSH_VARIANT": "simple", "SSH_AUTH_SOCK": "/agent"}
    assert (await lab.create(f"git@host.example:{repo}")).base == lab.git(repo, "rev-parse", "HEAD")
    assert (await lab.create(f"ssh://git@host.example{repo}")).base == lab.git(repo, "rev-parse", "HEAD")
    assert "/agent git@host.example" in (lab.directory / "ssh.log").read_text()


async def test_an_ssh_failure_is_named(lab: Lab) -> None:
    lab.environ |= {"GIT_SSH_COMMAND": "echo 'git@host: Permission denied (publickey).' >&2; exit 255; :"}
    error = await refused(lab, "git@host.example:a/b.git")
    assert error.message.startswith("git@host.example:a/b.git refused the sign-in")


async def test_programs_in_a_url_never_run(lab: Lab) -> None:
    trap = lab.directory / "trapped"
    for url in (
        f"ext::touch {trap}",
        f"ssh://-oProxyCommand=touch${{IFS}}{trap}/x",
        f"file://{lab.directory}/;touch {trap}",
    ):
        assert isinstance(await refused(lab, url), RepositoryError)
    assert not trap.exists()


async def test_settings_of_an_origin_that_the_user_made_for_all_repositories_do_no_harm(lab: Lab) -> None:
    repo = lab.repository()
    lab.configure("remote.origin.url=/nowhere", "remote.origin.fetch=+refs/heads/*:refs/heads/*", "fetch.prune=true")
    workspace = await lab.create(f"file://{repo}")
    await workspace.deliver()
    await lab.create(f"file://{repo}")
    [mirror] = mirrors(lab)
    assert lab.git(mirror, "rev-parse", workspace.branch) == workspace.base


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/owner/repo.git", "github-com-owner-repo-"),
        ("git@github.com:owner/repo.git", "git-github-com-owner-repo-"),
        ("https://user:pass@host/x", "host-x-"),
        ("https://host/" + "x" * 300, "x" * 60 + "-"),
        ("https://host/%2e%2e/..", "host-2e-2e-"),
        ("https://[bad", "bad-"),
    ],
)
def test_mirrors_have_readable_names(url: str, name: str) -> None:
    address = parse_address(url)
    assert isinstance(address, RemoteUrl)
    assert address.mirror_name.startswith(name)
    assert len(address.mirror_name) < 80
    assert "/" not in address.mirror_name


def test_different_repositories_have_different_mirrors_and_credentials_do_not_count() -> None:
    names = [RemoteUrl(url).mirror_name for url in ("https://h/a-b", "https://h/a/b", "http://h/a/b", "ssh://h/a/b")]
    assert len(set(names)) == 4
    same = [RemoteUrl(url).mirror_name for url in ("https://h/a", "https://H/a/", "https://x@h/a", "https://u:p@h/a")]
    assert len(set(same)) == 1


async def test_a_mirror_is_a_sound_repository(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "tag", "-a", "v1", "-m", "one")
    await lab.create(f"file://{repo}")
    await lab.create(f"file://{repo}", "HEAD")
    [mirror] = mirrors(lab)
    lab.git(mirror, "fsck", "--strict")
    lab.git(mirror, "gc", "-q")
    await lab.create(f"file://{repo}", "origin/HEAD")
