"""`kugetsu submit`."""

from typing import Any

import click

from kugetsu.cli.asking import read_text, subject_option
from kugetsu.cli.exits import Exit
from kugetsu.cli.submitting import queue_options, submit


@click.command("submit")
@click.argument("prompt")
@subject_option
@queue_options
def submit_command(prompt: str, **options: Any) -> int:  # noqa: ANN401 - see `submit`
    """Put a task into the queue and print its ID. `kugetsu serve` works on the queue.

    PROMPT is the task in your words; - reads it from stdin. Ends with 4 when the queue is full, and says how long to wait.

    A server that is named with --server has settings of its own: there, only what you say here counts beside them.
    """
    submit(read_text(prompt, "prompt"), **options)
    return Exit.COMPLETED
