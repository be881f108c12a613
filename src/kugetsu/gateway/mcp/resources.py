"""What can be read without a tool: a task as JSON, and what it changed, as a patch."""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from kugetsu.errors import UsageError
from kugetsu.gateway.mcp.calls import Call
from kugetsu.gateway.mcp.texts import cut, one_line
from kugetsu.protocols import TaskService
from kugetsu.tasks import TaskReport

MOST_LISTED: Final = 50
"""How many tasks one page of the list names."""

_MOST_DIFF: Final = 1_000_000
_ADDRESS: Final = re.compile(r"kugetsu://tasks/(?P<task>[^/?#]{1,200})(?P<diff>/diff)?")

TEMPLATES: Final = (
    ("kugetsu://tasks/{id}", "task", "A task: all that is known of it.", "application/json"),
    ("kugetsu://tasks/{id}/diff", "diff", "What a task changed, as a patch.", "text/x-diff"),
)
"""Address, name, description and type of what can be read of each task."""


@dataclass(frozen=True)
class Document:
    """What was read."""

    kind: str
    text: str


def address_of(report: TaskReport) -> tuple[str, str, str]:
    """Address, name and description of a task in a list."""
    return f"kugetsu://tasks/{report.id}", f"{report.id} ({report.state})", one_line(report.prompt)


async def newest(service: TaskService, cursor: str) -> tuple[tuple[TaskReport, ...], str]:
    """A page of tasks, newest first, and where the next one begins (empty for nowhere).

    Raises:
        UsageError: the cursor is none of ours.
        RecordError, ServerError, AccessError: see `TaskService`.
    """
    if cursor and not cursor.isdecimal():
        raise UsageError(f"there is no page {cursor[:40]!a}", fix="take `nextCursor` of the page before")
    page = await service.list(most=MOST_LISTED, before=int(cursor or 0))
    return page.tasks, str(page.next) if page.next else ""


async def read(address: str, call: Call) -> Document:
    """Read one.

    Raises:
        UsageError: there is nothing at this address.
        AccessError: the caller may not read.
        KugetsuError: it cannot be read now.
    """
    call.require("read")
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise UsageError(f"there is nothing at {address[:200]!a}", fix=f"read {TEMPLATES[0][0]} or {TEMPLATES[1][0]}")
    if found["diff"]:
        return Document(TEMPLATES[1][3], cut((await call.service.diff(found["task"])).diff, _MOST_DIFF))
    details = msgspec.json.encode(await call.service.show(found["task"]))
    return Document(TEMPLATES[0][3], msgspec.json.format(details, indent=1).decode())
