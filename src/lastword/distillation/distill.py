"""The verb: a model and texts → a student, whose vectors of such texts are nearly the same and far cheaper."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lastword.arguments import as_path
from lastword.bundled import model_layers
from lastword.console import info
from lastword.distillation.static import DIM, VOCABULARY, make_static
from lastword.distillation.teacher import PARTS, Student, TeacherVectors, read_distinct, teacher_vectors
from lastword.embedding.spec import check_savable
from lastword.encoder import TextEncoder
from lastword.encoders.by_name import load_encoder, with_batches
from lastword.errors import RequestError, unknown_name
from lastword.files.run_folder import RunFolder, hash_of, write_json
from lastword.files.sources import Source
from lastword.geometry import shared_neighbours

if TYPE_CHECKING:
    from lastword.embedding import Embedder

STUDENTS = ("static", "shallow")
_OWN = {"static": ("vocabulary", "truncate_dim"), "shallow": ("layer", "steps")}
_LEAST = {"vocabulary": 1000, "truncate_dim": 2, "layer": 1, "steps": 1}


@dataclass(frozen=True)
class DistillResult:
    """A student, measured on texts that it has not seen.

    Attributes:
        output: the folder.
        model: name of the teacher.
        student: "static" or "shallow".
        texts: distinct texts that were used, those held out included.
        dim: dimensions of a vector.
        cosine: mean cosine of its vectors and the teacher's, on held-out texts.
        neighbours: share of the 10 nearest of these texts that both agree on.
        texts_per_second: of the student.
        teacher_texts_per_second: of the teacher, on this device.
        bytes: size of the folder.
        seconds: time of this call.
        tokens: of a static student, size of the vocabulary.
        strength: of its ridge, chosen on other held-out texts.
        layers: of a shallow student.
        step: after which its training was best on other held-out texts.
    """

    output: Path
    model: str
    student: str
    texts: int
    dim: int
    cosine: float
    neighbours: float
    texts_per_second: float
    teacher_texts_per_second: float
    bytes: int
    seconds: float
    tokens: int | None = None
    strength: float | None = None
    layers: int | None = None
    step: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values; those of the other kind of student are left out."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return known | {"output": str(self.output)}


def distill(
    model: str | Path | TextEncoder,
    texts: Source | Sequence[str],
    output: str | Path,
    *,
    student: str = "static",
    text_column: str = "text",
    max_texts: int | None = 50_000,
    seed: int = 0,
    drop_empty: bool = False,
    vocabulary: int | None = None,
    truncate_dim: int | None = None,
    layer: int | None = None,
    steps: int | None = None,
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> DistillResult:
    """Make a static or shallow student, whose vectors are nearly those of a model and cheaper.

    A static student gives each text the mean vector of its tokens: words and pieces of words of the texts go through
    the model alone, with its template; frequent ones are shortened, and all are mapped and then moved so that their
    means are near to the model's vectors of the texts. A shallow student has the first layers of the model, trained
    to give its vectors. The folder is one of sentence-transformers.

    Args:
        model: the teacher, as for `load_encoder`; for a shallow student the name or folder of a decoder.
        texts: a file, the bundled "topics" or "products", or a list; the more like the later ones, the better.
        output: folder to write.
        student: "static" or "shallow".
        text_column: column of the texts.
        max_texts: use a fixed sample of at most so many.
        seed: of the sample, of the texts that are held out, and of training.
        drop_empty: leave out rows with empty or non-text cells.
        vocabulary: of a static student, the most tokens; None is 30,000.
        truncate_dim: of a static student, the most dimensions: the main directions of the teacher's vectors; None
            is 256.
        layer: of a shallow student, the number of layers to keep; None is a fourth of them.
        steps: of a shallow student, optimizer steps with 32 texts each; None is ten times through the texts, at
            least 200 and at most 2,000 steps.
        template, pooling: of a base model; None takes the folder's own.
        batch_tokens: padded tokens in one pass of a decoder; bounds the memory.
        dtype, device: of the teacher; None is the best available.
        resume: continue an interrupted run with the same settings.
        overwrite: replace `output`, and restart an interrupted run.

    Raises:
        ExistingOutputError, MissingFileError, TableError, ModelError: see the message.
        RequestError: fewer than 100 distinct texts; TF-IDF as teacher; an invalid value; `resume` with other
            settings than before.

    Source: static: model2vec (github.com/MinishLab/model2vec) for tokens through the teacher, their weights and the
    main directions; here the vectors are then fitted to those of real texts by ridge regression. Shallow: the first
    layers as in DistilBERT, arXiv:1910.01108; the loss of arXiv:2004.09813.
    """
    started, target = time.monotonic(), as_path("output", output)
    own = {"vocabulary": vocabulary, "truncate_dim": truncate_dim, "layer": layer, "steps": steps}
    check_distillation(model, student, own, template, pooling)
    run = RunFolder(target, "distillation", resume, overwrite, evidence=PARTS)
    run.check(model, None if isinstance(texts, list | tuple) else texts)
    distinct = read_distinct(texts, text_column, drop_empty, max_texts, seed)
    settings = {"student": student, "seed": seed, "template": template, "pooling": pooling, **own}
    with run.lock():
        run.require(settings, inputs := {"the texts": hash_of(distinct)})
        encoder = load_encoder(model, template=template, pooling=pooling, dtype=dtype, device=device)
        if student == "shallow":
            layer = _layers_to_keep(model, cast("Embedder", encoder), layer)
        run.prepare(settings, inputs | {f"the model {_name(encoder)}": hash_of(encoder.identity)})
        batched = with_batches(encoder, batch_tokens)
        teacher = teacher_vectors(batched, distinct, run.partial)
        if student == "static":
            made = make_static(batched, teacher, run.partial, vocabulary or VOCABULARY, truncate_dim or DIM)
        else:
            from lastword.distillation.shallow import make_shallow  # imports torch

            made = make_shallow(
                str(model), cast("Embedder", encoder), teacher, run.partial, layer or 1, steps,
                batch_tokens=batch_tokens, dtype=dtype, device=device, seed=seed,
            )  # fmt: skip
        result = _measured(made, teacher, target, _name(encoder), student, time.monotonic() - started)
        write_json(made.folder / "distilled.json", result.to_dict())
        run.finish(made.folder)
    info(f"{target}: cosine with the model {result.cosine:.3f}, the same neighbours {result.neighbours:.1%}")
    return result


def check_distillation(
    model: str | Path | TextEncoder,
    student: str,
    settings: dict[str, int | None],
    template: str | None = None,
    pooling: str | None = None,
) -> None:
    """Refuse what cannot work, before anything is read.

    Args:
        model: the teacher.
        student: its kind.
        settings: vocabulary, truncate_dim, layer and steps; None is the default.
        template, pooling: of the teacher; a shallow student has them too.

    Raises:
        RequestError: see the message.
    """
    if student not in STUDENTS:
        raise RequestError(unknown_name("student", student, STUDENTS))
    if str(model) == "tfidf":
        raise RequestError("model='tfidf' is cheaper than what it could be distilled to: give a decoder")
    for name, value in settings.items():
        if value is not None and name not in _OWN[student]:
            other = next(kind for kind, names in _OWN.items() if name in names)
            raise RequestError(
                f"{name}={value}: only a {other} student has it; leave it out, or use student='{other}'"
            )
        if value is not None and value < _LEAST[name]:
            raise RequestError(f"{name}={value}: give {_LEAST[name]} or more")
    if student == "shallow":
        if not isinstance(model, str | Path) or str(model).startswith("sentence-transformers:"):
            raise RequestError(
                f"student='shallow' keeps the first layers of a decoder, and {_name(model)} is none that can be cut: "
                "give the name or folder of a decoder, or use student='static'"
            )
        _check_layers(str(model), settings["layer"], model_layers(model))
        check_savable(model, template, pooling)


def _layers_to_keep(model: str | Path | TextEncoder, encoder: Embedder, layer: int | None) -> int:
    """Number of layers of the student, which are fewer than those that the teacher uses."""
    _check_layers(str(model), layer, encoder.pipeline.layer)
    return layer or max(1, encoder.pipeline.layer // 4)


def _check_layers(model: str, layer: int | None, layers: int | None) -> None:
    """Refuse to keep no fewer layers than a model has; None where that is not known before it is loaded."""
    if layers == 1:
        raise RequestError(f"{model} has 1 layer, so that no student is shallower: use student='static'")
    if layer is not None and layers is not None and layer >= layers:
        raise RequestError(
            f"layer={layer}: {model} has {layers} layers, and a shallow student keeps fewer: give 1 to {layers - 1}"
        )


def _measured(
    made: Student, teacher: TeacherVectors, output: Path, model: str, student: str, seconds: float
) -> DistillResult:
    """The result, from the texts for measuring."""
    files = [file for file in made.folder.rglob("*") if file.is_file()]
    return DistillResult(
        output, model, student, len(teacher.texts), made.vectors.shape[1],
        cosine=float((made.vectors * made.targets).sum(1).mean()),
        neighbours=shared_neighbours(made.vectors, teacher.vectors[teacher.measuring]),
        texts_per_second=made.texts_per_second, teacher_texts_per_second=teacher.texts_per_second,
        bytes=sum(file.stat().st_size for file in files), seconds=seconds, **made.facts,
    )  # fmt: skip


def _name(encoder: str | Path | TextEncoder) -> str:
    if isinstance(encoder, str | Path):
        return str(encoder)
    return getattr(encoder, "name", None) or encoder.identity
