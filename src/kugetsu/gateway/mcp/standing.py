"""What can be done next with a task, in the words of the tools."""

from typing import Final

from kugetsu.gateway.mcp.texts import moment
from kugetsu.protocols import TaskDetails

NOBODY_WORKS: Final = "No server works on the queue: somebody has to run `kugetsu serve`."

_AT_A_LIMIT: Final = {
    "turn_limit": "turns",
    "token_limit": "tokens",
    "money_limit": "usd",
    "wall_time": "wall_seconds",
}
"""Outcomes of tasks that were paused at a limit, and the limit that more of is needed."""


def next_step(task: TaskDetails) -> str:
    """What can be done next with a task, in a sentence or two."""
    match task.state:
        case "pending":
            return _pending(task)
        case "running":
            return _running(task)
        case "waiting" if not task.question:
            until = f" at {moment(task.available_at)}" if moment(task.available_at) else ""
            return f"It goes on by itself{until}. The action resume lets it go on at once."
        case "waiting":
            return f"It waits for an answer. {_answer(task)}"
        case "paused" if task.question:
            return f"It is paused and asks something. {_answer(task)} Then use the action resume."
        case "paused" if task.outcome and (limit := _AT_A_LIMIT.get(task.outcome.kind)):
            return (
                f"It was paused at a limit. kugetsu_control, action resume, lets it go on; raise `{limit}` in `limits`."
            )
        case "paused":
            return "kugetsu_control, action resume, lets it go on."
        case "completed" if task.branch and task.commits:
            return f"Its work is on the branch {task.branch}: review it (kugetsu_result shows the diff) and merge it."
        case "completed":
            return "It is over and made no commits; its summary says why."
        case _:
            return "It is over. kugetsu_control, action retry, tries it again, with what was tried in mind."


def _pending(task: TaskDetails) -> str:
    if task.wanted == "cancel":
        return "It is being cancelled; its work is brought home first."
    if task.waits_for:
        number = "another task is" if task.waits_for == 1 else f"{task.waits_for} other tasks are"
        return f"It starts when {number} completed."
    if not task.served:
        return f"It waits for its turn. {NOBODY_WORKS}"
    return "It waits for its turn. kugetsu_result with wait_seconds waits for its end; do other things meanwhile."


def _running(task: TaskDetails) -> str:
    match task.wanted:
        case "cancel":
            return "It is being cancelled; its work is brought home first."
        case "pause":
            return "It is being paused: its agent ends its turn."
        case _:
            return (
                "An agent works on it. kugetsu_result with wait_seconds waits for its end; "
                "kugetsu_control, action steer, says something to the agent."
            )


def _answer(task: TaskDetails) -> str:
    return f'Answer with kugetsu_control: {{"task": "{task.id}", "action": "answer", "text": ...}}.'
