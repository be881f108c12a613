from kugetsu.messages import user
from kugetsu.protocols import Journal
from kugetsu.sessions import Heard
from kugetsu.testing import MemoryJournal
from sessions.session_lab import a_turn


async def test_a_journal_tells_the_conversation_with_what_an_open_turn_holds() -> None:
    journal = MemoryJournal()
    turn = a_turn(1, calls=2)
    await journal.append(Heard(user("do it")), taken=[4])
    await journal.append(*turn[:3], taken=[5])
    assert [type(message).__name__ for message in journal.messages] == ["UserMessage", "AssistantMessage", "ToolResult"]
    await journal.append(*turn[3:])
    assert len(journal.messages) == 4
    assert journal.entries == [Heard(user("do it")), *turn]
    assert journal.taken == [4, 5]


async def test_a_journal_may_begin_with_what_an_earlier_run_wrote() -> None:
    journal = MemoryJournal([Heard(user("do it"))])
    seam: Journal = journal
    await seam.append(*a_turn(1))
    assert len(journal.messages) == 2
