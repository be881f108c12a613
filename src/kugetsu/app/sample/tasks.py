"""The three tasks of the demo."""

import shlex
import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec


def sample_data() -> Path:
    """Where the files of the sample are installed."""
    return Path(str(resources.files(__package__)))


class SampleTask(msgspec.Struct, frozen=True):
    """A bug of the sample project.

    Attributes:
        name: of its module, its test and its rehearsal.
        prompt: what a user would ask for.
    """

    name: str
    prompt: str

    @property
    def check(self) -> str:
        """Shell command that fails until the bug is repaired."""
        python = "python3" if shutil.which("python3") else shlex.quote(sys.executable)
        return f"{python} -m unittest tests.test_{self.name}"

    @property
    def script(self) -> Path:
        """What the rehearsal model says to repair it."""
        return sample_data() / "rehearsals" / f"{self.name}.json"


SAMPLE_TASKS: Final = (
    SampleTask("dates", "Fix the date parser: it takes the day for the month"),
    SampleTask("slots", "Fix the calendar: time that is taken is shown as free"),
    SampleTask("prices", "Fix the prices: some receipts are a cent short"),
)
"""One task per bug; they touch different files and may be done at the same time."""
