from typing import Any

import msgspec
import pytest

from context.conversations import Talk
from kugetsu.context import ArgumentsStub, ResultStub, copies_note, prune, with_stubs
from kugetsu.messages import AssistantMessage, Message, ToolResult

ALL = 10**9
LONG = "line of output, number one\n" * 400


def stubbed(messages: list[Message], *, surplus: int = ALL, keep: int = 1, recall: bool = True) -> dict[str, str]:
    """The stubs by the call they are for; arguments under the id with `!` behind it."""
    return {
        stub.call + ("!" if isinstance(stub, ArgumentsStub) else ""): (
            stub.text if isinstance(stub, ResultStub) else stub.arguments
        )
        for stub in prune(messages, surplus, keep=keep, recall=recall).stubs
    }


def test_a_stub_says_what_was_there_and_how_to_see_it_again() -> None:
    talk = Talk().call("bash", "c1", LONG, command="make test").call("bash", "c2", "fine", command="true")
    assert stubbed(talk.messages) == {
        "c1": '[pruned: 10,800 characters of bash output from turn 1; recall {"call":"c1"} shows it]'
    }
    assert "call it again to see it" in stubbed(talk.messages, recall=False)["c1"]


def test_nothing_goes_while_everything_fits() -> None:
    talk = Talk().call("bash", "c1", LONG, command="x").call("bash", "c2", LONG, command="y")
    assert prune(talk.messages, 0, keep=1).stubs == ()


def test_old_outputs_go_from_the_oldest_on_until_it_is_enough() -> None:
    talk = Talk()
    for number in range(1, 9):
        talk.call("bash", f"c{number}", LONG, command=f"run {number}")
    assert list(stubbed(talk.messages, surplus=1)) == ["c1"]
    freed = prune(talk.messages, 1, keep=1).freed
    assert list(stubbed(talk.messages, surplus=3 * freed - 50)) == ["c1", "c2", "c3"]


def test_the_last_turns_and_short_results_stay() -> None:
    talk = Talk().call("bash", "c1", "short", command="a").call("bash", "c2", "e" * 399, command="b", is_error=True)
    for number in range(3, 6):
        talk.call("bash", f"c{number}", LONG, command=f"run {number}")
    assert stubbed(talk.messages, keep=3) == {}
    assert list(stubbed(talk.messages, keep=2)) == ["c3"]
    assert list(stubbed(talk.messages, keep=0)) == ["c3", "c4", "c5"]


def test_what_users_said_and_models_thought_stays_also_as_an_answer() -> None:
    talk = Talk(prompt=LONG).call("ask", "c1", LONG, question="which?").say(LONG).hear(LONG)
    talk.call("bash", "c2", "x", command="a")
    assert stubbed(talk.messages, keep=0) == {}


def test_a_call_without_its_result_and_a_result_without_its_call_stay() -> None:
    talk = Talk().call("bash", "c1", LONG, command="a").call("bash", "c2", LONG, command="b").say("done")
    lonely = [message for message in talk.messages if getattr(message, "call_id", "") != "c1"]
    assert list(stubbed(lonely)) == ["c2"]
    stray = [message for message in talk.messages if "c1" not in [c.id for c in getattr(message, "calls", ())]]
    assert list(stubbed(stray)) == ["c2"]


def test_a_file_that_was_read_again_goes_before_older_outputs() -> None:
    talk = Talk().call("bash", "c1", LONG, command="a")
    talk.call("read", "c2", LONG, path="src/a.py").call("read", "c3", LONG, path="./src/a.py").say("so")
    assert list(stubbed(talk.messages, surplus=1)) == ["c2"]
    assert stubbed(talk.messages, surplus=1)["c2"] == (
        "[pruned: 10,800 characters of read output from turn 2: the file was read again in turn 3]"
    )


@pytest.mark.parametrize(
    ("earlier", "later", "covered"),
    [
        ({}, {}, True),
        ({"offset": 10, "limit": 20}, {"offset": 10, "limit": 20}, True),
        ({"offset": 10, "limit": 20}, {}, True),
        ({"offset": "10", "limit": "20"}, {"offset": 1, "limit": 100}, True),
        ({}, {"offset": 10}, False),
        ({"offset": 10, "limit": 20}, {"offset": 11, "limit": 20}, False),
        ({"offset": 1, "limit": 9999}, {"limit": 2000}, True),
    ],
)
def test_a_later_read_counts_when_it_shows_at_least_as_much(
    earlier: dict[str, Any], later: dict[str, Any], *, covered: bool
) -> None:
    talk = Talk().call("bash", "c0", LONG, command="x").call("read", "c1", LONG, path="a", **earlier)
    talk.call("read", "c2", LONG, path="a", **later).say("so")
    assert list(stubbed(talk.messages, surplus=1)) == ["c1" if covered else "c0"]


