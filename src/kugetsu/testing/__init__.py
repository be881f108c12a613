"""Fakes and servers for tests, of this project and of others."""

from kugetsu.testing.journal import MemoryJournal
from kugetsu.testing.model import CannedModel, CannedReply, says
from kugetsu.testing.tools import FunctionTool

__all__ = ["CannedModel", "CannedReply", "FunctionTool", "MemoryJournal", "says"]
