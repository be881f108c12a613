"""Ours and its peers side by side, in one run: `make bench-peers`. Takes about a quarter of an hour.

The same scripted server, the same job, the same machine for everybody; failures are counted and shown, and a measurement
in which jobs failed gives no figure. Peers are installed outside of the repository. Figures go to
`bench/results/peers.json` too.
"""

import argparse
import asyncio
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence

import msgspec
from bench.peers.cap import largest
from bench.peers.install import PeerError, install, version
from bench.peers.measure import measure
from bench.peers.opencode import OpenCodeRun, OpenCodeServe
from bench.peers.ours import Ours
from bench.peers.pi import PiInProcess, PiRpc
from bench.peers.report import Report, capacity_table, figures_table, targets_table
from bench.peers.stage import ROOT, Contender
from rich.console import Console

RESULTS = ROOT / "bench" / "results" / "peers.json"
CONTENDERS: Sequence[Contender] = (
    Ours(),
    PiRpc(),
    PiInProcess("core"),
    PiInProcess("sdk"),
    OpenCodeRun(),
    OpenCodeServe(),
)


class Comparison:
    """Measures what is asked for, one after the other, and tells how far it is."""

    def __init__(self, arguments: argparse.Namespace, console: Console) -> None:
        self._arguments = arguments
        self._console = console
        self._begun = time.monotonic()
        self.report = Report(machine(), {"kugetsu": f"this checkout, Python {platform.python_version()}"})

    async def run(self) -> None:
        """Install, measure, and try with bounded memory."""
        for contender in self._arguments.only:
            if self._install(contender):
                await self._measure(contender)
                if self._arguments.cap and contender.steps:
                    found = await largest(contender, self._arguments.patience, self._tell)
                    self.report.capacities.append(found)

    def _install(self, contender: Contender) -> bool:
        if not contender.peer:
            return True
        try:
            self._tell(f"{contender.title}: {version(contender.peer)}")
            install(contender.peer)
        except (PeerError, OSError) as error:
            self.report.errors[contender.key] = str(error)
            self._tell(f"ERROR: {error}")
            return False
        self.report.versions[contender.peer] = version(contender.peer)
        return True

    async def _measure(self, contender: Contender) -> None:
        numbers = self._arguments.numbers or (contender.quick if self._arguments.quick else contender.numbers)
        patience, delay = self._arguments.patience, self._arguments.delay
        if contender.shared:
            self.report.idle.append(await measure(contender, 0, patience=patience))
        for number in numbers:
            self._tell(f"{contender.title}: {number} ...")
            measured = await measure(contender, number, patience=patience, delay=delay)
            self.report.measured.append(measured)
            if measured.failed:
                self._tell(f"{measured.failed} of {number} failed: {measured.why}")

    def _tell(self, sentence: str) -> None:
        self._console.print(f"[{time.monotonic() - self._begun:4.0f} s] {sentence}", style="dim", markup=False)


def machine() -> dict[str, str]:
    """What was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {"system": platform.platform(), "cores": str(os.cpu_count()), "memory_gib": f"{memory:.1f}"}


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    names = {contender.key: contender for contender in CONTENDERS}
    parser.add_argument("--only", default=",".join(names), help=f"some of {', '.join(names)}, with commas")
    parser.add_argument("--numbers", default="", help="how many agents, with commas, for each that is measured")
    parser.add_argument("--quick", action="store_true", help="small numbers, and no bound on memory")
    parser.add_argument("--no-cap", dest="cap", action="store_false", help="leave out what is done with bounded memory")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that the model thinks (default 0)")
    parser.add_argument("--patience", type=float, default=240.0, help="seconds for one measurement (default 240)")
    arguments = parser.parse_args(words)
    if unknown := [key for key in arguments.only.split(",") if key not in names]:
        parser.error(f"--only: unknown {', '.join(unknown)}; there are {', '.join(names)}")
    try:
        arguments.numbers = tuple(int(word) for word in arguments.numbers.split(",") if word)
    except ValueError as error:
        parser.error(f"--numbers: {error}")
    arguments.only = [names[key] for key in arguments.only.split(",")]
    arguments.cap = arguments.cap and not arguments.quick
    return arguments


def heed_signals() -> None:
    """Let SIGTERM end what was started as Ctrl-C does, and both also where a shell had SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def main() -> int:
    """Compare, print and write down. Ends with 1 when a figure is missing that was asked for."""
    arguments = parse(sys.argv[1:])
    console = Console(width=150)
    comparison = Comparison(arguments, console)
    heed_signals()
    try:
        asyncio.run(comparison.run())
    except KeyboardInterrupt:
        console.print("stopped; everything that was started is ended")
        return 130
    report, titles = comparison.report, {contender.key: contender.title for contender in CONTENDERS}
    console.print(figures_table(report, titles))
    if report.capacities:
        console.print(capacity_table(report, titles))
    console.print(targets_table(report))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    console.print(f"Written to {RESULTS.relative_to(ROOT)}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
