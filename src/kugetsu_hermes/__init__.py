"""The plugin for Hermes. Uses the standard library only: it runs inside of Hermes, with the packages of Hermes.

Hermes finds it by the entry point `kugetsu` of the group `hermes_agent.plugins`, or as the directory `plugins/kugetsu` of
its home; all imports within are relative, for there the package bears another name.
"""

from typing import Any

__version__ = "0.1.0"


def register(ctx: Any) -> None:  # noqa: ANN401 - the context of Hermes, which is no package that can be imported here
    """Tell Hermes what there is: four tools and an older name of the first, and the command `/kugetsu`.

    The tools are there whether Kugetsu is or not, and say what to do: what Hermes hides once, it shows a chat never again.
    """
    from .chat import DESCRIPTION, kugetsu_command  # noqa: PLC0415 - nothing is imported before it is enabled
    from .origin import note_message  # noqa: PLC0415 - as above
    from .tools import TOOLS, TOOLSET  # noqa: PLC0415 - as above

    for schema, handler in TOOLS:
        ctx.register_tool(
            name=schema["name"],
            toolset=TOOLSET,
            schema=schema,
            handler=handler,
            description=schema["description"],
            emoji="🌘",
        )
    ctx.register_hook("pre_gateway_dispatch", note_message)
    ctx.register_command("kugetsu", kugetsu_command, description=DESCRIPTION, args_hint="[submit|status|list|...]")
