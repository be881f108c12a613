"""Who hears of a change: a pure rule over the task, the settings and the time."""

import os.path
import re
from collections.abc import Iterator, Mapping
from typing import Final

from kugetsu.config import ProjectSettings, Settings, TargetSettings
from kugetsu.protocols import Change
from kugetsu.tasks import Task, TaskState, parse_subject

UNKNOWN: Final = TargetSettings(kind="command", command=("nobody",))
"""What counts for a target that a task names and the settings do not: the states and the time that all have unless they say
otherwise."""

_HOUR: Final = 3600.0
_URL: Final = re.compile(
    r"(?P<scheme>https?|ssh|git)://(?:[^/@\s]*@)?(?P<host>[^/:@\s]+)(?P<port>:\d{1,5})?/+(?P<path>[^?#\s]+)",
    re.IGNORECASE,
)
_SSH: Final = re.compile(r"(?:[^/@:\s]+@)(?P<host>[^/:@\s]+):/?(?P<path>[^?#\s:]+)")


def listeners(change: Change, task: Task | None, settings: Settings, now: float) -> dict[str, float]:
    """Targets that hear of a change, each with the time at which its news expire, in seconds since the epoch.

    A target that the task names and nobody set up is among them: what waits for it is visible, and goes out later.

    Args:
        change: which.
        task: whose; None for one that cannot be read, of which only those hear who hear of all.
        settings: all of them.
        now: seconds since the epoch; what is older than a target's time is not for it.
    """
    found: dict[str, float] = {}
    for name in dict.fromkeys(_named(task, settings)):
        target = settings.notify.get(name, UNKNOWN)
        until = change.at + target.expire_hours * _HOUR
        if target.kind != "none" and change.state in target.states and until > now:
            found[name] = until
    return found


def states_heard(settings: Settings) -> frozenset[TaskState]:
    """Every state of which anybody may hear."""
    targets = (UNKNOWN, *settings.notify.values())
    return frozenset(state for target in targets if target.kind != "none" for state in target.states)


def projects_of(task: Task, projects: Mapping[str, ProjectSettings]) -> list[str]:
    """The projects a task belongs to: by the issue it is about, by its repository, or by that one's address."""
    subject = parse_subject(task.subject) if task.subject else None
    addresses = _addresses(task.repo) | ({subject.project} if subject else set())
    place = _place(task.repo)
    return [
        name
        for name, project in projects.items()
        if name.lower() in addresses or (project.repo and _place(project.repo) == place)
    ]


def _named(task: Task | None, settings: Settings) -> Iterator[str]:
    if task is not None:
        if named := task.reply_to.get("target"):
            yield named
        for project in projects_of(task, settings.projects):
            yield from settings.projects[project].notify
    yield from (name for name, target in settings.notify.items() if target.all)


def _addresses(repo: str) -> set[str]:
    """What a repository's URL says that it is, as `host/owner/repo`, in small letters; with its port and without."""
    found = _URL.fullmatch(repo) or _SSH.fullmatch(repo)
    if found is None:
        return set()
    host, path = found["host"].lower(), _bare(found["path"]).lower()
    port = found.groupdict().get("port") or ""
    return {f"{host}/{path}", f"{host}{port}/{path}"}


def _place(repo: str) -> str:
    """A path or a URL in the one way in which it is compared."""
    return _bare(repo) if "://" in repo else os.path.normpath(repo)


def _bare(address: str) -> str:
    return address.rstrip("/").removesuffix(".git").rstrip("/")
