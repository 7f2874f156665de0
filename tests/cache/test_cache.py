"""Vectors on disk: they come back whole, or they are computed again; whatever happens to the file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastword.cache import VectorCache, VectorFile
from lastword.errors import RequestError


def vectors_of(texts: list[str], dim: int = 8) -> np.ndarray:
    """A vector that anybody can compute again from the text."""
    rows = [np.random.default_rng(list(text.encode("utf-8", "surrogatepass"))).random(dim) for text in texts]
    return np.array(rows, np.float32).reshape(len(texts), dim)


def keep(cache: VectorCache, identity: str, texts: list[str], dim: int = 8) -> Path:
    with cache.open(identity, f"model {identity}") as shelf:
        shelf.put(texts, vectors_of(texts, dim))
        return shelf.path


def held(cache: VectorCache, identity: str, texts: list[str]) -> list[str]:
    """Which of the texts are there, each with its very vector."""
    with cache.open(identity, f"model {identity}") as shelf:
        found = shelf.get(texts)
    for text, vector in found.items():
        np.testing.assert_array_equal(vector, vectors_of([text], len(vector))[0])
    return list(found)


TEXTS = [f"text {number}" for number in range(40)]


@pytest.fixture
def cache(tmp_path: Path) -> VectorCache:
    return VectorCache(tmp_path / "cache")


def test_what_is_kept_comes_back_for_its_own_model_only(cache: VectorCache) -> None:
    keep(cache, "a", TEXTS[:30])
    assert sorted(held(cache, "a", TEXTS)) == sorted(TEXTS[:30])
    assert held(cache, "b", TEXTS) == []


@given(st.lists(st.text(st.characters(codec=None)), unique=True, max_size=20))
def test_any_text_is_its_own_key(texts: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        cache = VectorCache(folder)
        keep(cache, "a", texts)
        assert sorted(held(cache, "a", [*texts, "not there"])) == sorted(texts)


def test_info_counts_and_begins_with_the_one_used_last(cache: VectorCache) -> None:
    assert cache.info() == []
    old, new = keep(cache, "old", TEXTS[:10], dim=4), keep(cache, "new", TEXTS, dim=16)
    os.utime(old, (1_000_000, 1_000_000))
    assert [(one.identity, one.model, one.vectors, one.dim) for one in cache.info()] == [
        ("new", "model new", 40, 16),
        ("old", "model old", 10, 4),
    ]
    assert cache.info()[0].bytes == new.stat().st_size
    assert cache.info()[1].used == 1_000_000


def test_info_sees_what_an_open_process_has_written(cache: VectorCache) -> None:
    with cache.open("a", "model") as shelf:
        shelf.put(TEXTS, vectors_of(TEXTS))
        (facts,) = cache.info()
        assert (facts.vectors, facts.bytes > 0) == (40, True)


def test_a_damaged_vector_is_told_from_a_whole_one(cache: VectorCache, said: list[str]) -> None:
    path = keep(cache, "a", TEXTS)
    with sqlite3.connect(path) as connection:
        vector = connection.execute("SELECT vector FROM vectors WHERE rowid = 3").fetchone()[0]
        connection.execute(
            "UPDATE vectors SET vector = ? WHERE rowid = 3", (bytes([vector[0] ^ 1]) + vector[1:],)
        )
    connection.close()
    assert len(held(cache, "a", TEXTS)) == 39
    assert said == [f"1 vectors in {path} are damaged: they are computed again"]
    keep(cache, "a", TEXTS)
    assert len(held(cache, "a", TEXTS)) == 40


@pytest.mark.parametrize("damage", ["garbage", "cut", "hole", "empty"])
def test_a_damaged_file_is_begun_anew(cache: VectorCache, said: list[str], damage: str) -> None:
    texts = [f"text {number}" for number in range(3000)]
    path = keep(cache, "a", texts, dim=32)
    content = path.read_bytes()
    spoilt = {
        "garbage": b"no database at all " * 5000,
        "cut": content[: len(content) // 2],
        "hole": content[:40_000] + bytes(len(content) - 40_000),
        "empty": b"",
    }[damage]
    path.write_bytes(spoilt)
    for start in range(0, 3000, 500):
        held(cache, "a", texts[start : start + 500])
    keep(cache, "a", texts, dim=32)
    assert sum(len(held(cache, "a", texts[start : start + 500])) for start in range(0, 3000, 500)) == 3000
    if damage != "empty":
        assert (
            f"{path} is damaged: it is replaced by an empty one, and its vectors are computed again" in said
        )


def _set_version(path: Path, version: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()


def test_an_older_format_is_begun_anew(cache: VectorCache, said: list[str]) -> None:
    path = keep(cache, "a", TEXTS)
    _set_version(path, 0)
    assert held(cache, "a", TEXTS) == []
    assert said == [
        f"{path} has the old format 0: it is replaced by an empty one, and its vectors are computed again"
    ]


def test_a_newer_format_is_refused(cache: VectorCache) -> None:
    path = keep(cache, "a", TEXTS)
    _set_version(path, 2)
    with pytest.raises(RequestError) as caught:
        cache.open("a")
    assert str(caught.value) == (
        f"{path} was written by a newer lastword (format 2, this one knows 1): "
        "update lastword or use another folder"
    )


def test_the_file_of_another_program_is_left_alone(cache: VectorCache) -> None:
    path = keep(cache, "a", TEXTS)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(RequestError) as caught:
        cache.open("a")
    assert str(caught.value) == (
        f"{path} is not a vector file of lastword: move it away or use another folder"
    )


def test_a_file_of_another_model_is_refused(cache: VectorCache) -> None:
    path = keep(cache, "a", TEXTS)
    with pytest.raises(RequestError) as caught:
        VectorFile(path, "b")
    assert str(caught.value) == f"{path} holds the vectors of a, not of b: delete it"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError) as caught:
        VectorCache(tmp_path / "file")
    assert str(caught.value) == f"{tmp_path / 'file'} is a file: give a folder as cache"


WRITER = """
import sys
from lastword.cache import VectorCache
from tests.cache.test_cache import vectors_of
folder, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with VectorCache(folder).open("a", "model a") as shelf:
    print("open", flush=True)
    for start in range(first, last, 20):
        texts = [f"text {number}" for number in range(start, start + 20)]
        shelf.put(texts, vectors_of(texts))
        print(start, flush=True)
