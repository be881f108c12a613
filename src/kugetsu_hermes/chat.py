"""The command `/kugetsu`: the same as the tools, without a model."""

import asyncio
import re
from collections.abc import Callable
from typing import Final

from . import words
from .desk import VERBS, Desk, open_desk
from .trouble import Trouble

HELP: Final = """\
/kugetsu submit [repo=NAME] [owner/repo#N] TEXT - start a task
/kugetsu status [ID] - where one task stands, or all that are not over
/kugetsu list - the newest tasks
/kugetsu result ID [diff] - what came out of it
/kugetsu answer ID TEXT - answer its question
/kugetsu steer ID TEXT - say something to its agent
/kugetsu cancel ID [WHY], pause ID, resume ID, retry ID
The beginning of an ID is enough."""

DESCRIPTION: Final = (
    "Coding tasks of Kugetsu: submit, status, list, result, answer, steer, cancel, pause, resume, retry"
)

_FAMILIAR: Final = {
    "delegate": "submit",
    "start": "submit",
    "continue": "resume",
    "destroy": "cancel",
    "show": "status",
}
"""Words that users of the first Kugetsu know."""

_SUBJECT: Final = re.compile(r"(?:https?://\S+/(?:issues|pull|pulls|merge_requests)/\d+\S*|[\w.:-]+(?:/[\w.-]+)+#\d+)")


async def kugetsu_command(arguments: str = "") -> str:
    """Do what somebody writes behind `/kugetsu`. Does not hold up the other chats of Hermes meanwhile."""
    return await asyncio.to_thread(answer, arguments)


def answer(arguments: str) -> str:
    """Do what somebody writes behind `/kugetsu`, and say what came of it. Never raises."""
    verb, _, rest = arguments.strip().partition(" ")
    verb = _FAMILIAR.get(verb.lower(), verb.lower())
    if verb in ("", "help"):
        return HELP
    do = _VERBS.get(verb)
    if do is None:
        return f"I do not know “{words.line(verb, 40)}”.\n{HELP}"
    try:
        return words.cut(do(open_desk(), rest.strip()))
    except Trouble as trouble:
        return str(trouble)


def _submit(desk: Desk, rest: str) -> str:
    repo = subject = ""
    while rest:
        first, _, after = rest.partition(" ")
        if not repo and first.startswith("repo="):
            repo = first.removeprefix("repo=")
        elif not subject and _SUBJECT.fullmatch(first):
            subject = first
        else:
            break
        rest = after.lstrip()
    return desk.submit(rest, repo=repo, subject=subject)


def _result(desk: Desk, rest: str) -> str:
    task, _, more = rest.partition(" ")
    return desk.result(task, diff=more.strip() == "diff")


def _control(verb: str) -> Callable[[Desk, str], str]:
    def do(desk: Desk, rest: str) -> str:
        task, _, text = rest.partition(" ")
        if not task:
            raise Trouble("which task?", fix=f"/kugetsu {verb} ID; `/kugetsu list` shows the ids")
        return desk.control(task, verb, text.strip())

    return do


_VERBS: Final[dict[str, Callable[[Desk, str], str]]] = {
    "submit": _submit,
    "status": lambda desk, rest: desk.status(rest),
    "list": lambda desk, _: desk.listing(),
    "result": _result,
    **{verb: _control(verb) for verb in VERBS},
}
