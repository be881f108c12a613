import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.errors import WorkspaceError
from kugetsu.failpoints import POINTS
from kugetsu.tasks import Task
from kugetsu.workspace import GitWorkspace, GitWorkspaces
from kugetsu.workspace.private import task_id_of
from workspace.workspace_drill import Drill, Order, drill
from workspace.workspace_lab import FILES, Lab, contents, fingerprint

pytestmark = pytest.mark.drill

LIFE = "echo 1 > a; git add a; git commit -qm a; echo 2 > b; git add b; echo 3 > b; echo 3 > README.md; rm src/other.py"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(scope="module")
def crash() -> Iterator[Drill]:
    with drill() as process:
        yield process


class Job:
    """A task, and orders about it."""

    def __init__(self, lab: Lab, repo: Path) -> None:
        self.lab = lab
        self.repo = repo
        self.task: Task = lab.task(repo)
        self.workspace: GitWorkspace | None = None

    async def begin(self) -> GitWorkspace:
        self.workspace = await self.lab.workspaces.create(self.task)
        self.lab.agent(self.workspace, LIFE)
        return self.workspace

    def order(self, deed: str, *, step: int = 0, point: str = "", seconds: float = 0.0, snapshot: str = "") -> Order:
        place = self.workspace.place if self.workspace else None
        return Order(str(self.lab.home), self.lab.environ, deed, self.task, step, point, seconds, place, None, snapshot)

    async def reopen(self, snapshot: str = "") -> GitWorkspace:
        assert self.workspace
        fresh = GitWorkspaces(self.lab.home, self.lab.environ)
        return await fresh.reopen(self.task, self.workspace.place, snapshot)


def seen(lab: Lab, workspace: GitWorkspace) -> tuple[dict[str, str], str]:
    """Everything that the agent can see."""
    look = (
        "git status --porcelain=v2 --branch -uall; git for-each-ref refs/heads refs/tags refs/stash; git diff --cached"
    )
    return contents(workspace.path), lab.agent(workspace, look)


def steps(every: int) -> Iterator[int]:
    """Where to kill: with every step taken in turn by one of several runs of the tests, and each run has enough."""
    return itertools.count(1 + os.getpid() % every, every)


async def test_a_creation_that_was_killed_anywhere_is_done_again(lab: Lab, crash: Drill) -> None:
    repo = lab.repository()
    before, made = fingerprint(repo), []
    for step in steps(5):
        job = Job(lab, repo)
        survived = crash.survives(job.order("create", step=step))
        workspace = await lab.workspaces.create(job.task, again=True)
        made.append(workspace.branch)
        assert contents(workspace.path).keys() == FILES.keys()
        assert lab.agent(workspace, "git status --porcelain") == ""
        assert lab.agent(workspace, "git log --format=%s").split("\n")[0] == "a commit"
        assert len(lab.left_overs()) == 2 * len(made)
        if survived:
            break
    assert len(made) > 5
    assert fingerprint(repo, *made) == before
    lab.git(repo, "fsck", "--strict")


