"""What users of Hermes do with tasks, by a tool or by a command: done, and said in words."""

import re
from typing import Any, Final

from . import words
from .contract import Json, Tasks
from .origin import Origin, current_origin
from .server import ServerTasks
from .settings import Settings, load_settings
from .spawning import SpawnedTasks
from .trouble import Trouble

VERBS: Final = ("steer", "answer", "cancel", "pause", "resume", "retry")
"""What can be done to a task."""

OPEN: Final = ("running", "waiting", "paused", "pending")
"""States of tasks that are not over."""

_SPOKEN: Final = ("steer", "answer")
_MOST_LISTED: Final = 15
_MOST_DIFF: Final = 12_000
_TASK: Final = re.compile(r"[^\s\x00-\x1f\x7f]{1,300}")
_ENDING: Final = "Task {id} ends as soon as its agent lets go ({state}); its work is kept on its branch."
_DONE: Final = {
    "steer": "The agent of task {id} is told ({state}).",
    "answer": "Task {id} has its answer and goes on ({state}).",
    "cancel": "Task {id} is cancelled; its work is kept on its branch.",
    "pause": "Task {id} rests after its current turn ({state}).",
    "resume": "Task {id} goes on ({state}).",
    "retry": "Task {id} is tried again ({state}).",
}


class Desk:
    """Does what somebody asks for, and says what came of it. Every method may raise `Trouble`."""

    def __init__(self, settings: Settings, origin: Origin) -> None:
        self._settings = settings
        self._origin = origin
        self.tasks = open_tasks(settings)

    def submit(self, prompt: str, *, repo: str = "", subject: str = "", **more: Any) -> str:  # noqa: ANN401 - see NewTask
        """Put a task into the queue.

        Args:
            prompt: the job.
            repo: a short name, a path or a URL; empty for the default one.
            subject: the issue that it is about.
            more: other fields of a new task of Kugetsu: model, base, check, priority.
        """
        if not prompt.strip():
            raise Trouble("the task has no prompt", fix="say what is to be done")
        if not subject or repo:
            repo = self._settings.repository(repo)
        if not (repo or subject):
            raise Trouble("the task names no repository", fix=self._known_repositories())
        asked = {"prompt": prompt, "repo": repo, "subject": subject, **more}
        new: Json = {name: value for name, value in asked.items() if value not in ("", 0, None)}
        if key := self._origin.key(new):
            new["key"] = key
        if reply_to := self._reply_to():
            new["reply_to"] = reply_to
        task, created = self.tasks.submit(new)
        return words.accepted(task, created=created, told=bool(reply_to))

    def status(self, task: str = "") -> str:
        """Where a task stands, or all that are not over."""
        if task:
            return words.details(self.tasks.show(_named(task)))
        found = self.tasks.newest(OPEN, _MOST_LISTED)
        return words.listing(found) if found else "No task is at work or waiting."

    def listing(self) -> str:
        """The newest tasks."""
        return words.cut(words.listing(self.tasks.newest((), _MOST_LISTED)))

    def control(self, task: str, verb: str, text: str = "") -> str:
        """Do something to a task; `text` is what is said to it, or why."""
        if verb not in VERBS:
            raise Trouble(f"there is no action {verb[:40]!r}", fix=f"actions are {', '.join(VERBS)}")
        if verb in _SPOKEN and not text.strip():
            raise Trouble(f"there is nothing to {verb} with", fix="give the words as `text`")
        done = self.tasks.control(_named(task), verb, self._body(verb, text))
        said = _ENDING if verb == "cancel" and done.get("state") != "cancelled" else _DONE[verb]
        return said.format(id=done.get("id", task), state=words.state(done))

    def result(self, task: str, *, diff: bool = False) -> str:
        """What came out of a task, with the patch if that is wanted."""
        found = self.tasks.show(_named(task))
        patch = words.cut(self.tasks.diff(str(found.get("id"))), _MOST_DIFF) if diff else ""
        return words.result(found, patch)

    def _body(self, verb: str, text: str) -> Json:
        match verb:
            case "steer":
                key = self._origin.key(["steer", text])
                return {"text": text, "key": key} if key else {"text": text}
            case "answer":
                return {"text": text}
            case "cancel" | "pause":
                return {"reason": text or "asked for in the chat"}
            case _:
                return {}

    def _reply_to(self) -> dict[str, str]:
        known = self._settings.platforms
        if known is not None and self._origin.platform not in known:
            return {}
        return self._origin.reply_to(self._settings.target)

    def _known_repositories(self) -> str:
        names = ", ".join(sorted(self._settings.repositories)[:20])
        return f"give `repo`: one of {names}, or a path or URL" if names else "give `repo`: its path or URL"


def open_desk() -> Desk:
    """A desk for whoever asks now, with the settings as they are now.

    Raises:
        Trouble: the settings cannot be used.
    """
    return Desk(load_settings(), current_origin())


def open_tasks(settings: Settings) -> Tasks:
    """Kugetsu, the way that the settings say."""
    return SpawnedTasks(settings) if settings.mode == "spawn" else ServerTasks(settings)


def _named(task: str) -> str:
    if _TASK.fullmatch(task):
        return task
    raise Trouble(f"{task[:40]!a} names no task", fix="give its id, as kugetsu_status lists it")
