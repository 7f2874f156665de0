"""Settings of a training run are checked before anything that takes seconds is imported or loaded."""

from __future__ import annotations

import re

from lastword.augment import checked_noises
from lastword.bundled import (
    PATHS,
    SENTENCE_TRANSFORMERS,
    check_guide,
    check_layer,
    check_model,
    check_widths,
)
from lastword.config import TrainConfig
from lastword.embedding.pooling import Pooling
from lastword.embedding.spec import check_savable
from lastword.embedding.template import Template
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.stored import check_stored, is_stored
from lastword.errors import RequestError, TableError
from lastword.files.encodings import check_encoding
from lastword.files.pairs import SCORE
from lastword.files.sources import Source, TableFile, check_delimiter
from lastword.files.tables import require_columns

ADDRESS = r"^(?:(.+)@)?(https?://[^/\s]+.*)"
"""URL of a teacher that is a server, perhaps after the name of a model."""


def check_settings(config: TrainConfig) -> None:
    """Refuse settings that cannot work; of each file of pairs only the beginning is read.

    Raises:
        RequestError, TemplateError, ModelError, MissingFileError, TableError: see the message.
    """
    check_base(config)
    check_widths(config.model, config.widths, len(Pooling.parse(config.pooling).parts))
    if Template.parse(config.template).averaged:
        raise RequestError(f"template={config.template!r} is an average: train with one template")
    check_savable(config.model, config.template, config.pooling)
    checked_noises(config.noise)
    if config.guide:
        check_guide(config.guide)
        if config.graded:
            raise RequestError(
                f"guide={config.guide!r} filters negatives, and loss={config.loss!r} has none: leave it out"
            )
    elif config.guide_margin:
        raise RequestError(f"guide_margin={config.guide_margin:g} needs a guide: give both, or leave it out")
    _check_teacher(config.teacher, config.teacher_template, config.teacher_weight)
    check_encoding(config.encoding)
    check_delimiter(config.delimiter)
    if config.temperatures and len(config.temperatures) != len(config.pairs):
        raise RequestError(
            f"temperatures has {len(config.temperatures)} values and pairs {len(config.pairs)}: give one for each file"
        )
    if config.graded and len(config.pairs) > 1 and config.mixing == "joint":
        raise RequestError(
            f"loss={config.loss!r} would compare scores of different files, which may mean different things: use "
            "mixing='by_file', or one file"
        )
    for file in config.pairs:
        source = PATHS.get(file) or TableFile(file, config.encoding, config.delimiter)
        if config.graded:
            _require_scores(source, config.loss)
        require_columns(source, ["anchor", "positive"])


def check_base(config: TrainConfig) -> None:
    """Refuse a model, template, pooling or layer that cannot embed, trained or not.

    Raises:
        RequestError, TemplateError, ModelError, MissingFileError: see the message.
    """
    check_model(config.model)
    check_layer(config.model, config.layer)
    Template.parse(config.template)
    Pooling.parse(config.pooling)


def _check_teacher(name: str | None, template: str | None, weight: float) -> None:
    if name is None:
        for setting, value in {"teacher_weight": weight, "teacher_template": template}.items():
            if value != getattr(TrainConfig, setting):
                raise RequestError(f"{setting}={value!r} needs a teacher: give both, or leave it out")
        return
    if template is not None:
        Template.parse(template)
        other = name == TfidfEncoder.name or name.startswith(SENTENCE_TRANSFORMERS)
        if other or is_stored(name) or re.match(ADDRESS, name):
            raise RequestError(f"teacher_template={template!r}: {name} takes no template; leave it out")
    if is_stored(name):
        check_stored(name)
    elif not re.match(ADDRESS, name):
        check_guide(name)


def _require_scores(source: Source, loss: str) -> None:
    try:
        require_columns(source, [SCORE])
    except TableError as error:
        raise TableError(
            f"{error}; loss={loss!r} is for graded pairs: give each a number, the higher the more alike, or use a loss "
            "of pairs of the same meaning, such as info_nce"
        ) from error
