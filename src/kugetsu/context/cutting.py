"""Where a conversation is cut when its old turns are taken out."""

from collections.abc import Sequence

from kugetsu.messages import AssistantMessage, Message, ToolResult


def turns_within(messages: Sequence[Message], sizes: Sequence[int], tokens: int, *, most: int) -> int:
    """How many turns at the end have no more than so many tokens together: from 1 to `most`.

    Args:
        messages: the conversation.
        sizes: tokens of each.
        tokens: see above.
        most: see above.
    """
    turns = kept = 0
    for message, size in zip(reversed(messages), reversed(sizes), strict=True):
        kept += size
        if isinstance(message, AssistantMessage):
            if turns == most or (turns and kept > tokens):
                break
            turns += 1
    return max(1, turns)


def cut_point(messages: Sequence[Message], sizes: Sequence[int], *, keep: int, turns: int = 1) -> int:
    """Decide what stays: the place of its first message. Never between a call and its result.

    It is the rule of Pi: from the end back until so many tokens are kept, then on to the next place where a cut may be.
    Where none follows, the last reply stays with its results.

    Args:
        messages: the conversation.
        sizes: tokens of each.
        keep: tokens that stay.
        turns: so many replies stay at least.
    """
    replies = [place for place, message in enumerate(messages) if isinstance(message, AssistantMessage)]
    latest = replies[-turns] if 0 < turns <= len(replies) else 0
    kept = 0
    for place in range(len(messages) - 1, -1, -1):
        kept += sizes[place]
        if kept >= keep:
            while place < len(messages) and isinstance(messages[place], ToolResult):
                place += 1  # noqa: PLW2901 - goes on from there and leaves the loop
            return min(place, latest)
    return 0
