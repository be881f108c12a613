"""Where a task on an issue works: by the projects of the settings, or by the issue's own address."""

from collections.abc import Mapping
from typing import Final

from kugetsu.config import ProjectSettings
from kugetsu.errors import UsageError
from kugetsu.tasks import Subject, parse_subject

DEFAULT_HOST: Final = "github.com"
"""Where `owner/repo#number` is when no project says otherwise."""


def subject_of(text: str, projects: Mapping[str, ProjectSettings]) -> Subject:
    """The issue that a user names, with its host.

    Args:
        text: what the user said.
        projects: from the settings, by `host/owner/repo`.

    Raises:
        UsageError: it names no issue; or its host was not said, and several projects fit.
    """
    subject = parse_subject(text)
    if subject is None:
        raise UsageError(f"{text[:200]!a} names no issue", fix="write host/owner/repo#number, or its URL")
    if subject.host:
        return subject
    fitting = [name for name in projects if name.lower().partition("/")[2] == subject.path]
    if len(fitting) > 1:
        raise UsageError(f"{text} may be of {' or '.join(fitting)}", fix="name the host too: host/owner/repo#number")
    host = fitting[0].lower().partition("/")[0] if fitting else DEFAULT_HOST
    return Subject(host, subject.path, subject.number)


def project_of(subject: Subject, projects: Mapping[str, ProjectSettings]) -> ProjectSettings:
    """The project of an issue, with the address of its repository."""
    known = {name.lower(): project for name, project in projects.items()}.get(subject.project, ProjectSettings())
    if known.repo:
        return known
    return ProjectSettings(f"https://{subject.project}", known.model, known.check, known.notify)
