"""How this process is set up to hold many agents."""

import gc
from typing import Final

GC_THRESHOLDS: Final = (100_000, 50, 1_000)
"""Collections of garbage are rare: messages are untracked, and what agents leave behind is freed by counting."""


def tune_process() -> None:
    """Tell the garbage collector about a process of many small, long-lived objects. For programs, not for libraries."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
