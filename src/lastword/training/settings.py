"""Settings of a training run are checked before anything that takes seconds is imported or loaded."""

from __future__ import annotations

from lastword.augment import checked_noises
from lastword.bundled import PATHS, check_layer, check_model
from lastword.config import TrainConfig
from lastword.embedding.pooling import Pooling
from lastword.embedding.template import Template
from lastword.errors import RequestError
from lastword.files.sources import TableFile, check_delimiter, check_encoding
from lastword.files.tables import require_columns


def check_settings(config: TrainConfig) -> None:
    """Refuse settings that cannot work; of each file of pairs only the beginning is read.

    Raises:
        RequestError, TemplateError, ModelError, MissingFileError, TableError: see the message.
    """
    check_model(config.model)
    check_layer(config.model, config.layer)
    if Template.parse(config.template).averaged:
        raise RequestError(f"template={config.template!r} is an average: train with one template")
    Pooling.parse(config.pooling)
    checked_noises(config.noise)
    check_encoding(config.encoding)
    check_delimiter(config.delimiter)
    for file in config.pairs:
        source = PATHS.get(file) or TableFile(file, config.encoding, config.delimiter)
        require_columns(source, ["anchor", "positive"])
