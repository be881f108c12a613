"""The engine: who claims tasks, keeps their leases, and brings to them what users want."""

from kugetsu.engine.leases import reap
from kugetsu.engine.presence import Presences, this_host
from kugetsu.engine.sole import SoleDaemon, sole_daemon
from kugetsu.engine.worker import STOPPED, Worker

__all__ = ["STOPPED", "Presences", "SoleDaemon", "Worker", "reap", "sole_daemon", "this_host"]
