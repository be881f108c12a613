"""The script format of the rehearsal model, shared by the model itself and by the scripted server for tests."""

from kugetsu.rehearsal.script import (
    AFTER_THE_LAST,
    NOTES,
    Script,
    ScriptedCall,
    ScriptedTurn,
    ScriptedUsage,
    load_script,
    parse_script,
)

__all__ = [
    "AFTER_THE_LAST",
    "NOTES",
    "Script",
    "ScriptedCall",
    "ScriptedTurn",
    "ScriptedUsage",
    "load_script",
    "parse_script",
]
