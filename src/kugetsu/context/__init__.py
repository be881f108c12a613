"""What a model is shown of a conversation, and what it has to fit into: estimates, budgets and pruning. Pure rules and data."""

from kugetsu.context.budget import ContextBudget
from kugetsu.context.estimate import estimate, estimate_text
from kugetsu.context.meter import Meter, Prefix
from kugetsu.context.overflow import Overflow, read_overflow
from kugetsu.context.pruning import Pruning, prune
from kugetsu.context.stubs import ArgumentsStub, ResultStub, Stub, copies_note, placed, with_stubs

__all__ = [
    "ArgumentsStub",
    "ContextBudget",
    "Meter",
    "Overflow",
    "Prefix",
    "Pruning",
    "ResultStub",
    "Stub",
    "copies_note",
    "estimate",
    "estimate_text",
    "placed",
    "prune",
    "read_overflow",
    "with_stubs",
]
