import asyncio
import time
import traceback

import msgspec
import pytest

from client.client_lab import DETAILS, answer, fake_server, hang_up, problem, say_nothing
from kugetsu import errors
from kugetsu.client import AsyncClient, transport
from kugetsu.errors import AccessError, KugetsuError, QueueFullError, ServerError, TaskNotFoundError, UsageError
from kugetsu.protocols import NewTask, Stats
from kugetsu.tasks import Answer, Cancel, Retry, Say

TOKEN = "kgt_abc_very-secret"
NEW = NewTask(prompt="p", repo="/r")
TASK = msgspec.to_builtins(DETAILS)
STATS = msgspec.to_builtins(Stats(tasks={}))


async def test_no_server_is_told_of_in_a_second_with_what_to_do() -> None:
    async with fake_server(hang_up) as server:
        url = server.url
    began = time.monotonic()
    async with AsyncClient(url, TOKEN) as client:
        with pytest.raises(ServerError, match=f"no server answers at {url}.*is `kugetsu serve` running") as raised:
            await client.stats()
        with pytest.raises(ServerError, match="no server answers"):
            await anext(client.events("t1", follow=True))
    assert time.monotonic() - began < 10
    assert TOKEN not in "".join(traceback.format_exception(raised.value))


async def test_a_server_that_does_not_answer_in_time_is_left() -> None:
    async with fake_server(say_nothing) as server, AsyncClient(server.url, timeout=0.1) as client:
        with pytest.raises(ServerError, match=r"did not answer within 0\.1 seconds"):
            await client.stats()
        with pytest.raises(ServerError, match=r"did not answer within 0\.1 seconds"):
            await anext(client.events("t1"))
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("bad-request", 400, errors.UsageError),
        ("unauthorised", 401, errors.AccessError),
        ("forbidden", 403, errors.AccessError),
        ("not-found", 404, errors.TaskNotFoundError),
        ("conflict", 409, errors.StateConflictError),
        ("too-large", 413, errors.UsageError),
        ("usage", 422, errors.UsageError),
        ("config", 422, errors.ConfigError),
        ("repository", 422, errors.RepositoryError),
        ("workspace", 502, errors.WorkspaceError),
        ("store", 503, errors.RecordError),
    ],
)
async def test_a_refusal_is_the_error_that_the_same_raises_here(
    name: str, status: int, kind: type[KugetsuError]
) -> None:
    async with fake_server(problem(name, status, fix="do that")) as server, AsyncClient(server.url) as client:
        with pytest.raises(kind) as raised:
            await client.show("t1")
        assert type(raised.value) is kind
        assert (raised.value.message, raised.value.fix) == (f"{name} it is", "do that")


@pytest.mark.parametrize("name", ["queue-full", "rate-limited"])
async def test_a_server_without_room_says_when_to_come_back(name: str) -> None:
    async with fake_server(problem(name, 429, retry_after=12.5)) as server, AsyncClient(server.url) as client:
        with pytest.raises(QueueFullError) as raised:
            await client.submit(NEW)
        assert raised.value.retry_after == 12.5
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (answer(200, b"<html>", "text/html"), "answers with 'text/html'"),
        (answer(200, b"{"), "answers with something else"),
        (answer(200, {"tasks": 3}), "answers with something else"),
        (answer(500, b"oops", "text/plain"), "answers with 500"),
        (answer(502, b"<html>", "text/html"), "answers with 502"),
        (answer(404, {"type": "about:blank"}), "answers with 404"),
        (answer(401, b""), "wants to know who calls"),
        (answer(307, b"", Location="http://127.0.0.1:1/"), r"sends callers elsewhere \(307\)"),
        (problem("stopping", 503), "answers with 503: stopping it is"),
    ],
)
async def test_an_answer_that_is_none_is_told_of(behaviour: object, says: str) -> None:
    async with fake_server(behaviour) as server, AsyncClient(server.url) as client:  # type: ignore[arg-type] # as typed
        with pytest.raises((ServerError, AccessError), match=says):
            await client.stats()
        assert len(server.asked) == 1


