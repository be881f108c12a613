"""Whether everything in a worktree is known to be committed, without git, because that was so before."""

import msgspec

from kugetsu.workspace.looking import Look, file_mark
from kugetsu.workspace.private import Private
from kugetsu.workspace.state import State
from kugetsu.workspace.watching import Origin, Watch


class Settled:
    """Remembers when git last found nothing uncommitted in a worktree, and how the worktree looked then.

    Args:
        private: where the worktree is.
        watch: looks at it.
        origin: what is known of one that was just made.
    """

    def __init__(self, private: Private, watch: Watch, origin: Origin | None) -> None:
        self._private = private
        self._watch = watch
        self._look = origin.look if origin else None
        self._state = State(origin.commit, origin.tree, origin.commit, origin.tree) if origin else None
        self._now: Look | None = None

    async def holds(self, state: State) -> bool:
        """Whether nothing is uncommitted for certain.

        Args:
            state: what is checked out now.

        Raises:
            WorkspaceError: git could not be run.
        """
        self._now = await self._watch.look()
        return state == self._state and self._look is not None and self._look.proves(self._now)

    def found(self, state: State) -> None:
        """Since `holds` git has looked, and nothing is uncommitted."""
        self._state, self._look = state, self._now

    def committed(self, state: State) -> None:
        """Since `holds` git has looked, and all that it found is committed; only the index was written anew.

        Args:
            state: what is checked out with the new commit.
        """
        self._state = state
        index = file_mark(self._private.index)
        self._look = msgspec.structs.replace(self._now, index=index) if self._now else None
