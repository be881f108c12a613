"""What models are told of the tools."""

from typing import Final

from .contract import Json
from .desk import VERBS

_TASK: Final[Json] = {
    "type": "string",
    "description": "The task's id (or a unique beginning of it), or the issue it is about: owner/repo#number.",
}


def _schema(name: str, description: str, properties: Json, required: tuple[str, ...]) -> Json:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": description, "parameters": parameters}


_PROMPT: Final[Json] = {
    "type": "string",
    "description": "The whole job, with everything that the agent has to know: it sees nothing of this chat.",
}
_REPO: Final[Json] = {
    "type": "string",
    "description": "The repository: a short name that the user configured, a path or a URL."
    " May be left out for the default one.",
}

SUBMIT: Final = _schema(
    "kugetsu_submit",
    "Give a coding task to an agent of Kugetsu, which works on it in the background in a git worktree of its own and"
    " delivers a branch. Returns at once with the task's id; the result, or a question, is posted into this chat"
    " later. Do not wait or poll for it. For several independent jobs call it once for each.",
    {
        "prompt": _PROMPT,
        "repo": _REPO,
        "subject": {
            "type": "string",
            "description": "The issue or pull request it is about, if any: host/owner/repo#number or its URL.",
        },
        "base": {"type": "string", "description": "Branch, tag or commit to start from. Default: the main one."},
        "check": {
            "type": "string",
            "description": "Shell command whose success proves the work, e.g. `make test`.",
        },
        "model": {"type": "string", "description": "provider/model for the agent. Default: as configured."},
    },
    ("prompt",),
)

PI_AGENT: Final = _schema(
    "pi_agent", "An older name of kugetsu_submit; does the same.", {"prompt": _PROMPT, "repo": _REPO}, ("prompt",)
)

STATUS: Final = _schema(
    "kugetsu_status",
    "Where tasks of Kugetsu stand: one task by its id, or without an id all that are not over.",
    {"task": _TASK},
    (),
)

CONTROL: Final = _schema(
    "kugetsu_control",
    "Do something to a task of Kugetsu. answer: answer the question that it waits with. steer: say something to its agent"
    " while it works. cancel: end it. pause, resume: let it rest, let it go on. retry: try a failed or cancelled one again.",
    {
        "task": _TASK,
        "action": {"type": "string", "enum": list(VERBS), "description": "What to do."},
        "text": {"type": "string", "description": "The answer, what to say to the agent, or the reason."},
    },
    ("task", "action"),
)

RESULT: Final = _schema(
    "kugetsu_result",
    "What came out of a task of Kugetsu: its outcome, the agent's summary, the branch with its commits, the check.",
    {
        "task": _TASK,
        "diff": {"type": "boolean", "description": "Show the patch too (long). Default false."},
    },
    ("task",),
)
