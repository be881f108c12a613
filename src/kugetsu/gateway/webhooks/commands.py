"""Commands in comments: `/kugetsu`, and what is to be done."""

import re
from typing import Final, Literal, get_args

import msgspec

from kugetsu.gateway.webhooks.told import Nothing

PREFIX: Final = "/kugetsu"

Verb = Literal["run", "answer", "steer", "cancel", "pause", "resume", "retry", "status"]
"""`run` starts a task; the others are for the newest one about the same issue."""

_COMMAND: Final = re.compile(rf"{PREFIX}(?=\s|$)[^\S\n]*(?P<first>[^\n]*)\n?(?P<rest>.*)", re.DOTALL)
_SPEECH: Final = frozenset({"run", "answer", "steer"})
"""Verbs that are followed by words."""


class Command(msgspec.Struct, frozen=True):
    """What somebody wants.

    Attributes:
        text: for `run` the job, empty for the issue itself; what to say; why to cancel or to pause.
    """

    verb: Verb
    text: str = ""


def parse_command(comment: str) -> Command | Nothing:
    """Read a comment; or say why there is no command in it.

    A word such as `cancel` is a command only when it stands alone on the first line: nobody loses work because a job begins
    with it, and nobody starts one because a command was garnished.
    """
    found = _COMMAND.fullmatch(comment.strip())
    if found is None:
        return Nothing(f"it does not begin with {PREFIX}")
    first, rest = found["first"].strip(), found["rest"].strip()
    word, _, more = first.partition(" ")
    verb = next((verb for verb in get_args(Verb) if verb == word.lower()), None)
    if verb is None:
        return Command("run", f"{first}\n{rest}".strip())
    text = f"{more.strip()}\n{rest}".strip()
    if verb not in _SPEECH and more:
        return Nothing(f"`{verb}` has to stand alone on its line; a job that begins so is `{PREFIX} run {verb} ...`")
    if verb in {"answer", "steer"} and not text:
        return Nothing(f"`{PREFIX} {verb}` says nothing")
    return Command(verb, text)
