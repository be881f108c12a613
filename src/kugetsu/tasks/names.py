"""Names of tasks: ids, slugs and branches."""

import re
import secrets
import unicodedata
from typing import Final

_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 of them, so that every byte is as good as another
_ID_LENGTH: Final = 10
_SLUG_LENGTH: Final = 40
BRANCH_PREFIX: Final = "kugetsu/"


def new_task_id() -> str:
    """Make a random id of 50 bits: easy to type, and told apart by its first few characters."""
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(_ID_LENGTH))


def slug(text: str) -> str:
    """Make a short name of ASCII letters, digits and single dashes from any text; never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if len(words) > _SLUG_LENGTH:
        words = words[: _SLUG_LENGTH + 1].rpartition("-")[0] or words[:_SLUG_LENGTH]
    return words.strip("-") or "task"


def branch_name(task_id: str, prompt: str) -> str:
    """The branch a task's work is delivered on: `kugetsu/<id>-<slug>`."""
    return f"{BRANCH_PREFIX}{task_id}-{slug(prompt)}"
