"""What a model is shown of a conversation, and what it has to fit into: estimates, budgets, pruning, summaries. Pure rules and data."""

from kugetsu.context.budget import ContextBudget
from kugetsu.context.cutting import cut_point, turns_within
from kugetsu.context.estimate import estimate, estimate_text
from kugetsu.context.meter import Meter, Prefix, Sizes
from kugetsu.context.overflow import Overflow, read_overflow
from kugetsu.context.pruning import Pruning, prune
from kugetsu.context.stubs import ArgumentsStub, ResultStub, Stub, copies_note, placed, with_stubs
from kugetsu.context.summary import SUMMARY_SYSTEM, Exchange, Summary, gather, summary_message, taken_out
from kugetsu.context.transcript import shortened, transcript

__all__ = [
    "SUMMARY_SYSTEM",
    "ArgumentsStub",
    "ContextBudget",
    "Exchange",
    "Meter",
    "Overflow",
    "Prefix",
    "Pruning",
    "ResultStub",
    "Sizes",
    "Stub",
    "Summary",
    "copies_note",
    "cut_point",
    "estimate",
    "estimate_text",
    "gather",
    "placed",
    "prune",
    "read_overflow",
    "shortened",
    "summary_message",
    "taken_out",
    "transcript",
    "turns_within",
    "with_stubs",
]
