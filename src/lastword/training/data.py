"""What a training run reads: its pairs, those held out to choose the checkpoint, and the fingerprints of both."""

from __future__ import annotations

from lastword.bundled import PATHS, SELF, SENTENCE_TRANSFORMERS, model_source
from lastword.config import TrainConfig
from lastword.console import warn
from lastword.embedding.template import Template
from lastword.errors import RequestError, TableError
from lastword.files.pairs import has_scores
from lastword.files.run_folder import fingerprint, hash_of
from lastword.training.objectives import Objective, Variant
from lastword.training.pairs import Pairs, hold_out, pair_files
from lastword.training.selection import HeldOutGrades, HeldOutPairs, LastStep, Scorer

_CHECKED_STEPS = 8
HELD_OUT_SHARE, HELD_OUT_MOST, _HELD_OUT_LEAST = 0.1, 256, 8


def read_data(
    config: TrainConfig, variant: Variant, scorer: Scorer | LastStep | None, drop_empty: bool
) -> tuple[Pairs, Scorer | LastStep]:
    """The pairs to train on, and the score of the checkpoints."""
    files = pair_files(config)
    pairs = variant.read(files, drop_empty=drop_empty, graded=config.graded)
    for file in files:
        if not config.graded and has_scores(PATHS.get(str(file), file)):
            warn(
                f"{file} has scores, which loss={config.loss} does not use: each of its pairs counts as two texts that "
                "mean the same; loss=cosent or loss=angle learns from scores"
            )
    if scorer is None:
        training_pairs, held_out = hold_out(pairs, HELD_OUT_SHARE, HELD_OUT_MOST, config.seed)
        scorer = LastStep("last step (too few pairs to hold any out)")
        if len(held_out) >= _HELD_OUT_LEAST:
            pairs, scorer = (
                training_pairs,
                HeldOutGrades(held_out) if config.graded else HeldOutPairs(held_out),
            )
    if config.patience and isinstance(scorer, LastStep):
        raise RequestError(
            f"patience={config.patience} needs a development score: give labelled development texts or more pairs, "
            "or leave patience out"
        )
    if len(pairs) < config.batch_pairs:
        warn(f"batch_pairs={config.batch_pairs}, but there are {len(pairs)} pairs: each step takes them all")
    return pairs, scorer


def require_negatives(
    objective: Objective, pairs: Pairs, config: TrainConfig, *, guided: bool = False
) -> None:
    """Refuse pairs that are so alike, or so filtered by a guide, that no step has a negative."""
    if not any(objective.step(number).negatives for number in range(min(config.steps, _CHECKED_STEPS))):
        if pairs.scores:
            raise TableError(
                "no step has graded pairs of two scores: give more pairs, or a larger batch_pairs"
            )
        if guided:
            raise RequestError(
                f"guide={config.guide!r} with guide_margin={config.guide_margin:g} leaves no negatives: lower the "
                "margin, or choose another guide"
            )
        raise TableError(
            "the pairs leave no negatives: all pairs of a step have the same anchor or the same positive, such as "
            f"{pairs.positives[0][:60]!r}; give pairs of more different texts, or hard negatives in a column negative"
        )


def inputs_of(config: TrainConfig, pairs: Pairs, scorer: Scorer | LastStep) -> dict[str, str]:
    """What is read, besides the model → its fingerprint; a resumed run must read the same."""
    files = {f"the file of pairs {file}": fingerprint(PATHS.get(file, file)) for file in config.pairs}
    if "@" in (template := Template.parse(config.template)).name:
        files["the examples in the template"] = template.hash
    cells = [pairs.anchors, pairs.positives, pairs.negatives, pairs.scores]
    read = {"the pairs read": hash_of(cells)}  # from the Hub too
    for role, model in {"guide": config.guide, "teacher": config.teacher}.items():
        if model not in (None, SELF):
            source = model_source(str(model).removeprefix(SENTENCE_TRANSFORMERS))
            read[f"the {role} {model}"] = fingerprint(source)
    return files | read | scorer.inputs
