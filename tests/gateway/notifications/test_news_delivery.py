"""News on their way: each is brought once when all is well, and not lost when it is not."""

import asyncio
import hashlib
import hmac
import json
import os

import pytest
from aiohttp import web

from gateway.notifications.news_lab import SECRET, Heard, News, Receiver, answering, hang, hermes, settings, webhook
from kugetsu.config import Settings, TargetSettings
from kugetsu.gateway.notifications import forget_old
from kugetsu.gateway.notifications.answers import LONGEST_WAIT, wait_of
from kugetsu.tasks import Answer


async def test_a_finished_task_is_told_to_those_who_hear_of_all(news: News, receiver: Receiver) -> None:
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(f"{receiver.url}/x", all=True))).running():
        (delivery,) = await news.settled("delivered")
    (heard,) = receiver.heard
    heard.require_signed()
    assert abs(int(heard.headers["X-Webhook-Timestamp"]) - news.clock.now()) < 60
    assert heard.headers["Content-Type"] == "application/json"
    assert heard.headers["X-Kugetsu-Delivery"] == heard.body["delivery"] == str(delivery.id)
    assert heard.headers["X-Kugetsu-Event"] == heard.body["event_type"] == "task.completed"
    assert heard.body["summary"] == "I fixed it."
    assert (delivery.attempts, delivery.error) == (1, "")


async def test_news_go_out_at_once_when_the_dispatcher_is_woken(news: News, receiver: Receiver) -> None:
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running() as dispatcher:
        await asyncio.sleep(0.05)
        await news.finish("a")
        dispatcher.wake()
        async with asyncio.timeout(10):
            while not receiver.heard:  # no time passes
                await asyncio.sleep(0.005)
        await news.settled("delivered")


async def test_one_that_is_down_is_tried_again_under_new_request_ids(news: News, receiver: Receiver) -> None:
    receiver.script = [502, 503, answering(429, "slow down", Retry_After="7")]
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        (delivery,) = await news.settled("delivered")
    assert [heard.id for heard in receiver.heard] == [f"{delivery.id}-{number}-a" for number in range(4)]
    assert {heard.raw for heard in receiver.heard} == {receiver.heard[0].raw}
    assert delivery.attempts == 4
    assert news.said == ["ops gets no news at present: answered 502", "ops gets news again"]


async def test_what_the_other_side_asks_to_wait_is_waited(memory_news: News, receiver: Receiver) -> None:
    news = memory_news
    receiver.script = [answering(429, Retry_After="90")]
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        await news.until(lambda: len(receiver.heard) == 1)

        async def put_off() -> bool:
            return (await news.delivery()).attempts == 1

        await news.until(put_off)
        delivery = await news.delivery()
        assert 85 <= delivery.due_at - news.clock.now() <= 90
        await news.settled("delivered")
    assert news.clock.now() >= delivery.due_at


async def test_hermes_is_given_a_new_id_after_a_failure_so_that_nothing_is_taken_for_a_duplicate(
    memory_news: News, receiver: Receiver
) -> None:
    news = memory_news
    answer, failing = hermes(), [True, True]

    async def restarting(heard: Heard) -> web.StreamResponse:
        """Hermes remembers the id of what it could not deliver."""
        answered = await answer(heard)
        return web.json_response({"status": "error"}, status=502) if failing and failing.pop() else answered

    receiver.script = [restarting] * 5
    await news.finish("a")
    async with news.dispatcher(settings(hermes=webhook(receiver.url, all=True))).running():
        (delivery,) = await news.settled("delivered")
    assert (len(receiver.heard), delivery.error) == (3, "")


async def test_a_duplicate_after_a_failure_is_not_taken_for_delivered_at_first(
    memory_news: News, receiver: Receiver
) -> None:
    news = memory_news
    duplicate = answering(200, '{"status": "duplicate"}')
    receiver.script = [502, duplicate, answering(202, '{"status": "accepted"}')]
    await news.finish("a")
    async with news.dispatcher(settings(hermes=webhook(receiver.url, all=True))).running():
        await news.settled("delivered")
        assert len(receiver.heard) == 3
        receiver.script = [502, duplicate, duplicate]  # it has them, whatever they are called
        await news.finish("b")
        await news.settled("delivered", "delivered")
    assert len(receiver.heard) == 6


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 409])
async def test_what_a_person_can_mend_is_tried_until_it_is_mended(
    memory_news: News, receiver: Receiver, status: int
) -> None:
    news = memory_news
    receiver.script = [answering(status, "no", Location=f"{receiver.url}/elsewhere")] * 4
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(f"{receiver.url}/x", all=True))).running():
        (delivery,) = await news.settled("delivered")
    assert delivery.attempts == 5
    assert {heard.path for heard in receiver.heard} == {"/x"}


