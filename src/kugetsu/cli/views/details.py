"""Everything that is known of one task, and how to get its work."""

import re
import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, TextIO

from kugetsu.cli.views import amounts
from kugetsu.cli.views.printing import width_of, write_lines
from kugetsu.cli.views.standing import FieldLine
from kugetsu.cli.views.styles import STATE_STYLES, check_word
from kugetsu.cli.views.text import block, one_line
from kugetsu.messages import Usage
from kugetsu.tasks import CheckResult, TaskReport

if TYPE_CHECKING:
    from rich.text import Text

_LABEL: Final = 12
"""Cells of the labels at the left."""

_LEAST: Final = 20
"""Least cells of what stands beside them."""

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^\s/:@]+@[^\s/@]+:")
"""The beginning of a URL or of `user@host:path`, which no local command can enter."""


_SHA: Final = 10
_MOST_COMMITS: Final = 20


def details(report: TaskReport, width: int | None, more: Iterable[FieldLine] = ()) -> list["Text"]:
    """The lines of a report and what else is known; text that is too long for the width goes on below."""
    from rich.text import Text  # noqa: PLC0415 - needed only when something is printed

    title = Text.assemble((one_line(report.id), "bold"), "  ", (report.state, STATE_STYLES[report.state]))
    lines = [title, Text()]
    for label, value, style in (*_fields(report), *more):
        lines += _labelled(label, value, style, width)
    ways = ways_to_get(report)
    if ways:
        lines += [Text(), Text("To see and get the work:"), *(Text(f"  {way}", "bold") for way in ways)]
    return lines


def print_details(
    report: TaskReport, stream: TextIO, *, more: Iterable[FieldLine] = (), width: int | None = None
) -> None:
    """Write everything that is known of a task.

    Args:
        report: what was computed about it.
        stream: where to.
        more: what else is known.
        width: cells of a line; None for what the stream has.

    Raises:
        OSError: the stream refused it.
    """
    write_lines(stream, details(report, width or width_of(stream), more))


def ways_to_get(report: TaskReport) -> list[str]:
    """Commands that show the work and bring it into the user's checkout; none when there is nothing to get."""
    if not (report.branch and report.commits):
        return []
    ways = [f"kugetsu diff {one_line(report.id)}"]
    undelivered = report.outcome is not None and report.outcome.kind == "workspace"
    if undelivered:
        return ways  # the branch may hold less than the work; the outcome says how to get all of it
    if not _ADDRESS.match(report.repo):
        git = f"git -C {shlex.quote(one_line(report.repo))}"
        branch = shlex.quote(one_line(report.branch))
        ways += [f"{git} switch {branch}", f"{git} merge {branch}"]
    return ways


def _fields(report: TaskReport) -> Iterator[FieldLine]:
    """What there is to say."""
    yield "prompt", report.prompt, ""
    yield "model", report.model, ""
    if report.outcome:
        yield "outcome", f"{report.outcome.kind}: {report.outcome.message}", STATE_STYLES[report.state]
    if report.summary:
        yield "summary", report.summary, ""
    yield "repository", report.repo, ""
    if report.branch:
        yield "branch", report.branch, "bold"
        yield "base", report.base, ""
        yield "commits", _commits(report), ""
        yield "changes", _changes(report), ""
    if report.check:
        yield "check", _check(report.check), check_word(report.check)[1]
        if report.check.output_tail and not report.check.passed:
            yield "", report.check.output_tail, "dim"
    yield "turns", f"{report.turns:,} with {amounts.counted(report.tool_calls, 'tool call')}", ""
    yield "tokens", _tokens(report.usage), ""
    yield "cost", amounts.money(report.usage.cost_usd) if report.usage.cost_usd is not None else "unknown", ""
    yield "time", amounts.duration(report.seconds), ""
    yield "created", amounts.date_and_time(report.created_at), ""
    if report.session:
        yield "session", report.session, ""
    for note in report.notes:
        yield "note", note, "yellow"


def _commits(report: TaskReport) -> str:
    lines = [f"{commit.sha[:_SHA]} {one_line(commit.subject)}" for commit in report.commits[:_MOST_COMMITS]]
    if more := len(report.commits) - _MOST_COMMITS:
        lines += [f"and {amounts.counted(more, 'more commit')}"] if more > 0 else []
    return "\n".join(lines) or "none"


def _changes(report: TaskReport) -> str:
    left = ", uncommitted work in the worktree" if report.uncommitted else ""
    return f"{amounts.counted(report.files_changed, 'file')}, +{report.insertions:,} -{report.deletions:,}{left}"


def _check(result: CheckResult) -> str:
    how = {True: "passed", False: f"failed with exit code {result.exit_code}", None: "not run"}[result.passed]
    if result.passed is False and result.exit_code is None:
        how = "failed: it took too long"
    return f"{one_line(result.command)}: {how}"


def _tokens(usage: Usage) -> str:
    cached = f" ({usage.cached:,} cached)" if usage.cached else ""
    return f"{usage.input:,} in{cached}, {usage.output:,} out"


def _labelled(label: str, value: str, style: str, width: int | None) -> list["Text"]:
    from rich.text import Text  # noqa: PLC0415 - needed only when something is printed

    lines = [Text(line, style) for line in block(value).strip("\n").split("\n")]
    if width is not None:
        lines = [piece for line in lines for piece in _wrapped(line, max(_LEAST, width - _LABEL))]
    labels = [label] + [""] * (len(lines) - 1)
    labelled = [Text.assemble((name.ljust(_LABEL), "dim"), line) for name, line in zip(labels, lines, strict=True)]
    for line in labelled:
        line.rstrip()
    return labelled


def _wrapped(line: "Text", width: int) -> list["Text"]:
    from rich.console import Console  # noqa: PLC0415 - needed only when something is printed

    return list(line.wrap(Console(width=width), width)) or [line]