async def test_an_answer_of_any_size_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_ANSWER_BYTES", 1000)
    async with fake_server(answer(200, b" " * 5000)) as server, AsyncClient(server.url) as client:
        with pytest.raises(ServerError, match="is larger than 1,000 bytes"):
            await client.stats()


async def test_a_submission_whose_answer_was_lost_is_repeated_as_the_same_one() -> None:
    async with fake_server(hang_up, hang_up, answer(200, TASK)) as server, AsyncClient(server.url) as client:
        accepted = await client.submit(NEW)
        assert accepted.created
        assert accepted.task == DETAILS
        keys = {asked.json()["key"] for asked in server.asked}
        assert len(server.asked) == 3
        assert len(keys) == 1
        await client.submit(NEW)
        assert server.asked[-1].json()["key"] not in keys


async def test_who_names_a_task_is_told_whether_it_was_there_already() -> None:
    async with fake_server(answer(202, TASK), answer(200, TASK)) as server, AsyncClient(server.url) as client:
        new = msgspec.structs.replace(NEW, key="mine")
        assert (await client.submit(new)).created
        assert not (await client.submit(new)).created
        assert [asked.json()["key"] for asked in server.asked] == ["mine", "mine"]


async def test_what_may_not_happen_twice_is_not_sent_twice() -> None:
    for control in (Answer("yes"), Retry()):
        async with fake_server(hang_up) as server, AsyncClient(server.url) as client:
            with pytest.raises(ServerError, match="broke"):
                await client.control("t1", control)
            assert len(server.asked) == 1


async def test_what_may_happen_twice_is_sent_again_and_what_is_said_has_a_name() -> None:
    async with fake_server(hang_up, answer(200, TASK)) as server, AsyncClient(server.url) as client:
        await client.control("t1", Cancel())
        assert len(server.asked) == 2
    async with fake_server(hang_up, answer(200, TASK)) as server, AsyncClient(server.url) as client:
        await client.control("t1", Say("hello", "follow_up"))
        first, second = (asked.json() for asked in server.asked)
        assert first == second
        assert (first["text"], first["follow_up"], bool(first["key"])) == ("hello", True, True)


async def test_a_task_is_named_as_it_is_whatever_stands_in_its_name() -> None:
    async with fake_server(answer(200, TASK)) as server, AsyncClient(f"{server.url}/behind/a/proxy/") as client:
        await client.show("github.com/me/it#7")
        await client.show("ä?&\udcff")
        paths = [asked.path for asked in server.asked]
        assert paths[0] == "/behind/a/proxy/v1/tasks/github.com%2Fme%2Fit%237"
        assert paths[1].startswith("/behind/a/proxy/v1/tasks/%C3%A4%3F%26")
        for name in ("", ".", ".."):
            with pytest.raises(TaskNotFoundError, match="no task is called"):
                await client.show(name)


async def test_the_token_is_sent_and_never_shown() -> None:
    behaviours = (answer(200, STATS), problem("forbidden", 403))
    async with fake_server(*behaviours) as server, AsyncClient(server.url, TOKEN) as client:
        assert TOKEN not in repr(client)
        await client.stats()
        assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
        with pytest.raises(AccessError) as raised:
            await client.stats()
        assert TOKEN not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "url", ["", "x", "127.0.0.1:8787", "ftp://h", "http://", "http://h:x", "http://h/?a=b", "http://h h", "http://h\n"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a server"):
        AsyncClient(url)


def test_what_could_be_a_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(UsageError) as raised:
        AsyncClient(f"http://ada:{TOKEN}@h")
    assert TOKEN not in str(raised.value)
    for token in (f"{TOKEN}\r\nX: y", f"{TOKEN} ", "ä"):
        with pytest.raises(UsageError) as raised:
            AsyncClient("http://h", token)
        assert token not in str(raised.value)


async def test_a_client_that_is_closed_says_so() -> None:
    client = AsyncClient("http://127.0.0.1:1")
    await client.close()
    await client.close()
    with pytest.raises(ServerError, match="this client is closed"):
        await client.stats()


async def test_a_cancelled_request_leaves_nothing_behind() -> None:
    async with fake_server(say_nothing) as server, AsyncClient(server.url) as client:
        asking = asyncio.create_task(client.stats())
        while not server.asked:
            await asyncio.sleep(0.005)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
