import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

import kugetsu.testing
from kugetsu.config import Wire
from kugetsu.errors import MODEL_FAILURES, ModelFailure
from kugetsu.rehearsal import Script, ScriptedTurn
from kugetsu.testing import Fault, RecordedRequest, ScriptedServer
from kugetsu.testing.request_rules import problems

SCRIPT = Script((ScriptedTurn(text="one"), ScriptedTurn(text="two")))
PATHS: dict[Wire, str] = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


def request(replies: int = 0, wire: Wire = "openai", **fields: Any) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": "go"}]
    for _ in range(replies):
        messages += [{"role": "assistant", "content": "x"}, {"role": "user", "content": "go"}]
    if wire == "anthropic":
        for message in messages:
            message["content"] = [{"type": "text", "text": message["content"]}]
        fields = {"max_tokens": 9, **fields}
    return {"model": "m", "stream": True, "messages": messages, **fields}


async def post(server: ScriptedServer, body: object, wire: Wire = "openai") -> tuple[int, str]:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    async with aiohttp.ClientSession() as session, session.post(server.root_url + PATHS[wire], data=data) as response:
        return response.status, await response.text()


async def test_in_sequence_entries_are_served_one_by_one_and_then_done() -> None:
    async with ScriptedServer(SCRIPT) as server:
        texts = [(await post(server, request()))[1] for _ in range(3)]
    assert [word in text for word, text in zip(["one", "two", "done"], texts, strict=True)] == [True] * 3


@pytest.mark.parametrize("wire", PATHS)
async def test_by_conversation_the_entry_follows_from_the_replies_it_holds(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT, order="conversation") as server:
        texts = [(await post(server, request(replies, wire), wire))[1] for replies in (1, 0, 1, 2, 7)]
    assert [word in text for word, text in zip(["two", "one", "two", "done", "done"], texts, strict=True)] == [True] * 5


async def test_by_conversation_a_failing_entry_fails_the_first_try_of_its_place() -> None:
    failing = ScriptedTurn(fail="overloaded")
    script = Script((failing, failing, ScriptedTurn(text="one"), failing, ScriptedTurn(text="two"), failing))
    async with ScriptedServer(script, order="conversation") as server:
        statuses = [(await post(server, request(replies)))[0] for replies in (0, 0, 0, 0, 1, 1, 1, 2, 2)]
        assert statuses == [503, 503, 200, 200, 503, 200, 200, 503, 200]
        assert "one" in (await post(server, request(0)))[1]
        assert "done" in (await post(server, request(2)))[1]


async def test_requests_are_recorded_with_their_headers() -> None:
    async with ScriptedServer(SCRIPT) as server:
        await post(server, request(), "openai")
    (recorded,) = server.requests
    assert isinstance(recorded, RecordedRequest)
    assert (recorded.wire, recorded.body["model"]) == ("openai", "m")
    assert recorded.headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("wire", PATHS)
async def test_a_request_that_providers_refuse_is_refused_with_the_reason(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT) as server:
        status, text = await post(server, request(wire=wire, stream=False), wire)
        assert (status, "streams only" in text) == (400, True)
        assert (await post(server, b"{no json", wire))[0] == 400
        assert (await post(server, {"messages": [{}]}, wire))[0] == 400
        assert "one" in (await post(server, request(wire=wire), wire))[1], "a refused request uses no entry up"


@pytest.mark.parametrize("wire", PATHS)
@pytest.mark.parametrize("kind", MODEL_FAILURES)
async def test_every_failure_of_a_script_can_be_served(wire: Wire, kind: ModelFailure) -> None:
    script = Script((ScriptedTurn(text="x", fail=kind), ScriptedTurn(text="well")))
    async with ScriptedServer(script) as server:
        try:
            async with asyncio.timeout(0.3 if kind == "stall" else 30):
                status, text = await post(server, request(wire=wire), wire)
        except (TimeoutError, aiohttp.ClientError):
            assert kind in {"stall", "network"}
        else:
            assert status >= 400 or kind in {"malformed", "refused"}
            assert text
        assert "well" in (await post(server, request(wire=wire), wire))[1]


async def test_a_fault_leaves_its_entry_for_the_next_request() -> None:
    faults = {0: Fault("status", 418, {"x-why": "tea"}, b"short and stout")}
    async with ScriptedServer(SCRIPT, faults=faults) as server:
        assert await post(server, request()) == (418, "short and stout")
        assert "one" in (await post(server, request()))[1]


async def test_the_models_are_listed_and_other_pages_are_not_there() -> None:
    async with ScriptedServer(SCRIPT) as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.base_url}/models") as response:
            assert (await response.json())["data"][0]["id"] == "scripted"
        async with session.get(f"{server.base_url}/nothing") as response:
            assert response.status == 404


async def test_closing_the_server_does_not_wait_for_a_stalled_reply() -> None:
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(5), ScriptedServer(SCRIPT, faults={0: Fault("stall")}) as server:
            response = await session.post(server.root_url + PATHS["openai"], json=request())
        response.close()


