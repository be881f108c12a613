"""What forges tell of issues, comments and reviews."""

from msgspec.structs import replace

from kugetsu.config import HookEvent
from kugetsu.gateway.webhooks.origins import LONGEST_NAME, link, moment, own_branch, told_by
from kugetsu.gateway.webhooks.payload import Payload
from kugetsu.gateway.webhooks.shapes import Changes, Comment, Issue, Label, Review, User
from kugetsu.gateway.webhooks.told import LONGEST_EXCERPT, MARKER, Nothing, Told, block, line, page


def read_issue(payload: Payload) -> Told | Nothing:
    """An issue that was opened, or that got a label."""
    action, issue = payload.words("action"), payload.read("issue", Issue)
    if action == "opened":
        return replace(_about("issue_opened", payload, issue), ours=MARKER in (issue.body or ""))
    if action == "labeled":
        added = (payload.read("label", Label),) if payload.has("label") else ()
        return _labelled(payload, issue, added)
    if action == "label_updated":
        changes = payload.read("changes", Changes) if payload.has("changes") else Changes()
        known = changes.added_labels is not None or changes.removed_labels is not None
        return _labelled(payload, issue, (changes.added_labels or ()) if known else None)
    return Nothing(f"an issue that is {line(action, 40)} starts nothing")


def read_comment(payload: Payload) -> Told | Nothing:
    """A comment on an issue or a pull request."""
    comment = payload.read("comment", Comment)
    told = _about("comment", payload, payload.read("issue", Issue))
    if payload.has("pull_request"):  # Gitea says more of it than of an issue
        told = replace(told, branch=own_branch(payload.read("pull_request", Issue), payload))
    return _said(payload, _commented(told, comment), comment.user, "created")


def read_review_comment(payload: Payload) -> Told | Nothing:
    """A comment on lines of a pull request."""
    comment, pull = payload.read("comment", Comment), payload.read("pull_request", Issue)
    told = replace(_commented(_about("review_comment", payload, pull), comment), branch=own_branch(pull, payload))
    return _said(payload, told, comment.user, "created")


def read_review(payload: Payload) -> Told | Nothing:
    """A review of a pull request as a whole."""
    review, pull = payload.read("review", Review), payload.read("pull_request", Issue)
    told = _about("review_comment", payload, pull)
    told = replace(
        told,
        text=block(review.body or review.content),
        ours=MARKER in (review.body or review.content or ""),
        url=link(review.html_url) or told.url,
        said_at=moment(review.submitted_at),
        branch=own_branch(pull, payload),
    )
    return _said(payload, told, review.user, "submitted", "reviewed")


def _about(event: HookEvent, payload: Payload, issue: Issue) -> Told:
    return replace(
        told_by(event, payload.repository(), payload.sender()),
        number=issue.number,
        pull=event == "review_comment" or issue.pull_request is not None,
        title=line(issue.title),
        body=page(issue.body),
        url=link(issue.html_url),
        author=line((issue.user or User()).name, LONGEST_NAME),
        labels=_names(issue.labels),
    )


def _labelled(payload: Payload, issue: Issue, added: tuple[Label, ...] | None) -> Told | Nothing:
    told = replace(_about("issue_labelled", payload, issue), added=None if added is None else _names(added))
    return told if (told.labels if added is None else told.added) else Nothing("no label was added")


def _commented(told: Told, comment: Comment) -> Told:
    return replace(
        told,
        text=block(comment.body),
        ours=MARKER in (comment.body or ""),
        url=link(comment.html_url) or told.url,
        path=line(comment.path),
        excerpt=block(comment.diff_hunk, LONGEST_EXCERPT),
        said_at=moment(comment.created_at),
    )


def _said(payload: Payload, told: Told, writer: User | None, *done: str) -> Told | Nothing:
    """What somebody said himself, just now; not what was changed later, or by somebody else."""
    action = payload.words("action")
    if action not in done:
        return Nothing(f"a comment that is {line(action, 40)} starts nothing")
    if writer is not None and line(writer.name, LONGEST_NAME).casefold() != told.actor.casefold():
        return Nothing("whoever sent it did not write it")
    return told


def _names(labels: tuple[Label, ...] | None) -> tuple[str, ...]:
    return tuple(name for label in labels or () if (name := line(label.name)))
