"""The tools: what a model can do with tasks."""

from collections.abc import Mapping
from typing import Any, Final, assert_never

import msgspec

from kugetsu.errors import UsageError, WorkspaceError
from kugetsu.gateway.mcp.answers import (
    LogsAnswer,
    ResultAnswer,
    StatusAnswer,
    SubmitAnswer,
    TaskAnswer,
    TaskLine,
    task_fields,
)
from kugetsu.gateway.mcp.arguments import (
    ControlArguments,
    LogsArguments,
    ResultArguments,
    StatusArguments,
    SubmitArguments,
)
from kugetsu.gateway.mcp.calls import Call, McpTool, Reply
from kugetsu.gateway.mcp.phrases import line
from kugetsu.gateway.mcp.rendering import list_text, log_text, result_text, task_text
from kugetsu.gateway.mcp.standing import NOBODY_WORKS, next_step
from kugetsu.gateway.mcp.waiting import wait_for
from kugetsu.protocols import NewTask, TaskDetails
from kugetsu.tasks import Answer, Cancel, Control, Pause, Prioritise, Retry, Say


async def submit(arguments: SubmitArguments, call: Call) -> Reply:
    """Put a task into the queue."""
    new = NewTask(
        prompt=arguments.prompt,
        repo=call.repository(arguments.repo) if arguments.repo or not arguments.subject else "",
        model=arguments.model,
        base=arguments.base,
        check=arguments.check or None,
        priority=arguments.priority,
        after=arguments.after,
        subject=arguments.subject,
        reply_to=arguments.reply_to,
        key=arguments.key,
    )
    accepted = await call.service.submit(new)
    task = await wait_for(call.service, accepted.task, arguments.wait_seconds, call.progress, call.places)
    head = "Accepted as task" if accepted.created else "This key was used before; it is task"
    answer = SubmitAnswer(**task_fields(task), known=not accepted.created)
    return Reply(text=task_text(task, head), answer=answer)


async def status(arguments: StatusArguments, call: Call) -> Reply:
    """Say how one task or all stand."""
    if arguments.task:
        task = await call.service.show(arguments.task)
        shown = TaskAnswer(**task_fields(task))
        return Reply(text=task_text(task), answer=StatusAnswer(next=shown.next, task=shown, served=task.served))
    stats = await call.service.stats()
    page = await call.service.list(states=arguments.states, most=arguments.limit, before=arguments.before)
    counts = {state: number for state, number in stats.tasks.items() if number}
    answer = StatusAnswer(
        next="kugetsu_status with an id says more of one task." if stats.served else NOBODY_WORKS,
        counts={str(state): number for state, number in counts.items()},
        served=stats.served,
        tasks=tuple(TaskLine.of(report) for report in page.tasks),
        older=page.next,
    )
    return Reply(text=list_text(answer), answer=answer)


async def control(arguments: ControlArguments, call: Call) -> Reply:
    """Do what somebody wants of a task."""
    _require_fitting(arguments)
    if arguments.action == "resume":
        limits = call.within_bounds(msgspec.to_builtins(arguments.limits) if arguments.limits else {})
        task = await call.service.resume(arguments.task, limits)
    else:
        task = await call.service.control(arguments.task, _wish(arguments))
    return Reply(text=task_text(task, "Done. Task"), answer=TaskAnswer(**task_fields(task)))


async def result(arguments: ResultArguments, call: Call) -> Reply:
    """Say what became of a task, and what it changed."""
    task = await call.service.show(arguments.task)
    task = await wait_for(call.service, task, arguments.wait_seconds, call.progress, call.places)
    diff, note = await _diff(task, call) if arguments.diff_characters else ("", "")
    shown = diff[: arguments.diff_characters]
    fields = task_fields(task)
    if note:
        fields["notes"] = (*fields["notes"], note)
    answer = ResultAnswer(**fields, diff=shown, diff_size=len(diff))
    return Reply(text=result_text(task, answer), answer=answer)


async def logs(arguments: LogsArguments, call: Call) -> Reply:
    """Say what happened last in a task."""
    task = await call.service.show(arguments.task)
    lines = [words async for event in call.service.events(task.id) if (words := line(event))]
    last = lines[-arguments.limit :]
    answer = LogsAnswer(
        id=task.id, state=task.state, next=next_step(task), events=tuple(last), earlier=len(lines) - len(last)
    )
    return Reply(text=log_text(answer), answer=answer)


