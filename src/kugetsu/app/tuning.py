"""How this process is set up to hold many agents."""

import gc
from typing import Final

from kugetsu.models import use_small_tls_buffers

GC_THRESHOLDS: Final = (100_000, 50, 1_000)
"""Collections of garbage are rare: messages are untracked, and what agents leave behind is freed by counting."""


def tune_process() -> None:
    """Prepare for many small, long-lived objects and many idle connections. For programs, not for libraries."""
    use_small_tls_buffers()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
