"""What we tell others when the state of a task changes."""

from kugetsu.gateway.notifications.dispatcher import KEPT_SECONDS, Dispatcher, forget_old
from kugetsu.gateway.notifications.readiness import problems

__all__ = ["KEPT_SECONDS", "Dispatcher", "forget_old", "problems"]
