"""The tools: what models call. Each answers in words, also when something goes wrong."""

from collections.abc import Callable
from typing import Any, Final

from . import schemas
from .contract import Json
from .desk import Desk, open_desk
from .trouble import Trouble

TOOLSET: Final = "kugetsu"
"""The name under which users switch the tools on and off."""

Handler = Callable[..., str]

_PROMPTS: Final = ("prompt", "task", "message", "instructions", "instruction", "text")
"""Names that models and users of older tools give to the job."""

_MORE: Final = ("base", "check", "model")


def _submit(desk: Desk, arguments: Json) -> str:
    prompt = next((text for name in _PROMPTS if (text := _text(arguments, name))), "")
    more = {name: _text(arguments, name) for name in _MORE}
    repo = _text(arguments, "repo") or _text(arguments, "repository")
    return desk.submit(prompt, repo=repo, subject=_text(arguments, "subject"), **more)


def _status(desk: Desk, arguments: Json) -> str:
    return desk.status(_text(arguments, "task").strip())


def _control(desk: Desk, arguments: Json) -> str:
    return desk.control(_text(arguments, "task").strip(), _text(arguments, "action"), _text(arguments, "text"))


def _result(desk: Desk, arguments: Json) -> str:
    return desk.result(_text(arguments, "task").strip(), diff=arguments.get("diff") is True)


def _text(arguments: Json, name: str) -> str:
    value = arguments.get(name)
    return "" if value is None else str(value)


def _handler(do: Callable[[Desk, Json], str]) -> Handler:
    def handle(arguments: object = None, **_: Any) -> str:  # noqa: ANN401 - Hermes tells more than is needed
        try:
            return do(open_desk(), arguments if isinstance(arguments, dict) else {})
        except Trouble as trouble:
            return f"Error: {trouble}"

    return handle


TOOLS: Final[tuple[tuple[Json, Handler], ...]] = (
    (schemas.SUBMIT, _handler(_submit)),
    (schemas.STATUS, _handler(_status)),
    (schemas.CONTROL, _handler(_control)),
    (schemas.RESULT, _handler(_result)),
    (schemas.PI_AGENT, _handler(_submit)),
)
"""Each tool with what does it. `pi_agent` is an older name of the first."""
