"""What a task leaves behind: its work committed, counted, and delivered as a branch."""

import msgspec

from kugetsu.errors import WorkspaceError
from kugetsu.protocols import Effect, Workspace
from kugetsu.shadows.run_log import RunLog
from kugetsu.tasks import Changes, Task

_TITLE_LENGTH = 50


class Delivery(msgspec.Struct, frozen=True):
    """What was found in the worktree, and what became of it.

    Attributes:
        delivered: whether the branch in the user's repository holds every commit.
        problems: what went wrong, one sentence each; empty when all went well.
        notes: what else the user should know, one sentence each.
    """

    changes: Changes = Changes()
    delivered: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def noting(self, note: str) -> "Delivery":
        """The same, with one more note."""
        return msgspec.structs.replace(self, notes=(*self.notes, note))

    @property
    def complete(self) -> bool:
        """Whether nothing of the work is in the worktree alone."""
        return self.delivered and not self.changes.uncommitted and not self.problems


async def deliver(workspace: Workspace, task: Task, log: RunLog, *, turn: int, commit_leftovers: bool) -> Delivery:
    """Commit what the agent did not, compute what changed, and bring the branch to the user. Never raises for git.

    May be called twice: each step looks first, and does only what is left to do.

    Raises:
        LeaseLostError, RecordError: that it is being delivered could not be written down.
    """
    effect = Effect(turn, "deliver", workspace.branch)
    problems, notes = [], []
    changes, delivered = Changes(), False
    try:
        if commit_leftovers and await workspace.commit_all(_leftover_message(task)):
            notes.append("The agent left work uncommitted; it was committed for it.")
    except WorkspaceError as error:
        problems.append(str(error))
    try:
        changes = await workspace.changes()
        await log.begin_effect(effect)
        await workspace.deliver()
        await log.end_effect(effect)
        delivered = True
    except WorkspaceError as error:
        problems.append(str(error))
    return Delivery(changes, delivered, tuple(dict.fromkeys(problems)), tuple(notes))


def shortened(text: str) -> str:
    """The beginning of a text, as a title."""
    title = " ".join(text.split())
    return f"{title[: _TITLE_LENGTH - 3]}..." if len(title) > _TITLE_LENGTH else title


def _leftover_message(task: Task) -> str:
    return (
        f"Uncommitted work: {shortened(task.prompt)}\n\n"
        f"The agent of Kugetsu task {task.id} ended without committing this.\nIt was committed for it, as it stood."
    )