"""


def writer(cache: VectorCache, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(cache.folder), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_a_kill_leaves_whole_batches(cache: VectorCache) -> None:
    process = writer(cache, 0, 1_000_000)
    assert process.stdout is not None
    while process.stdout.readline() != "1000\n":
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    texts = [f"text {number}" for number in range(1020)]
    assert sum(len(held(cache, "a", texts[start : start + 510])) for start in (0, 510)) == 1020
    keep(cache, "a", ["and on it goes"])
    assert held(cache, "a", ["and on it goes"]) == ["and on it goes"]
    assert cache.info()[0].vectors % 20 == 1


def test_two_processes_write_at_once(cache: VectorCache) -> None:
    """From the first moment, when each may find that there is no file yet; half of the texts are the same."""
    processes = [writer(cache, 0, 1200), writer(cache, 600, 1800)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    texts = [f"text {number}" for number in range(1800)]
    assert sum(len(held(cache, "a", texts[start : start + 600])) for start in (0, 600, 1200)) == 1800
    assert cache.info()[0].vectors == 1800


FULL = """
import resource, sys, logging
logging.basicConfig(stream=sys.stdout, format="%(message)s")
from lastword.cache import VectorCache
from tests.cache.test_cache import vectors_of
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
with VectorCache(sys.argv[1]).open("a", "model a") as shelf:
    for start in range(0, 4000, 100):
        texts = [f"text {number}" for number in range(start, start + 100)]
        shelf.put(texts, vectors_of(texts, 64))
    found = [shelf.get([f"text {number}" for number in range(start, start + 100)]) for start in range(0, 4000, 100)]
    print("found", sum(map(len, found)))
"""


@pytest.mark.parametrize("most_bytes", [0, 10_000, 500_000])
def test_a_full_disk_leaves_a_store_that_works(cache: VectorCache, most_bytes: int) -> None:
    """A file size limit stands in for the full disk."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(cache.folder), str(most_bytes)],
        capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    warning, found = done.stdout.splitlines()
    assert "cannot be written (" in warning
    assert warning.endswith("): vectors embedded from now on are not cached")
    count = int(found.split()[1])
    assert count % 100 == 0
    assert (count > 0) == (most_bytes > 400_000)
    texts = [f"text {number}" for number in range(4000)]
    assert sum(len(held(cache, "a", texts[start : start + 500])) for start in range(0, 4000, 500)) == count
    keep(cache, "a", texts, dim=64)
    assert sum(len(held(cache, "a", texts[start : start + 500])) for start in range(0, 4000, 500)) == 4000


