"""The entries of a session: one closed union. A session is only ever added to; what counts no longer is said by a new entry."""

from typing import Final, TypeAlias

import msgspec

from kugetsu.context import Stub, Summary
from kugetsu.messages import AssistantMessage, ToolResult, Usage, UserMessage, encode_json


class Heard(msgspec.Struct, frozen=True, gc=False, tag="heard"):
    """A message of the user entered the conversation."""

    message: UserMessage


class Replied(msgspec.Struct, frozen=True, gc=False, tag="replied"):
    """The model replied, which opens a turn. Committed before any of its calls starts.

    Attributes:
        turn: counts the replies of the session from 1; never used twice, also after a rewind.
    """

    turn: int
    message: AssistantMessage


class Started(msgspec.Struct, frozen=True, gc=False, tag="started"):
    """These calls of the open turn begin to run. Committed before they do.

    Attributes:
        calls: their ids.
    """

    turn: int
    calls: tuple[str, ...]


class Finished(msgspec.Struct, frozen=True, gc=False, tag="finished"):
    """A call of the open turn has its result."""

    turn: int
    result: ToolResult


class Checkpoint(msgspec.Struct, frozen=True, gc=False, tag="checkpoint"):
    """Every call of the turn has its result, which closes it.

    Attributes:
        snapshot: commit that holds the worktree as it was; empty for as it was at the base.
    """

    turn: int
    snapshot: str = ""


class Rewound(msgspec.Struct, frozen=True, gc=False, tag="rewound"):
    """What came after a turn no longer counts, in the conversation and in the worktree.

    Attributes:
        turn: the last one that counts; 0 for none.
        snapshot: as in the checkpoint of that turn.
    """

    turn: int
    snapshot: str = ""


class Renewed(msgspec.Struct, frozen=True, gc=False, tag="renewed"):
    """Somebody asked for another try: what was used up so far no longer counts against the limits."""


class Wasted(msgspec.Struct, frozen=True, gc=False, tag="wasted"):
    """A call of the model came to nothing, a reply that broke off or notes that were refused: what it may have cost."""

    usage: Usage


class Forked(msgspec.Struct, frozen=True, gc=False, tag="forked"):
    """The task goes its own way from here: what came before is, and was used up by, the task that it is a fork of.

    Attributes:
        origin: id of that task.
    """

    origin: str


class Pruned(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="pruned"):
    """Parts of the conversation made room: stubs stand in their place from here on. What they were stays in the log.

    Attributes:
        turn: the last one before; whoever goes back to it, or further, sees everything again.
        stubs: what the model sees instead.
        ratio: tokens that its provider counted for each that was estimated; what it counts next is not known yet.
    """

    turn: int
    stubs: tuple[Stub, ...]
    ratio: float = 1.0


class Compacted(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="compacted"):
    """Turns were taken out of the conversation: a summary stands for them, and users' words. What they were stays in the log.

    Attributes:
        turn: the last one before; whoever goes back to it, or further, sees everything again.
        through: the last one that was taken out.
        summary: what stands for them.
        model: `provider/model` that wrote the notes; empty when nobody did.
        usage: what that used up.
        ratio: as for `Pruned`.
    """

    turn: int
    through: int
    summary: Summary
    model: str = ""
    usage: Usage = Usage()
    ratio: float = 1.0


Entry: TypeAlias = (
    Heard | Replied | Started | Finished | Checkpoint | Rewound | Renewed | Wasted | Forked | Pruned | Compacted
)


class LogLine(msgspec.Struct, frozen=True):
    """An entry where it stands in the log.

    Attributes:
        seq: counts the entries of the session from 1, without a gap.
        at: seconds since the epoch.
    """

    seq: int
    at: float
    entry: Entry


_decoder: Final[msgspec.json.Decoder[Entry]] = msgspec.json.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """Serialise an entry to JSON. Never raises."""
    return encode_json(entry)


def decode_entry(data: bytes) -> Entry:
    """Read an entry back.

    Raises:
        msgspec.DecodeError: the data is no JSON, or no entry.
    """
    return _decoder.decode(data)
