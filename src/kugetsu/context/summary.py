"""The summary that stands for turns which were taken out of a conversation: a model's words, and what can be computed."""

import re
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec

from kugetsu.context.calls import CHANGES, Done, arguments_of, done_calls
from kugetsu.context.stubs import SPOKEN_RESULTS
from kugetsu.context.transcript import shortened
from kugetsu.messages import AssistantMessage, Message, UserMessage, user, well_formed

SUMMARY_SYSTEM: Final = (
    "You write the notes with which a software engineer goes on who remembers nothing of the work so far. You do not do the "
    "work, answer no question in it, and call no tool: you write the notes and nothing else."
)
"""System prompt of a model that is asked for a summary; rehearsals know by it what they are asked for."""

MOST_FILES: Final = 100
"""Files that a summary lists of each kind, the latest ones."""

_LONGEST_PATH: Final = 300
_LONGEST_WORDS: Final = 2_000
"""Characters of what the model asked, and of what a follow-up answered and said; answers to its tool stay whole."""

_INTRODUCTION: Final = (
    "[What stood here was taken out of this conversation to make room: turns 1 to {through}. Their work is done, and the "
    "worktree is as they left it. What the user said is kept in full. These are the notes on the rest; where they and the "
    "files differ, the files are right.]"
)
_THROUGH: Final = re.compile(re.escape(_INTRODUCTION[: _INTRODUCTION.index("{")]).encode() + b"([0-9]{1,9})")
_NO_NOTES: Final = "No notes could be written. Look at the worktree (git status, git diff, git log) before you go on."


class Exchange(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Something the user was asked, and the answer; both word for word.

    Attributes:
        kept: whether the answer stays in the conversation as a message of its own, too.
    """

    question: str
    answer: str
    kept: bool = False


class Summary(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What stands for turns that were taken out.

    Attributes:
        text: a model's notes; empty when none could be had.
        read: files that were read and not changed, the latest last.
        changed: files that were written, the latest last.
        exchanges: what the user was asked by a tool and answered, word for word, and what follow-ups were said to.
    """

    text: str = ""
    read: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    exchanges: tuple[Exchange, ...] = ()


def gather(messages: Sequence[Message], before: Summary | None = None) -> Summary:
    """All of a summary that can be computed, for messages that are taken out; the notes are left empty.

    Args:
        messages: what goes, from the beginning of the conversation on.
        before: the summary that they begin with.
    """
    before = before or Summary()
    done = [call for call in done_calls(messages, ()) if not call.result.is_error]
    changed = _latest([*before.changed, *(call.path for call in done if call.call.name in CHANGES)])
    read = _latest([*before.read, *(call.path for call in done if call.call.name == "read")])
    read = tuple(path for path in read if path not in changed)
    exchanges = dict(sorted([*_asked(done), *_followed_up(messages)], key=itemgetter(0))).values()
    return Summary("", read, changed, (*before.exchanges, *exchanges))


def summary_message(summary: Summary, through: int) -> UserMessage:
    """The message that stands in the conversation.

    Args:
        summary: what it says.
        through: the last turn that it stands for.
    """
    parts = [_INTRODUCTION.replace("{through}", str(through)), summary.text.strip() or _NO_NOTES]
    if summary.changed:
        parts.append(_listed("Files that were changed", summary.changed))
    if summary.read:
        parts.append(_listed("Files that were read", summary.read))
    if summary.exchanges:
        told = (f"- Asked: {one.question}\n  The user: {one.answer}" for one in summary.exchanges)
        parts.append("\n".join(["## Asked and answered, word for word", *told]))
    return user("\n\n".join(parts), "summary")


def taken_out(request: bytes) -> int:
    """The last turn that a summary in a request stands for, in whichever dialect that is; 0 when it has none."""
    found = _THROUGH.search(request)
    return int(found[1]) if found else 0


def _listed(title: str, names: Sequence[str]) -> str:
    return "\n".join([f"## {title}", *(f"- {name}" for name in names)])


def _latest(paths: Sequence[str]) -> tuple[str, ...]:
    """Each path once, where it stands last; the latest ones alone."""
    once = dict.fromkeys(_shown(path) for path in reversed(paths) if path)
    return tuple(reversed(list(once)[:MOST_FILES]))


def _shown(path: str) -> str:
    return " ".join(well_formed(path).split())[:_LONGEST_PATH]


def _asked(done: Sequence[Done]) -> Iterator[tuple[int, Exchange]]:
    """The questions that the model put by its tool, with the places of the answers."""
    for call in done:
        if call.result.name in SPOKEN_RESULTS:
            question = shortened(_question(arguments_of(call.call) or {}), _LONGEST_WORDS)
            yield call.answered, Exchange(question, call.result.text)


def _question(arguments: Any) -> str:  # noqa: ANN401 - any JSON
    options = arguments.get("options")
    listed = f" ({' / '.join(map(str, options))})" if isinstance(options, list) else ""
    return f"{arguments.get('question', '')}{listed}"


def _followed_up(messages: Sequence[Message]) -> Iterator[tuple[int, Exchange]]:
    """What the model had said last when the user answered without being asked by a tool, with the places of the answers."""
    for place, message in enumerate(messages[1:], start=1):
        last = messages[place - 1]
        if (
            isinstance(message, UserMessage)
            and message.origin == "follow_up"
            and isinstance(last, AssistantMessage)
            and last.text.strip()
        ):
            answer = shortened(_words(message), _LONGEST_WORDS)  # the message itself stays, whole
            yield place, Exchange(last.text.strip()[-_LONGEST_WORDS:], answer, kept=True)


def _words(message: UserMessage) -> str:
    return "".join(getattr(block, "text", "") for block in message.content)
