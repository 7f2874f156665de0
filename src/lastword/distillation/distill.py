"""The verb: a model and texts → a static model, whose vectors of such texts are nearly the same and far cheaper."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lastword.bundled import PATHS
from lastword.console import info, progress
from lastword.distillation.static import aligned, fitted, principal_directions, weighted
from lastword.distillation.tokens import bags, token_texts, train_tokenizer
from lastword.encoder import TextEncoder, encode_distinct
from lastword.encoders.by_name import load_encoder, with_batches
from lastword.errors import ParityError, RequestError
from lastword.files.inputs import sample_rows
from lastword.files.run_folder import RunFolder, write_json
from lastword.files.sources import Source, TableFile
from lastword.files.tables import read_texts
from lastword.geometry import shared_neighbours, unit

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LEAST_TEXTS = 100
_HELD_OUT, _MOST_HELD_OUT = 10, 1000  # one text of ten, twice: to choose the ridge, and to measure
_WINDOW = 512
_SAME = 1e-4  # of a number of a vector
_TIMED = 2000  # texts at least, for the speed of the student


@dataclass(frozen=True)
class DistillResult:
    """A static model, measured on texts that it has not seen.

    Attributes:
        output: the folder.
        model: name of the teacher.
        texts: distinct texts that were used, those held out included.
        tokens: size of the vocabulary.
        dim: dimensions of a vector.
        strength: of the ridge, chosen on held-out texts.
        cosine: mean cosine of its vectors and the teacher's, on other held-out texts.
        neighbours: share of the 10 nearest of these texts that both agree on.
        texts_per_second: of the student.
        teacher_texts_per_second: of the teacher, on this device.
        bytes: size of the folder.
        seconds: time of the whole run.
    """

    output: Path
    model: str
    texts: int
    tokens: int
    dim: int
    strength: float
    cosine: float
    neighbours: float
    texts_per_second: float
    teacher_texts_per_second: float
    bytes: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return vars(self) | {"output": str(self.output)}


def distill(
    model: str | Path | TextEncoder,
    texts: Source | Sequence[str],
    output: str | Path,
    *,
    text_column: str = "text",
    max_texts: int | None = 50_000,
    seed: int = 0,
    drop_empty: bool = False,
    vocabulary: int = 30_000,
    truncate_dim: int = 256,
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    overwrite: bool = False,
) -> DistillResult:
    """Make a static model: each text gets the mean vector of its tokens.

    Words and pieces of words of the texts go through the model alone, with its template; frequent ones are
    shortened, and all are mapped and then moved so that their means are near to the model's vectors of the texts.
    The folder is one of sentence-transformers (`StaticEmbedding`), without a model that runs.

    Args:
        model: the teacher, as for `load_encoder`.
        texts: a file, the bundled "topics" or "products", or a list; the more like the later ones, the better.
        output: folder to write.
        text_column: column of the texts.
        max_texts: use a fixed sample of at most so many.
        seed: of the sample, and of the texts that are held out.
        drop_empty: leave out rows with empty or non-text cells.
        vocabulary: the most tokens.
        truncate_dim: the most dimensions: the main directions of the teacher's vectors.
        template, pooling: of a base model; None takes the folder's own.
        batch_tokens: padded tokens in one pass of a decoder; bounds the memory.
        dtype, device: of the teacher; None is the best available.
        overwrite: replace `output`.

    Raises:
        ExistingOutputError, MissingFileError, TableError, ModelError: see the message.
        RequestError: fewer than 100 distinct texts; TF-IDF as teacher; an invalid value.

    Source: model2vec (github.com/MinishLab/model2vec) for tokens through the teacher, their weights and the main
    directions; here the vectors are then fitted to those of real texts by ridge regression.
    """
    started, target = time.monotonic(), Path(output)
    check_distillation(model, vocabulary, truncate_dim)
    run = RunFolder(target, "distillation", overwrite=overwrite, evidence="")
    run.check()
    distinct = _read(texts, text_column, drop_empty, max_texts, seed)
    with run.open({"vocabulary": vocabulary}) as folder:
        encoder = with_batches(
            load_encoder(model, template=template, pooling=pooling, dtype=dtype, device=device), batch_tokens
        )
        held = min(len(distinct) // _HELD_OUT, _MOST_HELD_OUT)
        tokenizer = train_tokenizer(distinct[2 * held :], vocabulary)
        began = time.perf_counter()
        vectors = unit(_encoded(encoder, distinct, "texts through the model"))
        teacher_speed = len(distinct) / (time.perf_counter() - began)
        tokens = _encoded(encoder, token_texts(tokenizer), "tokens through the model")
        tokens[0] = tokens[1:].mean(0)  # the unknown token
        directions = principal_directions(vectors[2 * held :], truncate_dim)
        table, strength = _token_table(bags(tokenizer, distinct), vectors @ directions, tokens, held)
        saved = save_static(folder / "model", tokenizer, table)
        mine, speed = _embedded(saved, distinct[:held], bags(tokenizer, distinct[:held]) @ table)
        result = DistillResult(
            target, getattr(encoder, "name", None) or encoder.identity, len(distinct), len(tokens), mine.shape[1],
            strength, float((mine * (vectors[:held] @ directions)).sum(1).mean()),
            shared_neighbours(mine, vectors[:held]), speed, teacher_speed,
            sum(file.stat().st_size for file in saved.rglob("*") if file.is_file()), time.monotonic() - started,
        )  # fmt: skip
        write_json(saved / "distilled.json", result.to_dict())
        run.finish(saved)
    info(f"{target}: cosine with the model {result.cosine:.3f}, the same neighbours {result.neighbours:.1%}")
    return result


def check_distillation(model: str | Path | TextEncoder, vocabulary: int, truncate_dim: int) -> None:
    """Refuse what cannot work, before anything is read.

    Raises:
        RequestError: see the message.
    """
    if str(model) == "tfidf":
        raise RequestError("model='tfidf' is cheaper than what it could be distilled to: give a decoder")
    for name, value, least in (("vocabulary", vocabulary, 1000), ("truncate_dim", truncate_dim, 2)):
        if value < least:
            raise RequestError(f"{name}={value}: give {least} or more")


def save_static(folder: Path, tokenizer: Tokenizer, table: np.ndarray) -> Path:
    """Write a folder that `SentenceTransformer` loads: mean vector of the tokens, scaled to length 1.

    Args:
        folder: to write.
        tokenizer: text to tokens.
        table: (vocabulary, dim) float32.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    modules = [StaticEmbedding(tokenizer, embedding_weights=table), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    return folder


def _read(
    texts: Source | Sequence[str], text_column: str, drop_empty: bool, max_texts: int | None, seed: int
) -> list[str]:
    """The distinct texts, shuffled."""
    if isinstance(texts, str | Path | TableFile):
        file = PATHS.get(str(texts), texts)
        cells, source = read_texts(file, [text_column], drop_empty=drop_empty)[text_column], str(texts)
    else:
        cells, source = list(texts), "the list"
    distinct = list(dict.fromkeys(cells))
    distinct = [distinct[row] for row in sample_rows(len(distinct), max_texts, seed)]
    if len(distinct) < LEAST_TEXTS:
        raise RequestError(f"{source} has {len(distinct)} distinct texts: give at least {LEAST_TEXTS}")
    return random.Random(seed).sample(distinct, len(distinct))


def _encoded(encoder: TextEncoder, texts: Sequence[str], what: str) -> np.ndarray:
    """Vectors of texts, (n, d) float32, with progress."""
    parts = []
    with progress(what, len(texts), _WINDOW) as advance:
        for start in range(0, len(texts), _WINDOW):
            window = texts[start : start + _WINDOW]
            parts.append(np.asarray(encode_distinct(encoder, window), np.float32))
            advance(len(window))
    return np.concatenate(parts)


def _token_table(bag: Any, targets: np.ndarray, tokens: np.ndarray, held: int) -> tuple[np.ndarray, float]:
    """Vectors of tokens; the first `held` texts are for measuring, the next as many choose, the others are fitted."""
    choose, learn = slice(held, 2 * held), slice(2 * held, None)
    wanted = unit(targets[choose])

    def score(table: np.ndarray) -> float:
        return float((unit(bag[choose] @ table) * wanted).sum(1).mean())

    counts = (bag[learn] > 0).sum(0) + 1
    start = aligned(weighted(tokens, np.asarray(counts)), bag[learn], targets[learn])
    return fitted(start, bag[learn], targets[learn], score)


def _embedded(folder: Path, texts: list[str], expected: np.ndarray) -> tuple[np.ndarray, float]:
    """Vectors of the saved model, and how many texts it embeds in a second.

    Raises:
        ParityError: they are not those of the model in memory.
    """
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    vectors = model.encode(texts, show_progress_bar=False)
    if (difference := float(np.abs(vectors - unit(expected)).max())) > _SAME:
        raise ParityError(f"the saved folder gives other vectors (by {difference:.1e}): report it as a bug")
    many = texts * -(-_TIMED // len(texts))
    began = time.perf_counter()
    model.encode(many, show_progress_bar=False)
    return vectors, len(many) / (time.perf_counter() - began)
