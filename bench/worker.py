"""One implementation in its own process: reads one request per line, writes one answer per line.

Separate processes keep memory apart (the peak is that of one implementation), and start-up can be timed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()


def answer(**content: object) -> None:
    # Not getrusage: its peak includes the memory of the parent process.
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print(json.dumps({**content, "peak_mib": int(peak) // 1024}), flush=True)


def main() -> None:
    kind, name, folder, threads = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    import torch

    torch.set_num_threads(threads)
    from implementations import GRIDS, IMPLEMENTATIONS
    from jobs import JOBS
    from trainers import TRAINERS

    kinds: dict[str, Any] = {"encode": IMPLEMENTATIONS, "grid": GRIDS, "train": TRAINERS, "job": JOBS}
    encode = kinds[kind][name](folder)
    answer(startup_s=time.perf_counter() - STARTED)
    for line in sys.stdin:
        request = json.loads(line)
        texts = json.loads(Path(request["texts"]).read_text(encoding="utf-8"))
        started = time.perf_counter()
        encode(texts, request["tokens"])
        answer(seconds=time.perf_counter() - started)


if __name__ == "__main__":
    main()
