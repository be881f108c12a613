"""One conversation: the loop, its calls, limits and prompt. Knows no task, no queue and no database."""

from kugetsu.agent.calls import INTERRUPTED
from kugetsu.agent.hooks import AfterToolCall, BeforeToolCall, Hooks, OnEvent, Refusal, TransformContext
from kugetsu.agent.inbox import Inbox
from kugetsu.agent.instructions import Instructions, Skill, load_instructions, load_skills
from kugetsu.agent.limits import Watchdog
from kugetsu.agent.loop import Agent
from kugetsu.agent.prompt import system_prompt
from kugetsu.agent.retry import RetryPolicy
from kugetsu.agent.toolbox import Toolbox

__all__ = [
    "INTERRUPTED",
    "AfterToolCall",
    "Agent",
    "BeforeToolCall",
    "Hooks",
    "Inbox",
    "Instructions",
    "OnEvent",
    "Refusal",
    "RetryPolicy",
    "Skill",
    "Toolbox",
    "TransformContext",
    "Watchdog",
    "load_instructions",
    "load_skills",
    "system_prompt",
]
