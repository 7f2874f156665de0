"""Mutation tests: change the code in small ways with mutmut, and see which changes no test notices.

    python tools/mutants.py                                a tenth of the mutants of each module
    python tools/mutants.py lastword.training.losses       all mutants of a module, in minutes
    python tools/mutants.py 'lastword.embedding.*'         all mutants of several modules
    python tools/mutants.py lastword.training.losses.x_info_nce__mutmut_3

Which modules are changed is configured in pyproject.toml, which tests run for each in `TESTS`. A process for a few
modules collects their tests; each mutant runs, in a fork of it, the tests of its module that reach the changed
function, the fastest first, until one fails; tests of over two seconds are left out. A mutant that survives is either
a missing test or harmless; the harmless ones are in tests/mutants/survivors.toml with the reason. Exits with 1 if
another one survives. What the last run of each module found, all of it or its sample, is in tests/mutants/record.json.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from difflib import ndiff
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from _pytest.warnings import catch_warnings_for_item
from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents

ROOT = Path(__file__).parents[1]
WORK = ROOT / "mutants"
SURVIVORS = ROOT / "tests" / "mutants" / "survivors.toml"
RECORD = ROOT / "tests" / "mutants" / "record.json"
SAMPLE = "*__mutmut_*3"
"""Mutants are numbered within each function: those whose number ends in 3."""
TOGETHER = 8
"""Modules that share a process: imports and a first run of the tests take longer than the mutants of one module."""
SLOW = 2.0
"""Tests that take more seconds than this on one core do not run."""

TESTS = {
    "lastword.embedding.adapters": "test_adapters test_merged_adapters",
    "lastword.embedding.averaging": "test_averaging test_stream",
    "lastword.embedding.backbone": "test_backbone forward/test_paths",
    "lastword.embedding.device": "test_device test_backbone",
    "lastword.embedding.embedder": "test_embedder test_prompts test_stream test_grid",
    "lastword.embedding.encoding": "test_encoding test_stream",
    "lastword.embedding.forward.float32": "forward/test_paths test_backbone",
    "lastword.embedding.forward.path": "forward/test_paths",
    "lastword.embedding.forward.stock": "forward/test_paths test_backbone",
    "lastword.embedding.forward.tree": "forward/test_paths test_grid",
    "lastword.embedding.forward.fused.proof": "forward/fused/test_proof forward/test_paths",
    "lastword.embedding.forward.fused.*": "forward/fused/test_fused forward/fused/test_proof",
    "lastword.embedding.loading": "test_loading test_backbone",
    "lastword.embedding.tokenizer": "test_tokenizer test_tokens test_template",
    "lastword.embedding.vocabulary": "../explanation/test_nearest_words",
    "lastword.training.adapter": "test_targets test_wiring",
    "lastword.training.loop": "test_loop test_objectives test_wiring test_train",
    "lastword.training.plan": "test_plan test_limits test_wiring",
    "lastword.training.run": "test_run test_wiring test_inputs",
}
"""Test files of a module, in the folder of its package; not listed are those of the module's own name."""


