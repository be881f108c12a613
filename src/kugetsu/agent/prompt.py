"""The system prompt: a short base, what the tools say of themselves, the workspace's facts, the repository's own words."""

from collections.abc import Iterable, Sequence
from typing import Final

from kugetsu.agent.instructions import Instructions, Skill
from kugetsu.protocols import ToolSpec

BASE: Final = """\
You are a software engineer who works alone on one task in a git repository.

- Look before you change: read the files concerned and find out how the project is built and tested.
- Make the smallest change that does the whole task. Keep to the style of the code around it.
- Run the tests, or whatever proves the work, and fix what fails. Never claim what you have not seen.
- Commit your work with git in commits whose messages say what changed and why. You cannot push.
- Decide for yourself. When a decision is the user's alone and you cannot go on without it, ask, if there is a tool for it.
- When everything is done, answer without a tool call: say in a few sentences what you changed and how it was proved."""


def system_prompt(
    *,
    tools: Iterable[ToolSpec] = (),
    facts: Iterable[str] = (),
    instructions: Sequence[Instructions] = (),
    skills: Sequence[Skill] = (),
    extra: str = "",
) -> str:
    """Put the system prompt together. The same input gives the same text, so that providers can cache it.

    Of each tool it says one sentence; the whole description and the schema go beside it, the way each wire has for them.

    Args:
        tools: what the agent may call.
        facts: sentences about the workspace.
        instructions: the repository's own, from the root down.
        skills: what the agent may read when it needs it.
        extra: instructions from the settings, the user's own and the repository's.
    """
    parts = [BASE, _section("Tools", "\n".join(map(_tool, tools)))]
    parts.append(_section("Workspace", "\n".join(f"- {fact}" for fact in facts)))
    parts.append(_section("Instructions from the settings", extra.strip()))
    parts += [_section(f"Instructions of the repository ({item.path})", item.text) for item in instructions]
    parts.append(_section("Skills (read the file before you do what it describes)", "\n".join(map(_skill, skills))))
    return "\n\n".join(filter(None, parts))


def _section(title: str, text: str) -> str:
    return f"# {title}\n\n{text}" if text else ""


def _tool(tool: ToolSpec) -> str:
    sentence, dot, _ = tool.description.partition(". ")
    return f"- {tool.name}: {sentence}{'.' if dot else ''}"


def _skill(skill: Skill) -> str:
    return f"- {skill.name}: {skill.description} ({skill.path})"
