"""What went wrong, in words for a model or for a person in a chat."""


class Trouble(Exception):  # noqa: N818 - it is said to users, who have trouble
    """Something could not be done; `fix` says what to do next and may be empty.

    Attributes:
        retry_after: seconds after which it is worth another try; 0 when nobody said.
    """

    def __init__(self, message: str, *, fix: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.retry_after = retry_after

    def __str__(self) -> str:
        parts = [self.message]
        if self.retry_after > 0:
            parts.append(f"Try again in {self.retry_after:.0f} s")
        if self.fix:
            parts.append(f"What to do: {self.fix}")
        return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts)
