"""What became of something that was told."""

from typing import Literal

import msgspec


class HookAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a source.

    Attributes:
        status: of HTTP: 202 when a task was started, else 200.
        what: `started` a task; `duplicate`: that was done before; `done` what a command asks for; `ignored` for a reason; `pong`.
        task: id of the task; empty when it is about none.
        why: why it was ignored; what a command led to.
    """

    status: int = 200
    what: Literal["started", "duplicate", "done", "ignored", "pong"]
    task: str = ""
    why: str = ""

    @property
    def body(self) -> object:
        """What is sent, as JSON."""
        return {"what": self.what, "task": self.task, "why": self.why}


def ignored(why: str, task: str = "") -> HookAnswer:
    """Nothing was done."""
    return HookAnswer(what="ignored", why=why, task=task)
