"""Long conversations: what 500 turns take, and what they cost under several managements. Takes about a minute.

Prints tables, and one JSON object as its last line, which is kept in `bench/results/context.json` too.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    runpy.run_module("bench.conversations", run_name="__main__", alter_sys=True)
