"""Where the old texts of an edit stand in a file, and the file with them replaced.

The rules are those of Pi. All edits are matched against the original content; each old text must stand there exactly
once and no two may overlap. A text that is not found exactly is looked for once more in the *folded* content, in which
compatible characters (NFKC), quotes, dashes and spaces are alike and blanks at line ends do not count. How often a text
occurs is always counted in folded content. Lines that no edit touches keep their bytes, line endings included.
"""

import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from kugetsu.errors import ToolError

_WIDE_BLANKS: Final = "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""Spaces that are written for a plain one."""

_BLANKS: Final = " \t\v\f\r\u1680\u2000\u2001\u2028\u2029\ufeff" + _WIDE_BLANKS
"""What counts as white space at the end of a line: ECMAScript's list, so that results agree with Pi's."""

_ALIKE: Final = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys(_WIDE_BLANKS, " ")
)


class Replacement(msgspec.Struct, frozen=True):
    """One wish: this text by that one."""

    old: str
    new: str


class Edited(msgspec.Struct, frozen=True):
    """The result.

    Attributes:
        content: the whole file with its own line endings.
        folded: whether a text was found only after folding, so that the lines it touches are folded now.
        spans: first and last line of every stretch of changed lines, from 1; the last is before the first where lines
            were only taken out.
    """

    content: str
    folded: bool
    spans: tuple[tuple[int, int], ...]


class _Match(msgspec.Struct, frozen=True):
    """Where one edit stands in the base, in characters."""

    edit: int
    start: int
    end: int
    new: str


def fold(text: str) -> str:
    """Make texts alike that differ only in how their characters are written. Keeps the number of lines."""
    return "\n".join([_fold_line(line) for line in text.split("\n")])


def _fold_line(line: str) -> str:
    # Line by line, since one call for a large file would keep every other thread from running.
    if line.isascii():
        return line.rstrip(_BLANKS)
    return unicodedata.normalize("NFKC", line).rstrip(_BLANKS).translate(_ALIKE)


def apply_edits(content: str, edits: Sequence[Replacement], name: str) -> Edited:
    """Replace every old text of a file.

    Args:
        content: the file, with whatever line endings it has; a byte-order mark is not part of it.
        edits: what to replace.
        name: the file as messages name it.

    Raises:
        ToolError: an old text is empty, missing or not unique, two overlap, or nothing would change.
    """
    wishes = [Replacement(_line_feeds(edit.old), _line_feeds(edit.new)) for edit in edits]
    for number, wish in enumerate(wishes):
        if not wish.old:
            raise ToolError(f"{_label(wishes, number, 'oldText')} must not be empty in {name}.")
    plain = _line_feeds(content)
    folded = any(wish.old not in plain for wish in wishes)
    base = fold(plain) if folded else plain
    matches = _locate(base, base if folded else fold(base), wishes, name)
    parts = _rebuild(content, base, matches)
    edited = "".join(parts)
    if edited == content:
        raise ToolError(_unchanged(wishes, name))
    return Edited(edited, folded, _spans(parts))


def _line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n")


def _label(wishes: Sequence[Replacement], number: int, alone: str) -> str:
    """How messages name an edit: by its place among several, by `alone` when there is only one."""
    if len(wishes) == 1:
        return alone
    return f"edits[{number}].oldText" if alone == "oldText" else f"edits[{number}]"


def _locate(base: str, counted_in: str, wishes: Sequence[Replacement], name: str) -> list[_Match]:
    """Find every edit in the base, in the order of the file."""
    matches = [_locate_one(base, counted_in, wishes, number, name) for number in range(len(wishes))]
    matches.sort(key=lambda match: match.start)
    for before, after in pairwise(matches):
        if before.end > after.start:
            raise ToolError(
                f"edits[{before.edit}] and edits[{after.edit}] overlap in {name}. "
                "Merge them into one edit or target disjoint regions."
            )
    return matches


def _locate_one(base: str, counted_in: str, wishes: Sequence[Replacement], number: int, name: str) -> _Match:
    wish = wishes[number]
    folded = fold(wish.old)
    found = wish.old if wish.old in base else folded
    start = base.find(found) if found else -1
    if start < 0:
        raise ToolError(_missing(wishes, number, name))
    # A text of nothing but blanks folds to nothing, which cannot be counted.
    count = counted_in.count(folded) if folded else base.count(found)
    if count > 1:
        raise ToolError(
            f"Found {count} occurrences of {_label(wishes, number, 'the text')} in {name}. "
            f"{'The text' if len(wishes) == 1 else 'Each oldText'} must be unique. "
            "Please provide more context to make it unique."
        )
    return _Match(number, start, start + len(found), wish.new)


def _missing(wishes: Sequence[Replacement], number: int, name: str) -> str:
    if len(wishes) == 1:
        return (
            f"Could not find the exact text in {name}. "
            "The old text must match exactly including all whitespace and newlines."
        )
    return (
        f"Could not find edits[{number}] in {name}. "
        "The oldText must match exactly including all whitespace and newlines."
    )


def _unchanged(wishes: Sequence[Replacement], name: str) -> str:
    if len(wishes) > 1:
        return f"No changes made to {name}. The replacements produced identical content."
    return (
        f"No changes made to {name}. The replacement produced identical content. "
        "This might indicate an issue with special characters or the text not existing as expected."
    )


def _rebuild(content: str, base: str, matches: Sequence[_Match]) -> list[str]:
    """The content in stretches: lines as they were, and in every other place lines of the base with their matches replaced.

    Both have the same lines: the base is the content with plain line feeds, folded or not.
    """
    lines, base_lines = _with_ends(content), _with_ends(base)
    parts: list[str] = []
    line = position = 0
    for group in _groups(base, matches):
        first = line + base.count("\n", position, group[0].start)
        last = line + base.count("\n", position, group[-1].end - 1)
        start = position + sum(map(len, base_lines[line:first]))
        position = start + sum(map(len, base_lines[first : last + 1]))
        block = _replace(base, start, position, group)
        parts += ("".join(lines[line:first]), _with_ending_of(lines[first], content, block))
        line = last + 1
    parts.append("".join(lines[line:]))
    return parts


def _spans(parts: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Lines of every second part."""
    spans: list[tuple[int, int]] = []
    line = 1
    for number, part in enumerate(parts):
        feeds = part.count("\n")
        if number % 2:
            spans.append((line, line + feeds - (1 if part.endswith("\n") or not part else 0)))
        line += feeds
    return tuple(spans)


def _groups(base: str, matches: Sequence[_Match]) -> list[list[_Match]]:
    """Matches that touch a common line belong together."""
    groups: list[list[_Match]] = []
    for match in matches:
        if groups and "\n" not in base[groups[-1][-1].end - 1 : match.start]:
            groups[-1].append(match)
        else:
            groups.append([match])
    return groups


def _replace(base: str, start: int, end: int, group: Sequence[_Match]) -> str:
    """A block of the base with its matches replaced."""
    parts: list[str] = []
    for match in group:
        parts += (base[start : match.start], match.new)
        start = match.end
    return "".join(parts) + base[start:end]


def _with_ends(text: str) -> list[str]:
    """Lines with their line feeds; the last one has none and may be empty."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + lines[-1:]


def _with_ending_of(line: str, content: str, block: str) -> str:
    """A block with the line ending of the line it replaces, or the file's first one where that line has none."""
    sample = line if line.endswith("\n") else content[: content.find("\n") + 1]
    return block.replace("\n", "\r\n") if sample.endswith("\r\n") else block