def modules() -> dict[str, Path]:
    """The modules that are changed, by name."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    paths = sorted((ROOT / "src").rglob("*.py"))
    chosen = [path.relative_to(ROOT) for path in paths]
    chosen = [path for path in chosen if any(fnmatch(str(path), p) for p in settings["only_mutate"])]
    return {".".join(path.with_suffix("").parts[1:]): path for path in chosen if path.name != "__init__.py"}


def tests_of(module: str) -> list[str]:
    """Test files of a module."""
    _, *packages, name = module.split(".")
    names = next((files for pattern, files in TESTS.items() if fnmatch(module, pattern)), f"test_{name}")
    files = ("/".join(["tests", *packages[:1], f"{name}.py"]) for name in names.split())
    return [os.path.normpath(file) for file in files]


def main(patterns: list[str]) -> int:
    chosen = {
        name: path
        for name, path in modules().items()
        if not patterns or any(fnmatch(name, p) or p.startswith(f"{name}.") for p in patterns)
    }
    if not chosen:
        raise SystemExit(f"no module matches {', '.join(patterns)}: there are {', '.join(modules())}")
    shutil.rmtree(WORK, ignore_errors=True)
    for folder in ("src", "tests", "tools"):
        shutil.copytree(ROOT / folder, WORK / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", WORK)
    (WORK / "tmp").mkdir()
    changes: dict[str, tuple[str, str]] = {}
    for module, path in chosen.items():
        mutated = mutate_file_contents(str(path), (ROOT / path).read_text(encoding="utf-8"))
        (WORK / path).write_text(mutated.code, encoding="utf-8")
        changes |= changes_of(module, mutated)
    wanted = [
        name
        for name in changes
        if any(fnmatch(name, p) or name.startswith(f"{p}.") for p in patterns or [SAMPLE])
    ]
    tried = [module for module in chosen if of_module(wanted, module)]
    groups = [tried[start : start + TOGETHER] for start in range(0, len(tried), TOGETHER)]
    results: dict[str, str] = {}
    with ThreadPoolExecutor(int(os.environ.get("MUTANTS_JOBS", os.cpu_count() or 1))) as pool:
        for result in pool.map(lambda group: run(group, wanted), groups):
            results |= result
            record_results(result, changes)
    return report(results, changes)


def changes_of(module: str, mutated: MutatedFile) -> dict[str, tuple[str, str]]:
    """For each mutant the lines that it takes away and those that it puts in their place, without indentation."""
    lines, changes = mutated.code.splitlines(), {}
    for name in mutated.mutant_names:
        function = name.rpartition("__mutmut_")[0]
        spans = [mutated.line_span_by_function_name[key] for key in (f"{function}__mutmut_orig", name)]
        old, new = (lines[span.start - 1 : span.end] for span in spans)
        plain = function.removeprefix("x_").rpartition("ǁ")[2]
        old = [line.replace(f"{function}__mutmut_orig", plain) for line in old]
        marked = list(ndiff(old, [line.replace(name, plain) for line in new]))
        removed, added = ("\n".join(d[1:].strip() for d in marked if d.startswith(sign)) for sign in "-+")
        changes[f"{module}.{name}"] = (removed, added)
    return changes


def of_module(names: Iterable[str], module: str) -> list[str]:
    """The mutants of a module."""
    return [name for name in names if name.rpartition(".")[0] == module]


def run(group: list[str], wanted: list[str]) -> dict[str, str]:
    """Try the wanted mutants of a few modules in a process of its own."""
    names = [name for module in group for name in of_module(wanted, module)]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": str(WORK / "src"),
    }
    command = [sys.executable, str(Path(__file__).resolve()), "--names", group[0]]
    if subprocess.run(command, cwd=WORK, env=environment, input="\n".join(names), text=True).returncode:
        raise SystemExit(f"{', '.join(group)}: the tests fail without a mutant, see above")
    results: dict[str, str] = json.loads((WORK / f"{group[0]}.json").read_text(encoding="utf-8"))
    return results


def unexplained_of(results: dict[str, str], changes: dict[str, tuple[str, str]]) -> list[str]:
    """Mutants that no test noticed or reached and no entry lists, as whole lines or as a part of them."""
    listed = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivor"]
    pairs = [(entry["old"], new) for entry in listed for new in entry["new"]]

    def explained(removed: str, added: str) -> bool:
        return any(
            removed[: part.start()] + new + removed[part.end() :] == added
            for old, new in pairs
            for part in re.finditer(re.escape(old), removed)
        )

    return [
        name
        for name, status in results.items()
        if status in ("survived", "no test") and not explained(*changes[name])
    ]


def record_results(results: dict[str, str], changes: dict[str, tuple[str, str]]) -> None:
    """Store the counts of the modules of which all mutants, or all of the sample, were tried; of others what changed.

    `open` are the mutants that no test noticed and no entry lists; trying them again by name updates it.
    """
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for module in dict.fromkeys(name.rpartition(".")[0] for name in results):
        tried, there = of_module(results, module), of_module(changes, module)
        entry = record.get(module)
        if {name for name in there if fnmatch(name, SAMPLE)} <= set(tried):
            entry = {"mutants": len(there), "tried": len(tried), "killed": 0, "listed": 0, "open": tried}
        elif entry is None:
            continue
        again = {name: results[name] for name in tried if name in entry["open"]}
        remaining = unexplained_of(again, changes)
        killed = sum(status in ("killed", "timed out") for status in again.values())
        record[module] = {
            "date": date.today().isoformat(),
            "mutants": entry["mutants"],
            "tried": entry["tried"],
            "killed": entry["killed"] + killed,
            "listed": entry["listed"] + len(again) - killed - len(remaining),
            "open": [name for name in entry["open"] if name in remaining or name not in again],
        }
    lines = [
        f"  {json.dumps(name)}: {json.dumps(record[name], ensure_ascii=False)}" for name in sorted(record)
    ]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def report(results: dict[str, str], changes: dict[str, tuple[str, str]]) -> int:
    unexplained = unexplained_of(results, changes)
    for name in unexplained:
        old, new = changes[name]
        print(
            f"\n[[survivor]]  # {name}: {results[name]}\nold = '''{old}'''\nnew = ['''{new}''']\nreason = \"\""
        )
    counts = ", ".join(f"{count:,} {status}" for status, count in Counter(results.values()).most_common())
    print(f"\n{counts}; {len(unexplained)} survivors are not in {SURVIVORS.relative_to(ROOT)}")
    return int(bool(unexplained))


class Mutants:
    """A pytest plugin that runs the collected tests for each mutant instead of once."""

    def __init__(self, output: Path, names: list[str]) -> None:
        self.output = output
        self.names = names
        self.results: dict[str, str] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        seconds, reached, imported = in_child(lambda: record(session))
        for name in imported:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        tests = {item.nodeid: item for item in session.items}
        for name in self.names:
            function, files = name.rpartition("__mutmut_")[0], tests_of(name.rpartition(".")[0])
            hits = sorted((seconds[nodeid], nodeid) for nodeid in reached.get(function, []))
            hits = [(took, test) for took, test in hits if took <= SLOW and test.split("::")[0] in files]
            items = [tests[nodeid] for _, nodeid in hits]
            self.results[name] = (
                verdict(name, session, items, sum(took for took, _ in hits)) if items else "no test"
            )
            self.output.write_text(json.dumps(self.results, indent=1), encoding="utf-8")
            print(f"{name}: {self.results[name]}", flush=True)
        return True


def record(session: pytest.Session) -> tuple[dict[str, float], dict[str, list[str]], list[str]]:
    """CPU seconds of each test, the tests that reach each function, and the modules that they import."""
    from mutmut.state import state

    os.environ["MUTANT_UNDER_TEST"] = "stats"
    present, seconds, reached = set(sys.modules), {}, {}
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        started = sum(os.times()[:4])
        reports = run_test(item, following)
        seconds[item.nodeid] = sum(os.times()[:4]) - started
        if failed := [report for report in reports if report.failed]:
            raise SystemExit(f"{item.nodeid} fails without a mutant: {failed[0].longreprtext}")
        for function in state()._stats:
            reached.setdefault(function, []).append(item.nodeid)
        state()._stats.clear()
    return seconds, reached, [name for name in sys.modules if name not in present and "__main__" not in name]


def run_test(item: pytest.Item, following: pytest.Item | None) -> list[pytest.TestReport]:
    """Reports of one test, with the filters of warnings that it is marked with."""
    with catch_warnings_for_item(config=item.config, ihook=item.ihook, when="runtest", item=item):
        return runtestprotocol(item, nextitem=following, log=False)


def in_child(call: Any) -> Any:
    """What a function returns in a fork of this process, so that nothing of it stays in this one."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            try:
                json.dump(call(), pipe)
            except BaseException as error:
                print(error, file=sys.stderr, flush=True)
                os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        content = pipe.read()
    if os.waitpid(child, 0)[1]:
        pytest.exit("the tests fail without a mutant", 1)
    return json.loads(content)


