"""What forges tell of checks that failed: runs of a check, suites, runs of a workflow, and the status of a commit."""

import re
from typing import Final

from msgspec.structs import replace

from kugetsu.gateway.webhooks.origins import branch_name, commit_id, link, told_by
from kugetsu.gateway.webhooks.payload import Payload
from kugetsu.gateway.webhooks.shapes import ActionRun, Branch, Check, Output, Repository, User
from kugetsu.gateway.webhooks.told import LONGEST_EXCERPT, Nothing, Told, block, line
from kugetsu.tasks import BRANCH_PREFIX

_FAILED: Final = frozenset({"failure", "timed_out", "startup_failure", "error"})
_PULL_REQUEST: Final = re.compile(r"#([1-9]\d{0,16})", re.ASCII)


def read_check_run(payload: Payload) -> Told | Nothing:
    """One check of a commit."""
    return _of_github(payload, payload.read("check_run", Check))


def read_check_suite(payload: Payload) -> Told | Nothing:
    """All checks of one program on a commit."""
    return _of_github(payload, payload.read("check_suite", Check))


def read_workflow_run(payload: Payload) -> Told | Nothing:
    """A run of a workflow, on GitHub or Gitea."""
    return _of_github(payload, payload.read("workflow_run", Check))


def read_action_run(payload: Payload) -> Told | Nothing:
    """A run of a workflow on Forgejo."""
    run = payload.read("run", ActionRun)
    told = replace(
        told_by("check_failed", run.repository or Repository(), run.trigger_user or User()),
        check=line(run.workflow_id or run.title),
        url=link(run.html_url),
        commit=commit_id(run.commit_sha),
    )
    if pull := _PULL_REQUEST.fullmatch(run.prettyref or ""):
        told = replace(told, number=int(pull[1]))
    else:
        told = replace(told, branch=branch_name(run.prettyref))
    return _failed(payload.words("action"), told, foreign=run.is_fork_pull_request)


def read_status(payload: Payload) -> Told | Nothing:
    """What somebody says of a commit."""
    branches = payload.read("branches", tuple[Branch, ...]) if payload.names("branches") else ()
    told = replace(
        told_by("check_failed", payload.repository(), payload.sender()),
        check=line(payload.words("context")),
        url=link(payload.words("target_url")),
        commit=commit_id(payload.words("sha")),
        branch=branch_name(branches[0].name) if len(branches) == 1 else "",
        excerpt=block(payload.words("description"), LONGEST_EXCERPT),
    )
    return _failed(payload.words("state"), told)


def _of_github(payload: Payload, check: Check) -> Told | Nothing:
    if (action := payload.words("action")) != "completed":
        return Nothing(f"a check that is {line(action, 40)} starts nothing")
    repository, suite = payload.repository(), check.check_suite or check
    said = check.output or Output()
    told = replace(
        told_by("check_failed", repository, payload.sender()),
        number=_pull_request(check, repository) or _pull_request(suite, repository),
        check=line(check.name or check.display_title),
        url=link(check.html_url),
        commit=commit_id(check.head_sha),
        branch=branch_name(check.head_branch or suite.head_branch),
        excerpt=block("\n\n".join(filter(None, (said.title, said.summary, said.text))), LONGEST_EXCERPT),
    )
    head = check.head_repository
    # Of a commit that is only in a fork, no branch is named.
    foreign = not told.branch or (head is not None and head.full_name.casefold() != repository.full_name.casefold())
    return _failed(check.conclusion or "", told, foreign=foreign)


def _pull_request(check: Check, repository: Repository) -> int:
    """The pull request that a check is of; 0 for none. A commit may be in pull requests of other repositories too."""
    ours = f"/repos/{repository.full_name}".casefold()
    return next(
        (pull.number for pull in check.pull_requests or () if pull.base.repo.url.casefold().endswith(ours)),
        0,
    )


def _failed(conclusion: str, told: Told, *, foreign: bool = False) -> Told | Nothing:
    if conclusion not in _FAILED:
        return Nothing("the check did not fail")
    if foreign:
        return Nothing("the check is of no branch of the repository")
    if told.branch.startswith(BRANCH_PREFIX):
        return Nothing(f"{told.branch} is the branch of a task")
    if not (told.branch or told.commit):
        return Nothing("it does not say what was checked")
    return told
