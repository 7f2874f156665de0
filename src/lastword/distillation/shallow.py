"""The shallow student: the first layers of a model, trained to give its vectors."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lastword.config import PROJECTIONS, TrainConfig
from lastword.distillation.teacher import Student, TeacherVectors, speed
from lastword.embedding import TEMPLATES, Embedder, EmbedderSpec
from lastword.errors import RequestError
from lastword.files.run_folder import hash_of
from lastword.files.sources import Source
from lastword.training import Selection, Standard, train
from lastword.training.guide import Guide
from lastword.training.objectives import step_rows
from lastword.training.pairs import Pairs
from lastword.training.vectors import TextVectors
from lastword.uncertainty import Score, resamples, sample_hash

_BATCH, _RANK, _RATE, _MOST_TOKENS = 32, 128, 2e-3, 256
_EPOCHS, _LEAST_STEPS, _MOST_STEPS = 10, 200, 2000


@dataclass(frozen=True)
class TeacherStep:
    """Texts, and the vectors that they should get.

    Attributes:
        texts: n texts.
        targets: (n, dim) float32 of length 1.
    """

    texts: list[str]
    targets: Tensor

    @property
    def negatives(self) -> int:
        """The other texts of the step: no vector may be near to all targets."""
        return len(self.texts) - 1

    def loss_of(self, vectors: Tensor) -> Tensor:
        """Mean squared distance of the (n, dim) vectors, scaled to length 1, from the targets.

        Source: Reimers and Gurevych, "Making Monolingual Sentence Embeddings Multilingual using Knowledge
        Distillation", arXiv:2004.09813, for one language.
        """
        vectors, targets = torch.nn.functional.normalize(vectors), self.targets.to(vectors.device)
        return (vectors - targets).square().sum(1).mean()


@dataclass(frozen=True)
class TeacherObjective:
    """Texts in random order, each with the vector that a teacher gives to it.

    Attributes:
        texts: n texts.
        vectors: (n, dim) float32 of length 1.
        config: batch_pairs and seed count.
    """

    texts: Sequence[str]
    vectors: np.ndarray
    config: TrainConfig

    def __len__(self) -> int:
        return len(self.texts)

    def step(self, number: int) -> TeacherStep:
        """The texts of a step."""
        rows = step_rows(len(self), self.config.batch_pairs, number, self.config.seed)
        return TeacherStep([self.texts[row] for row in rows], torch.from_numpy(self.vectors[rows]))


@dataclass(frozen=True)
class FromTeacher(Standard):
    """A way of training whose data are the vectors of a teacher, not files of pairs.

    Attributes:
        teacher: texts and their vectors.
        identity: of the teacher.
        spec: how the teacher embeds.
    """

    teacher: TeacherVectors
    identity: str
    spec: EmbedderSpec

    def __str__(self) -> str:
        return f"learning the vectors of {len(self.teacher.texts):,} texts, those held out included"

    @property
    def record(self) -> dict[str, Any]:
        """What is learned, in place of pairs and their loss."""
        return {"pairs": [], "loss": "squared distance from the teacher", "teacher": self.identity}

    def read(self, files: Sequence[Source], **options: Any) -> Pairs:
        """Each text to be fitted to, as its own positive."""
        texts = self.teacher.texts[self.teacher.fitting]
        return Pairs(texts, texts, [[] for _ in texts])

    def views(self, embedder: Embedder, max_tokens: int) -> tuple[Embedder, Embedder]:
        """As the teacher embeds; settings of a run name a template but not what a folder says of its tokens.

        Raises:
            RequestError: the teacher's vectors have another length.
        """
        require_length(self.teacher.vectors, embedder)
        return super().views(embedder.variant(template=self.spec.template), max_tokens)

    def objective(
        self,
        pairs: Pairs,
        config: TrainConfig,
        guide: Guide | None = None,
        teacher: TextVectors | None = None,
    ) -> TeacherObjective:
        """The distance from the teacher's vectors."""
        return TeacherObjective(pairs.anchors, self.teacher.vectors[self.teacher.fitting], config)


