from pathlib import Path

import msgspec
import pytest

from kugetsu.errors import RecordError, ToolError
from kugetsu.messages import Image, InputContent, Text, ToolResult
from kugetsu.protocols import ToolContext, ToolOutput
from kugetsu.tools.recall import RecallArguments, RecallTool
from tools.toolbench import ToolBench, text_of


async def recalled(directory: Path, *content: InputContent, **arguments: int) -> ToolOutput:
    async def recall(call: str) -> ToolResult | None:
        return ToolResult(call, "bash", content) if call == "c1" else None

    context: ToolContext = msgspec.structs.replace(ToolBench(directory).context, recall=recall)
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

    async def broken(_call: str) -> ToolResult | None:
        raise RecordError("the database is damaged")

    with pytest.raises(ToolError, match="cannot be read: the database is damaged"):
        await RecallTool().run(RecallArguments("c1"), msgspec.structs.replace(bench.context, recall=broken))