async def test_news_that_the_other_side_cannot_take_are_refused_after_three_tries(
    memory_news: News, receiver: Receiver
) -> None:
    news = memory_news
    receiver.script = [answering(422, f"bad: {SECRET}")] * 9
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        (delivery,) = await news.settled("refused")
        assert (len(receiver.heard), delivery.error) == (3, "answered 422: bad: ***")
        receiver.script.clear()
        await news.store.retry_deliveries(expires_at=news.clock.now() + 60)
        await news.settled("delivered")


async def test_news_expire(news: News, receiver: Receiver) -> None:
    receiver.script = [500] * 1000
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True, expire_hours=0.01))).running():
        (delivery,) = await news.settled("expired")
    assert delivery.error == "answered 500"
    assert 4 <= len(receiver.heard) <= 12
    assert any("given up (expired)" in sentence for sentence in news.said)


async def test_a_target_that_hangs_is_left_at_its_time_limit(memory_news: News, receiver: Receiver) -> None:
    news = memory_news
    receiver.script = [hang]
    await news.finish("a")
    target = webhook(receiver.url, all=True, timeout_seconds=0.2)
    async with news.dispatcher(settings(ops=target)).running():
        await news.settled("delivered")
    assert news.said[0] == f"ops gets no news at present: no answer from {receiver.url} within 0.2 seconds"


async def test_an_answer_without_an_end_is_read_no_further_than_it_matters(memory_news: News) -> None:
    news = memory_news

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        await writer.drain()
        writer.close()

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"
    answers = iter([b"\x00garbage\r\n\r\n", b"", head + b"x" * 100_000])
    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await news.finish("a")
    async with server, news.dispatcher(settings(ops=webhook(f"http://127.0.0.1:{port}", all=True))).running():
        (delivery,) = await news.settled("delivered")
    assert delivery.attempts == 3


async def test_an_answer_that_breaks_off_after_its_status_is_an_answer(memory_news: News, receiver: Receiver) -> None:
    news = memory_news

    async def break_off(heard: Heard) -> web.StreamResponse:
        response = web.StreamResponse(status=202, headers={"Content-Length": "500"})
        assert heard.request is not None
        await response.prepare(heard.request)
        await response.write(b"{")
        assert heard.request.transport is not None
        heard.request.transport.close()
        return response

    receiver.script = [break_off]
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        await news.settled("delivered")
    assert len(receiver.heard) == 1


async def test_news_of_one_task_arrive_in_their_order(news: News, receiver: Receiver) -> None:
    receiver.script = [500, 500, 200, 500]
    await news.finish("a", "waiting", kind="question", question="which?")
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        await news.until(lambda: len(receiver.heard) == 1)
        await news.store.control("a", Answer("this"))
        await news.finish("a", "completed")
        await news.settled("delivered", "delivered")
    assert [heard.body["event_type"] for heard in receiver.heard] == ["task.question"] * 3 + ["task.completed"] * 2


async def test_a_dead_target_holds_up_no_other(news: News, receiver: Receiver) -> None:
    hanging: list[Heard] = []

    async def hang_here(heard: Heard) -> web.StreamResponse:
        hanging.append(heard)
        return await hang(heard)

    async def by_path(heard: Heard) -> web.StreamResponse:
        return await hang_here(heard) if heard.path == "/dead" else web.Response()

    receiver.script = [by_path] * 1000
    targets = settings(
        dead=webhook(f"{receiver.url}/dead", all=True, timeout_seconds=60.0),
        good=webhook(f"{receiver.url}/good", all=True),
    )
    for number in range(100):
        await news.finish(f"t{number}")

    async def good_ones() -> bool:
        return len(await news.store.deliveries(states=["delivered"])) == 100

    async with news.dispatcher(targets).running():
        await news.until(good_ones)
    assert {one.target for one in await news.store.deliveries(states=["delivered"])} == {"good"}
    assert len(hanging) <= 8
    assert receiver.most_at_once <= 16


