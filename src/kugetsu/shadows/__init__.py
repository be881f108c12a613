"""Shadows: who lives, with what, and who runs their loop."""

from kugetsu.shadows.native import NativeRuntime
from kugetsu.shadows.shadow import TASK_MARKER, Parts, Shadow

__all__ = ["TASK_MARKER", "NativeRuntime", "Parts", "Shadow"]
