"""Settings of a training run: checked on construction, read from TOML, written as JSON."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lastword.cli.options import field_help
from lastword.config import CHOICES, LIMITS, TrainConfig, _shown, read_recipe, read_sweep, train_config
from lastword.embedding.device import DTYPES
from lastword.embedding.quantization import QUANTIZATIONS
from lastword.errors import MissingFileError, RequestError
from lastword.training.losses import LOSSES

Refused = Callable[..., str]

OUT_OF_RANGE = [
    ("max_tokens", 0, "max_tokens=0: it must be from 1 to 131,072"),
    ("max_tokens", 131_073, "max_tokens=131073: it must be from 1 to 131,072"),
    ("steps", 0, "steps=0: it must be from 1 to 1,000,000"),
    ("layer", 0, "layer=0: it must be from 1 to 1,000"),
    ("widths", (64, 0), "widths=0: it must be from 1 to 100,000"),
    ("temperatures", (0.1, 20.0), "temperatures=20.0: it must be from 0.001 to 10"),
    ("mixing", "file", "unknown mixing 'file': did you mean 'by_file'? Known: joint, by_file"),
    ("rank", -1, "rank=-1: it must be from 1 to 4,096"),
    ("batch_tokens", 0, "batch_tokens=0: it must be from 1 to 10,000,000"),
    ("batch_pairs", 1, "batch_pairs=1: it must be from 2 to 65,536"),
    ("temperature", 0.0, "temperature=0.0: it must be from 0.001 to 10"),
    ("temperature", float("nan"), "temperature=nan: it must be from 0.001 to 10"),
    ("learning_rate", -1e-4, "learning_rate=-0.0001: it must be from 1e-09 to 1"),
    ("learning_rate", 5.0, "learning_rate=5.0: it must be from 1e-09 to 1"),
    ("clip_norm", 0.0, "clip_norm=0.0: it must be from 1e-06 to 1e+06"),
    ("alpha", 0.0, "alpha=0.0: it must be from 0.001 to 10,000"),
    ("warmup_steps", -1, "warmup_steps=-1: it must be from 0 to 1,000,000"),
    ("weight_decay", -0.1, "weight_decay=-0.1: it must be from 0 to 1"),
    ("graph_gib", -1.0, "graph_gib=-1.0: it must be from 0 to 10,000"),
    ("patience", 0, "patience=0: it must be from 1 to 1,000"),
    ("seed", -1, "seed=-1: it must be from 0 to 4,294,967,295"),
    ("dropout", 1.0, "dropout=1.0: it must be from 0 to 0.99"),
    ("dropout", -0.1, "dropout=-0.1: it must be from 0 to 0.99"),
    ("pairs", (), "pairs=(): give at least one file"),
    ("projections", (), "projections=(): give at least one of q, k, v, o, gate, up, down"),
    (
        "projections",
        ("q", "gates"),
        "unknown projection 'gates': did you mean 'gate'? Known: q, k, v, o, gate, up, down",
    ),
    ("schedule", "cosin", "unknown schedule 'cosin': did you mean 'cosine'? Known: constant, linear, cosine"),
    (
        "loss",
        "infonce",
        "unknown loss 'infonce': did you mean 'info_nce'? Known: info_nce, symmetric_info_nce, cosent, angle",
    ),
    ("dtype", "float16", "unknown dtype 'float16': did you mean 'bfloat16'? Known: float32, bfloat16"),
    ("quantize", "int4", "unknown quantize 'int4': did you mean 'int8'? Known: int8, nf4"),
]


@pytest.mark.parametrize(("name", "value", "message"), OUT_OF_RANGE)
def test_values_out_of_range(refused: Refused, name: str, value: Any, message: str) -> None:
    assert refused(RequestError, TrainConfig, **{name: value}) == message
    assert refused(RequestError, train_config, {name: value}) == message


@pytest.mark.parametrize(
    ("name", "value"),
    [("dropout", 0.0), ("warmup_steps", 0), ("batch_pairs", 2), ("steps", 1), ("seed", 0), ("dtype", None)],
)
def test_values_at_the_edge(name: str, value: Any) -> None:
    assert getattr(train_config({name: value}), name) == value


def test_switches_of_the_papers_code_are_for_training_alone(refused: Refused) -> None:
    message = refused(RequestError, train_config, {"as_published": ["drift"]}, "my.toml")
    assert (
        message == "my.toml: as_published is for lastword train: leave it out of the recipe of other commands"
    )


def test_unknown_key_names_the_nearest_and_the_source(refused: Refused) -> None:
    known = ", ".join(field.name for field in dataclasses.fields(TrainConfig))
    assert refused(RequestError, train_config, {"temprature": 0.1}, "my.toml") == (
        f"my.toml: unknown key 'temprature': did you mean 'temperature'? Known: {known}"
    )
    assert refused(RequestError, train_config, {"xyz": 0.1}) == f"settings: unknown key 'xyz': Known: {known}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", "100", "settings: steps = '100': it must be a whole number"),
        ("steps", 1.5, "settings: steps = 1.5: it must be a whole number"),
        ("steps", True, "settings: steps = True: it must be a whole number"),
        ("temperature", "0.1", "settings: temperature = '0.1': it must be a number"),
        ("temperature", False, "settings: temperature = False: it must be a number"),
        ("model", 3, "settings: model = 3: it must be a string"),
        ("dtype", 16, "settings: dtype = 16: it must be a string"),
        ("pairs", 3, "settings: pairs = 3: give a list of strings"),
        ("projections", ["q", 1], "settings: projections = ['q', 1]: give a list of strings"),
        ("widths", "64,x", "settings: widths = '64,x': give a list of whole numbers"),
        ("widths", [64, 1.5], "settings: widths = [64, 1.5]: give a list of whole numbers"),
        ("widths", 64, "settings: widths = 64: give a list of whole numbers"),
        ("temperatures", ["0.1", "low"], "settings: temperatures = ['0.1', 'low']: give a list of numbers"),
    ],
)
def test_values_of_the_wrong_type(refused: Refused, name: str, value: Any, message: str) -> None:
    assert refused(RequestError, train_config, {name: value}) == message


def test_integers_serve_where_a_float_is_asked_for() -> None:
    config = train_config({"alpha": 16, "graph_gib": 2})
    for value, expected in ((config.alpha, 16.0), (config.graph_gib, 2.0)):
        assert value == expected
        assert isinstance(value, float)


@pytest.mark.parametrize("given", ["a.csv, b.csv,", ["a.csv", "b.csv"], ("a.csv", "b.csv")])
def test_lists_and_comma_strings_become_tuples(given: Any) -> None:
    assert train_config({"pairs": given}).pairs == ("a.csv", "b.csv")


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [("widths", "64, 32", (64, 32)), ("widths", [64], (64,)), ("temperatures", [1, 0.5], (1.0, 0.5))],
)
def test_lists_of_numbers(name: str, given: Any, expected: tuple[float, ...]) -> None:
    value = getattr(train_config({name: given}), name)
    assert value == expected
    assert list(map(type, value)) == list(map(type, expected))


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 3  # type: ignore[misc]


def test_json_and_back() -> None:
    config = TrainConfig(pairs=("a", "b"), projections=("q", "v"), dtype="bfloat16", seed=3)
    plain = config.to_dict()
    assert plain["pairs"] == ["a", "b"]
    assert train_config(json.loads(json.dumps(plain))) == config


def test_every_field_has_its_docstring() -> None:
    assert list(field_help(TrainConfig)) == [field.name for field in dataclasses.fields(TrainConfig)]


def test_every_number_has_limits_and_its_docstring_names_them() -> None:
    kinds = typing.get_type_hints(TrainConfig)
    numbers = {name for name, kind in kinds.items() if {int, float} & {kind, *typing.get_args(kind)}}
    assert numbers == LIMITS.keys()
    for name, (low, high) in LIMITS.items():
        assert f"{_shown(low)} to {_shown(high)}" in field_help(TrainConfig)[name], name


def test_names_are_those_of_the_code_that_uses_them() -> None:
    assert CHOICES["loss"] == tuple(LOSSES)
    assert CHOICES["dtype"] == tuple(DTYPES)
    assert CHOICES["quantize"] == QUANTIZATIONS


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('# a run\nmodel = "mini"\nsteps = 20\ntemperature = 1\nprojections = ["q", "v"]\n')
    values = read_recipe(path)
    assert values == {"model": "mini", "steps": 20, "temperature": 1, "projections": ["q", "v"]}
    assert train_config(values) == TrainConfig(steps=20, temperature=1.0, projections=("q", "v"))


def test_what_a_recipe_says_for_a_sweep_is_read_apart(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "run.toml"
    path.write_text("steps = 20\n[sweep]\ntemperature = [0.05, 0.1]\n")
    assert read_recipe(path) == {"steps": 20}
    assert read_sweep(path) == {"temperature": [0.05, 0.1]}
    assert read_sweep("mini") == {}
    path.write_text("sweep = 3\n")
    assert refused(RequestError, read_sweep, path) == f"{path}: sweep = 3: it must be a table, [sweep]"


def test_toml_that_is_not_there(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "run.toml"
    message = refused(MissingFileError, read_recipe, path)
    assert message.startswith(f"no recipe {path}: give a TOML file that exists")


@pytest.mark.parametrize("content", [b"steps = \n", b"name = 'caf\xe9'\n"])
def test_toml_that_is_none(tmp_path: Path, refused: Refused, content: bytes) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    assert refused(RequestError, read_recipe, path).startswith(f"{path} is not TOML: ")
