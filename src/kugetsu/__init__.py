"""Kugetsu runs coding agents in numbers, each in a worktree of its own, and hands back branches with computed proof."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kugetsu.app.embedded import Shadow

__version__ = "0.1.0"

__all__ = ["Shadow", "__version__"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    """Import what programs use when they use it: `import kugetsu` itself, and `kugetsu --help`, stay fast."""
    if name == "Shadow":
        from kugetsu.app.embedded import Shadow  # noqa: PLC0415 - see above

        return Shadow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
