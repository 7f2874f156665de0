"""Mutation tests: change the code in small ways with mutmut, and see which changes no test notices.

    python tools/mutants.py                              a tenth of the mutants, within an hour on two cores
    python tools/mutants.py 'lastword.training.loop*'    the mutants with these names
    python tools/mutants.py '*'                          all of them

Which files are changed, and which tests run, is configured in pyproject.toml. A mutant that survives is either a
missing test or harmless; the harmless ones are in tests/mutants/survivors.toml with the reason. Exits with 1 if
another one survives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
SURVIVORS = ROOT / "tests" / "mutants" / "survivors.toml"
SAMPLE = "*__mutmut_*3"
"""Mutants are numbered within each function: those whose number ends in 3."""
STATUS = {
    0: "survived",
    1: "killed",
    3: "killed",
    33: "without a test",
    36: "timed out",
    37: "caught by mypy",
}


def main(patterns: list[str]) -> int:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(os.cpu_count() or 1), *patterns]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    exit_codes = {
        name: code
        for path in sorted((ROOT / "mutants").rglob("*.meta"))
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items()
        if code is not None and any(fnmatch(name, pattern) for pattern in patterns)
    }
    counts = Counter(STATUS.get(code, "suspicious") for code in exit_codes.values())
    print("\n" + ", ".join(f"{count:,} {status}" for status, count in counts.most_common()))
    explained = {(entry["old"], entry["new"]) for entry in tomllib.loads(SURVIVORS.read_text())["survivor"]}
    unexplained = 0
    for name in (name for name, code in exit_codes.items() if code == 0):
        old, new = change(name)
        if (old, new) not in explained:
            unexplained += 1
            print(f"\n[[survivor]]  # {name}\nold = '''{old}'''\nnew = '''{new}'''\nreason = \"\"")
    return int(unexplained > 0)


def change(name: str) -> tuple[str, str]:
    """The lines that a mutant takes away and those that it puts in their place, without indentation."""
    command = [sys.executable, "-m", "mutmut", "show", name]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [line for line in shown.splitlines() if not line.startswith(("---", "+++"))]
    old, new = ("\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in ("-", "+"))
    return old, new


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [SAMPLE]))
