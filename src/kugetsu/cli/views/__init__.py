"""What commands show: progress while shadows run; tables, details and conversations afterwards. Rendering only."""

from kugetsu.cli.views.conversation import print_conversation, print_log
from kugetsu.cli.views.details import print_details, ways_to_get
from kugetsu.cli.views.figures import print_stats
from kugetsu.cli.views.listing import print_listing
from kugetsu.cli.views.results import print_results
from kugetsu.cli.views.standing import queue_fields, standing
from kugetsu.cli.views.text import block, one_line
from kugetsu.cli.views.timeline import Timeline
from kugetsu.cli.views.view import NoView, View, ViewKind, open_view

__all__ = [
    "NoView",
    "Timeline",
    "View",
    "ViewKind",
    "block",
    "one_line",
    "open_view",
    "print_conversation",
    "print_details",
    "print_listing",
    "print_log",
    "print_results",
    "print_stats",
    "queue_fields",
    "standing",
    "ways_to_get",
]