async def _diff(task: TaskDetails, call: Call) -> tuple[str, str]:
    """What a task changed, and why that is not known."""
    if not task.branch:
        return "", ""
    try:
        return (await call.service.diff(task.id)).diff, ""
    except (UsageError, WorkspaceError) as error:  # everything else about the task is known all the same
        return "", f"there is no diff: {error.message}"


def _require_fitting(arguments: ControlArguments) -> None:
    """Look whether an action was told what it needs.

    Raises:
        UsageError: it was not.
    """
    action = arguments.action
    if action in {"steer", "answer"} and not arguments.text.strip():
        raise UsageError(f"the action {action} needs a `text`", fix="say in `text` what the agent is to hear")
    if action == "priority" and arguments.priority is msgspec.UNSET:
        raise UsageError("the action priority needs a `priority`", fix="give a number from -100 to 100")
    if arguments.limits and action != "resume":
        raise UsageError(f"the action {action} takes no `limits`", fix="they are for the action resume")


def _wish(arguments: ControlArguments) -> Control:
    match arguments.action:
        case "steer":
            return Say(arguments.text)
        case "answer":
            return Answer(arguments.text)
        case "cancel":
            return Cancel(arguments.text) if arguments.text else Cancel()
        case "pause":
            return Pause(arguments.text) if arguments.text else Pause()
        case "retry":
            return Retry()
        case "priority":
            return Prioritise(arguments.priority or 0)
        case "resume":
            raise AssertionError("`TaskService.resume` does that")
        case _:
            assert_never(arguments.action)


_SUBMIT: Final[dict[str, Any]] = {
    "scope": "submit",
    "arguments": SubmitArguments,
    "answer": SubmitAnswer,
    "run": submit,
}

_TOOLS: Final = (
    McpTool(
        name="kugetsu_submit",
        title="Give a task to a coding agent",
        description=(
            "Give a coding task to an agent that works on its own in a git worktree of the repository, beside others. "
            "Answers at once with the task's id; the work goes on in the background, for minutes. The result is a branch "
            "with commits, never a change of the user's checkout. Submit independent tasks one after the other, and look "
            "later with kugetsu_result."
        ),
        **_SUBMIT,
    ),
    McpTool(
        name="kugetsu_status",
        title="See how tasks stand",
        description=(
            "See how one task stands and what can be done next, or, without `task`, how many tasks are in each state and "
            "the newest of them. States: pending, running, waiting (for an answer or a time), paused, completed, failed, "
            "cancelled."
        ),
        scope="read",
        arguments=StatusArguments,
        answer=StatusAnswer,
        run=status,
        reads_only=True,
    ),
    McpTool(
        name="kugetsu_result",
        title="Get the result of a task",
        description=(
            "Get what became of a task: state, summary in the agent's words, branch, commits, what its check said, and "
            "the diff. With `wait_seconds` it waits for the end for a short time; when the task still runs then, call "
            "again."
        ),
        scope="read",
        arguments=ResultArguments,
        answer=ResultAnswer,
        run=result,
        reads_only=True,
    ),
    McpTool(
        name="kugetsu_control",
        title="Steer, answer, pause or end a task",
        description=(
            "Do something to a task: steer its agent in mid-run, answer its question, cancel, pause, resume, retry it, or "
            "change its priority. Nothing that an agent did is lost by any of these."
        ),
        scope="control",
        arguments=ControlArguments,
        answer=TaskAnswer,
        run=control,
        destroys=True,
    ),
    McpTool(
        name="kugetsu_logs",
        title="See what an agent does",
        description="See the last events of a task: what its agent says, which tools it calls, what failed.",
        scope="read",
        arguments=LogsArguments,
        answer=LogsAnswer,
        run=logs,
        reads_only=True,
    ),
    McpTool(
        name="pi_agent",
        title="Give a task to a coding agent (old name)",
        description="The old name of kugetsu_submit, which does the same; use that.",
        **_SUBMIT,
    ),
)

TOOLS: Final[Mapping[str, McpTool]] = {tool.name: tool for tool in _TOOLS}
"""All tools, by name."""
