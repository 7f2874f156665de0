"""The verb: a corpus → an embedder for it, its vectors, groups and map, and a report of whether adapting helped."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from lastword.adaptation.choosing import Choice, Setting, choose
from lastword.adaptation.report import render
from lastword.adaptation.request import Request, check_request
from lastword.adaptation.result import GROUPS, MODEL, REPORT, RESULT, AdaptResult
from lastword.adaptation.scoring import Comparer, ModelRow
from lastword.adaptation.sources import FINISHED, MIXTURE, PAIRS, PairMaker, SourceReport
from lastword.adaptation.texts import Sample, draw_sample, read_sample, write_sample
from lastword.arguments import as_path
from lastword.console import duration, info, progress, renamed, warn
from lastword.corpus.cluster import CLUSTERS, VECTORS, cluster_corpus
from lastword.corpus.store import record_model
from lastword.embedding import Embedder
from lastword.encoder import TextEncoder
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.by_name import load_encoder, with_batches
from lastword.encoders.in_parts import InParts
from lastword.errors import WorkError
from lastword.evaluation import ClusterScorer
from lastword.files.run_folder import RunFolder, replace, write_json
from lastword.files.sources import Source
from lastword.pairs.generating.engine import Engine
from lastword.planning import plan_embedding, plan_training
from lastword.report.page import write_page
from lastword.training import Selection, train
from lastword.training.checkpoints import Checkpoints

_STAGES = 6


def adapt_corpus(
    inputs: Source | Sequence[Source],
    output: str | Path,
    model: str | Path | None = None,
    *,
    recipe: str | Path | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    sources: Mapping[str, float] | Sequence[str] | None = None,
    baselines: Sequence[str] = (),
    max_texts: int = 10_000,
    rewriter: Engine | None = None,
    rewritten: int = 1000,
    groups: int | None = None,
    map: str = "auto",
    group_column: str = "group",
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> AdaptResult:
    """Adapt a model to a corpus, embed and group the corpus with it, and report whether adapting helped.

    A sample of the distinct texts is split: pairs are made of the training texts, development texts choose template,
    pooling, layer and checkpoint, and test texts compare the models and serve nothing else. Training sees labels only
    of training texts, and only if "labels" is among the sources.

    Args:
        inputs: files as for `embed_corpus`.
        output: folder to write: model, groups (with the vectors of the corpus and its map), pairs, report.html and
            adapted.json.
        model: name or folder of a decoder; None is the recipe's, or "mini".
        recipe: settings of training, by name or file; None is the one for the model. A model that was trained to embed
            before goes on in its own setting, with a third of its steps (at least 30) and half its learning rate.
        text_column: column of the texts.
        label_column: column of labels, which then choose and score; texts may lack one. None is without labels.
        sources: sources of pairs, of `SOURCES`, perhaps with the weight of each in the mixture; None is all that the
            request allows, with twice as many neighbours as of the others, and without "crop" and "noise" for a model
            that was trained before, with equal weights.
        baselines: further models to compare with, as for `load_encoder`.
        max_texts: distinct texts of the sample.
        rewriter: a chat model that rewrites texts, such as `Endpoint`.
        rewritten: texts that it rewrites at most.
        groups: number of groups; None chooses it.
        map, group_column: as for `cluster_corpus`.
        batch_tokens: padded tokens in one pass when texts are embedded; bounds the memory.
        dtype, device: of the model; None is the best available.
        seed: of everything that is drawn.
        resume: continue an interrupted run of the same settings.
        overwrite: replace `output`, and discard an interrupted run.

    Raises:
        ExistingOutputError: `output` exists, is being written, or has an interrupted run.
        RequestError: an invalid value; an interrupted run had other settings.
        TableError: too few different texts, labels or pairs.
        MissingFileError, ModelError, MissingExtraError: see the message.
        WorkError: a file was changed during the run.
    """
    started, output = time.monotonic(), as_path("output", output)
    request = check_request(
        inputs, output, model=model, recipe=recipe, text_column=text_column, label_column=label_column,
        sources=sources, rewriting=rewriter is not None, baselines=baselines, max_texts=max_texts, groups=groups,
        map=map, group_column=group_column,
    )  # fmt: skip
    run = RunFolder(output, "adaptation", resume, overwrite, evidence="sample/*")
    run.check(inputs, request.config.model, recipe, baselines)
    loading = {"dtype": dtype, "device": device}
    for name in baselines:  # a missing one is noticed before the work begins
        load_encoder(name, device=device)
    settings = {
        **request.settings, "text_column": text_column, "label_column": label_column, "sources": request.sources,
        "baselines": list(baselines), "max_texts": max_texts, "rewritten": rewritten, "seed": seed,
        "rewriter": rewriter and rewriter.settings(), "groups": groups, "map": map, "group_column": group_column,
        **loading,
    }  # fmt: skip
    read = request.corpus.fingerprints()
    with run.open(settings, read):
        try:
            work = _Adaptation(request, run, seed, batch_tokens, loading)
            with renamed(work.finished, output), renamed(work.trained, output / MODEL):
                result = work.result(
                    rewriter, rewritten, baselines, map=map, groups=groups, group_column=group_column
                )
            result = dataclasses.replace(result, seconds=time.monotonic() - started)
            work.finish(result, read, map_written=map != "none")
        finally:
            if not run.interrupted:
                run.discard()
    info(f"wrote {output} after {duration(result.seconds)}")
    return result


@dataclass(frozen=True)
class _Adaptation:
    """The stages of a run; what each gave is kept in the run folder, where a resumed run finds it.

    Attributes:
        request: what is asked for.
        run: the locked folder.
        seed: of everything that is drawn.
        batch_tokens: padded tokens in one pass when texts are embedded.
        loading: dtype and device of the models.
    """

    request: Request
    run: RunFolder
    seed: int
    batch_tokens: int | None
    loading: dict[str, Any]

    @property
    def finished(self) -> Path:
        """What becomes the output."""
        return self.run.partial / FINISHED

    @property
    def trained(self) -> Path:
        """The folder of the trained model."""
        return self.run.partial / "trained"

    @cached_property
    def base(self) -> Embedder:
        """The model before training."""
        return Embedder.from_pretrained(self.request.config.model, **self.loading)

    def result(
        self, rewriter: Engine | None, rewritten: int, baselines: Sequence[str], **grouping: Any
    ) -> AdaptResult:
        """Do all stages."""
        sample = self._sample()
        embedding = self.run.once("plan-embedding", self._plan_embedding)
        choice = self._choice(sample)
        sources = self._pairs(choice.chosen, rewriter, rewritten)
        training = self.run.once("plan-training", partial(self._plan_training, choice.chosen))
        self._train(choice, sample)
        models = self._compared(choice, sample, baselines)
        record = self.trained / "training"
        result = AdaptResult(
            self.run.output, _name(self.request), self.request.config.model, self.request.label_column, sample.rows,
            len(sample.training), len(sample.development), len(sample.test), choice, sources,
            self.request.config.steps, Selection.read(record), Checkpoints(record).losses(), models,
            {"embedding": embedding, "training": training}, {}, 0.0,
        )  # fmt: skip
        self._keep_model(result)
        return dataclasses.replace(result, groups=self._groups(**grouping))

    def finish(self, result: AdaptResult, read: Mapping[str, str], map_written: bool) -> None:
        """Write result and report, and move all to the output.

        Raises:
            WorkError: a file is not as it was read.
        """
        if self.request.corpus.fingerprints() != read:
            raise WorkError(f"{result.corpus} was changed during the run: start again with overwrite=True")
        write_json(self.finished / RESULT, result.to_dict())
        write_page(self.finished / REPORT, render(result, map_written=map_written))
        self.run.finish(self.finished)

    def _stage(self, number: int, text: str) -> None:
        info(f"{number} of {_STAGES}  {text}")

    def _sample(self) -> Sample:
        folder = self.run.partial / "sample"
        if not folder.exists():
            self._stage(1, "reading the texts")
            write_sample(draw_sample(self.request, self.seed), folder)
        return read_sample(folder)

    def _plan_embedding(self) -> dict[str, Any]:
        """Refuses a corpus that cannot be embedded before any work is done."""
        config = self.request.config
        plan = plan_embedding(
            list(self.request.corpus.files), config.model, text_column=self.request.corpus.text_column,
            template=config.template, pooling=config.pooling, batch_tokens=self.batch_tokens, **self.loading,
        )  # fmt: skip
        info(f"forecast for the vectors of all {plan.texts:,} texts: {_time(plan.seconds)}")
        return plan.to_dict()

    def _choice(self, sample: Sample) -> Choice:
        def work() -> dict[str, Any]:
            self._stage(2, "choosing template, pooling and layer")
            found = choose(
                self.base, self.request.config, sample.development, self.seed, self.batch_tokens, self.run.partial,
                again=self.request.again,
            )  # fmt: skip
            return found.to_dict()

        return Choice.from_dict(self.run.once("choice", work))

    def _pairs(self, setting: Setting, rewriter: Engine | None, rewritten: int) -> list[SourceReport]:
        def work() -> list[dict[str, Any]]:
            self._stage(3, "making pairs")
            embedder = self.base.variant(**vars(setting))
            maker = PairMaker(self.run, embedder, rewriter, rewritten, self.seed, self.batch_tokens)
            return [source.to_dict() for source in maker.make(self.request.sources, self.request.config)]

        return [SourceReport(**content) for content in self.run.once("pairs", work)]

    def _settings(self, setting: Setting) -> dict[str, Any]:
        """Settings of the training run."""
        chosen = self.request.settings | vars(setting) | {"pairs": [str(self.finished / PAIRS / MIXTURE)]}
        given = {"dtype": self.loading["dtype"]} if self.loading["dtype"] else {}
        return chosen | {"seed": self.seed, **given}

    def _plan_training(self, setting: Setting) -> dict[str, Any]:
        plan = plan_training(device=self.loading["device"], **self._settings(setting))
        info(f"forecast for training: {_time(plan.seconds)}")
        return plan.to_dict()

    def _train(self, choice: Choice, sample: Sample) -> None:
        if self.trained.exists():
            return
        self._stage(4, "training")
        labels = sample.development.known_labels
        sets = {"the development texts": (sample.development.texts, labels)}
        scorer = ClusterScorer(sets) if labels and choice.enough else None  # None holds out pairs
        train(
            self.trained, scorer=scorer, resume=True, trackers="none",
            device=self.loading["device"], **self._settings(choice.chosen),
        )  # fmt: skip

    def _compared(self, choice: Choice, sample: Sample, baselines: Sequence[str]) -> list[ModelRow]:
        """The adapted model and others on the test texts."""
        config = self.request.config
        chosen, best = choice.chosen, choice.best
        load = partial(Embedder.from_pretrained, **self.loading)
        encoders: list[tuple[str, str, str, Callable[[], TextEncoder]]] = [
            ("adapted", config.model, str(chosen), partial(load, self.trained)),
            ("unadapted", config.model, str(chosen), partial(load, config.model, **vars(chosen))),
            ("tfidf", "TF-IDF", "", partial(TfidfEncoder().fit, sample.texts)),
            *(("other", name, "", partial(load_encoder, name, device=self.loading["device"])) for name in baselines),
        ]  # fmt: skip
        if best != chosen:
            before = partial(load, config.model, **vars(best))
            encoders.insert(2, ("best unadapted", config.model, str(best), before))
        self._stage(5, "comparing the models")
        comparer = Comparer(sample.test, self.seed)
        rows = []
        known = sum(self.run.has(f"scores-{number}") for number in range(len(encoders)))
        with progress("models compared", len(encoders), 1, known) as advance:
            for number, (kind, name, setting, loaded) in enumerate(encoders):

                def work() -> dict[str, Any]:
                    folder = self.run.partial / f"compared-{number}"  # noqa: B023  # called here
                    encoder = InParts(with_batches(loaded(), self.batch_tokens), folder)  # noqa: B023
                    return ModelRow(kind, name, setting, comparer.scores(encoder)).to_dict()  # noqa: B023

                rows.append(ModelRow.from_dict(self.run.once(f"scores-{number}", work)))
                advance(number >= known)
        return rows

    def _keep_model(self, result: AdaptResult) -> None:
        """Put the model into the output: the trained one, or the one before training if that did no good."""
        folder = self.finished / MODEL
        if folder.exists():
            return
        if result.kept == "adapted":
            partly = folder.with_name(f"{MODEL}.tmp")
            shutil.copytree(self.trained, partly, dirs_exist_ok=True)
            replace(partly, folder)
        else:
            warn("training lowered the development score: the model before training is kept")
            # In float32, as its file may be: in bfloat16 the weights were rounded.
            base = Embedder.from_pretrained(self.request.config.model, dtype="float32", device="cpu")
            base.variant(**vars(result.choice.best)).cut().save(folder)

    def _groups(self, **grouping: Any) -> dict[str, Any]:
        """Vectors, groups and map of the whole corpus; the content of clusters.json."""
        folder, final = self.finished / GROUPS, self.run.output
        if not folder.exists():
            self._stage(6, "embedding and grouping all texts")
            corpus = self.request.corpus
            cluster_corpus(
                list(corpus.files), folder, self.finished / MODEL, text_column=corpus.text_column,
                label_column=self.request.label_column, batch_tokens=self.batch_tokens, seed=self.seed, resume=True,
                **grouping, **self.loading,
            )  # fmt: skip
        record_model(folder / VECTORS, final / MODEL)
        content: dict[str, Any] = json.loads((folder / CLUSTERS).read_text(encoding="utf-8"))
        content |= {"output": str(final / GROUPS), "model": str(final / MODEL)}  # where they will be
        write_json(folder / CLUSTERS, content)
        return content


def _name(request: Request) -> str:
    files = [Path(str(file)).name for file in request.corpus.files]
    return f"{files[0]}{' …' if len(files) > 1 else ''}"


def _time(seconds: float | None) -> str:
    return "time not known" if seconds is None else f"about {duration(seconds)}"