def test_a_folder_that_cannot_be_written_is_no_end(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").write_text("")
    cache = VectorCache(tmp_path / "file" / "inside")
    with cache.open("a") as shelf:
        shelf.put(TEXTS, vectors_of(TEXTS))
        assert shelf.get(TEXTS) == {}
    assert len(said) == 1
    assert "cannot be written (" in said[0]


def test_memory_does_not_grow_with_what_is_kept(cache: VectorCache) -> None:
    """Bytes that Python and numpy hold while a small part of 20 MB is read."""
    with cache.open("a") as shelf:
        for start in range(0, 20_000, 500):
            texts = [f"text {number}" for number in range(start, start + 500)]
            shelf.put(texts, np.zeros((500, 256), np.float32))
        tracemalloc.start()
        for start in range(0, 20_000, 500):
            assert len(shelf.get([f"text {number}" for number in range(start, start + 500)])) == 500
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 3_000_000


def test_prune_by_model_by_age_and_by_size(cache: VectorCache) -> None:
    now = time.time()
    for age, identity in enumerate("abcd"):
        path = keep(cache, identity, TEXTS)
        os.utime(path, (now - age * 86_400,) * 2)
    one_mb = cache.info()[0].bytes / 1e6

    assert [one.identity for one in cache.prune(unused_days=1.5, dry_run=True)] == ["c", "d"]
    assert len(cache.info()) == 4
    assert [one.identity for one in cache.prune(model="model b")] == ["b"]
    assert [one.identity for one in cache.prune(max_mb=2.5 * one_mb)] == ["d"]
    assert [one.identity for one in cache.prune(unused_days=1.5)] == ["c"]
    assert [one.identity for one in cache.info()] == ["a"]
    assert held(cache, "b", TEXTS) == []
    assert [one.identity for one in cache.prune(max_mb=0)] == ["b", "a"]


def test_the_longest_unused_go_first_however_small(cache: VectorCache) -> None:
    now = time.time()
    for age, (identity, number) in enumerate({"new": 800, "older": 500, "oldest": 2}.items()):
        path = keep(cache, identity, [f"text {n}" for n in range(number)], dim=512)
        os.utime(path, (now - age * 86_400,) * 2)
    sizes = {one.identity: one.bytes for one in cache.info()}
    assert sizes["oldest"] < sizes["older"] < sizes["new"]
    pruned = cache.prune(max_mb=(sizes["new"] + sizes["oldest"]) / 1e6)
    assert [one.identity for one in pruned] == ["older", "oldest"]


def test_the_end_of_an_identity_stands_for_it(cache: VectorCache) -> None:
    for identity in ("model-0123456789abcdef", "model-fedcba9876543210"):
        keep(cache, identity, TEXTS)
    with pytest.raises(RequestError, match="no vectors of 'abcdef' are cached"):
        cache.prune(model="abcdef")
    assert [one.identity for one in cache.prune(model="456789abcdef")] == ["model-0123456789abcdef"]


def test_what_is_open_stays(cache: VectorCache, said: list[str]) -> None:
    process = writer(cache, 0, 1_000_000)
    assert process.stdout is not None
    while process.stdout.readline() != "100\n":
        assert process.poll() is None
    assert cache.prune(model="model a") == []
    (path,) = cache.folder.glob("*.sqlite")
    assert said == [f"{path} (model a) is in use by another process and was not deleted"]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(cache.prune(model="model a")) == 1


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({}, "no condition to prune by: pass model=…, unused_days=… or max_mb=…"),
        ({"unused_days": -1}, "unused_days=-1: give 0 or more"),
        ({"max_mb": -0.5}, "max_mb=-0.5: give 0 or more"),
        ({"model": "x"}, "no vectors of 'x' are cached; cached models: model a"),
    ],
)
def test_prunes_that_make_no_sense(cache: VectorCache, conditions: dict[str, float], message: str) -> None:
    keep(cache, "a", TEXTS)
    with pytest.raises(RequestError) as caught:
        cache.prune(**conditions)
    assert str(caught.value) == message


def test_nothing_to_prune_in_an_empty_store(cache: VectorCache) -> None:
    with pytest.raises(
        RequestError, match=r"^no vectors of 'x' are cached; cached models: none, the cache is empty$"
    ):
        cache.prune(model="x")
    assert cache.prune(max_mb=0) == []
