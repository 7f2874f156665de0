"""The strategies that can be compared: tables of `strategies.toml`, or of a file of one's own."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastword.bundled import model_layers
from lastword.config import train_config
from lastword.errors import MissingFileError, RequestError, unknown_name
from lastword.experiments.vector_changes import VectorChange

UNTRAINED = ("prompt", "pooling", "layer", "attention")
"""Groups that change how the model is read, without training."""
VECTORS = "vectors"
"""The group that changes the vectors of the trained model."""
GROUPS = (*UNTRAINED, "training", "data", VECTORS)
_CATALOGUE = Path(__file__).with_name("strategies.toml")
_SHARES = {"layer_share": "layer", "adapt_share": "adapt_layers"}


@dataclass(frozen=True)
class Strategy:
    """One strategy: the recipe with some settings changed.

    Attributes:
        name: as the table has it.
        group: one of `GROUPS`.
        settings: fields of `TrainConfig`; `layer_share` and `adapt_share` are `layer` and `adapt_layers` as a share
            of the depth. Of the group "vectors" instead `vectors`, see `VectorChange`.
        source: where it was published.
        code: file under `src/lastword`.
        when: when to use it.
    """

    name: str
    group: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    code: str = ""
    when: str = ""

    @property
    def trained(self) -> bool:
        """Whether its model is trained before it is scored."""
        return self.group not in UNTRAINED

    def changes(self, model: str) -> dict[str, Any]:
        """Its fields of `TrainConfig` for a model.

        Raises:
            RequestError: a share of a depth that is not known without loading the model.
        """
        changes = dict(self.settings)
        changes.pop(VECTORS, None)
        for name, field_name in _SHARES.items():
            share = changes.pop(name, None)
            layers = None if share is None else model_layers(model)
            if layers is not None:
                changes[field_name] = max(1, round(share * layers))
            elif share is not None:
                raise RequestError(
                    f"{self.name}: how many layers {model} has is not known; give {field_name} instead"
                )
        return changes

    def to_dict(self) -> dict[str, Any]:
        """Plain values without the name, as a table of the file has them."""
        content = dataclasses.asdict(self)
        del content["name"]
        return content


def read_strategies(path: str | Path | None = None) -> dict[str, Strategy]:
    """Read a TOML file with a table for each strategy; None is the file of this package.

    Raises:
        MissingFileError: no such file.
        RequestError: not TOML, an unknown group, key or setting.
    """
    file = Path(path or _CATALOGUE)
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file of strategies")
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{file} is not TOML: {error}") from None
    return {name: _strategy(name, table, f"{file.name}: [{name}]") for name, table in tables.items()}


def chosen(known: Mapping[str, Strategy], names: Sequence[str]) -> dict[str, Strategy]:
    """The strategies of the given names and groups, in the order of the file; no names are all.

    Raises:
        RequestError: an unknown name.
    """
    for name in names:
        if name not in known and name not in GROUPS:
            raise RequestError(unknown_name("strategy or group", name, [*GROUPS, *known]))
    return {name: each for name, each in known.items() if not names or {name, each.group} & set(names)}


def _strategy(title: str, table: Any, where: str) -> Strategy:
    if not isinstance(table, dict) or table.get("group") not in GROUPS:
        raise RequestError(f"{where}: write a table with group = one of {', '.join(GROUPS)}")
    fields = [each.name for each in dataclasses.fields(Strategy)]
    for key in table:
        if key not in fields:
            raise RequestError(f"{where}: {unknown_name('key', key, fields)}")
    strategy = Strategy(**{**table, "name": title})
    settings = dict(strategy.settings)
    if (strategy.group == VECTORS) != (VECTORS in settings):
        raise RequestError(f"{where}: the group vectors has the setting vectors, and no other group has it")
    if VECTORS in settings:
        VectorChange.parse(settings.pop(VECTORS))
    for name in _SHARES:
        share = settings.pop(name, 1.0)
        if not isinstance(share, float) or not 0 < share <= 1:
            raise RequestError(f"{where}: {name} = {share!r}: give a number above 0 and at most 1")
    train_config(settings, where)
    return strategy
