"""The verb: a target and what its vectors should be → the parity card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lastword.bundled import PATHS, model_source
from lastword.console import progress, silenced
from lastword.embedding.golden import EQUAL_TEXTS, GOLDEN_TEXTS
from lastword.files.tables import read_texts
from lastword.geometry import shared_neighbours, unit
from lastword.parity.causes import cause_alone, cause_in_batch, least_cosine
from lastword.parity.reference import Reference, read_reference
from lastword.parity.requests import BARS, check_request, is_url, without_prefix
from lastword.parity.result import Cause, CheckResult, Row
from lastword.parity.runtimes import read_runtime
from lastword.parity.sequences import Parts, cause_of_ids
from lastword.parity.targets import Folder, Server, Target

NEIGHBOUR_TEXTS = 200
_LENGTH = 0.02  # relative; what precision changes in the length of a vector


def check(
    target: str | Path,
    *,
    reference: str | Path | None = None,
    dtype: str | None = None,
    api_model: str | None = None,
) -> CheckResult:
    """Compare anything that embeds with what it should give, and name the likely cause of a difference.

    Token ids come first, then the vectors of texts alone, in a batch of equal lengths, in one of different lengths
    and in that one in another order, then nearest neighbours.

    Args:
        target: a folder that lastword or sentence-transformers wrote; an .onnx, .xml (OpenVINO) or .gguf file, whose
            tokenizer is beside it or in the reference; a name on the Hub; or the address of a server:
            `/v1/embeddings` as OpenAI has it or `/embed` of text-embeddings-inference.
        reference: folder or name of the model that it should be. None is its own golden vectors; without any, a
            folder is compared with itself in float32, one text at a time, and a server's batches with its single texts.
        dtype: precision that decides on the bar; None is that of the folder's weights, float32 for a server.
        api_model: name of the model at a server; None is the first that it lists.

    Raises:
        RequestError, ModelError: see the message.
        WorkError: the server does not answer.
    """
    name, reference = without_prefix(str(target)), reference and without_prefix(str(reference))
    check_request(name, reference, dtype, api_model)
    with progress("comparisons", 5) as advance, silenced("sentence_transformers"):
        read = read_target(name, api_model, reference)
        source = reference or (None if is_url(name) else _folder(name))
        truth = read_reference(source) if source else None
        advance(1)
        return compare(name, read, truth, dtype, advance)


def _folder(name: str) -> str:
    """The folder of a single file, with its golden vectors if it has any; any other name as it is."""
    return str(Path(name).parent) if Path(name).is_file() else name


def read_target(name: str, api_model: str | None = None, reference: str | Path | None = None) -> Target:
    """Load what is to be checked.

    Args:
        name: see `check`.
        api_model: see `check`.
        reference: model with the tokenizer of a file that has none beside it.

    Raises:
        ModelError: it does not load.
        WorkError: the server does not answer.
    """
    if is_url(name):
        return Server(name, api_model)
    beside = None if reference is None else Path(model_source(reference))
    runtime = read_runtime(Path(name), beside) if Path(name).exists() else None
    return runtime or Folder(name)


def compare(
    name: str,
    target: Target,
    truth: Reference | None,
    dtype: str | None = None,
    step: Callable[[int], None] = lambda units: None,
) -> CheckResult:
    """As `check`, for what is loaded already."""
    precision = dtype or target.precision or "float32"
    bar, least_shared = BARS.get(precision, BARS["float32"])
    texts = list(truth.texts if truth else GOLDEN_TEXTS)
    rows: list[Row] = []
    causes: list[Cause] = []
    missing: list[str] = []

    known = None
    ids = target.ids(texts)
    if ids is not None and truth is not None and truth.ids is not None:
        known = cause_of_ids(_parts(truth), truth.ids, ids)
        equal = sum(a == b for a, b in zip(ids, truth.ids, strict=True))
        rows.append(Row("token ids", equal / len(texts), 1.0, len(texts)))
    else:
        missing.append(
            "token ids: the target does not tell them" if ids is None else "token ids: no reference"
        )
    step(1)

    alone = np.concatenate([target.vectors([text]) for text in texts])
    if truth is not None:
        if alone.shape[1] != truth.vectors.shape[1]:
            evidence = f"vectors have {alone.shape[1]} numbers, not {truth.vectors.shape[1]}"
            causes.append(Cause("other dimensions", evidence))
        else:
            least = least_cosine(truth.vectors, alone)
            rows.append(Row("texts alone, least cosine", least, bar, len(texts)))
            if known or least < bar:
                causes.append(cause_alone(truth, alone, known))
            causes += _cause_of_lengths(truth.vectors, alone)
    else:
        missing.append("texts alone: no reference; name the folder of the model with reference=…")
    step(1)

    rows_of_batches, causes_of_batches = _batches(target, truth, texts, ids, alone, bar)
    rows += rows_of_batches
    step(1)
    if truth is not None and truth.encode is not None and alone.shape[1] == truth.vectors.shape[1]:
        shared = _neighbours(target, truth)
        rows.append(Row("the same 10 nearest neighbours", shared, least_shared, NEIGHBOUR_TEXTS))
        if shared < least_shared and not causes and not causes_of_batches:
            causes.append(Cause("lower precision", f"{shared:.1%} of the nearest neighbours are the same"))
    else:
        missing.append("neighbours: no model to compare with")
    step(1)
    described = truth.name if truth else "itself, one text at a time"
    return CheckResult(
        name, target.kind, described, precision, tuple(rows), (*causes, *causes_of_batches), tuple(missing)
    )


def _parts(truth: Reference) -> list[Parts]:
    """Of the texts, unless the tokenizer at hand is not that of the right ids."""
    if truth.model is None:
        return []
    raw = truth.model.split(truth.texts)
    for texts in (
        truth.texts,
        [text.strip() for text in truth.texts],
    ):  # or the target's own tokenizer lost that
        parts = [
            replace(each, raw=other.raw) for each, other in zip(truth.model.split(texts), raw, strict=True)
        ]
        if [list(each.sequence) for each in parts] == truth.ids:
            return parts
    return []


def _cause_of_lengths(expected: np.ndarray, vectors: np.ndarray) -> list[Cause]:
    lengths = np.linalg.norm(vectors, axis=1)
    ratio = lengths / np.maximum(np.linalg.norm(expected, axis=1), 1e-12)
    if np.abs(ratio - 1).max() <= _LENGTH:
        return []
    return [
        Cause(
            "normalisation",
            f"vectors have lengths of {lengths.min():.3g} to {lengths.max():.3g}, not the right ones",
        )
    ]


def _batches(
    target: Target,
    truth: Reference | None,
    texts: list[str],
    ids: list[list[int]] | None,
    alone: np.ndarray,
    bar: float,
) -> tuple[list[Row], list[Cause]]:
    """Each text in a batch against itself alone: of equal lengths, of different ones, and in another order."""
    rows: list[Row] = []
    causes: list[Cause] = []
    model = truth.model if truth else None
    equal = _of_equal_length(texts, ids)
    order = list(range(len(texts)))[: target.most]
    cases = [("in a batch of equal lengths", equal), ("in a batch of different lengths", order)]
    cases.append(("in another order", [*order[1::2], *order[::2][::-1]]))
    for name, chosen in cases:
        if len(chosen) < 2:
            continue
        batch, members = target.vectors([texts[i] for i in chosen]), [texts[i] for i in chosen]
        least = least_cosine(alone[chosen], batch)
        rows.append(Row(f"{name}, least cosine", least, bar, len(chosen)))
        if least < bar:
            cause = cause_in_batch(model, members, alone[chosen], batch, equal=chosen is equal)
            if cause.name not in [other.name for other in causes]:
                causes.append(cause)
    return rows, causes


def _of_equal_length(texts: Sequence[str], ids: list[list[int]] | None) -> list[int]:
    """Positions of texts that have the same number of tokens."""
    if ids is None:
        return [i for i, text in enumerate(texts) if text in EQUAL_TEXTS]
    ((length, _),) = Counter(map(len, ids)).most_common(1)
    return [i for i, row in enumerate(ids) if len(row) == length]


def _neighbours(target: Target, truth: Reference) -> float:
    """Share of equal neighbours among texts of many subjects."""
    assert truth.encode is not None
    texts = list(dict.fromkeys(read_texts(PATHS["topics"], ["text"])["text"]))[::10][:NEIGHBOUR_TEXTS]
    vectors = np.concatenate(
        [target.vectors(texts[i : i + target.most]) for i in range(0, len(texts), target.most)]
    )
    return shared_neighbours(unit(vectors), unit(truth.encode(texts)))