async def test_news_for_a_target_that_nobody_set_up_wait_until_somebody_does(news: News, receiver: Receiver) -> None:
    await news.finish("a", reply_to={"target": "hermes", "platform": "telegram", "chat_id": "42"})

    async def told() -> bool:
        found = await news.store.deliveries()
        return bool(found and found[0].error)

    async with news.dispatcher(Settings()).running():
        await news.until(told)
    assert (await news.delivery()).state == "pending"
    assert (await news.delivery()).error == "no target hermes is set up here"
    assert len(news.said) == 1
    async with news.dispatcher(settings(hermes=webhook(f"{receiver.url}/hooks/{{platform}}"))).running():
        await news.settled("delivered")
    assert receiver.heard[0].path == "/hooks/telegram"
    assert receiver.heard[0].body["reply_to"] == {
        "target": "hermes",
        "platform": "telegram",
        "chat_id": "42",
        "thread_id": "",
    }


async def test_a_missing_secret_is_told_at_the_start_and_keeps_the_news(memory_news: News, receiver: Receiver) -> None:
    news = memory_news
    target = webhook(receiver.url, all=True, secret="", secret_env="HOOK_SECRET")
    await news.finish("a")

    async def told() -> bool:
        found = await news.store.deliveries()
        return bool(found and found[0].error)

    dispatcher = news.dispatcher(settings(ops=target))
    wanting = "the variable HOOK_SECRET, which holds its secret, is not set"
    assert dispatcher.problems() == [f"notify.ops: {wanting}; its news wait"]
    async with dispatcher.running():
        await news.until(told)
    assert ((await news.delivery()).error, receiver.heard) == (wanting, [])
    news.environ["HOOK_SECRET"] = SECRET
    again = news.dispatcher(settings(ops=target))
    assert again.problems() == []
    async with again.running():
        await news.settled("delivered")
    receiver.heard[0].require_signed()


async def test_a_task_that_cannot_fill_in_an_address_is_refused_with_the_reason(
    memory_news: News, receiver: Receiver
) -> None:
    news = memory_news
    targets = settings(chat=webhook(f"{receiver.url}/{{chat_id}}", all=True))
    async with news.dispatcher(targets).running():
        await news.finish("a")
        await news.finish("b", reply_to={"chat_id": "../admin"})
        await news.finish("c", reply_to={"chat_id": ".."})
        await news.finish("d", reply_to={"chat_id": "!room?x=1#y:example.org"})
        found = await news.settled("refused", "refused", "refused", "delivered")
    assert found[0].error == "its address needs `chat_id`, which the task's reply_to does not have"
    assert "cannot stand in an address" in found[1].error
    assert "cannot stand in an address" in found[2].error
    assert [heard.path for heard in receiver.heard] == ["/%21room%3Fx%3D1%23y%3Aexample.org"]


async def test_old_deliveries_are_forgotten(news: News, receiver: Receiver) -> None:
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        await news.settled("delivered")
    day = 24 * 3600.0
    assert await forget_old(news.store, news.clock.now() + 13 * day) == 0

    async def forgotten() -> bool:
        return not await news.store.deliveries()

    news.clock.advance(15 * day)
    async with news.dispatcher(Settings()).running():
        await asyncio.sleep(0.05)
        news.clock.advance(3600)
        await news.until(forgotten)


async def test_only_the_tasks_that_were_named_are_touched(news: News, receiver: Receiver) -> None:
    await news.finish("a")
    await news.finish("b")
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running(["b"]) as dispatcher:
        assert await dispatcher.drain(10) == 0
    assert [heard.task for heard in receiver.heard] == ["b"]
    assert {change.task for change in await news.store.changes()} == {"a"}


