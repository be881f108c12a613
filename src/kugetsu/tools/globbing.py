"""Which paths a glob pattern means.

The dialect is that of fd and ripgrep: `*`, `?` and `[...]` match within one name, `**` any number of directories,
`{a,b}` either. A pattern without a slash is matched against the name alone, at any depth; one with a slash against the
end of the path, or all of it when it begins with a slash. Matching takes time linear in the path.
"""

import fnmatch
import re
from collections.abc import Sequence
from typing import Final

from kugetsu.errors import ToolError

_MOST_ALTERNATIVES: Final = 200
"""Patterns that the braces of one may stand for."""

_BRACES: Final = re.compile(r"\{([^{}]*)\}")

_Segment = re.Pattern[str] | None
"""What one name of a path must be; None stands for any number of directories."""


class Glob:
    """A compiled pattern."""

    def __init__(self, pattern: str, *, fold_case: bool = False) -> None:
        """Compile it.

        Args:
            pattern: relative to the directory that is searched.
            fold_case: whether upper and lower case are alike.

        Raises:
            ToolError: it is empty, or stands for too many patterns.
        """
        if not pattern.strip():
            raise ToolError("The glob pattern is empty", fix="use * for every file")
        flags = re.IGNORECASE if fold_case else re.NOFLAG
        self._alternatives = [_segments(alternative, flags) for alternative in _expand(pattern)]

    def matches(self, path: str) -> bool:
        """Whether a file's path, relative to the directory that is searched, is meant."""
        names = path.split("/")
        return any(_match(segments, names) for segments in self._alternatives)


def _expand(pattern: str) -> list[str]:
    """Patterns without braces; innermost braces first. A comma outside of them, or a single brace, means itself."""
    pending = [pattern]
    done: list[str] = []
    while pending:
        if len(pending) + len(done) > _MOST_ALTERNATIVES:
            raise ToolError(
                f"The glob pattern stands for more than {_MOST_ALTERNATIVES} patterns", fix="use a simpler one"
            )
        current = pending.pop()
        found = _BRACES.search(current)
        if found is None:
            done.append(current)
            continue
        before, after = current[: found.start()], current[found.end() :]
        pending += [before + choice + after for choice in found[1].split(",")]
    return done


def _segments(pattern: str, flags: re.RegexFlag) -> list[_Segment]:
    """One matcher for each name of the path."""
    anchored = pattern.startswith("/")
    names = [name for name in pattern.split("/") if name not in {"", "."}]
    if pattern.endswith("/"):
        names.append("**")
    if not anchored:
        names.insert(0, "**")
    kept = [name for number, name in enumerate(names) if name != "**" or names[number - 1 : number] != ["**"]]
    if kept[-1:] == ["**"]:
        kept.append("*")
    return [None if name == "**" else _name(name, flags) for name in kept]


def _name(pattern: str, flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern.replace("[^", "[!").replace("**", "*")), flags)


def _match(segments: Sequence[_Segment], names: Sequence[str]) -> bool:
    """Match from the end; where a name does not fit, the last `**` seen takes one name more."""
    segment, name = len(segments) - 1, len(names) - 1
    retry: tuple[int, int] | None = None
    while name >= 0:
        if segment >= 0 and segments[segment] is None:
            segment -= 1
            retry = (segment, name)
        elif segment >= 0 and _fits(segments[segment], names[name]):
            segment, name = segment - 1, name - 1
        elif retry is not None:
            segment, name = retry = (retry[0], retry[1] - 1)
        else:
            return False
    return all(wanted is None for wanted in segments[: segment + 1])


def _fits(segment: _Segment, name: str) -> bool:
    return segment is None or segment.match(name) is not None