class NearTeacher:
    """A development score: mean cosine with the teacher's vectors of texts that are not trained on."""

    def __init__(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        self.texts, self.vectors = texts, vectors
        self.criterion = f"mean cosine with the teacher on {len(texts)} held-out texts"
        self.inputs = {"the held-out texts": hash_of(list(texts))}

    def __call__(self, embedder: Embedder) -> Score:
        """Score from -1 to 1."""
        cosines = (embedder.encode(self.texts, normalize=True) * self.vectors).sum(1)
        return Score(
            metric="cosine", value=float(cosines.mean()), draws=(),
            resamples=resamples(lambda rows: [float(cosines[rows].mean())], len(cosines)),
            n=len(cosines), sample=sample_hash(self.texts),
        )  # fmt: skip


def make_shallow(
    model: str, encoder: Embedder, teacher: TeacherVectors, folder: Path, layer: int, steps: int | None,
    *, batch_tokens: int | None, dtype: str | None, device: str | None, seed: int,
) -> Student:  # fmt: skip
    """Train and write a shallow student; an interrupted training run in the folder is continued.

    Args:
        model: name or folder of the teacher.
        encoder: the teacher.
        teacher: its vectors of texts.
        folder: for unfinished work; the student is in its folder `model`.
        layer: number of layers to keep.
        steps: optimizer steps; None is ten times through the texts, within limits.
        batch_tokens, dtype, device, seed: as for `TrainConfig`.

    Raises:
        ModelError, DivergenceError: the model cannot be cut or trained.
    """
    saved = folder / "model"
    if not saved.exists():  # otherwise the run was interrupted after training
        train(
            saved, resume=True, device=device, trackers="none",
            variant=FromTeacher(teacher, encoder.identity, encoder.spec),
            scorer=NearTeacher(teacher.texts[teacher.choosing], teacher.vectors[teacher.choosing]),
            **training_settings(
                model, encoder, layer, steps, len(teacher.texts[teacher.fitting]), dtype=dtype, seed=seed,
                batch_tokens=batch_tokens,
            ),
        )  # fmt: skip
    record = saved / "training"
    step = Selection.read(record).step
    for checkpoint in record.glob("step-*"):  # adapters over the cut model, which is nowhere
        shutil.rmtree(checkpoint)
    student, measured = (
        Embedder.from_pretrained(saved, dtype=dtype, device=device),
        teacher.texts[teacher.measuring],
    )
    vectors = student.encode(measured, normalize=True)
    return Student(
        saved, vectors, teacher.vectors[teacher.measuring], speed(student.encode, measured),
        {"layers": layer, "step": step},
    )  # fmt: skip


def training_settings(
    model: str,
    encoder: Embedder,
    layer: int,
    steps: int | None,
    texts: int,
    *,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Fields of `TrainConfig` with which a shallow student is trained.

    Args:
        model: name or folder of the teacher.
        encoder: the teacher, or a model of its shape.
        texts: to fit to.
        layer, steps, batch_tokens, dtype, seed: as for `make_shallow`.
    """
    rank, template = min(_RANK, encoder.dim), encoder.spec.template.name
    return {
        "model": model, "layer": layer, "pooling": encoder.spec.pooling.spec,
        "template": template if template in TEMPLATES else encoder.spec.template.text,
        "max_tokens": min(_MOST_TOKENS, encoder.pipeline.max_tokens),
        "steps": steps or min(max(_EPOCHS * texts // _BATCH, _LEAST_STEPS), _MOST_STEPS),
        "batch_pairs": _BATCH, "learning_rate": _RATE, "schedule": "cosine", "rank": rank, "alpha": float(rank),
        "dropout": 0.0, "projections": PROJECTIONS, "dtype": dtype, "seed": seed,
        "batch_tokens": batch_tokens or TrainConfig.batch_tokens,
    }  # fmt: skip


def require_length(vectors: np.ndarray, embedder: Embedder) -> None:
    """Refuse a teacher whose vectors have another length than the student's.

    Raises:
        RequestError: see the message.
    """
    if vectors.shape[1] != embedder.dim:
        raise RequestError(
            f"the teacher's vectors have {vectors.shape[1]} dimensions and those of {embedder.name} {embedder.dim}: "
            "use a teacher of the same length, or student='static'"
        )
