"""Setting up Hermes and Kugetsu for each other."""

from kugetsu.gateway.hermes.changes import Change, write
from kugetsu.gateway.hermes.places import HermesPlace, find_hermes
from kugetsu.gateway.hermes.plan import Mode, Plan, Wish, make_plan
from kugetsu.gateway.hermes.settings_text import settings_file
from kugetsu.gateway.hermes.status import Point, examine

__all__ = [
    "Change",
    "HermesPlace",
    "Mode",
    "Plan",
    "Point",
    "Wish",
    "examine",
    "find_hermes",
    "make_plan",
    "settings_file",
    "write",
]