def test_a_read_that_was_cut_covers_only_what_it_showed() -> None:
    cut = LONG + "\n\n[Showing lines 1-800 of 3000 (50.0KB limit). Use offset=801 to continue.]"
    talk = Talk().call("bash", "c0", LONG, command="x").call("read", "c1", LONG, path="a", offset=700, limit=200)
    talk.call("read", "c2", cut, path="a").say("so")
    assert list(stubbed(talk.messages, surplus=1)) == ["c0"]


@pytest.mark.parametrize("tool", ["edit", "write"])
def test_a_read_of_a_file_that_was_changed_since_goes_early(tool: str) -> None:
    talk = Talk().call("bash", "c0", LONG, command="x").call("read", "c1", LONG, path="a")
    talk.call(tool, "c2", "done", path="a", content="x").say("so")
    assert stubbed(talk.messages, surplus=1)["c1"].endswith(": the file was changed in turn 3]")
    failed = Talk().call("bash", "c0", LONG, command="x").call("read", "c1", LONG, path="a")
    failed.call(tool, "c2", "no such text", is_error=True, path="a", content="x").say("so")
    assert list(stubbed(failed.messages, surplus=1)) == ["c0"]


def test_the_text_of_a_change_goes_when_the_file_was_written_again() -> None:
    talk = Talk().call("bash", "c0", LONG, command="x").call("write", "c1", "ok", path="a", content=LONG)
    talk.call("edit", "c2", "ok", path="a", edits=[{"oldText": "x", "newText": LONG}, {"oldText": "y", "newText": "z"}])
    talk.call("write", "c3", "ok", path="a", content=LONG).say("so")
    note = "[pruned: 10,800 characters; the file was written again in turn 4]"
    both = stubbed(talk.messages, surplus=4000)
    assert list(both) == ["c1!", "c2!"]
    assert msgspec.json.decode(both["c1!"]) == {"path": "a", "content": note}
    assert msgspec.json.decode(both["c2!"]) == {
        "path": "a",
        "edits": [{"oldText": "x", "newText": note}, {"oldText": "y", "newText": "z"}],
    }


def test_pictures_go_before_texts() -> None:
    talk = Talk().call("bash", "c1", LONG, command="x").picture("c2").say("so")
    assert stubbed(talk.messages, surplus=1) == {
        "c2": '[pruned: a picture that read showed from turn 2; recall {"call":"c2"} shows it]'
    }


def test_long_arguments_of_old_calls_go_last() -> None:
    talk = Talk().call("write", "c1", "ok", path="a", content=LONG).call("bash", "c2", LONG, command=LONG).say("so")
    assert list(stubbed(talk.messages)) == ["c2", "c1!", "c2!"]
    for arguments in ("[" * 3_000, "no json" * 100, '"' + "x" * 500 + '"', '{"a":' * 3_000 + "1" + "}" * 3_000):
        odd = Talk().raw("bash", "c1", arguments, "ok").say("so")
        assert stubbed(odd.messages) == {}


def test_a_call_that_repeats_a_note_is_told_from_one_that_speaks_of_it() -> None:
    talk = Talk().call("write", "c1", "ok", path="a", content=LONG).say("so")
    (stub,) = prune(talk.messages, ALL, keep=0).stubs
    assert isinstance(stub, ArgumentsStub)
    assert copies_note(stub.arguments)
    for innocent in ('{"content":"[pruned: "}', '{"content":"x = \\"[pruned: 12 characters; y]\\""}', "{}"):
        assert not copies_note(innocent)


def test_turns_are_named_by_the_numbers_that_they_have() -> None:
    talk = Talk().call("bash", "c1", LONG, command="x").call("bash", "c2", "ok", command="y")
    (stub,) = prune(talk.messages, ALL, keep=1, turns=[7, 9]).stubs
    assert isinstance(stub, ResultStub)
    assert "from turn 7" in stub.text


def test_stubs_change_nothing_but_what_they_stand_for() -> None:
    talk = Talk().call("bash", "c1", LONG, is_error=True, command="x").say("so")
    pruned = with_stubs(talk.messages, prune(talk.messages, ALL, keep=0).stubs)
    assert pruned[0] is talk.messages[0]
    assert isinstance(pruned[1], AssistantMessage)
    assert isinstance(pruned[2], ToolResult)
    assert (pruned[2].call_id, pruned[2].name, pruned[2].is_error) == ("c1", "bash", True)
    with pytest.raises(ValueError, match="no call nowhere"):
        with_stubs(talk.messages, (ResultStub("nowhere", ""),))
