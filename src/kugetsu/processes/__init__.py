"""Commands: started in groups of their own with a clean environment, and ended with their whole tree."""

from kugetsu.processes.command import Captured, Command, capture, end_marked, kill_marked, start_command
from kugetsu.processes.environment import clean_environment

__all__ = ["Captured", "Command", "capture", "clean_environment", "end_marked", "kill_marked", "start_command"]
