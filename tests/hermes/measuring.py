"""How the two ways from Hermes to Kugetsu compare: `python tests/hermes/measuring.py` prints a table.

For each way and for 1, 5 and 20 tasks whose agents wait for their model: the time until a task is accepted, as the plugin
in Hermes sees it, and the memory (PSS) of all that runs for them.
"""

import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hermes.real_hermes import Hermes
from hermes.real_kugetsu import Kugetsu
from hermes.scripted_model import Gate, Reply, ScriptedModel
from kugetsu_hermes.desk import Desk
from kugetsu_hermes.origin import Origin
from kugetsu_hermes.settings import load_settings

COUNTS = (1, 5, 20)


def main() -> None:
    sys.stdout.write("| way | tasks | accepted after, median | slowest | memory |\n|---|---|---|---|---|\n")
    for mode in ("http", "spawn"):
        for count in COUNTS:
            with tempfile.TemporaryDirectory() as directory:
                middle, slowest, memory = measured(Path(directory), mode, count)
            row = f"| {mode} | {count} | {middle * 1000:.0f} ms | {slowest * 1000:.0f} ms | {memory:.0f} MB |\n"
            sys.stdout.write(row)
            sys.stdout.flush()


def measured(directory: Path, mode: str, count: int) -> tuple[float, float, float]:
    """Median and longest time until a task is accepted, in seconds, and memory in MB once all run."""
    with ScriptedModel(lambda _: Reply("done", gate=Gate())) as model:
        hermes = Hermes(directory, model)
        hermes.write_config({**hermes.config, "platforms": {"telegram": {"enabled": True}}})
        kugetsu = Kugetsu(directory, hermes, model, mode)
        try:
            if mode == "http":
                kugetsu.start()
            os.environ.update(kugetsu.user.environ)
            desk = Desk(load_settings(hermes.home, {}), Origin())
            times = [timed(desk, number) for number in range(count)]
            while sum(task["state"] == "running" for task in kugetsu.user.tasks()) < count:
                time.sleep(0.2)
            time.sleep(3.0)  # for worktrees to be made
            pids = kugetsu.processes() if mode == "spawn" else [kugetsu.server_pid]
            return statistics.median(times), max(times), sum(pss(pid) for pid in pids)
        finally:
            kugetsu.stop(signal.SIGKILL)


def timed(desk: Desk, number: int) -> float:
    before = time.perf_counter()
    desk.submit(f"task {number}")
    return time.perf_counter() - before


def pss(pid: int) -> float:
    """Memory of a process in MB, with its share of what several use."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
