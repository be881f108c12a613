"""Calls over real HTTP, on both wires: what goes well, and everything that can go wrong."""

import asyncio
import asyncio.sslproto
import ssl
import subprocess
import traceback
from collections.abc import AsyncGenerator
from contextlib import aclosing
from email.utils import formatdate
from pathlib import Path
from typing import cast

import msgspec
import pytest

from kugetsu.config import Wire
from kugetsu.errors import ModelFailure
from kugetsu.messages import Delta, Text, TextDelta, Thinking, ToolResult, user
from kugetsu.models import Models, use_small_tls_buffers
from kugetsu.protocols import ModelRequest
from kugetsu.rehearsal import Script, ScriptedCall, ScriptedTurn, ScriptedUsage
from kugetsu.testing import Fault, ScriptedServer
from models.model_lab import (
    CHUNKED,
    KEY,
    LAST_CHUNK,
    REQUEST,
    WIRES,
    ask,
    chunk,
    fail,
    model_at,
    raw_server,
    settings_for,
    sse,
    whole,
)

TURN = ScriptedTurn(
    text="I will read it now, with care.",
    thinking="What is in there?",
    tool_calls=(ScriptedCall("read", {"path": "a" * 100}), ScriptedCall("ls", {})),
    usage=ScriptedUsage(100, 20, 40),
)
SCRIPT = Script((TURN,))

pytestmark = pytest.mark.parametrize("wire", WIRES)


async def test_a_whole_reply_arrives_and_the_conversation_goes_on(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT, order="conversation") as server, model_at(server.base_url, wire) as model:
        first = await ask(model)
        results = [ToolResult(call.id, call.name, (Text("ok"),)) for call in first.calls]
        second = await ask(model, ModelRequest("Be brief.", [*REQUEST.messages, first, *results]))
    assert first.text == TURN.text
    assert isinstance(first.content[0], Thinking)
    assert [(call.name, msgspec.json.decode(call.arguments)) for call in first.calls] == [
        ("read", {"path": "a" * 100}),
        ("ls", {}),
    ]
    assert first.stop == "tool_calls"
    assert (first.usage.input, first.usage.output, first.usage.cached) == (100, 20, 40)
    assert (second.text, second.stop, second.model) == ("done", "end", "test/m")


async def test_a_reply_cut_by_length_says_so(wire: Wire) -> None:
    script = Script((ScriptedTurn(text="half a", stop="length"),))
    async with ScriptedServer(script) as server, model_at(server.base_url, wire) as model:
        assert (await ask(model)).stop == "length"


async def test_calls_use_one_connection_again(wire: Wire) -> None:
    body = CHUNKED + chunk(good_reply(wire)) + LAST_CHUNK
    async with raw_server(body) as server, model_at(server.base_url, wire) as model:
        for _ in range(3):
            await ask(model)
        assert server.connections == 1


async def test_a_server_that_ends_late_still_gets_its_connection_used_again(wire: Wire) -> None:
    async with (
        raw_server(CHUNKED + chunk(good_reply(wire)), LAST_CHUNK) as server,
        model_at(server.base_url, wire) as model,
    ):
        for _ in range(3):
            await ask(model)
        assert server.connections == 1


async def test_a_server_that_never_ends_does_not_hold_the_reply(wire: Wire) -> None:
    async with raw_server(CHUNKED + chunk(good_reply(wire))) as server, model_at(server.base_url, wire) as model:
        async with asyncio.timeout(5):
            assert (await ask(model)).text == "Hi"


async def test_the_key_and_extra_headers_are_sent(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT) as server:
        async with model_at(server.base_url, wire, headers={"X-Team": "blue", "user-agent": "mine"}) as model:
            await ask(model)
        headers = server.requests[0].headers
    assert headers["x-team"] == "blue"
    assert headers["user-agent"] == "mine"
    expected = ("authorization", f"Bearer {KEY}") if wire == "openai" else ("x-api-key", KEY)
    assert expected in headers.items()


async def test_a_header_in_the_settings_replaces_ours_whatever_its_case(wire: Wire) -> None:
    own = {"AUTHORIZATION": "Basic mine", "x-api-key": "mine", "user-AGENT": "mine"}
    async with raw_server(whole(good_reply(wire))) as server, model_at(server.base_url, wire, headers=own) as model:
        await ask(model)
    head = server.requests[0].lower()
    assert KEY.encode() not in head
    assert head.count(b"user-agent:") == 1


async def test_a_large_request_goes_through(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT) as server, model_at(server.base_url, wire) as model:
        await ask(model, ModelRequest("", [user("x" * 5_000_000)]))
        assert len(str(server.requests[0].body)) > 5_000_000


