"""Where work on something is done, and the name it goes by. No address is ever taken from a body."""

from collections.abc import Mapping

import msgspec

from kugetsu.app.projects import DEFAULT_HOST, subject_of
from kugetsu.config import ProjectSettings, RuleSettings, Settings, WebhookSettings
from kugetsu.errors import UsageError
from kugetsu.gateway.webhooks.told import Nothing, Told
from kugetsu.tasks import parse_subject


class Place(msgspec.Struct, frozen=True):
    """Where work is done.

    Attributes:
        repo: path or URL.
        project: what else is known of the repository.
    """

    repo: str
    project: ProjectSettings


def located(told: Told, source: WebhookSettings, settings: Settings) -> Told | Nothing:
    """The same, with the host of its repository as `origin`; or why it is from somewhere else.

    A source whose host is not in the settings cannot speak for one that another source speaks for.

    Raises:
        UsageError: a generic source names an issue whose host nobody knows.
    """
    if told.event == "task":
        return _named(told, source, settings.projects) if told.subject else told
    if not told.repository:
        return Nothing("it names no repository")
    host = source.host.lower() or (DEFAULT_HOST if source.kind == "github" else told.origin)
    if not host:
        return Nothing("the address of its repository names no host")
    others = {other.host.lower() for other in settings.webhooks.values()} | {DEFAULT_HOST}
    wrong = told.origin not in {"", host} if source.kind == "github" else host in others
    if not source.host and wrong:
        return Nothing(f"its repository is at {told.origin}: name the `host` of this source in the settings")
    return msgspec.structs.replace(told, origin=host)


def _named(told: Told, source: WebhookSettings, projects: Mapping[str, ProjectSettings]) -> Told:
    subject = parse_subject(told.subject)
    if subject is None:
        raise UsageError("`subject` names no issue", fix="write host/owner/repo#number, or its URL")
    host = subject.host or source.host.lower() or subject_of(told.subject, projects).host
    return msgspec.structs.replace(told, repository=subject.path, number=subject.number, origin=host)


def subject_name(told: Told) -> str:
    """The name of the issue that it is about; empty when it is about none that could have one."""
    subject = parse_subject(f"{told.origin}/{told.repository}#{told.number}") if told.number and told.origin else None
    return str(subject) if subject is not None and subject.host else ""


def place_of(
    told: Told, rule: RuleSettings, source: WebhookSettings, projects: Mapping[str, ProjectSettings]
) -> Place | Nothing:
    """Where to work: as the rule says, else the project of the repository, else its address; or why nowhere."""
    name = f"{told.origin}/{told.repository}" if told.repository else ""
    known = {name.lower(): project for name, project in projects.items()}.get(name.lower())
    project = known or ProjectSettings()
    if repo := rule.repo or told.repo or project.repo:
        return Place(repo, project)
    if not name:
        return Nothing("it says neither `repo` nor `subject`, and the rule names no `repo`")
    if known is None and told.origin not in {DEFAULT_HOST, source.host.lower()}:
        return Nothing(f"nothing in the settings names the host {told.origin}")
    return Place(f"https://{name}", project)
