"""What forges send, cut down to what is looked at and some of what is not. Written after their documentation."""

import copy
from datetime import UTC, datetime
from typing import Any

COMMIT = "ec26c3e57ca3a959ca5aad62de7213c562f8c821"


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def github_user(login: str, kind: str = "User") -> dict[str, Any]:
    return {"login": login, "id": 21, "type": kind, "html_url": f"https://github.com/{login}", "site_admin": False}


def github_repository(name: str = "Team/Tool") -> dict[str, Any]:
    owner = name.partition("/")[0]
    return {
        "id": 186853002,
        "name": name.partition("/")[2],
        "full_name": name,
        "private": False,
        "owner": github_user(owner),
        "html_url": f"https://github.com/{name}",
        "clone_url": "https://evil.example/never/used.git",
        "default_branch": "main",
    }


def github_issue(author: str = "stranger", *labels: str, number: int = 12) -> dict[str, Any]:
    return {
        "id": 444500041,
        "number": number,
        "title": "Spelling error in the README",
        "body": "It says `recieve`.\r\n\r\nPlease fix it.",
        "html_url": f"https://github.com/Team/Tool/issues/{number}",
        "user": github_user(author),
        "labels": [{"id": 1, "name": name, "color": "d73a4a", "default": False} for name in labels],
        "state": "open",
        "assignee": None,
        "milestone": None,
        "author_association": "NONE",
    }


def issue_opened(author: str = "ada", *labels: str) -> dict[str, Any]:
    return {
        "action": "opened",
        "issue": github_issue(author, *labels),
        "repository": github_repository(),
        "sender": github_user(author),
    }


def issue_labelled(actor: str = "ada", label: str = "kugetsu", author: str = "stranger") -> dict[str, Any]:
    return {
        "action": "labeled",
        "issue": github_issue(author, "bug", label),
        "label": {"id": 2, "name": label, "color": "0e8a16"},
        "repository": github_repository(),
        "sender": github_user(actor),
    }


def issue_comment(body: str, actor: str = "ada", at: float = 0.0, number: int = 12, comment: int = 1) -> dict[str, Any]:
    return {
        "action": "created",
        "issue": github_issue(number=number),
        "comment": {
            "id": 492700400 + comment,
            "html_url": f"https://github.com/Team/Tool/issues/{number}#issuecomment-{492700400 + comment}",
            "body": body,
            "user": github_user(actor),
            "created_at": moment(at) if at else None,
            "performed_via_github_app": None,
        },
        "repository": github_repository(),
        "sender": github_user(actor),
    }


def pull_request(head_repository: str | None = "Team/Tool", number: int = 2) -> dict[str, Any]:
    head = None if head_repository is None else github_repository(head_repository)
    return {
        "number": number,
        "title": "Update the README",
        "body": "A simple change.",
        "html_url": f"https://github.com/Team/Tool/pull/{number}",
        "user": github_user("stranger"),
        "labels": [],
        "head": {"ref": "changes", "sha": COMMIT, "repo": head},
        "base": {"ref": "main", "sha": COMMIT, "repo": github_repository()},
    }


def review_comment(body: str, actor: str = "ada", head_repository: str | None = "Team/Tool") -> dict[str, Any]:
    return {
        "action": "created",
        "comment": {
            "id": 284312630,
            "path": "src/tool.py",
            "diff_hunk": "@@ -1 +1 @@\n-recieve\n+receive",
            "line": 1,
            "body": body,
            "user": github_user(actor),
            "created_at": None,
            "html_url": "https://github.com/Team/Tool/pull/2#discussion_r284312630",
        },
        "pull_request": pull_request(head_repository),
        "repository": github_repository(),
        "sender": github_user(actor),
    }


def review_submitted(body: str | None, actor: str = "ada") -> dict[str, Any]:
    return {
        "action": "submitted",
        "review": {
            "id": 237895671,
            "user": github_user(actor),
            "body": body,
            "state": "commented",
            "html_url": "https://github.com/Team/Tool/pull/2#pullrequestreview-237895671",
            "submitted_at": "2026-11-22T10:00:00Z",
        },
        "pull_request": pull_request(),
        "repository": github_repository(),
        "sender": github_user(actor),
    }


