"""Worktrees of real git repositories."""
