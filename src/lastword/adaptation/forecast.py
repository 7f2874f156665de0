"""What an adaptation will cost, before it begins: the sum of what its stages cost."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lastword.adaptation import choosing
from lastword.adaptation.request import Request
from lastword.adaptation.texts import part_sizes
from lastword.console import load_libraries
from lastword.corpus.map.plane import way_here
from lastword.planning.embedding import Encoding, chunk_bytes, first_texts
from lastword.planning.grouping import VectorCosts, grouping_bytes
from lastword.planning.memory import Machine
from lastword.planning.result import Plan
from lastword.planning.training import plan_training
from lastword.training.checkpoints import checkpoint_steps
from lastword.training.pairs import pair_rows

_NOISY = 2  # scores without labels embed a noisy copy of each text
_OWN_MODELS = 3  # adapted, before training, and before training in its best setting
_BEGINNINGS = 2  # of the templates that are tried, those that begin alike share their work
_COPIES = 3  # of the texts, in the groups: with the vectors, in the table and on the map


def plan_adaptation(
    request: Request,
    *,
    map: str = "auto",
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    gpu_memory: float | None = None,
) -> Plan:
    """Forecast the memory, time and disk of `adapt_corpus`; the weights of the model are not needed.

    Pairs are not made: for their length, texts of the corpus and the pairs of the recipe stand in. Further models to
    compare with, and rewritings by a chat model, are not counted.

    Args:
        request: what is asked for.
        map, batch_tokens, dtype, device: as for `adapt_corpus`.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.

    Raises:
        RequestError: it does not fit into memory; the message names what would.
        MissingFileError, TableError, ModelError: as `adapt_corpus`.
    """
    load_libraries("torch", "transformers.modeling_utils", "peft", "accelerate", "sklearn.cluster")
    config, corpus, map = request.config, request.corpus, way_here(map)
    sample, count = first_texts(corpus), corpus.count_read()
    machine, data = Machine.of(device, gpu_memory), chunk_bytes(sample, count)
    encoding = Encoding.of(
        "adapting", config.model, sample, machine, data=data, batch_tokens=batch_tokens, dtype=dtype,
        template=config.template, pooling=config.pooling, layer=config.layer,
    )  # fmt: skip
    training = _training(request, sample, device, gpu_memory, dtype)
    stages = _stages(request, encoding, count, training.seconds, map)
    grouping = encoding.memory(data + grouping_bytes(count, encoding.dim, map))
    texts = count * encoding.characters
    return encoding.plan(
        count, max((training.memory, grouping), key=lambda memory: memory.peak), stages,
        training.disk + count * encoding.dim * 4 + _COPIES * texts, **training.facts,
    )  # fmt: skip


def _training(
    request: Request, sample: Sequence[str], device: str | None, gpu_memory: float | None, dtype: str | None
) -> Plan:
    """The plan of the training run, with pairs that are as long as those that it will have."""
    recipe = pair_rows(request.config)
    weights = request.sources
    share = weights.get("recipe", 0.0) / sum(weights.values())
    own = round((1 - share) * request.config.steps * request.config.batch_pairs) or len(sample)
    pairs = [(sample[i % len(sample)], sample[(i + 1) % len(sample)]) for i in range(own)]
    if share:
        pairs += [(anchor, positive) for anchor, positive, _ in recipe[: round(own * share / (1 - share))]]
    settings = request.settings | ({"dtype": dtype} if dtype else {})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.parquet"
        anchors, positives = zip(*pairs, strict=True)
        pq.write_table(pa.table({"anchor": anchors, "positive": positives}), file)
        return plan_training(device=device, gpu_memory=gpu_memory, **settings | {"pairs": [str(file)]})


def _stages(
    request: Request, encoding: Encoding, count: int, training: float | None, map: str
) -> Mapping[str, float | None]:
    """Stage → seconds; None on another machine."""
    if training is None:
        return dict.fromkeys(("choosing", "pairs", "training", "comparing", "vectors", "groups", "map"))
    vectors = VectorCosts.of(encoding.dim)

    def embedding(texts: float) -> float:
        return encoding.seconds(texts) or 0.0

    used, labels = min(count, request.max_texts), request.label_column is not None
    test, development = part_sizes(used)
    tried = 0
    enough = development >= choosing.LEAST_TEXTS
    if enough and not request.again:
        layers = encoding.shape.depth // 4 if labels else 1
        tried = (len(choosing.TEMPLATES) + 1) * len(choosing.POOLINGS) * layers
    checkpoints = len(checkpoint_steps(request.config.steps)) + 1 if labels and enough else 0
    score = vectors.label_free(test) + (vectors.cluster_score(test) if labels else 0.0)
    return {
        "choosing": bool(tried) * _BEGINNINGS * embedding(_NOISY * development)
        + tried * vectors.option(development, labels),
        "pairs": embedding(used - test - development) if "neighbours" in request.sources else 0.0,
        "training": training + checkpoints * (embedding(development) + vectors.cluster_score(development)),
        "comparing": _OWN_MODELS * embedding(_NOISY * test) + (_OWN_MODELS + 1) * score,
        "vectors": embedding(count),
        "groups": vectors.groups(count, request.groups),
        "map": vectors.map(count, map),
    }