def _suite(conclusion: str, branch: str | None, pulls: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": 118578147,
        "head_branch": branch,
        "head_sha": COMMIT,
        "status": "completed",
        "conclusion": conclusion,
        "pull_requests": pulls,
        "app": {"id": 29310, "name": "linter"},
    }


def _pull(number: int, repository: str = "Team/Tool") -> dict[str, Any]:
    return {
        "number": number,
        "head": {"ref": "changes", "sha": COMMIT},
        "base": {"ref": "main", "repo": {"id": 1, "url": f"https://api.github.com/repos/{repository}"}},
    }


def check_run(
    conclusion: str = "failure", branch: str | None = "changes", actor: str = "ada", pulls: tuple[Any, ...] = ()
) -> dict[str, Any]:
    listed = [_pull(*pull) for pull in pulls]
    return {
        "action": "completed",
        "check_run": {
            "id": 128620228,
            "name": "lint",
            "head_sha": COMMIT,
            "html_url": "https://github.com/Team/Tool/runs/128620228",
            "status": "completed",
            "conclusion": conclusion,
            "output": {"title": "2 errors", "summary": "README.md:1 recieve", "text": None, "annotations_count": 2},
            "check_suite": _suite(conclusion, branch, listed),
            "pull_requests": listed,
        },
        "repository": github_repository(),
        "sender": github_user(actor),
    }


def check_suite(conclusion: str = "failure", actor: str = "ada") -> dict[str, Any]:
    return {
        "action": "completed",
        "check_suite": _suite(conclusion, "changes", []),
        "repository": github_repository(),
        "sender": github_user(actor),
    }


def workflow_run(
    conclusion: str = "failure", head_repository: str = "Team/Tool", branch: str = "changes"
) -> dict[str, Any]:
    return {
        "action": "completed",
        "workflow": {"id": 3, "name": "CI", "path": ".github/workflows/ci.yml"},
        "workflow_run": {
            "id": 30433642,
            "name": "CI",
            "head_branch": branch,
            "head_sha": COMMIT,
            "status": "completed",
            "conclusion": conclusion,
            "html_url": "https://github.com/Team/Tool/actions/runs/30433642",
            "pull_requests": [],
            "head_repository": github_repository(head_repository),
        },
        "repository": github_repository(),
        "sender": github_user("ada"),
    }


def status(state: str = "failure") -> dict[str, Any]:
    return {
        "id": 6805126730,
        "sha": COMMIT,
        "name": "Team/Tool",
        "target_url": "https://ci.example/1",
        "context": "ci/build",
        "description": "The build failed",
        "state": state,
        "branches": [{"name": "changes", "commit": {"sha": COMMIT}, "protected": False}],
        "repository": github_repository(),
        "sender": github_user("ada"),
    }


def ping() -> dict[str, Any]:
    return {
        "zen": "Keep it logically awesome.",
        "hook_id": 109948940,
        "hook": {"type": "Repository", "events": ["*"]},
        "repository": github_repository(),
        "sender": github_user("ada"),
    }


def push() -> dict[str, Any]:
    return {
        "ref": "refs/heads/main",
        "before": COMMIT,
        "after": COMMIT,
        "commits": [],
        "repository": github_repository(),
        "sender": github_user("ada"),
    }


def _gitea_user(login: str) -> dict[str, Any]:
    return {"id": 1, "login": login, "login_name": "", "full_name": "", "email": "", "username": login}


def _gitea_repository() -> dict[str, Any]:
    return {
        "id": 140,
        "owner": _gitea_user("team"),
        "name": "tool",
        "full_name": "team/tool",
        "html_url": "https://forge.example:3000/team/tool",
        "clone_url": "https://evil.example/never/used.git",
        "default_branch": "main",
        "internal_tracker": {"enable_time_tracker": True},
    }


