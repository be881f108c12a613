"""A conversation that is all talk: what the user answered to must not fill the window with the agent's own words."""

from collections.abc import AsyncIterator

import pytest

from agent.compaction_lab import notes_size, texts
from agent.context_lab import SOURCE, WindowedModel, agent_of
from kugetsu.agent.compaction import _bounded
from kugetsu.context import SUMMARY_SYSTEM, Exchange, Summary
from kugetsu.messages import Delta, ReplyEnd, TextDelta, Usage
from kugetsu.protocols import ModelRequest
from kugetsu.sessions import Session


class Talker(WindowedModel):
    """Calls nothing and says much, each time something else."""

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        if request.system != SUMMARY_SYSTEM:
            self.prompts.append(self.count(request.messages))
            start = (request.replies or 0) * 11 % 3_000
            yield TextDelta((SOURCE * 2)[start : start + 2_500])
            yield ReplyEnd("end", Usage(self.prompts[-1], 600))
            return
        async for delta in super().stream(request):
            yield delta


@pytest.mark.parametrize("window", [8_000, 32_000])
async def test_hundreds_of_follow_ups_to_long_words_fit_and_are_all_there(window: int) -> None:
    model, session = Talker(0, window=window), Session()
    session.settle()
    agent = agent_of(model, session=session)
    said = [f"what of part {number}?" for number in range(150)]
    for words in said:
        agent.inbox.follow_up(words)
    await agent.run("look at it all")
    assert max(model.prompts) <= window
    assert len(model.summaries) > 2
    assert notes_size(session) < window // 4
    assert all(words in texts(session.messages) for words in said)


def test_of_old_exchanges_the_answers_that_stand_nowhere_else_stay_in_full() -> None:
    long = "which of all these? " * 100
    asked = [Exchange(f"{number} {long}", f"answer {number} " * 100, kept=number % 2 == 0) for number in range(40)]
    exchanges = _bounded(Summary(exchanges=tuple(asked)), 4_000).exchanges
    answers = [one.answer for one in exchanges]
    assert [one.answer for one in asked if not one.kept] == [answer for answer in answers if int(answer.split()[1]) % 2]
    assert exchanges[-4:] == tuple(asked[-4:])
    assert not any(one.kept or len(one.question) > 200 for one in exchanges[:10])
    assert _bounded(Summary(exchanges=tuple(asked)), 10**6).exchanges == tuple(asked)
