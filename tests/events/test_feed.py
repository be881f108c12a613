import asyncio

import pytest

from kugetsu.events import EVENT_TYPES, Event, EventsDropped, Feed, Noted, decode_event, encode_event


def feed() -> Feed:
    return Feed("task1", now=lambda: 12.5)


async def test_events_are_stamped_in_order() -> None:
    source = feed()
    seen: list[Event] = []
    source.attach(seen.append)
    source.publish(Noted(message="a"))
    source.publish(Noted(message="b"))
    assert seen == [
        Noted(message="a", task="task1", seq=1, at=12.5),
        Noted(message="b", task="task1", seq=2, at=12.5),
    ]


async def test_numbers_go_on_from_those_of_an_earlier_run() -> None:
    source = feed()
    source.seq = 41
    seen: list[Event] = []
    source.attach(seen.append)
    source.publish(Noted(message="a"))
    assert seen[0].seq == source.seq == 42


async def test_a_reader_gets_everything_and_ends_with_the_feed() -> None:
    source = feed()
    events = source.subscribe()
    for n in range(3):
        source.publish(Noted(message=str(n)))
    source.close()
    assert [event.seq async for event in events] == [1, 2, 3]


async def test_a_reader_that_waits_is_woken() -> None:
    source = feed()
    events = source.subscribe()

    async def read() -> list[int]:
        return [event.seq async for event in events]

    async with asyncio.TaskGroup() as group:
        reader = group.create_task(read())
        await asyncio.sleep(0)
        source.publish(Noted(message="a"))
        await asyncio.sleep(0)
        source.publish(Noted(message="b"))
        source.close()
    assert reader.result() == [1, 2]


async def test_a_slow_reader_loses_the_oldest_and_is_told_how_many() -> None:
    source = feed()
    events = source.subscribe(limit=3)
    for n in range(10):
        source.publish(Noted(message=str(n)))
    source.close()
    seen = [event async for event in events]
    assert isinstance(seen[0], EventsDropped)
    assert seen[0].count == 7
    assert [event.seq for event in seen[1:]] == [8, 9, 10]


async def test_one_slow_reader_takes_nothing_from_another() -> None:
    source = feed()
    slow, quick = source.subscribe(limit=1), source.subscribe()
    for n in range(5):
        source.publish(Noted(message=str(n)))
    source.close()
    assert len([event async for event in quick]) == 5
    assert len([event async for event in slow]) == 2


async def test_subscribing_to_a_closed_feed_ends_at_once() -> None:
    source = feed()
    source.close()
    assert [event async for event in source.subscribe()] == []


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_every_event_survives_its_own_json(kind: type[Event]) -> None:
    import msgspec

    from support.samples import sample

    event = sample(kind)
    assert decode_event(encode_event(event)) == event
    assert msgspec.json.decode(encode_event(event))["type"]
