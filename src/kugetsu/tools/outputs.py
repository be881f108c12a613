"""What a command printed, as a model gets to see it: plain text, its end, and a notice of what is missing."""

from kugetsu.processes import Output
from kugetsu.tools.terminal import plain
from kugetsu.tools.truncation import MAX_BYTES, Truncated, show_size, truncate_tail


def news_of(output: Output) -> str:
    """What was printed since the last call, or the end of it when that is much."""
    return plain(output.news().decode(errors="ignore"))


def tail_of(output: Output) -> tuple[str, str]:
    """The end of the output, and a notice that says what is missing (empty when nothing is)."""
    data = output.end
    text = plain(data.decode(errors="replace"))
    whole = len(data) == output.size
    if not whole:
        # What is in memory begins somewhere in a line; unless that is all there is, the rest of it is not shown.
        text = text.partition("\n")[2] or text
    shown = truncate_tail(text)
    return shown.content, "" if whole and shown.cut is None else _notice(output, shown)


def _notice(output: Output, shown: Truncated) -> str:
    _, place = output.keep()
    total = output.line_feeds + (0 if output.end.endswith(b"\n") else 1)
    if shown.partial_line:
        return f"[Showing the last {show_size(shown.size)} of line {total}. Full output: {place}]"
    limit = f" ({show_size(MAX_BYTES)} limit)" if shown.cut == "bytes" else ""
    return f"[Showing lines {total - shown.lines + 1}-{total} of {total}{limit}. Full output: {place}]"
