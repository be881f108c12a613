"""Shadows: who lives, with what, and who runs their loop."""

from kugetsu.shadows.manager import ShadowManager
from kugetsu.shadows.native import NativeRuntime
from kugetsu.shadows.parts import Parts
from kugetsu.shadows.residence import TASK_MARKER
from kugetsu.shadows.shadow import Shadow

__all__ = ["TASK_MARKER", "NativeRuntime", "Parts", "Shadow", "ShadowManager"]
