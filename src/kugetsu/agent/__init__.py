"""One conversation: the loop, its calls, limits and prompt. Knows no task, no queue and no database."""
