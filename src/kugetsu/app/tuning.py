"""How this process is set up to hold many agents."""

import ctypes
import gc
from typing import Final

from kugetsu.models import use_small_tls_buffers

GC_THRESHOLDS: Final = (100_000, 50, 1_000)
"""Collections of garbage are rare: messages are untracked, and what agents leave behind is freed by counting."""

_PR_SET_DUMPABLE: Final = 4
"""From linux/prctl.h."""


def tune_process() -> None:
    """Prepare for many small, long-lived objects and many idle connections. For programs, not for libraries."""
    use_small_tls_buffers()
    _hide_own_environment()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _hide_own_environment() -> None:
    """Keep commands of the same user from reading our keys in /proc (root can always). See prctl(2), PR_SET_DUMPABLE."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
