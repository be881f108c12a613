"""What of a conversation can go when it no longer fits: a decision by rules alone, always the same for the same conversation.

What goes leaves a stub that says what was there. The order: reads that a later one, or a change of the file, makes worthless;
the texts of changes to files that were written anew later; pictures; then what old calls gave, the oldest first; last the long
arguments of old calls. Words of users, of the model and its reasoning stay, and so do the last turns.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from kugetsu.context.calls import Done, arguments_of, done_calls, superseded_changes, superseded_reads
from kugetsu.context.estimate import PICTURE, estimate_text
from kugetsu.context.stubs import MARK, SPOKEN_RESULTS, ArgumentsStub, ResultStub, Stub, note_of
from kugetsu.messages import Image, Message, ToolResult, encode_json, well_formed

LEAST: Final = 400
"""Characters of a text below which it is not worth a stub."""


class Pruning(msgspec.Struct, frozen=True):
    """What goes.

    Attributes:
        stubs: what takes its place.
        freed: about how many tokens that frees.
    """

    stubs: tuple[Stub, ...] = ()
    freed: int = 0


class _Candidate(msgspec.Struct, frozen=True):
    stub: Stub
    freed: int


def prune(
    messages: Sequence[Message], surplus: int, *, keep: int, turns: Sequence[int] = (), recall: bool = False
) -> Pruning:
    """Decide what goes so that a conversation gets smaller by so many tokens, as `estimate` counts them.

    Pruned once more, it loses nothing more unless the surplus was not reached; more surplus takes all that less does.

    Args:
        messages: the conversation; it is not changed, see `with_stubs`.
        surplus: how many tokens are too many.
        keep: how many turns at the end stay as they are.
        turns: numbers of the replies in it; those that are left out are counted on from 1.
        recall: whether there is a tool that shows what was pruned.
    """
    if surplus <= 0:
        return Pruning()
    chosen: dict[tuple[type[Stub], str], _Candidate] = {}
    freed = 0
    for candidate in _candidates(done_calls(messages, turns), keep, recall=recall):
        name = type(candidate.stub), candidate.stub.call
        if candidate.freed <= 0 or name in chosen:
            continue
        chosen[name] = candidate
        freed += candidate.freed
        if freed >= surplus:
            break
    return Pruning(tuple(candidate.stub for candidate in chosen.values()), freed)


def _candidates(calls: Sequence[Done], keep: int, *, recall: bool) -> Iterator[_Candidate]:
    """All that can go, in the order in which it does: of the last turn only when there is nothing else left."""
    yield from _of([done for done in calls if done.back >= max(1, keep)], calls, recall=recall)
    if keep <= 0:
        yield from _of([done for done in calls if not done.back], calls, recall=recall)


def _of(old: Sequence[Done], calls: Sequence[Done], *, recall: bool) -> Iterator[_Candidate]:
    """All that can go of some calls."""
    ids = {done.call.id for done in old}
    for done, reason in sorted(superseded_reads(calls), key=_place):
        if done.call.id in ids:
            yield from _result(done, f": {reason}")
    for done, reason in sorted(superseded_changes(calls), key=_place):
        if done.call.id in ids:
            yield from _arguments(done, reason)
    again = "recall {call} shows it" if recall else "call it again to see it"
    pictured = [done for done in old if any(isinstance(block, Image) for block in done.result.content)]
    for done in (*pictured, *old):
        yield from _result(done, "; " + again.replace("{call}", encode_json({"call": done.call.id}).decode()))
    for done in old:
        yield from _arguments(done, f"sent in turn {done.turn}")


def _place(found: tuple[Done, str]) -> int:
    return found[0].answered


def _result(done: Done, ending: str) -> Iterator[_Candidate]:
    """What a call gave, if it is worth a stub."""
    result, text = done.result, done.result.text
    pictures = sum(isinstance(block, Image) for block in result.content)
    if result.name in SPOKEN_RESULTS or (len(text) < LEAST and not pictures):
        return
    stub = f"{MARK}{_what(result, pictures)} from turn {done.turn}{ending}]"
    yield _Candidate(ResultStub(done.call.id, stub), estimate_text(text) + pictures * PICTURE - estimate_text(stub))


def _what(result: ToolResult, pictures: int) -> str:
    size, name = len(result.text), well_formed(result.name)[:64]
    if not pictures:
        return f"{size:,} characters of {name} output"
    seen = "a picture" if pictures == 1 else f"{pictures} pictures"
    return f"{seen} that {name} showed"


def _arguments(done: Done, reason: str) -> Iterator[_Candidate]:
    """The texts in a call's arguments, if any is worth a stub."""
    call = done.call
    if call.name in SPOKEN_RESULTS:  # what the user was asked belongs to the answer
        return
    if len(call.arguments) < LEAST or (arguments := arguments_of(call)) is None:
        return
    try:
        shortened = encode_json(_shortened(arguments, reason)).decode()
    except (RecursionError, OverflowError):  # what can be read need not be fit to be written
        return
    freed = estimate_text(call.arguments) - estimate_text(shortened)
    yield _Candidate(ArgumentsStub(call.id, shortened), freed if len(shortened) < len(call.arguments) else 0)


def _shortened(value: Any, reason: str) -> Any:  # noqa: ANN401 - any JSON
    """The same, with a note in the place of each long text."""
    match value:
        case str() if len(value) >= LEAST:
            return note_of(len(value), reason)
        case dict():
            return {name: _shortened(inside, reason) for name, inside in value.items()}
        case list():
            return [_shortened(inside, reason) for inside in value]
        case _:
            return value