async def test_a_branch_that_somebody_moved_is_not_removed_when_a_creation_is_done_again(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    moved = lab.git(repo, "commit-tree", "-m", "theirs", "HEAD^{tree}")
    lab.git(repo, "update-ref", f"refs/heads/{workspace.branch}", moved)
    task = Task(id=task_id_of(workspace.branch), prompt="fix the parser", repo=str(repo), model="x")
    with pytest.raises(Exception, match="has a branch"):
        await lab.workspaces.create(task, again=True)
    assert lab.git(repo, "rev-parse", workspace.branch) == moved


async def test_a_snapshot_that_was_killed_anywhere_harms_nothing(lab: Lab, crash: Drill) -> None:
    repo = lab.repository()
    killed = 0
    job = Job(lab, repo)
    workspace = await job.begin()
    (workspace.path / "turn").write_text("0")
    before = seen(lab, workspace)
    for step in steps(2):
        if crash.survives(job.order("snapshot", step=step)):
            break
        killed += 1
        workspace = await job.reopen()
        assert seen(lab, workspace) == before
        (workspace.path / "turn").write_text(str(step))
        snapshot = await workspace.snapshot(step)
        assert lab.show(lab.private(workspace), snapshot, "turn") == str(step)
        before = seen(lab, workspace)
    assert killed > 3
    lab.git(lab.private(workspace), "fsck", "--strict")
    assert not list(lab.private(workspace).rglob("*.lock"))


async def test_a_restore_that_was_killed_anywhere_is_completed(lab: Lab, crash: Drill) -> None:
    repo = lab.repository()
    job = Job(lab, repo)
    workspace = await job.begin()
    snapshot = await workspace.snapshot(1)
    await workspace.restore(snapshot)
    target = seen(lab, workspace)
    killed = 0
    for step in steps(5):
        later = f"git add -A; git commit -qm {step}; echo x > late; echo '*.x' > .gitignore; echo {step} > README.md; git rm -q a"
        lab.agent(workspace, f"{later}; rm -f b; mkdir b; echo x > b/x; git checkout -q --detach")
        files = contents(workspace.path)
        survived = crash.survives(job.order("restore", step=step, snapshot=snapshot))
        workspace = await job.reopen()
        await workspace.restore(snapshot)
        assert seen(lab, workspace) == target
        kept = f"refs/kugetsu/{job.task.id}/before-restore"
        if not survived:
            killed += 1
            assert lab.files(lab.private(workspace), kept) == sorted(files)
        if survived:
            break
    assert killed > 3


@pytest.mark.parametrize("deed", ["create", "snapshot", "restore"])
async def test_each_crash_point_of_a_workspace_is_survived(lab: Lab, crash: Drill, deed: str) -> None:
    name = "workspace" if deed == "create" else deed
    points = [point for point in POINTS if point.startswith(f"{name}.") and point != "workspace.placed"]
    assert len(points) == 2
    for point in points:
        job = Job(lab, lab.directory / "repo")
        if not job.repo.exists():
            lab.repository()
        if deed == "create":
            assert not crash.survives(job.order(deed, point=point))
            workspace = await lab.workspaces.create(job.task, again=True)
            assert contents(workspace.path).keys() == FILES.keys()
            continue
        workspace = await job.begin()
        snapshot = await workspace.snapshot(1)
        (workspace.path / "a").write_text("later")
        assert not crash.survives(job.order(deed, point=point, snapshot=snapshot))
        workspace = await job.reopen()
        await workspace.restore(snapshot)
        assert (workspace.path / "a").read_text() == "1\n"


async def test_an_end_that_was_killed_anywhere_is_completed(lab: Lab, crash: Drill) -> None:
    repo = lab.repository()
    killed = 0
    for step in steps(7):
        job = Job(lab, repo)
        files = contents((await job.begin()).path)
        survived = crash.survives(job.order("finish", step=step))
        workspace = await job.reopen()
        assert contents(workspace.path) == files
        await workspace.commit_all("the rest")
        await workspace.deliver()
        subjects = lab.git(repo, "log", "--format=%s", f"main..{workspace.branch}").split("\n")
        assert subjects == ["the rest", "a"]
        moves = lab.git(repo, "reflog", "show", "--format=%gs", workspace.branch).split("\n")
        assert moves == ["kugetsu: delivered", "branch: created by Kugetsu"]
        assert await workspace.close()
        assert not workspace.path.exists()
        killed += not survived
        assert not crash.survives(job.order("forget", step=1 + step // 4)) or survived or step > 12
        assert await lab.workspaces.forget(job.task.id, workspace.place)
        assert not lab.left_overs()
        assert not list((lab.home / "worktrees").glob(".*"))
        assert not list((lab.home / "repos").glob(".*"))
        if survived:
            break
    assert killed > 3


async def test_a_removal_that_was_killed_between_worktree_and_repository_is_completed(lab: Lab, crash: Drill) -> None:
    repo = lab.repository()
    halfway = 0
    for step in steps(7):
        job = Job(lab, repo)
        workspace = await job.begin()
        await workspace.snapshot(1)
        lab.agent(workspace, "echo later > later; git add -A; git commit -qm later")
        await workspace.deliver()
        survived = crash.survives(job.order("forget", step=step))
        halfway += (lab.home / "repos" / f"{job.task.id}.git").exists() and not workspace.path.exists()
        assert await lab.workspaces.forget(job.task.id, workspace.place)
        if survived:
            break
    assert halfway


async def test_a_rebuilding_that_was_killed_anywhere_is_completed(lab: Lab, crash: Drill) -> None:
    repo = lab.repository()
    job = Job(lab, repo)
    workspace = await job.begin()
    files, snapshot = contents(workspace.path), await workspace.snapshot(1)
    killed = 0
    for step in steps(5):
        shutil.rmtree(workspace.path)
        survived = crash.survives(job.order("reopen", step=step, snapshot=snapshot))
        workspace = await job.reopen(snapshot)
        assert contents(workspace.path) == files
        if survived:
            break
        killed += 1
    assert killed > 3


async def test_a_repository_whose_rebuilding_was_killed_anywhere_is_rebuilt(lab: Lab, crash: Drill) -> None:
    repo = lab.repository()
    job = Job(lab, repo)
    workspace = await job.begin()
    await workspace.commit_all("the rest")
    await workspace.deliver()
    files, killed = contents(workspace.path), 0
    for step in steps(7):
        shutil.rmtree(lab.private(workspace))
        if step % 2:
            shutil.rmtree(workspace.path)
        survived = crash.survives(job.order("reopen", step=step))
        workspace = await job.reopen()
        assert contents(workspace.path) == files
        assert lab.agent(workspace, "git status --porcelain") == ""
        if survived:
            break
        killed += 1
    assert killed > 3


async def test_a_fork_that_was_killed_anywhere_is_done_again(lab: Lab, crash: Drill) -> None:
    repo = lab.repository()
    original = Job(lab, repo)
    workspace = await original.begin()
    files, snapshot = contents(workspace.path), await workspace.snapshot(1)
    place, killed = workspace.place, 0
    for step in steps(11):
        job = Job(lab, repo)
        order = job.order("fork", step=step, snapshot=snapshot)
        order.original = place
        survived = crash.survives(order)
        forked = await lab.workspaces.fork(job.task, place, snapshot, again=True)
        assert contents(forked.path) == files
        if survived:
            break
        killed += 1
    assert killed > 3


async def test_a_process_that_is_killed_while_its_git_works_on_harms_nothing(lab: Lab, crash: Drill) -> None:
    files = {f"d{number % 50}/f{number}": f"{number}\n" * 9 for number in range(1500)}
    job = Job(lab, lab.repository(files=files | FILES))
    workspace = await job.begin()
    snapshot = await workspace.snapshot(1)
    target, killed = contents(workspace.path), 0
    for number in range(6):
        lab.agent(
            workspace, f"rm -rf d1* d2*; for i in d3*/*; do echo {number} > $i; done; git add -A; git commit -qm late"
        )
        seconds = (0.02 + 0.03 * number) * (1 + os.getpid() % 7 / 7)
        killed += not crash.survives(job.order("restore", seconds=seconds, snapshot=snapshot))
        workspace = await job.reopen()
        await workspace.restore(snapshot)
        assert contents(workspace.path) == target
    assert killed
    made = []
    for number in range(6):
        fresh = Job(lab, job.repo)
        crash.survives(fresh.order("create", seconds=0.02 + 0.02 * number))
        made.append(await lab.workspaces.create(fresh.task, again=True))
        assert contents(made[-1].path).keys() == files.keys() | FILES.keys()
        assert lab.agent(made[-1], "git status --porcelain") == ""


async def test_a_git_that_outlived_its_process_is_ended(lab: Lab) -> None:
    job = Job(lab, lab.repository())
    workspace = await job.begin()
    orphan = workspace._git.at(workspace.path, {})._env
    with subprocess.Popen(  # noqa: ASYNC220 - it stays
        ["git", "cat-file", "--batch"], env=orphan, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as git:
        (lab.private(workspace) / "packed-refs.lock").touch()
        await job.reopen()
        assert git.wait(10) == -9
    assert not (lab.private(workspace) / "packed-refs.lock").exists()


async def test_a_full_disk_is_an_error_and_loses_nothing(lab: Lab) -> None:
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    lab.home.mkdir()
    if subprocess.run(  # noqa: ASYNC221 - quick
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", lab.home], check=False, capture_output=True
    ).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        repo = lab.repository()
        workspace = await lab.create(repo)
        lab.agent(workspace, "echo 1 > a")
        first = await workspace.snapshot(1)
        (workspace.path / "random").write_bytes(os.urandom(1_600_000))
        files = contents(workspace.path)
        with pytest.raises(WorkspaceError, match="disk is full"):
            await workspace.snapshot(2)
        assert contents(workspace.path) == files
        with pytest.raises(WorkspaceError, match="disk is full"):
            await workspace.restore(first)
        assert contents(workspace.path) == files
        (workspace.path / "random").write_bytes(b"small")
        second = await workspace.snapshot(2)
        assert lab.show(lab.private(workspace), second, "random") == "small"
        await workspace.restore(first)
        assert contents(workspace.path).keys() == {*FILES, "a"}
    finally:
        lab.git(lab.directory, "version")
        subprocess.run(["umount", "-l", lab.home], check=True)  # noqa: ASYNC221 - quick
