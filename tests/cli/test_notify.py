import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.notifications.news_lab import News, Receiver, answering, receiving
from kugetsu.storage import SqlStore
from kugetsu.testing import FakeClock
from support.command_line import CommandLine, Done


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def news(user: CommandLine) -> AsyncIterator[News]:
    """The records of the user; who wrote them is gone."""
    clock = FakeClock(time.time() - 600, auto=False)
    store = await SqlStore.open(user.home, clock)
    yield News(store, clock, user.directory)
    await store.close()


def config(user: CommandLine, receiver: Receiver, *lines: str) -> Path:
    path = user.directory / "kugetsu.toml"
    path.write_text("\n".join(["[notify.ops]", f'url = "{receiver.url}/hooks/{{platform}}"', *lines]))
    path.chmod(0o600)
    user.environ["KUGETSU_CONFIG"] = str(path)
    return path


async def kugetsu(user: CommandLine, *arguments: str) -> Done:
    return await asyncio.to_thread(user.run, *arguments)


async def test_a_target_is_tried_with_a_signed_sample(user: CommandLine, receiver: Receiver) -> None:
    config(user, receiver, 'secret = "shared-with-the-receiver"')
    receiver.script = [answering(202, '{"status": "accepted"}'), 401, 200]
    done = await kugetsu(user, "notify", "test", "ops", "--reply-to", "platform=telegram", "--reply-to", "chat_id=42")
    assert (done.code, done.stdout) == (0, 'ops: delivered; answered 202: {"status": "accepted"}\n')
    (heard,) = receiver.heard
    heard.require_signed()
    assert (heard.path, heard.body["reply_to"]["chat_id"]) == ("/hooks/telegram", "42")
    assert heard.body["text"].startswith("Task ")
    refused = await kugetsu(user, "notify", "test", "ops", "--reply-to", "platform=telegram", "--json")
    assert (refused.code, refused.json()) == (1, {"target": "ops", "delivered": False, "answer": "answered 401"})
    without = await kugetsu(user, "notify", "test", "ops")
    assert without.code == 1
    assert "its address needs `platform`" in without.stdout


async def test_a_target_that_is_not_there_or_cannot_be_so_is_named(user: CommandLine, receiver: Receiver) -> None:
    config(user, receiver)
    unknown = await kugetsu(user, "notify", "test", "chat")
    assert unknown.code == 2
    assert "there are: ops" in unknown.stderr
    assert (await kugetsu(user, "notify", "test", "ops", "--reply-to", "platform")).code == 2


async def test_without_a_server_what_is_retried_is_sent_from_here(
    user: CommandLine, receiver: Receiver, news: News
) -> None:
    config(user, receiver)
    await news.finish("a", reply_to={"target": "ops"})
    await news.finish("b", reply_to={"target": "gone"})
    first = await kugetsu(user, "notify", "retry")
    assert first.code == 0, first.stderr
    listed = (await kugetsu(user, "notify", "list", "--json")).json()["deliveries"]
    assert {one["task"]: one["state"] for one in listed} == {"a": "refused", "b": "pending"}
    plain = (await kugetsu(user, "notify", "list")).stdout
    assert "its address needs `platform`" in plain
    assert "no target gone is set up here; " in plain
    (refused,) = (await kugetsu(user, "notify", "list", "--state", "refused", "--json")).json()["deliveries"]
    settings = config(user, receiver)
    settings.write_text(settings.read_text().replace("{platform}", "mended"))
    again = await kugetsu(user, "notify", "retry", str(refused["id"]), "--json")
    assert [one["state"] for one in again.json()["deliveries"]] == ["delivered"]
    assert [heard.path for heard in receiver.heard] == ["/hooks/mended"]
    nothing = await kugetsu(user, "notify", "retry", "99")
    assert (nothing.code, "99" in nothing.stderr) == (2, True)


async def test_what_came_to_its_end_is_forgotten_when_it_is_cleared(
    user: CommandLine, receiver: Receiver, news: News
) -> None:
    config(user, receiver)
    await news.finish("a", reply_to={"target": "ops", "platform": "telegram"})
    await news.finish("b", reply_to={"target": "gone"})
    await kugetsu(user, "notify", "retry")
    assert (await kugetsu(user, "notify", "clear", "--older-than", "1h")).stdout == "0 messages forgotten\n"
    assert (await kugetsu(user, "notify", "clear")).stdout == "1 message forgotten\n"
    listed = (await kugetsu(user, "notify", "list", "--json")).json()["deliveries"]
    assert [one["task"] for one in listed] == ["b"]


async def test_where_nothing_was_ever_told_there_is_nothing_to_see(user: CommandLine) -> None:
    assert (await kugetsu(user, "notify", "list", "--json")).json() == {"deliveries": []}
    assert (await kugetsu(user, "notify", "list")).code == 0
