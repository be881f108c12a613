"""A shadow whose conversation was pruned sees an old output again, also in a later run."""

import dataclasses

from kugetsu.agent import Hooks, RetryPolicy, Toolbox
from kugetsu.config import ContextSettings
from kugetsu.events import ContextMeasured, ContextPruned
from kugetsu.messages import ToolResult
from kugetsu.protocols import Claim, ModelInfo, SystemClock
from kugetsu.sessions import Pruned, Session
from kugetsu.shadows import NativeRuntime, Shadow
from kugetsu.tasks import Task
from kugetsu.testing import CannedModel, CannedReply, says
from kugetsu.tools import default_tools
from support.agent_bench import call
from support.shadow_bench import ShadowBench


class NarrowModel(CannedModel):
    info = ModelInfo(context_window=16_000, max_output=2_000, priced=True)


def narrow(shadows: ShadowBench, task: Task, *replies: CannedReply, claim: Claim | None = None) -> Shadow:
    shadow = shadows.shadow_of(task, claim=claim)
    settings = ContextSettings(prune_at=0.6, prune_to=0.3, keep_turns=1)
    shadows.model = NarrowModel(*replies)
    runtime = NativeRuntime(
        shadows.model,
        Toolbox(default_tools(context=settings)),
        clock=SystemClock(),
        hooks=Hooks(),
        retry=RetryPolicy(base_seconds=0.001),
        context=settings,
    )
    return Shadow(task, dataclasses.replace(shadow._parts, runtime=runtime), claim)


def results(shadows: ShadowBench) -> dict[str, str]:
    """What the model saw last of each call."""
    return {one.call_id: one.text for one in shadows.model.requests[-1].messages if isinstance(one, ToolResult)}


async def test_what_was_pruned_can_be_recalled_and_the_log_keeps_it_all(shadows: ShadowBench) -> None:
    printing = [says("", call("bash", f"c{number}", command=f"seq {number}000 {number}999")) for number in range(1, 8)]
    task = shadows.task()
    shadow = narrow(
        shadows, task, *printing, says("", call("recall", "r1", call="c1", offset=3, limit=2)), says("done")
    )
    feed = shadow.feed.subscribe()
    report = await shadow.run()
    events = [event async for event in feed]
    assert report.state == "completed"
    seen = results(shadows)
    assert seen["c1"].startswith("[pruned: ")
    assert seen["r1"].startswith("1002\n1003\n\n[Showing lines 3-4 of")
    assert any(isinstance(event, ContextPruned) for event in events)
    (measured,) = (event for event in events if isinstance(event, ContextMeasured))
    assert measured.requests == 9
    entries = [line.entry for line in await shadows.store.session(task.id)]
    assert any(isinstance(entry, Pruned) for entry in entries)
    whole = Session(entry for entry in entries if not isinstance(entry, Pruned))
    texts = {one.call_id: one.text for one in whole.messages if isinstance(one, ToolResult)}
    assert texts["c1"].startswith("1000\n1001\n")
    assert Session(entries).messages[:-1] == list(shadows.model.requests[-1].messages)
