"""Never two compactions without work between, and never a loop of them."""

import itertools

import pytest

from agent.compaction_lab import Lab, writes_much
from kugetsu.agent.compaction import _bounded
from kugetsu.context import Summary, estimate, estimate_text
from kugetsu.errors import ModelError
from kugetsu.events import ModelRetried


def check(lab: Lab, window: int, ratio: float = 1.0) -> None:
    taken = lab.compactions
    assert all(a.through < b.through for a, b in itertools.pairwise(taken))
    for entry in taken:
        # An eighth for any notes but now and then; one part of 32 at least, unless the provider refused.
        assert lab.work_before(entry) >= 256
    often = [b for a, b in itertools.pairwise(entry for entry in taken if entry.model) if b.turn - a.turn < 5]
    for entry in often:
        assert lab.work_before(entry) * ratio >= window // 8 * 0.95


@pytest.mark.parametrize("window", [2_048, 3_000, 4_096, 8_192, 16_384])
@pytest.mark.parametrize("notes", ["short", "longest", "too long"])
async def test_small_windows(window: int, notes: str) -> None:
    lab = Lab(40, window=window, talk=600, strict=True)
    if notes != "short":
        lab.model.notes = [writes_much(1.0 if notes == "longest" else 9.0) for _ in range(99)]
    assert await lab.agent().run("do it") == "done"
    assert lab.model.refused <= 1
    check(lab, window)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.8])
@pytest.mark.parametrize("window", [32_000, 64_000])
async def test_words_of_users_that_fill_the_window(window: int, share: float) -> None:
    lab = Lab(60, window=window, talk=700)
    agent = lab.agent()
    for number in range(10):
        agent.inbox.steer(f"{number} " + "words of a user " * int(window * share / 43))
    assert await agent.run("do it") == "done"
    check(lab, window)
    assert len(lab.compactions) <= 60 * 300 * 32 / window + 1
    assert len(lab.model.summaries) <= 60 // 5


async def test_nobody_is_asked_for_notes_on_a_little_work_each_time() -> None:
    lab = Lab(60, window=8_192, talk=700)
    agent = lab.agent()
    for number in range(10):
        agent.inbox.steer(f"{number} " + "words of a user " * 95)
    assert await agent.run("do it") == "done"
    assert len(lab.compactions) > 20
    assert 5 <= len(lab.model.summaries) <= 60 // 5


@pytest.mark.parametrize("factor", [0.6, 2.0])
@pytest.mark.parametrize("believed", [1, 4])
@pytest.mark.parametrize("says", ["", "maximum context length is {window} tokens, yours has {prompt}"])
async def test_estimates_that_are_off_and_windows_that_are_learned(factor: float, believed: int, says: str) -> None:
    lab = Lab(50, window=24_000, believed=24_000 * believed, factor=factor, says=says, talk=2_000)
    lab.model.notes = [writes_much(1.0) for _ in range(99)]
    assert await lab.agent().run("do it") == "done"
    assert lab.model.refused <= 3
    check(lab, 24_000, factor)
    assert all(
        request.about_tokens == pytest.approx(factor * sum(map(estimate, request.messages)), rel=0.3)
        for request in lab.model.summaries
    )
    retried = [event for event in lab.all(ModelRetried) if event.failure == "context_overflow"]
    assert len(retried) <= 3 + lab.model.refused


async def test_last_turns_as_large_as_the_window() -> None:
    lab = Lab(40, window=12_000, talk=9_000)
    assert await lab.agent().run("do it") == "done"
    check(lab, 12_000)


async def test_a_task_that_cannot_fit_asks_for_no_notes_at_all() -> None:
    lab = Lab(5, window=4_000, believed=16_000)
    with pytest.raises(ModelError, match="too long"):
        await lab.agent().run("a task that is too long " * 4_000)
    assert (lab.model.summaries, lab.compactions) == ([], [])


@pytest.mark.parametrize("most", [0, 100, 2_000, 100_000])
def test_lists_of_files_never_fill_a_small_window(most: int) -> None:
    paths = tuple(f"src/deep/down/in/a/large/repository/file_{number}.py" for number in range(100))
    fewer = _bounded(Summary("notes", paths, paths), most)
    for listed in (fewer.read, fewer.changed):
        assert estimate_text("\n".join(listed)) <= most // 2
        assert listed == paths[len(paths) - len(listed) :]
        assert len(listed) == 100 or most < 100_000
    assert fewer.text == "notes"
