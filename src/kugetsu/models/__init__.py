"""Models behind their wires, and the rehearsal model."""

from kugetsu.models.models import SCRIPTED, Models
from kugetsu.models.scripted import ScriptedModel
from kugetsu.models.tls import use_small_tls_buffers

__all__ = ["SCRIPTED", "Models", "ScriptedModel", "use_small_tls_buffers"]
