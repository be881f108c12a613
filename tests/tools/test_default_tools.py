import re
from pathlib import Path

import msgspec
import pytest

from kugetsu.config import ContextSettings, ToolSettings
from kugetsu.errors import AnswerNeededError, ToolError
from kugetsu.protocols import FileLocks, Tool, ToolContext
from kugetsu.tools import default_tools

TOOLS = default_tools(context=ContextSettings())
each = pytest.mark.parametrize("tool", TOOLS, ids=[tool.name for tool in TOOLS])


def properties(tool: Tool) -> dict[str, object]:
    schema = msgspec.json.schema(tool.arguments)
    found = schema["$defs"][tool.arguments.__name__]["properties"]
    assert isinstance(found, dict)
    return found


def test_the_tools_and_their_arguments_have_the_names_that_users_of_pi_know() -> None:
    assert {tool.name: list(properties(tool)) for tool in TOOLS} == {
        "read": ["path", "offset", "limit"],
        "write": ["path", "content"],
        "edit": ["path", "edits", "oldText", "newText"],
        "bash": ["command", "timeout"],
        "grep": ["pattern", "path", "glob", "ignoreCase", "literal", "context", "limit"],
        "ls": ["path", "limit"],
        "find": ["pattern", "path", "limit"],
        "recall": ["call", "turn", "offset", "limit"],
        "ask": ["question", "options"],
    }


def test_agents_may_ask_only_where_the_settings_let_them() -> None:
    assert "ask" not in {tool.name for tool in default_tools(ToolSettings(ask=False))}


def test_old_outputs_can_be_recalled_where_they_are_left_out() -> None:
    def names(context: ContextSettings) -> set[str]:
        return {tool.name for tool in default_tools(context=context)}

    assert "recall" in names(ContextSettings())
    assert "recall" not in names(ContextSettings(recall=False)) | names(ContextSettings(prune_at=0))


async def test_a_question_is_put_with_its_options_and_an_empty_one_is_none() -> None:
    [ask] = [tool for tool in TOOLS if tool.name == "ask"]
    context = ToolContext(root=Path(), scratch=Path(), environment={}, locks=FileLocks())
    with pytest.raises(AnswerNeededError, match=r"red or blue\?\n- red\n- blue"):
        await ask.run(ask.arguments(question=" red or blue? ", options=("red", "blue")), context)
    with pytest.raises(ToolError, match="empty"):
        await ask.run(ask.arguments(question=" "), context)


def test_only_reading_may_be_repeated_and_commands_run_beside_each_other() -> None:
    assert {tool.name: tool.kind for tool in TOOLS} == {
        "read": "read",
        "write": "write",
        "edit": "write",
        "bash": "run",
        "grep": "read",
        "ls": "read",
        "find": "read",
        "recall": "read",
        "ask": "question",
    }


@each
def test_the_first_sentence_of_a_description_says_what_the_tool_does(tool: Tool) -> None:
    first, dot, rest = tool.description.partition(". ")
    assert dot
    assert rest.endswith(".")
    assert len(first) < 120


@each
def test_an_argument_nobody_knows_is_refused(tool: Tool) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode('{"nonsense": 1}', type=tool.arguments)


@each
def test_optional_arguments_may_be_null(tool: Tool) -> None:
    schema = msgspec.json.schema(tool.arguments)["$defs"][tool.arguments.__name__]
    sample = dict.fromkeys(schema.get("required", []), "x")
    optional: dict[str, object] = {
        name: None for name in schema["properties"] if name not in sample and name != "edits"
    }
    if tool.name == "edit":
        optional = {"oldText": "a", "newText": "b"}
    msgspec.json.decode(msgspec.json.encode(sample | optional), type=tool.arguments)


@pytest.mark.parametrize(
    "tool", [tool for tool in TOOLS if tool.name not in {"write", "edit", "ask"}], ids=lambda tool: tool.name
)
def test_limits_stand_in_the_descriptions(tool: Tool) -> None:
    assert re.search(r"\d{2,}", tool.description + str(properties(tool)))