def _gitea_issue(*labels: str, author: str = "stranger") -> dict[str, Any]:
    return {
        "id": 9,
        "url": "https://forge.example:3000/api/v1/repos/team/tool/issues/7",
        "html_url": "https://forge.example:3000/team/tool/issues/7",
        "number": 7,
        "user": _gitea_user(author),
        "title": "It crashes",
        "body": "When I press the button.",
        "labels": [{"id": 4, "name": name, "exclusive": False} for name in labels] or None,
        "state": "open",
        "pull_request": None,
        "updated_at": "2026-11-22T11:00:00+01:00",
    }


def gitea_issue_opened(author: str = "ada") -> dict[str, Any]:
    return {
        "action": "opened",
        "number": 7,
        "issue": _gitea_issue(author=author),
        "repository": _gitea_repository(),
        "sender": _gitea_user(author),
        "commit_id": "",
    }


def gitea_labels(*labels: str, changes: dict[str, Any] | None = None, updated: str = "") -> dict[str, Any]:
    body: dict[str, Any] = {
        "action": "label_updated",
        "number": 7,
        "issue": _gitea_issue(*labels),
        "repository": _gitea_repository(),
        "sender": _gitea_user("ada"),
        "commit_id": "",
    }
    if updated:
        body["issue"]["updated_at"] = updated
    return {**body, "changes": changes} if changes else body


def gitea_comment(text: str, actor: str = "ada", at: float = 0.0) -> dict[str, Any]:
    return {
        "action": "created",
        "issue": _gitea_issue("bug"),
        "comment": {
            "id": 3,
            "html_url": "https://forge.example:3000/team/tool/issues/7#issuecomment-3",
            "user": _gitea_user(actor),
            "body": text,
            "created_at": moment(at) if at else "",
        },
        "repository": _gitea_repository(),
        "sender": _gitea_user(actor),
        "is_pull": False,
    }


def gitea_review(text: str) -> dict[str, Any]:
    return {
        "action": "reviewed",
        "number": 8,
        "pull_request": {
            "number": 8,
            "title": "Another button",
            "body": "",
            "html_url": "https://forge.example:3000/team/tool/pulls/8",
            "user": _gitea_user("stranger"),
            "labels": [],
            "head": {"label": "button", "ref": "button", "sha": COMMIT, "repo": _gitea_repository()},
        },
        "requested_reviewer": None,
        "repository": _gitea_repository(),
        "sender": _gitea_user("ada"),
        "commit_id": "",
        "review": {"type": "pull_request_review_comment", "content": text},
    }


def gitea_status(state: str = "failure") -> dict[str, Any]:
    return {
        "commit": {"id": COMMIT, "message": "x"},
        "context": "ci / build",
        "created_at": "2026-11-22T11:00:00+01:00",
        "description": "Failing after 3s",
        "id": 5,
        "repository": _gitea_repository(),
        "sender": _gitea_user("ada"),
        "sha": COMMIT,
        "state": state,
        "target_url": "/team/tool/actions/runs/1",
        "updated_at": None,
    }


def forgejo_action_run(action: str = "failure", ref: str = "button", *, fork: bool = False) -> dict[str, Any]:
    return {
        "action": action,
        "run": {
            "id": 1,
            "title": "Another button",
            "repository": _gitea_repository(),
            "workflow_id": "ci.yml",
            "index_in_repo": 4,
            "trigger_user": _gitea_user("ada"),
            "ScheduleID": 0,
            "prettyref": ref,
            "commit_sha": COMMIT,
            "is_fork_pull_request": fork,
            "event": "push",
            "status": action,
            "html_url": "https://forge.example:3000/team/tool/actions/runs/4",
        },
        "prior_status": "running",
    }


def without(body: dict[str, Any], *way: str) -> dict[str, Any]:
    """A copy in which one value is missing."""
    made = copy.deepcopy(body)
    inside = made
    for name in way[:-1]:
        inside = inside[name]
    del inside[way[-1]]
    return made


def with_value(body: dict[str, Any], *way: str, value: Any) -> dict[str, Any]:
    """A copy in which one value is another."""
    made = copy.deepcopy(body)
    inside = made
    for name in way[:-1]:
        inside = inside[name]
    inside[way[-1]] = value
    return made
