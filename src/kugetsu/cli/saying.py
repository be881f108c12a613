"""What users are told beside the result."""

import contextlib
import sys


def say(sentence: str) -> None:
    """Tell the user something on stderr."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"kugetsu: {sentence}\n")
        sys.stderr.flush()
