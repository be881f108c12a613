"""Admission: what the machine has left, and what may start now. One function decides for everything that starts."""

from kugetsu.admission.commands import AdmittedCommands, command_limits
from kugetsu.admission.gate import Gate, Status
from kugetsu.admission.limits import AdmissionLimits, make_limits
from kugetsu.admission.machine import Machine, MachineReader
from kugetsu.admission.rules import InUse, Kind, Reason, Refusal, Strain, decide, describe, strain

__all__ = [
    "AdmissionLimits",
    "AdmittedCommands",
    "Gate",
    "InUse",
    "Kind",
    "Machine",
    "MachineReader",
    "Reason",
    "Refusal",
    "Status",
    "Strain",
    "command_limits",
    "decide",
    "describe",
    "make_limits",
    "strain",
]
