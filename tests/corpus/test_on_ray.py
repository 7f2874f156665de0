"""Ray gives the rows of the local engine in their order, also when a worker is killed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lastword import Store, embed_corpus
from lastword.errors import RequestError
from tests.corpus.hashing import HashEncoder

ROOT = Path(__file__).parents[2]
RUN = """
import os, signal, sys, time
from pathlib import Path
from lastword.corpus import embed, texts
from tests.corpus.hashing import HashEncoder

class Encoder(HashEncoder):
    name = "hashing"
    def encode(self, batch, /):
        texts_of_worker = HashEncoder.encode(self, batch)
        marker = Path(os.environ["KILLED"])
        time.sleep(0.02)
        if "text 777" in batch and os.getpid() != int(os.environ["DRIVER"]) and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return texts_of_worker

if __name__ == "__main__":
    os.environ["DRIVER"] = str(os.getpid())
    texts.CHUNK_ROWS = 50
    embed.embed_corpus(sys.argv[1], sys.argv[2], Encoder(), engine="ray", workers=2)
"""

WINDOWS = """
import json, sys
from lastword.corpus import embed, texts

if __name__ == "__main__":
    texts.CHUNK_ROWS = 20
    settings = json.loads(sys.argv[4])
    embed.embed_corpus(sys.argv[1], sys.argv[2], sys.argv[3], engine="ray", workers=2, **settings)
"""


def run_on_ray(folder: Path, script: str, *args: object, **environment: str) -> None:
    """Run a script in a process of its own; skip where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'lastword[ray]'")
    paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    (folder / "on_ray.py").write_text(script)
    done = subprocess.run(
        [sys.executable, str(folder / "on_ray.py"), *map(str, args)], check=False, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": paths, "RAY_AUTH_MODE": "disabled", **environment}, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_workers_give_the_rows_of_the_local_engine(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("text,n\n" + "".join(f"{'' if n % 41 == 0 else f'text {n}'},{n}\n" for n in range(2000)))
    run_on_ray(tmp_path, RUN, path, tmp_path / "ray", KILLED=str(tmp_path / "killed"), DRIVER="0")
    assert (tmp_path / "killed").exists(), "a worker was killed"
    embed_corpus(path, tmp_path / "local", HashEncoder())
    ray, local = Store.open(tmp_path / "ray"), Store.open(tmp_path / "local")
    assert len(ray.manifest["shards"]) == 40
    assert ray.table().equals(local.table())
    assert np.array_equal(ray.matrix(), local.matrix())
    rejected = "_rejected.jsonl"
    assert (tmp_path / "ray" / rejected).read_bytes() == (tmp_path / "local" / rejected).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["windows:20:4", "late:20:4"])
def test_workers_give_the_windows_of_the_local_engine(kind: str, llama_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    long = "a man is driving a car and a cat is sleeping on it. " * 6
    kinds = ("text {} about the river", "", f"{{}} {long}")
    path.write_text("text,n\n" + "".join(f"{kinds[n % 3].format(n)},{n}\n" for n in range(90)))
    settings = {"long_texts": kind, "per_window": True, "dtype": "float32", "device": "cpu"}
    run_on_ray(tmp_path, WINDOWS, path, tmp_path / "ray", llama_folder, json.dumps(settings))
    embed_corpus(path, tmp_path / "local", llama_folder, **settings)  # type: ignore[arg-type]
    ray, local = Store.open(tmp_path / "ray"), Store.open(tmp_path / "local")
    names = [name for name in local.table().column_names if name != "vector"]
    assert ray.table().select(names).equals(local.table().select(names))
    assert {"text_row", "text_start", "text_end"} <= set(names)
    assert len(local.table()) > 100
    np.testing.assert_allclose(ray.matrix(), local.matrix(), atol=1e-5)


def test_settings_of_ray_without_it(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "in.txt").write_text("a text\n")
    arguments = (tmp_path / "in.txt", tmp_path / "out", HashEncoder())
    assert refused(RequestError, embed_corpus, *arguments, workers=3) == (
        "workers=3 is for engine='ray': give both, or leave it out"
    )
    assert refused(RequestError, embed_corpus, *arguments, engine="spark").startswith(
        "unknown engine 'spark'"
    )