async def test_a_program_that_ends_waits_for_the_news_of_its_own_task_alone(news: News, receiver: Receiver) -> None:
    await news.finish("a")
    await news.finish("b")
    held = asyncio.Event()

    async def hold(heard: Heard) -> web.StreamResponse:
        if heard.task == "a":
            await held.wait()
        return web.Response()

    receiver.script = [hold] * 2
    targets = settings(ops=webhook(receiver.url, all=True))
    async with news.dispatcher(targets).running() as dispatcher:
        assert not await dispatcher.drain(10, ["b"])
        assert {one.task: one.state for one in await news.store.deliveries()} == {"a": "pending", "b": "delivered"}
        held.set()
        assert not await dispatcher.drain(10)
    assert len(receiver.heard) == 2


async def test_a_secret_that_is_no_text_signs_as_the_bytes_that_it_is(memory_news: News, receiver: Receiver) -> None:
    news = memory_news
    news.environ["SECRET"] = os.fsdecode(b"\xff-secret")
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(receiver.url, secret="", secret_env="SECRET", all=True))).running():
        await news.settled("delivered")
    (heard,) = receiver.heard
    digest = hmac.new(b"\xff-secret", heard.raw, hashlib.sha256).hexdigest()
    assert heard.headers["X-Hub-Signature-256"] == f"sha256={digest}"


async def test_a_program_that_ends_tries_for_a_short_time_and_leaves_the_rest(news: News, receiver: Receiver) -> None:
    receiver.script = [500] * 100
    await news.finish("a")
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running(["a"]) as dispatcher:
        left: list[int] = []

        async def drain() -> None:
            left.append(await dispatcher.drain(0.5))

        async with asyncio.TaskGroup() as group:
            group.create_task(drain())
            await news.until(lambda: bool(left))
    assert left == [1]
    receiver.script.clear()
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        await news.settled("delivered")


async def test_a_command_gets_the_news_on_its_stdin(memory_news: News) -> None:
    news = memory_news
    out = news.directory / "out"
    script = f'cat > {out}; env > {out}.env; test -z "$FORBIDDEN"'
    news.environ["FORBIDDEN"] = "x"
    target = TargetSettings(kind="command", command=("sh", "-c", script), all=True)
    await news.finish("a")
    async with news.dispatcher(settings(prog=target)).running():
        await news.settled("delivered")
    assert json.loads(out.read_text())["text"].startswith("Task a completed")
    assert "FORBIDDEN" not in (news.directory / "out.env").read_text()


async def test_a_command_that_fails_or_hangs_is_tried_again(memory_news: News) -> None:
    news = memory_news
    flag = news.directory / "flag"
    script = f"test -e {flag}.2 && exit 0; test -e {flag} && {{ touch {flag}.2; sleep 300; }}; touch {flag}; echo no >&2; exit 3"
    target = TargetSettings(kind="command", command=("sh", "-c", script), all=True, timeout_seconds=0.5)
    await news.finish("a")

    async def failed() -> bool:
        found = await news.store.deliveries()
        return bool(found and found[0].attempts)

    async with news.dispatcher(settings(prog=target)).running():
        await news.until(failed)
        assert (await news.delivery()).error == "sh ended with 3: no"
        (delivery,) = await news.settled("delivered")
    assert delivery.attempts == 3


async def test_a_program_that_is_not_there_is_a_problem_and_keeps_the_news(memory_news: News) -> None:
    news = memory_news
    target = TargetSettings(kind="command", command=("no-such-program",), all=True)
    await news.finish("a")

    async def failed() -> bool:
        found = await news.store.deliveries()
        return bool(found and found[0].attempts)

    dispatcher = news.dispatcher(settings(prog=target))
    assert dispatcher.problems() == ["notify.prog: the program 'no-such-program' is not there; its news wait"]
    async with dispatcher.running():
        await news.until(failed)
    assert (await news.delivery()).error == "no-such-program could not be started: No such file or directory"


def test_nobody_is_asked_to_wait_for_ever() -> None:
    now = 1_700_000_000.0
    assert wait_of("12", now) == 12
    assert wait_of("Tue, 14 Nov 2023 22:14:20 GMT", now) == 60
    assert wait_of("999999999999", now) == LONGEST_WAIT
    assert [wait_of(text, now) for text in ("", "soon", "-5", "nan", "inf", "²")] == [0] * 6
