"""Shadows: who lives, with what, and who runs their loop."""