async def test_many_calls_at_once_all_come_back(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT, order="conversation") as server, model_at(server.base_url, wire) as model:
        replies = await asyncio.gather(*(ask(model) for _ in range(200)))
    assert {reply.text for reply in replies} == {TURN.text}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "authentication"),
        (402, "quota"),
        (403, "authentication"),
        (404, "not_found"),
        (413, "context_overflow"),
        (429, "rate_limited"),
        (500, "overloaded"),
        (503, "overloaded"),
        (529, "overloaded"),
    ],
)
async def test_a_status_becomes_a_kind_of_failure(wire: Wire, status: int, kind: ModelFailure) -> None:
    faults = {0: Fault("status", status)}
    async with ScriptedServer(SCRIPT, faults=faults) as server, model_at(server.base_url, wire) as model:
        error = await fail(model)
        assert (error.kind, error.status) == (kind, 400 if status == 413 else status)
        assert error.message.startswith("test/m: ")
        assert (await ask(model)).text == TURN.text


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), (formatdate(4_102_444_800, usegmt=True), None)])
async def test_a_rate_limit_says_how_long_to_wait(wire: Wire, value: str, seconds: float | None) -> None:
    faults = {0: Fault("status", 429, {"Retry-After": value})}
    async with ScriptedServer(SCRIPT, faults=faults) as server, model_at(server.base_url, wire) as model:
        assert (await fail(model)).retry_after == seconds


async def test_a_date_to_wait_for_becomes_seconds(wire: Wire) -> None:
    headers = {"Retry-After": "Sat, 22 Nov 2025 08:00:20 GMT", "Date": "Sat, 22 Nov 2025 08:00:00 GMT"}
    faults = {0: Fault("status", 429, headers)}
    async with ScriptedServer(SCRIPT, faults=faults) as server, model_at(server.base_url, wire) as model:
        assert (await fail(model)).retry_after == 20


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("reset"), "network"),
        (Fault("reset", after=0), "network"),
        (Fault("end"), "malformed"),
        (Fault("end", after=0), "malformed"),
        (Fault("stall"), "stall"),
        (Fault("stall", after=0), "stall"),
        (Fault("garbage"), "malformed"),
        (Fault("garbage", after=0), "malformed"),
        (Fault("unknown_event"), "malformed"),
        (Fault("stream_error", 529), "overloaded"),
        (Fault("stream_error", 429), "rate_limited"),
        (Fault("refused"), "refused"),
    ],
)
async def test_a_reply_that_breaks_is_a_failure_and_the_next_call_is_well(
    wire: Wire, fault: Fault, kind: ModelFailure
) -> None:
    async with (
        ScriptedServer(SCRIPT, faults={0: fault}) as server,
        model_at(server.base_url, wire, idle_seconds=0.5 if kind == "stall" else 30) as model,
    ):
        assert (await fail(model)).kind == kind
        assert (await ask(model)).text == TURN.text


async def test_a_reply_that_drips_byte_by_byte_is_whole(wire: Wire) -> None:
    async with ScriptedServer(SCRIPT, faults={0: Fault("drip")}) as server, model_at(server.base_url, wire) as model:
        reply = await ask(model)
    assert reply.text == TURN.text
    assert len(reply.calls) == 2


async def test_silence_before_the_reply_is_a_stall(wire: Wire) -> None:
    async with raw_server() as server, model_at(server.base_url, wire, idle_seconds=0.1) as model:
        error = await fail(model)
    assert str(error) == "test/m: the provider fell silent: no bytes for 0.1 seconds"


