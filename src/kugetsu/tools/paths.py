"""Which file a path of the model means, and whether a tool may touch it."""

import difflib
import os
from itertools import islice
from pathlib import Path
from typing import Final

from kugetsu.errors import ToolError
from kugetsu.protocols import ToolContext
from kugetsu.tools.decoding import showable

_NAMES_LOOKED_AT: Final = 500
"""Entries of a directory in which a near name is searched."""


def locate(text: str, context: ToolContext, *, confine: bool) -> Path:
    """Find the file to read or list. Symbolic links are resolved first; the file need not exist.

    Args:
        text: the path as the model wrote it.
        context: where the call runs.
        confine: whether only the worktree and the shadow's own directory may be read.

    Raises:
        ToolError: the text is no path, or leads outside.
    """
    path = _resolve(text, context)
    if confine and not _within(path, context.root) and not _within(path, context.scratch):
        raise _outside(text, path, context)
    return path


def locate_for_writing(text: str, context: ToolContext, *, confine: bool) -> Path:
    """Find the file to write. Symbolic links are resolved first; neither the file nor its parents need exist.

    Raises:
        ToolError: the text is no path, leads outside, or into git's own files.
    """
    path = _resolve(text, context)
    inside = _within(path, context.root)
    if confine and not inside:
        raise _outside(text, path, context)
    parts = path.relative_to(os.path.realpath(context.root)).parts if inside else path.parts
    if ".git" in parts:
        raise ToolError(f"{showable(text)} belongs to git", fix="use git commands in bash")
    return path


def ensure_unmoved(path: Path, text: str, context: ToolContext, *, confine: bool) -> None:
    """Make sure, after a wait, that a path still leads to the file that `locate_for_writing` found.

    Raises:
        ToolError: a directory or link on the way was changed meanwhile.
    """
    if locate_for_writing(text, context, confine=confine) != path:
        raise ToolError(
            f"{showable(text)} leads to another file since this call began", fix="look with ls, then repeat"
        )


def show(path: Path, context: ToolContext) -> str:
    """A resolved path as the model should write it: relative to the worktree where that holds it."""
    root = Path(os.path.realpath(context.root))
    return show_name(str(path.relative_to(root) if path.is_relative_to(root) else path))


def prefix(directory: Path, context: ToolContext) -> str:
    """What stands before the names below a resolved directory to make paths as `show` gives them."""
    shown = show(directory, context)
    return "" if shown == "." else f"{shown.rstrip('/')}/"


def show_name(name: str) -> str:
    """A file's name on one line."""
    return showable(name).replace("\n", "\\n").replace("\r", "\\r")


def missing(text: str, path: Path) -> ToolError:
    """Say that a file does not exist, and which one may be meant."""
    parent = path.parent
    while not parent.is_dir():
        parent = parent.parent
    if parent != path.parent:
        return ToolError(f"{showable(text)} does not exist, nor does its directory", fix="look with ls or find")
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry in islice(entries, _NAMES_LOOKED_AT)]
    except OSError:
        names = []
    near = [showable(name) for name in difflib.get_close_matches(path.name, names, n=3)]
    fix = f"near names in the same directory: {', '.join(near)}" if near else "look with ls or find"
    return ToolError(f"{showable(text)} does not exist", fix=fix)


def _resolve(text: str, context: ToolContext) -> Path:
    if not text.strip():
        raise ToolError("The path is empty", fix="name a file, or leave the path out")
    if "\0" in text:
        raise ToolError("A path cannot hold a NUL character")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ToolError(f"{showable(text)!r} cannot be a path: it holds half a character") from None
    candidate = _absolute(text, context)
    if text.startswith("@") and len(text) > 1 and not os.path.lexists(candidate):
        # Models write @path for a file that a person mentioned so.
        plain = _absolute(text[1:], context)
        candidate = plain if os.path.lexists(plain) else candidate
    return Path(os.path.realpath(candidate))


def _absolute(text: str, context: ToolContext) -> Path:
    home = context.environment.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        text = home + text[1:]
    return context.root / text


def _within(path: Path, directory: Path) -> bool:
    return path.is_relative_to(os.path.realpath(directory))


def _outside(text: str, path: Path, context: ToolContext) -> ToolError:
    target = "" if str(path) == text else f" (it leads to {showable(str(path))})"
    return ToolError(
        f"{showable(text)} is outside the workspace{target}",
        fix=f"use a path relative to {showable(str(context.root))}",
    )
