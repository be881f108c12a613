"""The sample of the demo: a small repository with three bugs, and a rehearsal of each repair.

The files of `project` are stored with `.txt` behind their names, so that nothing takes them for a part of Kugetsu: no
linter, no test runner, no agent that looks for instructions.
"""

from kugetsu.app.sample.repository import create_sample
from kugetsu.app.sample.tasks import SAMPLE_TASKS, SampleTask

__all__ = ["SAMPLE_TASKS", "SampleTask", "create_sample"]
