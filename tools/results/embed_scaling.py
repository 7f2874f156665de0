"""What `lastword embed` costs: memory and time by the number of texts, tokens per second by workers, bytes of a store.

    python tools/results/embed_scaling.py            # writes results/embed_scaling.json; minutes on two idle cores
    python tools/results/embed_scaling.py memory     # only this part: memory, formats, pipeline, workers

- memory: a decoder of one tiny layer, so that reading and writing matter, for 10,000 to 1,000,000 texts; the peak of
  the process.
- formats: bytes of a stored vector and the neighbours that it keeps, for each type of vectors.
- pipeline: rows per second with vectors that cost nothing, of 256 dimensions: what reading and writing allow.
- workers: real tokens per second of the bundled model, by this process and by one and two workers on Ray.

Every measurement is a process of its own. A part that is measured already is measured again.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "embed_scaling.json"
TEXTS = (10_000, 100_000, 1_000_000)
WORKER_TEXTS = 4_000
WORDS = (
    "river", "price", "house", "garden", "letter", "engine", "winter", "market", "paper", "stone", "bread", "window",
    "music", "doctor", "train", "village", "island", "copper", "school", "bridge",
)  # fmt: skip
RUN = """
import json, sys, time
import lastword
inputs, output, model, settings = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
if model != "mini":
    settings["dtype"] = "float32"
began = time.perf_counter()
result = lastword.embed_corpus(inputs, output, model, overwrite=True, **settings)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
print(json.dumps({"seconds": time.perf_counter() - began, "peak_mib": peak, "rows": result.rows}))
"""


def main(parts: list[str]) -> None:
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    measures = {"memory": memory, "formats": formats, "pipeline": pipeline, "workers": workers}
    with tempfile.TemporaryDirectory() as folder:
        for part in parts or measures:
            content[part] = measures[part](Path(folder))
            content["machine"] = machine()
            temporary = RESULTS.with_suffix(".tmp")
            temporary.write_text(json.dumps(content, indent=1) + "\n")
            temporary.replace(RESULTS)
            print(json.dumps({part: content[part]}, indent=1))


def memory(folder: Path) -> list[dict[str, float]]:
    model, rows = tiny_decoder(folder / "tiny"), []
    for count in TEXTS:
        file = write_texts(folder / "texts.csv", count)
        facts = embed([file], folder / "out", str(model))
        rows.append(
            {"texts": count, **facts, "store_bytes": size(folder / "out"), "input_bytes": file.stat().st_size}
        )
        shutil.rmtree(folder / "out")
    return rows


def formats(folder: Path) -> list[dict[str, Any]]:
    """Of the bundled texts: how many of the ten nearest texts stay the same."""
    import numpy as np

    from lastword import Store
    from lastword.bundled import path_of
    from lastword.corpus.vectors import VECTOR_DTYPES, VectorFormat

    embed([path_of("topics"), path_of("products")], folder / "out", "mini")
    vectors, rows = Store.open(folder / "out").matrix(), []

    def nearest(matrix: np.ndarray) -> list[set[int]]:
        return [set(row[:11]) for row in np.argsort(-(matrix @ matrix.T), axis=1)]

    exact = nearest(vectors)
    for dtype in VECTOR_DTYPES:
        stored = VectorFormat.calibrated(dtype, vectors)
        found = nearest(stored.restore(stored.store(vectors)))
        rows.append({
            "dtype": dtype, "dim": stored.dim, "bytes": stored.width * stored.stored_dtype.itemsize,
            "texts": len(vectors),
            "shared_of_ten_neighbours": float(np.mean([len(a & b) - 1 for a, b in zip(found, exact, strict=True)])),
        })  # fmt: skip
    return rows


def pipeline(folder: Path) -> dict[str, float]:
    import numpy as np

    from lastword import embed_corpus

    class Random:
        identity = "random"
        vectors = np.random.default_rng(0).standard_normal((16_384, 256)).astype(np.float32)

        def encode(self, texts: Sequence[str], /) -> np.ndarray:
            return self.vectors[: len(texts)]

    count = 200_000
    file = write_texts(folder / "texts.csv", count)
    began = time.perf_counter()
    embed_corpus(file, folder / "out", Random(), overwrite=True)
    seconds = time.perf_counter() - began
    return {"rows": count, "dim": 256, "seconds": seconds, "rows_per_s": count / seconds}


def workers(folder: Path) -> list[dict[str, Any]]:
    from transformers import AutoTokenizer

    from lastword.bundled import path_of

    file, rows = write_texts(folder / "texts.csv", WORKER_TEXTS), []
    tokenizer = AutoTokenizer.from_pretrained(path_of("mini"))
    tokens = sum(len(ids) for ids in tokenizer(file.read_text().splitlines()[1:])["input_ids"])
    for engine, count in (("local", None), ("ray", 1), ("ray", 2)):
        settings = {"engine": engine, **({"workers": count} if count else {})}
        facts = embed([file], folder / "out", "mini", **settings)
        rows.append({"engine": engine, "workers": count or 1, "tokens": tokens, **facts,
                     "tokens_per_s": tokens / facts["seconds"]})  # fmt: skip
    return rows


def embed(inputs: list[Path], output: Path, model: str, **settings: Any) -> dict[str, float]:
    paths = json.dumps([str(path) for path in inputs])
    command = [sys.executable, "-c", RUN, paths, str(output), model, json.dumps(settings)]
    facts: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return facts


def tiny_decoder(folder: Path) -> Path:
    """A Llama of one layer and 32 dimensions with random weights and the tokenizer of the bundled model."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from lastword.bundled import path_of

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(path_of("mini"))
    config = LlamaConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=len(tokenizer),
        max_position_embeddings=128,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_texts(path: Path, count: int) -> Path:
    draw = random.Random(0)
    with path.open("w") as file:
        file.write("text,number\n")
        for number in range(count):
            file.write(f"{' '.join(draw.choices(WORDS, k=draw.randint(5, 15)))} {number},{number}\n")
    return path


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def machine() -> dict[str, Any]:
    sys.path.insert(0, str(ROOT / "bench"))
    from rounds import machine as facts_of_machine

    facts: dict[str, Any] = facts_of_machine()
    return facts


if __name__ == "__main__":
    began = time.perf_counter()
    main(sys.argv[1:])
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
