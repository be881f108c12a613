"""What users do, as requests."""

from collections.abc import Collection, Mapping
from typing import Any, Final, assert_never
from urllib.parse import quote, urlencode

from kugetsu.client.transport import Request
from kugetsu.errors import TaskNotFoundError
from kugetsu.messages import encode_json
from kugetsu.tasks import Answer, Cancel, Control, Limits, Pause, Prioritise, Resume, Retry, Say

TASKS: Final = "/v1/tasks"

Query = Mapping[str, str | int | Collection[str]]
"""Values by name; several values repeat the name."""


def get(path: str, query: Query | None = None) -> Request:
    """Read something."""
    pairs: list[tuple[str, str | int]] = []
    for name, value in (query or {}).items():
        values = [value] if isinstance(value, str | int) else value
        pairs += [(name, each) for each in values]
    return Request(path=path, query=urlencode(pairs))


def post(path: str, body: object, *, repeatable: bool) -> Request:
    """Change something."""
    return Request(method="POST", path=path, body=encode_json(body), repeatable=repeatable)


def path_of(task: str, rest: str = "") -> str:
    """The path of a task by its id, a beginning of it, or its subject.

    Raises:
        TaskNotFoundError: no task has such a name.
    """
    if not task or task in {".", ".."}:
        raise TaskNotFoundError(f"no task is called {task!r}", fix="give an id, or the name of an issue")
    return f"{TASKS}/{quote(task, safe='', errors='replace')}{rest}"


def control_request(task: str, control: Control) -> Request:
    """Do something to a task.

    Raises:
        TaskNotFoundError: no task has such a name.
    """
    body: dict[str, Any]
    # An answer that comes twice might answer the next question too, and another try be one too many.
    repeatable = True
    match control:
        case Cancel():
            verb, body = "cancel", {"reason": control.reason}
        case Pause():
            verb, body = "pause", {"reason": control.reason}
        case Resume():
            return resume_request(task, _named(control.limits) if control.limits else {})
        case Retry():
            verb, body, repeatable = "retry", {}, False
        case Say():
            verb, body = "steer", {"text": control.text, "follow_up": control.kind == "follow_up", "key": control.key}
            repeatable = bool(control.key)
        case Answer():
            verb, body, repeatable = "answer", {"text": control.text}, False
        case Prioritise():
            verb, body = "priority", {"priority": control.priority}
        case _:
            assert_never(control)
    return post(path_of(task, f"/{verb}"), body, repeatable=repeatable)


def resume_request(task: str, limits: Mapping[str, float]) -> Request:
    """Let a task go on.

    Raises:
        TaskNotFoundError: no task has such a name.
    """
    whole = {name: int(value) if float(value).is_integer() else value for name, value in limits.items()}
    return post(path_of(task, "/resume"), {"limits": whole}, repeatable=True)


def _named(limits: Limits) -> dict[str, float]:
    return {name: getattr(limits, name) for name in limits.__struct_fields__}
