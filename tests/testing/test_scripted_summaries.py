"""How a scripted server serves those who ask for a summary, and those who go on behind one."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from kugetsu.config import Wire
from kugetsu.context import SUMMARY_SYSTEM, Summary, summary_message
from kugetsu.messages import Text
from kugetsu.rehearsal import NOTES, Script, ScriptedTurn
from kugetsu.testing import Fault, ScriptedServer

TURNS = tuple(ScriptedTurn(text=f"turn {number}.") for number in range(1, 7))
SCRIPT = Script(TURNS, (ScriptedTurn(text="first notes."), ScriptedTurn(text="second notes.")))
PATHS: dict[Wire, str] = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
WIRES: list[Wire] = ["openai", "anthropic"]
TOOL: dict[Wire, dict[str, Any]] = {
    "openai": {"type": "function", "function": {"name": "ls", "parameters": {}}},
    "anthropic": {"name": "ls", "input_schema": {}},
}


def body(wire: Wire, system: str, *texts: str, tools: bool = True) -> dict[str, Any]:
    """A request; the words of user and agent take turns."""
    messages: list[dict[str, Any]] = [
        {"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)
    ]
    more: dict[str, Any] = {"tools": [TOOL[wire]]} if tools else {}
    if wire == "anthropic":
        for message in messages:
            message["content"] = [{"type": "text", "text": message["content"]}]
        return {
            "model": "m",
            "stream": True,
            "max_tokens": 9,
            "system": [{"type": "text", "text": system}],
            "messages": messages,
            **more,
        }
    messages.insert(0, {"role": "system", "content": system})
    return {"model": "m", "stream": True, "messages": messages, **more}


async def said(server: ScriptedServer, wire: Wire, request: dict[str, Any]) -> str:
    """The text of the reply, or the status of an error."""
    url = server.root_url + PATHS[wire]
    async with aiohttp.ClientSession() as session, session.post(url, data=msgspec.json.encode(request)) as response:
        text = await response.text()
        if response.status != 200:
            return str(response.status)
    events = [msgspec.json.decode(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    if wire == "openai":
        return "".join(event["choices"][0]["delta"].get("content", "") for event in events if event.get("choices"))
    return "".join(event.get("delta", {}).get("text", "") for event in events)


async def notes(server: ScriptedServer, wire: Wire) -> str:
    return await said(server, wire, body(wire, SUMMARY_SYSTEM, "<work>...</work>", tools=False))


async def turn(server: ScriptedServer, wire: Wire, *texts: str) -> str:
    return await said(server, wire, body(wire, "You are an agent.", *(texts or ("go",))))


def summary(through: int) -> str:
    (block,) = summary_message(Summary('## Done\n- "it"\n'), through).content
    assert isinstance(block, Text)
    return block.text


@pytest.mark.parametrize("wire", WIRES)
async def test_who_asks_for_a_summary_gets_the_next_one_and_uses_up_no_turn(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT) as server:
        replies = [await ask(server, wire) for ask in (turn, notes, turn, notes, notes, notes, turn)]
    assert replies == ["turn 1.", "first notes.", "turn 2.", "second notes.", NOTES.text, NOTES.text, "turn 3."]


@pytest.mark.parametrize("wire", WIRES)
async def test_an_agent_that_quotes_the_words_of_the_request_asks_for_no_summary(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT) as server:
        assert await turn(server, wire, SUMMARY_SYSTEM) == "turn 1."
        assert await notes(server, wire) == "first notes."


@pytest.mark.parametrize("wire", WIRES)
async def test_faults_by_number_hit_summaries_too_and_leave_them_for_the_next_request(wire: Wire) -> None:
    faults = {1: Fault("status", 500), 2: Fault("drip"), 4: Fault("status", 418)}
    async with ScriptedServer(SCRIPT, faults=faults) as server:
        replies = [await ask(server, wire) for ask in (turn, notes, notes, notes, turn, turn)]
    assert replies == ["turn 1.", "500", "first notes.", "second notes.", "418", "turn 2."]


@pytest.mark.parametrize("wire", WIRES)
async def test_a_summary_can_fail_by_script(wire: Wire) -> None:
    script = Script(TURNS, (ScriptedTurn(fail="rate_limited"), ScriptedTurn(text="notes.")))
    async with ScriptedServer(script, order="conversation") as server:
        assert [await notes(server, wire) for _ in range(2)] == ["429", "notes."]
        assert await turn(server, wire) == "turn 1."


@pytest.mark.parametrize("wire", WIRES)
async def test_by_conversation_turns_that_were_taken_out_count_as_if_they_were_there(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT, order="conversation") as server:
        whole = await turn(server, wire, "go", "turn 1.", "on", "turn 2.", "on", "turn 3.", "on")
        cut = await turn(server, wire, f"go\n{summary(2)}", "turn 3.", "on")
        both = tuple(await asyncio.gather(notes(server, wire), turn(server, wire, summary(4), "turn 5.", "on")))
        over = await turn(server, wire, summary(12))
    assert (whole, cut, both, over) == ("turn 4.", "turn 4.", ("first notes.", "turn 6."), "done")


@pytest.mark.parametrize("wire", WIRES)
async def test_a_failing_turn_behind_a_summary_fails_once(wire: Wire) -> None:
    script = Script((*TURNS[:2], ScriptedTurn(fail="overloaded"), *TURNS[2:]))
    async with ScriptedServer(script, order="conversation") as server:
        replies = [await turn(server, wire, summary(2)) for _ in range(3)]
    assert replies == ["529" if wire == "anthropic" else "503", "turn 3.", "turn 3."]
