"""The parts of what GitHub, Gitea and Forgejo send that are looked at; everything else is skipped unread.

https://docs.github.com/webhooks/webhook-events-and-payloads; Gitea: `modules/structs/hook.go`; Forgejo: also
`modules/structs/action.go` of its repository.
"""

from typing import Annotated

import msgspec

Number = Annotated[int, msgspec.Meta(ge=0, le=10**17)]


class User(msgspec.Struct):
    """An account; Gitea calls the login `username` too."""

    login: str = ""
    username: str = ""
    type: str = ""

    @property
    def name(self) -> str:
        """Its login."""
        return self.login or self.username


class Label(msgspec.Struct):
    """A label of an issue."""

    name: str = ""


class Repository(msgspec.Struct):
    """A repository."""

    full_name: str = ""
    html_url: str | None = None


class Head(msgspec.Struct):
    """Where a pull request comes from; it has no repository when that was deleted."""

    ref: str | None = None
    repo: Repository | None = None


class Issue(msgspec.Struct):
    """An issue or a pull request; one that is read as an issue says so by its `pull_request`."""

    number: Number
    title: str | None = None
    body: str | None = None
    html_url: str | None = None
    user: User | None = None
    labels: tuple[Label, ...] | None = None
    head: Head | None = None
    pull_request: dict[str, object] | None = None


class Comment(msgspec.Struct):
    """A comment, on an issue or on lines of a pull request."""

    body: str | None = None
    html_url: str | None = None
    user: User | None = None
    created_at: str | None = None
    path: str | None = None
    diff_hunk: str | None = None


class Review(msgspec.Struct):
    """A review; its words are `body` on GitHub, `content` elsewhere."""

    body: str | None = None
    content: str | None = None
    html_url: str | None = None
    user: User | None = None
    submitted_at: str | None = None


class Changes(msgspec.Struct):
    """What changed on an issue (newer Gitea only)."""

    added_labels: tuple[Label, ...] | None = None
    removed_labels: tuple[Label, ...] | None = None


class RepositoryName(msgspec.Struct, frozen=True):
    """A repository, by the address of its API."""

    url: str = ""


class Side(msgspec.Struct, frozen=True):
    """What a pull request is for, or from."""

    repo: RepositoryName = RepositoryName()


class PullRequestName(msgspec.Struct):
    """A pull request of a check."""

    number: Number
    base: Side = Side()


class Output(msgspec.Struct):
    """What a check says."""

    title: str | None = None
    summary: str | None = None
    text: str | None = None


class Check(msgspec.Struct):
    """A run of a check, a suite of checks, or a run of a workflow."""

    name: str | None = None
    display_title: str | None = None
    conclusion: str | None = None
    head_branch: str | None = None
    head_sha: str | None = None
    html_url: str | None = None
    check_suite: "Check | None" = None
    pull_requests: tuple[PullRequestName, ...] | None = None
    head_repository: Repository | None = None
    output: Output | None = None


class ActionRun(msgspec.Struct):
    """A run of a workflow, as Forgejo tells of it."""

    title: str | None = None
    workflow_id: str | None = None
    prettyref: str | None = None
    commit_sha: str | None = None
    html_url: str | None = None
    is_fork_pull_request: bool = False
    repository: Repository | None = None
    trigger_user: User | None = None


class Branch(msgspec.Struct):
    """A branch that a commit is on."""

    name: str = ""
