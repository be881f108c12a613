"""What Hermes gives a plugin, as far as Kugetsu's needs it: for tests that need no Hermes."""

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import kugetsu_hermes


@dataclass
class StandIn:
    """A Hermes that the plugin has registered with."""

    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    hooks: dict[str, Callable[..., Any]] = field(default_factory=dict)
    commands: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kugetsu_hermes.register(self)

    def register_tool(self, **tool: Any) -> None:
        self.tools[tool["name"]] = tool

    def register_hook(self, name: str, hook: Callable[..., Any]) -> None:
        self.hooks[name] = hook

    def register_command(self, name: str, command: Callable[..., Any], **_: Any) -> None:
        self.commands[name] = command

    def call(self, name: str, message: int = 0, **arguments: Any) -> str:
        """What a tool answers; called on behalf of a message in a chat if one is named."""
        return str(self._handling(message, lambda: self.tools[name]["handler"](arguments, task_id="t", session_id="s")))

    def write(self, text: str, message: int = 0) -> str:
        """What the command `/kugetsu` answers."""
        return str(self._handling(message, lambda: asyncio.run(self.commands["kugetsu"](text))))

    def _handling(self, message: int, do: Callable[[], Any]) -> Any:
        def handle() -> Any:
            if message:
                self.hooks["pre_gateway_dispatch"](event=_event(message), gateway=None, session_store=None)
            return do()

        return contextvars.copy_context().run(handle)


def _event(message: int) -> SimpleNamespace:
    source = SimpleNamespace(
        platform=SimpleNamespace(value="telegram"),
        chat_id="42",
        thread_id=7,
        user_id="1",
        message_id=str(message),
        profile=None,
    )
    return SimpleNamespace(source=source, text="")