def verdict(name: str, session: pytest.Session, items: list[pytest.Item], seconds: float) -> str:
    """Run tests with a mutant until one fails: "killed", "survived" or "timed out"."""
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        os.environ["MUTANT_UNDER_TEST"] = name
        limit = int(5 * seconds + 10)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10 * limit)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        try:
            for item, following in zip(items, [*items[1:], None], strict=True):
                if any(report.failed for report in run_test(item, following)):
                    os._exit(1)
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        timed_out = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL)
        return "timed out" if timed_out else "killed"
    return "killed" if os.WEXITSTATUS(status) else "survived"


def run_names(group: str) -> int:
    """Try the mutants that stdin names; the results go to a file that is named by the group."""
    names = sys.stdin.read().split()
    files = {file: None for name in names for file in tests_of(name.rpartition(".")[0])}
    folder = WORK / "tmp" / group
    options = ["-qq", "--tb=native", "-p", "no:cacheprovider", "--capture=no", f"--basetemp={folder}"]
    options += ["--rootdir=.", "-o", "tmp_path_retention_policy=failed"]
    code = pytest.main([*options, *files], plugins=[Mutants(WORK / f"{group}.json", names)])
    shutil.rmtree(folder, ignore_errors=True)
    return int(code not in (0, 5))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--names"]:
        sys.exit(run_names(sys.argv[2]))
    sys.exit(main(sys.argv[1:]))
