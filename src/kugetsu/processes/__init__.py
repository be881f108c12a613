"""Commands: started in groups of their own with a clean environment, and ended with their whole tree."""

from kugetsu.processes.census import moment
from kugetsu.processes.command import (
    Captured,
    Command,
    capture,
    contents_of,
    end_marked,
    kill_marked,
    memory_file,
    start_command,
)
from kugetsu.processes.confinement import Confinement
from kugetsu.processes.environment import clean_environment
from kugetsu.processes.limits import CommandLimits
from kugetsu.processes.output import MOST_OUTPUT_BYTES, Output, open_output
from kugetsu.processes.protection import protect_self

__all__ = [
    "MOST_OUTPUT_BYTES",
    "Captured",
    "Command",
    "CommandLimits",
    "Confinement",
    "Output",
    "capture",
    "clean_environment",
    "contents_of",
    "end_marked",
    "kill_marked",
    "memory_file",
    "moment",
    "open_output",
    "protect_self",
    "start_command",
]