async def test_a_server_that_takes_no_more_of_the_request_is_a_stall(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kugetsu.models.http.CONNECT_SECONDS", 1.0)
    async with raw_server(deaf=True) as server, model_at(server.base_url, wire, idle_seconds=0.1) as model:
        assert (await fail(model, ModelRequest("", [user("x" * 20_000_000)]))).kind == "stall"


async def test_bytes_now_and_then_are_no_stall(wire: Wire) -> None:
    pings = [chunk(b": PROCESSING\n\n")] * 70
    async with (
        raw_server(CHUNKED, *pings, chunk(good_reply(wire)) + LAST_CHUNK) as server,
        model_at(server.base_url, wire, idle_seconds=0.5) as model,
    ):
        assert (await ask(model)).text == "Hi"


async def test_comments_without_end_are_a_stall(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kugetsu.models.http._COMMENTS_AT_MOST", 1)
    comments = [chunk(b": PROCESSING\n\n")] * 200
    async with (
        raw_server(CHUNKED, *comments, chunk(good_reply(wire)) + LAST_CHUNK) as server,
        model_at(server.base_url, wire, idle_seconds=0.5) as model,
    ):
        error = await fail(model)
    assert str(error) == "test/m: the provider fell silent: no event for 0.5 seconds"


async def test_events_begin_the_wait_for_the_next_one_again(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kugetsu.models.http._COMMENTS_AT_MOST", 1)
    pause = [chunk(b": PROCESSING\n\n")] * 20
    ping = chunk(b'event: ping\ndata: {"type": "ping"}\n\n')
    async with (
        raw_server(CHUNKED, *[*pause, ping] * 6, chunk(good_reply(wire)) + LAST_CHUNK) as server,
        model_at(server.base_url, wire, idle_seconds=1) as model,
    ):
        assert (await ask(model)).text == "Hi"


async def test_nobody_listening_is_a_network_failure_with_advice(wire: Wire) -> None:
    async with model_at("http://127.0.0.1:1/v1", wire) as model:
        error = await fail(model)
    assert error.kind == "network"
    assert "is the server at http://127.0.0.1:1/v1/" in error.fix


async def test_an_unknown_host_is_a_network_failure(wire: Wire) -> None:
    async with model_at("http://no-such-host.invalid/v1", wire) as model:
        error = await fail(model)
    assert error.kind == "network"
    assert "check the address http://no-such-host.invalid" in error.fix


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x16\x03\x01\r\n\r\n"])
async def test_a_server_that_speaks_no_http_is_malformed(wire: Wire, garbage: bytes) -> None:
    async with raw_server(garbage) as server, model_at(server.base_url, wire, idle_seconds=1) as model:
        assert (await fail(model)).kind == "malformed"


async def test_a_connection_closed_before_the_reply_is_a_network_failure(wire: Wire) -> None:
    async with raw_server(reset=True) as server, model_at(server.base_url, wire) as model:
        assert (await fail(model)).kind == "network"


async def test_a_body_shorter_than_promised_is_a_network_failure(wire: Wire) -> None:
    cut = whole(good_reply(wire)).partition(b"finish_reason" if wire == "openai" else b"stop_reason")[0]
    async with raw_server(cut, reset=True) as server, model_at(server.base_url, wire) as model:
        assert (await fail(model)).kind == "network"


async def test_a_page_instead_of_a_stream_hints_at_the_base_url(wire: Wire) -> None:
    page = whole(b"<html>Welcome</html>", kind="text/html; charset=utf-8")
    async with raw_server(page) as server, model_at(server.base_url, wire) as model:
        error = await fail(model)
    assert error.kind == "malformed"
    assert "text/html instead of a stream" in error.message
    assert error.fix.startswith("check the base_url http://127.0.0.1")


async def test_an_error_under_a_good_status_is_that_error(wire: Wire) -> None:
    body = whole(b'{"error": {"code": 429, "message": "slow down"}}', kind="application/json")
    async with raw_server(body) as server, model_at(server.base_url, wire) as model:
        assert (await fail(model)).kind == "rate_limited"


async def test_an_endless_event_is_refused(wire: Wire) -> None:
    flood = CHUNKED + chunk(b"data: " + b"x" * 17_000_000)
    async with raw_server(flood) as server, model_at(server.base_url, wire) as model:
        error = await fail(model)
    assert error.kind == "malformed"
    assert "larger than 16,777,216 bytes" in error.message


async def test_an_endless_reply_is_refused(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kugetsu.models.http._REPLY_LIMIT", 1000)
    async with raw_server(CHUNKED + chunk(b": hm\n\n" * 500)) as server, model_at(server.base_url, wire) as model:
        error = await fail(model)
    assert error.kind == "malformed"
    assert "larger than 1,000 bytes" in error.message


async def test_a_redirect_is_refused_so_that_the_key_goes_nowhere_else(wire: Wire) -> None:
    moved = whole(b"", status="307 Temporary Redirect", headers="Location: http://127.0.0.1:1/steal\r\n")
    async with raw_server(moved) as server, model_at(server.base_url, wire) as model:
        error = await fail(model)
    assert error.kind == "bad_request"
    assert "redirected to http://127.0.0.1:1/steal" in error.message


async def test_an_endless_error_body_is_cut(wire: Wire) -> None:
    head = b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with raw_server(head, *[chunk(b"no " * 10_000)] * 10) as server, model_at(server.base_url, wire) as model:
        async with asyncio.timeout(5):
            error = await fail(model)
    assert error.kind == "overloaded"
    assert len(error.message) < 400


async def test_an_error_whose_body_never_ends_is_not_waited_for(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kugetsu.models.http._ERROR_BODY_SECONDS", 0.2)
    head = b"HTTP/1.1 402 No\r\nContent-Type: text/plain\r\nContent-Length: 999\r\n\r\nwhile you wait"
    async with raw_server(head) as server, model_at(server.base_url, wire) as model:
        error = await fail(model)
    assert error.kind == "quota"
    assert error.message.endswith(": while you wait")


async def test_an_error_whose_body_breaks_off_keeps_its_kind(wire: Wire) -> None:
    cut = whole(b"x" * 100, status="429 Too Many")[:-50]
    async with raw_server(cut, reset=True) as server, model_at(server.base_url, wire) as model:
        assert (await fail(model)).kind == "rate_limited"


async def test_a_connection_that_breaks_after_the_last_word_does_no_harm(wire: Wire) -> None:
    unfinished = good_reply(wire).rpartition(b"data: ")[0]
    async with raw_server(CHUNKED + chunk(unfinished), reset=True) as server, model_at(server.base_url, wire) as model:
        assert (await ask(model)).text == "Hi"


async def test_closing_the_iterator_ends_the_call(wire: Wire) -> None:
    async with raw_server(CHUNKED + chunk(good_reply(wire)[:-60])) as server, model_at(server.base_url, wire) as model:
        stream = cast("AsyncGenerator[Delta, None]", model.stream(REQUEST))
        async with aclosing(stream):
            async for delta in stream:
                assert delta == TextDelta("Hi")
                break
        async with asyncio.timeout(5):
            await server.gone.wait()


@pytest.mark.parametrize("pieces", [0, 1])
async def test_cancelling_ends_the_call_at_once(wire: Wire, pieces: int) -> None:
    begun = (CHUNKED + chunk(good_reply(wire)[:-60]),) * pieces
    async with raw_server(*begun) as server, model_at(server.base_url, wire) as model:
        call = asyncio.ensure_future(ask(model))
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5):
            await server.gone.wait()


@pytest.mark.parametrize("pieces", [0, 1])
async def test_closing_the_models_ends_calls_under_way(wire: Wire, pieces: int) -> None:
    async with raw_server(*(CHUNKED,) * pieces) as server:
        models = Models(settings_for(server.base_url, wire), {})
        call = asyncio.ensure_future(fail(models.open("test/m")))
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await models.close()
        await models.close()
        assert (await call).kind == "network"
        assert (await fail(models.open("test/m"))).kind == "network"


async def test_no_failure_shows_the_key(wire: Wire) -> None:
    echo = f'{{"error": {{"message": "key {KEY} is wrong"}}}}'.encode()
    answers = [
        whole(echo, status="401 No", kind="application/json"),
        whole(echo, kind="application/json"),
        whole(sse(echo)),
        whole(sse(f'{{"x": "{KEY}'.encode())),
        whole(KEY.encode(), kind="text/html"),
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        f"HTTP/{KEY}\r\n\r\n".encode(),
        whole(b"", status="302 Found", headers=f"Location: http://x/{KEY}\r\n"),
        whole(sse({"type": KEY})),
    ]
    for answer in answers:
        async with raw_server(answer) as server, model_at(server.base_url, wire) as model:
            error = await fail(model)
        shown = "".join(traceback.format_exception(error))
        assert KEY not in f"{shown} {error!r} {error.args} {error.__dict__}"
        assert error.__context__ is None, "the cause carries the request with its key"
        assert KEY not in f"{model!r} {vars(model)!r}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine that nobody signed."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(path)]
    done = subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + done.stdout)
    return path


async def test_a_certificate_that_nobody_signed_is_refused(wire: Wire, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server, model_at(f"https://localhost:{server.sockets[0].getsockname()[1]}/v1", wire) as model:
        error = await fail(model)
    assert error.kind == "network"
    assert "TLS failed" in error.message
    assert "certificate" in error.fix


def test_small_tls_buffers_are_set(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncio.sslproto.SSLProtocol.max_size", 256 * 1024)
    use_small_tls_buffers()
    assert asyncio.sslproto.SSLProtocol.max_size == 32 * 1024, wire


def good_reply(wire: Wire) -> bytes:
    """A reply that says `Hi`."""
    if wire == "openai":
        said = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": None}]}
        return sse(said, {"choices": [{"delta": {}, "finish_reason": "stop"}]}, b"[DONE]")
    return sse(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    )
