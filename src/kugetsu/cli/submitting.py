"""What is said of a task that was put into the queue."""

import time

import click
import msgspec

from kugetsu.cli.foreground import say
from kugetsu.cli.options import write_json
from kugetsu.cli.views import standing
from kugetsu.protocols import Submitted


def print_submitted(submitted: Submitted, served: bool, *, as_json: bool) -> None:
    """Print the id on stdout, and on stderr where the task stands.

    Args:
        submitted: what became of it.
        served: whether a worker lives that takes it up.
        as_json: print the whole task as JSON instead; `created` says whether it is new.
    """
    if as_json:
        write_json({**msgspec.to_builtins(submitted.record.shown), "created": submitted.created})
        return
    click.echo(submitted.record.id)
    there = "" if submitted.created else "it was submitted before; "
    say(there + standing(submitted.record, served=served, now=time.time()))
