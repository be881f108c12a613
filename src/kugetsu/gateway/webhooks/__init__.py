"""What others tell us: signed, mapped to tasks by rules."""

from kugetsu.gateway.webhooks.answers import HookAnswer
from kugetsu.gateway.webhooks.desk import Webhooks
from kugetsu.gateway.webhooks.problems import problems
from kugetsu.gateway.webhooks.told import MARKER

__all__ = ["MARKER", "HookAnswer", "Webhooks", "problems"]