def test_in_a_process_of_its_own_it_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("turns:\n- text: hello\n")
    command = [sys.executable, "-m", "kugetsu.testing.server", "--script", str(script), "--order", "conversation"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = msgspec.json.decode(process.stdout.readline())["port"]
        server = ScriptedServer(SCRIPT, port=port)
        assert "hello" in asyncio.run(post(server, request()))[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_the_fakes_import_no_library_for_http() -> None:
    program = "import sys, kugetsu.testing; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_everything_it_promises_is_there() -> None:
    assert all(getattr(kugetsu.testing, name) for name in kugetsu.testing.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kugetsu.testing.nothing


OPENAI_CALL = {"id": "1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
OPENAI_RESULT = {"role": "tool", "tool_call_id": "1", "name": "ls", "content": "x"}
USER = {"role": "user", "content": "go"}


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "must be a list"),
        ([{"role": "system", "content": " "}, USER], "system prompt is blank"),
        ([{"role": "assistant", "content": "x"}, USER], "first message must be the user's"),
        ([USER, {"role": "assistant", "content": "x"}], "last message must not be"),
        ([{"role": "user", "content": ""}], "says nothing"),
        ([{"role": "user", "content": [{"type": "text", "text": " "}]}], "text part is blank"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/bmp;base64,x"}}]}],
            "picture",
        ),
        ([USER, {"role": "assistant", "content": None}, USER], "is empty"),
        ([USER, {"role": "assistant", "content": " ", "tool_calls": [OPENAI_CALL]}, OPENAI_RESULT], "is blank"),
        ([USER, {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL]}, USER], "calls without results"),
        ([USER, {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL]}], "calls without results"),
        ([USER, OPENAI_RESULT], "does not follow its call"),
        (
            [USER, {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL, OPENAI_CALL]}, OPENAI_RESULT],
            "used twice",
        ),
        ([USER, {"role": "narrator", "content": "x"}], "unknown role"),
    ],
)
def test_rules_of_openai_are_kept(messages: list[Any], problem: str) -> None:
    assert problem in " ".join(problems("openai", {"model": "m", "stream": True, "messages": messages}))


def say(role: str, *content: Any) -> dict[str, Any]:
    return {"role": role, "content": list(content)}


TEXT = {"type": "text", "text": "x"}
USE = {"type": "tool_use", "id": "1", "name": "ls", "input": {}}
ANSWER = {"type": "tool_result", "tool_use_id": "1", "content": [TEXT]}
PICTURE = {"type": "image", "source": {"media_type": "image/png", "data": "x"}}
MARKED = {**TEXT, "cache_control": {}}


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([say("assistant", TEXT)], "must be the user's"),
        ([say("user", TEXT), say("user", TEXT)], "must alternate"),
        ([say("user")], "message is empty"),
        ([say("user", {"type": "text", "text": ""})], "is blank"),
        ([say("user", TEXT), say("assistant", USE), say("user", TEXT)], "calls without results"),
        ([say("user", TEXT), say("assistant", USE), say("user", TEXT, ANSWER)], "without results in the next"),
        ([say("user", ANSWER)], "results without calls"),
        ([say("user", TEXT), say("assistant", USE, USE), say("user", ANSWER, ANSWER)], "used twice"),
        ([say("user", TEXT), say("assistant", {**USE, "name": "a b"}), say("user", ANSWER)], "invalid name"),
        ([say("user", TEXT), say("assistant", {**USE, "input": "x"}), say("user", ANSWER)], "no object"),
        ([say("user", TEXT), say("assistant", USE), say("user", {**ANSWER, "content": []})], "result is empty"),
        (
            [say("user", TEXT), say("assistant", USE), say("user", {**ANSWER, "is_error": True, "content": [PICTURE]})],
            "text only",
        ),
        (
            [say("user", TEXT), say("assistant", {"type": "thinking", "signature": "s"}), say("user", TEXT)],
            "must not be thinking",
        ),
        (
            [say("user", TEXT), say("assistant", {"type": "thinking", "signature": ""}, TEXT), say("user", TEXT)],
            "signature",
        ),
        ([say("user", {"type": "video"})], "unknown block"),
        ([say("user", {"type": "image", "source": {"media_type": "image/bmp", "data": "x"}})], "picture"),
        ([say("user", TEXT), say("assistant", USE), say("user", ANSWER)], "must name tools"),
        ([say("user", *[MARKED] * 5)], "too many breakpoints"),
    ],
)
def test_rules_of_anthropic_are_kept(messages: list[Any], problem: str) -> None:
    body = {"model": "m", "stream": True, "max_tokens": 1, "messages": messages}
    assert problem in " ".join(problems("anthropic", body))


def test_common_rules_are_kept() -> None:
    body = {"messages": [USER], "tools": []}
    assert problems("openai", body) == ["model is missing", "this server streams only", "tools must not be empty"]
    tools = [{"function": {"name": "a b"}}]
    assert problems("openai", {**request(), "tools": tools}) == ["a tool has an invalid name"]
    assert problems("anthropic", {**request(wire="anthropic"), "max_tokens": None}) == ["max_tokens is missing"]
