"""The tool that asks the user."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kugetsu.errors import AnswerNeededError, ToolError
from kugetsu.protocols import ToolContext, ToolKind, ToolOutput


class AskArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to ask."""

    question: Annotated[
        str, Meta(description="The question, with all that somebody needs to know who did not follow your work.")
    ]
    options: Annotated[tuple[str, ...] | None, Meta(description="Answers to choose from. Default: any answer.")] = None


class AskTool:
    """Asks the user; the task waits until there is an answer."""

    name: Final = "ask"
    description: Final = (
        "Ask the user a question and wait for the answer, which may take hours. "
        "Only for a decision that you cannot make and cannot go on without; never for permission or praise."
    )
    arguments = AskArguments
    kind: Final[ToolKind] = "question"

    async def run(self, arguments: AskArguments, _context: ToolContext) -> ToolOutput:
        """Ask.

        Raises:
            AnswerNeededError: always; the answer becomes the call's result.
            ToolError: there is no question.
        """
        question = arguments.question.strip()
        if not question:
            raise ToolError("The question is empty.")
        options = "".join(f"\n- {option}" for option in arguments.options or ())
        raise AnswerNeededError(question + options)
