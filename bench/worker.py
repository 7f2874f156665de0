"""One contestant in a process of its own: reads a request a line, answers a line.

Own processes keep memory apart (the peak is this contestant's), and start-up can be timed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()


def answer(**content: object) -> None:
    # Not getrusage: what it tells begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print(json.dumps({**content, "peak_mib": int(peak) // 1024}), flush=True)


def main() -> None:
    kind, name, folder, threads = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    import torch

    torch.set_num_threads(threads)
    from contestants import CONTESTANTS, GRIDS
    from jobs import JOBS
    from trainers import TRAINERS

    encode = {"encode": CONTESTANTS, "grid": GRIDS, "train": TRAINERS, "job": JOBS}[kind][name](folder)
    answer(startup_s=time.perf_counter() - STARTED)
    for line in sys.stdin:
        request = json.loads(line)
        texts = json.loads(Path(request["texts"]).read_text(encoding="utf-8"))
        started = time.perf_counter()
        encode(texts, request["tokens"])
        answer(seconds=time.perf_counter() - started)


if __name__ == "__main__":
    main()
