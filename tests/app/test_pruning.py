"""Pruning with real git: what goes when, and what never does."""

import asyncio
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from app.pruning_lab import DAY, HOUR, PruningLab
from kugetsu.app.clearing import Done
from kugetsu.config import DiskSettings
from kugetsu.sessions import Entry
from kugetsu.tasks import Retry, Task, TaskState


@pytest.fixture
def lab(tmp_path: Path) -> PruningLab:
    return PruningLab(tmp_path)


async def test_what_is_delivered_stays_for_some_days_after_its_task_and_its_branch_for_ever(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(repo)
    lab.clock.advance(13.9 * DAY)
    stays = await lab.item(task.id)
    assert (stays.goes, stays.why) == (False, "delivered")
    assert stays.until == pytest.approx(lab.clock.now() + 0.1 * DAY)
    assert await lab.gone() == []
    lab.clock.advance(0.2 * DAY)
    before = await lab.item(task.id)
    assert before.goes
    assert before.holding.bytes
    assert before.holding.bytes > 10_000
    assert await lab.gone() == [task.id]
    assert not lab.left_overs()
    assert lab.show(repo, workspace.branch, "new.txt") == "new\n"
    assert await lab.prune() == []


async def test_the_days_may_be_said_for_once(lab: PruningLab) -> None:
    task, _ = await lab.finished(lab.repository())
    lab.clock.advance(2 * DAY)
    assert await lab.gone(days=3) == []
    assert await lab.gone(days=1) == [task.id]


async def test_what_is_merged_goes_an_hour_after_its_task(lab: PruningLab) -> None:
    repo = lab.repository()
    merged, workspace = await lab.finished(repo)
    other, _ = await lab.finished(repo)
    lab.merge(repo, workspace)
    lab.clock.advance(0.9 * HOUR)
    assert await lab.gone() == []
    lab.clock.advance(0.2 * HOUR)
    assert (await lab.item(merged.id)).why == "its branch is merged"
    assert await lab.gone() == [merged.id]
    assert (await lab.item(other.id)).why == "delivered"


async def test_what_was_merged_and_its_branch_deleted_goes_too(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(repo)
    lab.merge(repo, workspace)
    lab.git(repo, "branch", "-d", workspace.branch)
    lab.clock.advance(2 * HOUR)
    assert await lab.gone() == [task.id]


async def test_a_task_without_any_work_does_not_count_as_merged(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.begun(repo)
    lab.agent(workspace, "git reset -q --hard HEAD~")
    await workspace.deliver()
    await workspace.close()
    await lab.settle(task, "failed")
    lab.clock.advance(2 * HOUR)
    assert await lab.gone() == []
    lab.clock.advance(14 * DAY)
    assert await lab.gone() == [task.id]


async def test_a_branch_that_was_only_pushed_is_not_merged(lab: PruningLab) -> None:
    repo = lab.repository()
    _, workspace = await lab.finished(repo)
    lab.git(repo, "update-ref", f"refs/remotes/origin/{workspace.branch}", workspace.branch)
    lab.clock.advance(2 * HOUR)
    assert await lab.gone() == []
    lab.git(repo, "update-ref", "refs/remotes/origin/main", workspace.branch)
    assert len(await lab.gone()) == 1


async def test_a_worktree_that_its_user_wanted_to_keep_stays_though_it_is_merged(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(repo, keep=True)
    lab.merge(repo, workspace)
    lab.clock.advance(2 * HOUR)
    assert await lab.gone() == []
    assert workspace.path.is_dir()
    lab.clock.advance(14 * DAY)
    assert await lab.gone() == [task.id]


@pytest.mark.parametrize("state", ["pending", "running", "waiting", "paused"])
async def test_nothing_of_a_task_that_is_not_over_is_ever_touched(lab: PruningLab, state: TaskState) -> None:
    repo = lab.repository()
    task, workspace = await lab.begun(repo)
    await workspace.deliver()
    lab.merge(repo, workspace)
    scratch = lab.home / "scratch" / task.id / "tmp"
    scratch.mkdir(parents=True)
    if state != "running":
        await lab.settle(task, state, "really?" if state == "waiting" else "")
    lab.disk = DiskSettings(most_gb=1e-9)
    lab.clock.advance(1000 * DAY)
    for item in (await lab.plan(days=0)).items:
        assert (item.goes, item.why) == (False, f"its task is {state}")
    assert await lab.prune(days=0) == []
    assert workspace.path.is_dir()
    assert scratch.is_dir()


UNDELIVERED = {
    "files": ("echo x > untracked.txt", "uncommitted files are in its worktree", "untracked.txt"),
    "commit": ("echo x > late.txt; git add -A; git commit -qm late", "it has commits", "late.txt"),
    "stash": ("echo x >> new.txt; git stash -q", "it has commits", "new.txt"),
    "detached": (
        "git checkout -q --detach; echo x > off.txt; git add -A; git commit -qm off; git checkout -q -b t",
        "it has commits",
        "off.txt",
    ),
}


@pytest.mark.parametrize("what", UNDELIVERED)
async def test_what_is_not_delivered_stays_and_the_command_gets_it(lab: PruningLab, what: str) -> None:
    command, reason, name = UNDELIVERED[what]
    repo = lab.repository()
    task, workspace = await lab.finished(repo, keep=True)
    lab.agent(workspace, command)
    lab.disk = DiskSettings(most_gb=1e-9)
    lab.clock.advance(1000 * DAY)
    item = await lab.item(task.id)
    assert not item.goes
    assert item.why.startswith(reason)
    assert await lab.gone(days=0) == []
    lab.run(lab.directory, "bash", "-c", item.holding.command)
    assert name in lab.files(repo, f"{workspace.branch}-2")
    assert await lab.gone(days=0) == [task.id]


async def test_work_that_was_never_delivered_stays(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(repo, state="failed", deliver=False)
    lab.clock.advance(1000 * DAY)
    item = await lab.item(task.id, days=0)
    assert (item.goes, item.why) == (False, "it has commits that are on no branch of the source")
    lab.run(lab.directory, "bash", "-c", item.holding.command)
    assert lab.show(repo, f"{workspace.branch}-2", "new.txt") == "new\n"


async def test_a_tag_with_a_message_is_work_too(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(repo, keep=True)
    lab.agent(workspace, "git tag -m 'a careful message' v1")
    item = await lab.item(task.id, days=0)
    assert item.why == "it has tags that the source has not"
    lab.run(lab.directory, "bash", "-c", item.holding.command)
    assert "careful" in lab.git(repo, "cat-file", "tag", "v1")
    assert await lab.gone(days=0) == [task.id]


async def test_a_branch_that_was_deleted_unmerged_goes_in_time_like_any_other(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(repo)
    lab.git(repo, "branch", "-D", workspace.branch)
    lab.clock.advance(2 * HOUR)
    assert await lab.gone() == []
    lab.clock.advance(14 * DAY)
    assert await lab.gone() == [task.id]


async def test_a_branch_that_was_deleted_and_collected_stays(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(repo)
    lab.git(repo, "branch", "-D", workspace.branch)
    lab.git(repo, "reflog", "expire", "--expire=now", "--all")
    lab.git(repo, "gc", "-q", "--prune=now")
    lab.clock.advance(1000 * DAY)
    item = await lab.item(task.id)
    assert (item.goes, item.why) == (False, "it has commits that are on no branch of the source")
    assert await lab.gone(days=0) == []


async def test_what_came_from_a_repository_that_is_gone_stays(lab: PruningLab) -> None:
    repo = lab.repository()
    task, _ = await lab.finished(repo)
    shutil.rmtree(repo)
    lab.clock.advance(1000 * DAY)
    item = await lab.item(task.id)
    assert not item.goes
    assert str(repo) in item.why
    assert await lab.gone(days=0) == []


async def test_above_the_budget_the_oldest_goes_before_its_time_until_it_fits(lab: PruningLab) -> None:
    repo = lab.repository()
    tasks = []
    for _ in range(4):
        tasks.append((await lab.finished(repo, keep=True))[0].id)
        lab.clock.advance(HOUR)
    [first] = (lab.home / "worktrees").glob(f"{tasks[0]}-*")
    (first / "precious").write_bytes(os.urandom(100_000))
    plan = await lab.plan()
    assert plan.taken
    sizes = {item.holding.name: item.holding.bytes or 0 for item in plan.items}
    lab.disk = DiskSettings(most_gb=(plan.taken - sizes[tasks[1]] - 1) / 1e9)
    assert await lab.gone() == tasks[1:3]
    assert await lab.gone() == []


async def test_a_task_that_was_taken_up_again_after_the_look_keeps_everything(lab: PruningLab) -> None:
    task, workspace = await lab.finished(lab.repository(), state="failed", keep=True)
    pruner = lab.pruner()
    plan = await pruner.plan(days=0)
    assert [item.goes for item in plan.items] == [True]
    await lab.store.control(task.id, Retry())
    told: list[Done] = []
    assert await pruner.carry_out(plan, told.append) == told
    assert [(done.gone, done.why) for done in told] == [(False, "somebody has begun to use it")]
    assert workspace.path.is_dir()


async def test_a_task_that_was_taken_up_and_ended_since_the_look_keeps_everything(lab: PruningLab) -> None:
    task, workspace = await lab.finished(lab.repository(), state="failed", keep=True)
    pruner = lab.pruner()
    plan = await pruner.plan(days=0)
    await lab.store.control(task.id, Retry())
    await lab.store.claim_task("w", task.id)
    await lab.settle(task, "completed")
    assert [done.gone for done in await pruner.carry_out(plan, lambda _done: None)] == [False]
    assert workspace.path.is_dir()


async def fork(lab: PruningLab, task: Task) -> str:
    new = msgspec.structs.replace(task, id=f"{task.id}f", forked_from=f"{task.id}:1")
    session: list[Entry] = []
    await lab.store.submit(new, session=session)
    return new.id


async def test_what_a_fork_begins_with_stays_until_it_has_begun(lab: PruningLab) -> None:
    task, _ = await lab.finished(lab.repository())
    name = await fork(lab, task)
    item = await lab.item(task.id, days=0)
    assert item.why == f"task {name}, which has not begun, is a fork of it"
    assert await lab.gone(days=0) == []


async def test_a_fork_that_came_in_after_the_look_finds_what_it_begins_with(lab: PruningLab) -> None:
    repo = lab.repository()
    task, _ = await lab.finished(repo)
    pruner = lab.pruner()
    plan = await pruner.plan(days=0)
    await fork(lab, task)
    for _ in range(20):
        await lab.store.submit(lab.task(repo))
    assert [done.gone for done in await pruner.carry_out(plan, lambda _done: None)] == [False]
    assert lab.left_overs()


async def test_what_another_task_borrows_from_stays(lab: PruningLab) -> None:
    first, workspace = await lab.finished(lab.repository(), keep=True)
    second, _ = await lab.begun(workspace.path)
    item = await lab.item(first.id, days=0)
    assert item.why == f"the repository of task {second.id} borrows its objects"
    assert await lab.gone(days=0) == []


async def test_only_one_prunes_at_a_time(lab: PruningLab) -> None:
    task, _ = await lab.finished(lab.repository())
    lab.clock.advance(20 * DAY)
    async with lab.pruner().alone(wait=False) as ours:
        assert ours
        assert await lab.pruner().maintain() == []
        async with lab.pruner().alone(wait=False) as second:
            assert not second
    assert [done.item.holding.name for done in await lab.pruner().maintain()] == [task.id]


async def test_two_that_prune_at_once_do_each_thing_once_and_harm_nothing(lab: PruningLab) -> None:
    repo = lab.repository()
    for _ in range(3):
        await lab.finished(repo, keep=True)
    plans = [await lab.plan(days=0), await lab.plan(days=0)]
    both = await asyncio.gather(*(lab.pruner().carry_out(plan, lambda _done: None) for plan in plans))
    assert not lab.left_overs()
    assert all(done.gone for done in both[0])
    assert len(lab.git(repo, "branch", "--list", "kugetsu/*").splitlines()) == 3


async def test_maintenance_looks_only_at_what_is_due(lab: PruningLab) -> None:
    repo = lab.repository()
    old, _ = await lab.finished(repo)
    lab.clock.advance(15 * DAY)
    new, _ = await lab.finished(repo)
    plan = await lab.pruner().plan(thorough=False)
    looked = {item.holding.name: (item.goes, item.holding.obstacle) for item in plan.items}
    assert looked == {old.id: (True, ""), new.id: (False, None)}
    assert plan.taken is None
    [done] = await lab.pruner().maintain()
    assert done.gone
    assert done.item.holding.bytes


async def test_scratch_of_tasks_that_are_over_goes_at_once(lab: PruningLab) -> None:
    task, _ = await lab.finished(lab.repository())
    for name in (task.id, "nobody"):
        (lab.home / "scratch" / name / "tmp").mkdir(parents=True)
        (lab.home / "scratch" / name / "tmp" / "x").write_text("x")
    lab.time_of_files()
    assert await lab.gone(days=99) == [task.id, task.id]
    assert [path.name for path in (lab.home / "scratch").iterdir()] == ["nobody"]
    lab.clock.advance(100 * DAY)
    assert "nobody" in await lab.gone(days=99)


async def test_what_a_killed_process_was_removing_goes(lab: PruningLab) -> None:
    for room in ("worktrees", "repos", "mirrors", "scratch"):
        (lab.home / room / ".gone-x" / "in").mkdir(parents=True)
    clone = lab.home / "mirrors" / ".r-0123.git.0a1b2c3d"
    clone.mkdir()
    lock = lab.home / "repos" / ".x.git.lock"
    lock.touch()
    stranger = lab.home / "repos" / "notes.txt"
    stranger.touch()
    assert sorted(await lab.gone()) == sorted([*4 * [".gone-x"], clone.name])
    assert not lock.exists()
    assert (await lab.item("notes.txt")).why == "it is nothing that Kugetsu makes"
    assert stranger.exists()


async def test_what_no_record_knows_goes_when_it_is_old_and_delivered(lab: PruningLab) -> None:
    repo = lab.repository()
    good, bad = await lab.create(repo), await lab.create(repo)
    lab.agent(bad, "echo x > precious")
    lab.time_of_files()
    assert await lab.gone() == []
    lab.clock.advance(15 * DAY)
    assert await lab.gone() == [good.path.name.partition("-")[0]]
    assert (await lab.item(bad.path.name.partition("-")[0])).why == "uncommitted files are in its worktree"
    lab.agent(bad, "rm precious; echo x >> $(git rev-parse --git-common-dir)/info/exclude")
    item = await lab.item(bad.path.name.partition("-")[0])
    assert (item.goes, item.why) == (False, "no record says what is in it")


async def test_a_worktree_that_was_moved_aside_goes_only_if_the_repository_has_all_of_it(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(repo, keep=True)
    same, other = (workspace.path.with_name(f"{workspace.path.name}.aside-{n:08x}") for n in (1, 2))
    for path in (same, other):
        shutil.copytree(workspace.path, path, symlinks=True)
    (other / "README.md").write_text("edited\n")
    Path(same / "link").symlink_to("nowhere")
    lab.commit(repo, {})
    lab.time_of_files()
    lab.clock.advance(15 * DAY)
    assert {(await lab.item(path.name)).goes for path in (same, other)} == {False}
    (same / "link").unlink()
    assert (await lab.item(same.name)).goes
    assert (await lab.item(other.name)).why == "files in it may be nowhere else"
    assert set(await lab.gone()) == {task.id, same.name}
    assert other.is_dir()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
async def test_what_may_not_be_removed_is_told_and_others_go(lab: PruningLab) -> None:
    repo = lab.repository()
    first, workspace = await lab.finished(repo, keep=True)
    second, _ = await lab.finished(repo)
    (lab.home / "worktrees").chmod(0o500)
    try:
        told = {done.item.holding.name: done.gone for done in await lab.prune(days=0)}
    finally:
        (lab.home / "worktrees").chmod(0o700)
    assert told == {first.id: False, second.id: True}
    assert workspace.path.is_dir()
