"""Kugetsu runs coding agents in numbers, each in a worktree of its own, and hands back branches with computed proof."""

__version__ = "0.1.0"
