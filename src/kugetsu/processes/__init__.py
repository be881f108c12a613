"""Commands: started in groups of their own with a clean environment, and ended with their whole tree."""

from kugetsu.processes.command import Captured, Command, capture, end_marked, kill_marked, start_command
from kugetsu.processes.environment import clean_environment
from kugetsu.processes.output import MOST_OUTPUT_BYTES, Output, open_output

__all__ = [
    "MOST_OUTPUT_BYTES",
    "Captured",
    "Command",
    "Output",
    "capture",
    "clean_environment",
    "end_marked",
    "kill_marked",
    "open_output",
    "start_command",
]
