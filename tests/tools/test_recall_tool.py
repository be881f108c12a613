from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from kugetsu.errors import RecordError, ToolError
from kugetsu.messages import AssistantMessage, Image, InputContent, Message, Text, ToolCall, ToolResult
from kugetsu.protocols import NoMemory, ToolContext, ToolOutput
from kugetsu.tools.recall import RecallArguments, RecallTool
from tools.toolbench import ToolBench, text_of


class OneResult(NoMemory):
    """Implements `protocols.Memory`."""

    def __init__(self, result: ToolResult) -> None:
        self._result = result

    async def result(self, call: str) -> ToolResult | None:
        return self._result if call == self._result.call_id else None

    async def turn(self, number: int) -> Sequence[Message]:
        said = AssistantMessage((Text("I run it."), ToolCall(self._result.call_id, "bash", '{"command":"make"}')))
        return (said, self._result) if number == 4 else ()


class Damaged(NoMemory):
    """Implements `protocols.Memory`."""

    async def result(self, call: str) -> ToolResult | None:
        raise RecordError(f"the database is damaged at {call}")

    async def turn(self, number: int) -> Sequence[Message]:
        raise RecordError(f"the database is damaged at {number}")


async def recalled(directory: Path, *content: InputContent, **arguments: int) -> ToolOutput:
    memory = OneResult(ToolResult("c1", "bash", content))
    context: ToolContext = msgspec.structs.replace(ToolBench(directory).context, memory=memory)
    return await RecallTool().run(RecallArguments("c1", **arguments), context)


LINES = "\n".join(f"line {number}" for number in range(1, 101))


async def test_an_old_output_is_shown_as_it_was(tmp_path: Path) -> None:
    assert text_of(await recalled(tmp_path, Text(LINES))) == LINES
    assert text_of(await recalled(tmp_path, Text(""))) == ""


async def test_lines_of_it_are_shown_with_how_to_go_on(tmp_path: Path) -> None:
    shown = text_of(await recalled(tmp_path, Text(LINES), offset=10, limit=2))
    assert shown == "line 10\nline 11\n\n[Showing lines 10-11 of 100. Use offset=12 to continue.]"
    assert text_of(await recalled(tmp_path, Text(LINES), offset=99)) == "line 99\nline 100"
    with pytest.raises(ToolError, match="beyond the end of the result"):
        await recalled(tmp_path, Text(LINES), offset=101)


async def test_a_line_that_is_too_long_is_shown_from_its_beginning(tmp_path: Path) -> None:
    shown = text_of(await recalled(tmp_path, Text("x" * 200_000 + "\nend")))
    assert shown.startswith("x" * 51_200 + "\n\n[Line 1 is longer")
    assert shown.endswith("Use offset=2 to continue.]")


async def test_a_picture_is_shown_again(tmp_path: Path) -> None:
    output = await recalled(tmp_path, Text("a.png:"), Image("aGk=", "image/png"))
    assert output.content == (Text("a.png:"), Image("aGk=", "image/png"))


async def test_a_call_that_nobody_knows_or_can_read_is_told_so(tmp_path: Path) -> None:
    bench = ToolBench(tmp_path)
    with pytest.raises(ToolError, match="There is no result of a call 'c7'"):
        await RecallTool().run(RecallArguments("c7"), bench.context)
    damaged = msgspec.structs.replace(bench.context, memory=Damaged())
    with pytest.raises(ToolError, match="the call 'c1' gave cannot be read: the database is damaged at c1"):
        await RecallTool().run(RecallArguments("c1"), damaged)
    with pytest.raises(ToolError, match="turn 2 gave cannot be read: the database is damaged at 2"):
        await RecallTool().run(RecallArguments(turn=2), damaged)


async def test_a_turn_is_shown_in_short_with_how_to_see_all_of_it(tmp_path: Path) -> None:
    bench = ToolBench(tmp_path)
    context = msgspec.structs.replace(bench.context, memory=OneResult(ToolResult("c1", "bash", (Text("x" * 9_000),))))
    shown = text_of(await RecallTool().run(RecallArguments(turn=4), context))
    assert shown.startswith('[agent]\nI run it.\n\n[agent calls bash]\n{"command":"make"}\n\n[result of bash]\nxxx')
    assert "characters left out ...]" in shown
    assert shown.endswith('[To see all that a call gave, recall it:\n- bash: {"call":"c1"}]')
    with pytest.raises(ToolError, match="There is no turn 5"):
        await RecallTool().run(RecallArguments(turn=5), context)


@pytest.mark.parametrize("arguments", [RecallArguments(), RecallArguments("c1", 4)])
async def test_what_is_meant_must_be_clear(tmp_path: Path, arguments: RecallArguments) -> None:
    with pytest.raises(ToolError, match="either a `call` or a `turn`"):
        await RecallTool().run(arguments, ToolBench(tmp_path).context)


class ManyCalls(NoMemory):
    """Implements `protocols.Memory`."""

    async def turn(self, _number: int) -> Sequence[Message]:
        calls = tuple(ToolCall(f"call_{number:032}", "bash", '{"command":"make"}') for number in range(1_500))
        return (AssistantMessage(calls), *(ToolResult(call.id, "bash", (Text("x" * 900),)) for call in calls))


async def test_a_turn_of_very_many_calls_is_shown_in_bounds(tmp_path: Path) -> None:
    context = msgspec.structs.replace(ToolBench(tmp_path).context, memory=ManyCalls())
    shown = text_of(await RecallTool().run(RecallArguments(turn=1), context))
    assert len(shown.encode()) < 50 * 1024
    assert shown.endswith('0099"}\n- and 1,400 more]')
