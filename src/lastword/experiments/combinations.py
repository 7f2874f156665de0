"""The settings that a sweep tries: all combinations of values, one value at a time, or a random draw."""

from __future__ import annotations

import math
import random
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from lastword.config import KIND_NAMES, TrainConfig, train_config
from lastword.errors import RequestError, unknown_name

RANGE_SIGN = ".."
UNCHANGED = "recipe"
"""Name of the combination with the recipe's own values."""


@dataclass(frozen=True)
class Range:
    """A number between two bounds, drawn uniformly in its logarithm; written `1e-5..1e-3`.

    Attributes:
        low: lower bound, above 0.
        high: upper bound.
        whole: whether it is rounded to an integer.
    """

    low: float
    high: float
    whole: bool

    def draw(self, rng: random.Random) -> float | int:
        """A value; floats have three digits."""
        value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return round(value) if self.whole else float(f"{value:.3g}")


Candidates = tuple[Any, ...] | Range
"""What is tried for one setting."""
Combination = dict[str, Any]
"""Setting → value."""


def read_values(values: Mapping[str, Any]) -> dict[str, Candidates]:
    """Read the values to try for each setting.

    Args:
        values: field of `TrainConfig` → a list of values, or a string such as "0.05,0.1" or "1e-5..1e-3".
            Values of a field that is a list itself are lists, or strings joined with "+".

    Raises:
        RequestError: an unknown setting, or invalid values of one.
    """
    types = typing.get_type_hints(TrainConfig)
    read: dict[str, Candidates] = {}
    for key, value in values.items():
        if key not in types:
            raise RequestError(f"sweep: {unknown_name('setting', key, types)}")
        if key == "seed":
            raise RequestError(
                "sweep: seed is not a setting to compare: pass seeds=N for N runs of each combination"
            )
        read[key] = _candidates(key, value, types[key])
    return read


def combinations(
    candidates: Mapping[str, Candidates], trials: int | None = None, seed: int = 0
) -> list[Combination]:
    """The combinations to try, in a fixed order.

    Args:
        candidates: as `read_values` returns them.
        trials: draw this many different combinations; None is all of them.
        seed: of the draw.

    Raises:
        RequestError: a range without `trials`, or fewer than two combinations.
    """
    ranges = [key for key, values in candidates.items() if isinstance(values, Range)]
    if trials is None and ranges:
        raise RequestError(f"sweep: {ranges[0]} is a range: pass trials=N to draw N combinations")
    if trials is not None and trials < 1:
        raise RequestError(f"trials={trials}: give 1 or more")
    if ranges:
        assert trials is not None
        chosen = _drawn(candidates, trials, random.Random(seed))
    else:
        values = [values for values in candidates.values() if not isinstance(values, Range)]
        chosen = [dict(zip(candidates, combination, strict=True)) for combination in product(*values)]
        if trials is not None:
            chosen = random.Random(seed).sample(chosen, min(trials, len(chosen)))
    if len(chosen) < 2:
        raise RequestError(
            f"sweep: {len(chosen)} combination of settings: give two or more values, such as temperature=0.05,0.1"
        )
    return chosen


def single_changes(candidates: Mapping[str, Candidates], recipe: Mapping[str, Any]) -> list[Combination]:
    """The recipe's own values, then each other value alone.

    Raises:
        RequestError: a range, or no value that differs from the recipe's.
    """
    chosen: list[Combination] = [{}]
    for key, values in candidates.items():
        if isinstance(values, Range):
            raise RequestError(f"sweep: {key} is a range: one setting at a time needs a list of values")
        chosen += [{key: value} for value in values if shown(value) != shown(recipe[key])]
    if len(chosen) == 1:
        raise RequestError("sweep: no value differs from the recipe's: give others, such as rank=8,32")
    return chosen


def label(combination: Combination, candidates: Mapping[str, Candidates]) -> str:
    """The values of a combination, without settings that have one candidate only."""
    varied = [key for key, values in candidates.items() if isinstance(values, Range) or len(values) > 1]
    return " ".join(f"{key}={shown(combination[key])}" for key in varied if key in combination) or UNCHANGED


def shown(value: Any) -> str:
    """A value as it appears in the name of a combination."""
    if isinstance(value, list):
        return "+".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def _drawn(candidates: Mapping[str, Candidates], trials: int, rng: random.Random) -> list[Combination]:
    by_label: dict[str, Combination] = {}
    for _ in range(100 * trials):  # a short range of integers may not have as many values
        combination = {
            key: values.draw(rng) if isinstance(values, Range) else rng.choice(values)
            for key, values in candidates.items()
        }
        by_label.setdefault(label(combination, candidates), combination)
        if len(by_label) == trials:
            break
    return list(by_label.values())


def _candidates(key: str, value: Any, kind: Any) -> Candidates:
    parts_of = (typing.get_args(kind) or (kind,)) if typing.get_origin(kind) is not tuple else ()
    number = next((part for part in parts_of if part in (int, float)), None)
    if isinstance(value, str) and number and RANGE_SIGN in value:
        return _range(key, value, number)
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or isinstance(parts, str) or not parts:
        parts = [parts]
    values = tuple(_value(key, part, kind, number) for part in parts)
    for candidate in values:
        train_config({key: candidate}, "sweep")  # raises for an invalid value
    if len(set(map(shown, values))) < len(values):
        raise RequestError(f"sweep: {key} = {value!r}: a value is repeated")
    return values


def _value(key: str, part: Any, kind: Any, number: type | None) -> Any:
    """A value as a recipe has it; strings of the command line are converted to the type of the setting."""
    if typing.get_origin(kind) is tuple:
        return part.split("+") if isinstance(part, str) else list(part)
    if not isinstance(part, str):
        return part
    if part == "none" and type(None) in typing.get_args(kind):
        return None
    if number is None:
        return part
    try:
        return number(part)
    except ValueError:
        raise RequestError(f"sweep: {key} = {part!r}: it must be {KIND_NAMES[number]}") from None


def _range(key: str, value: str, number: type) -> Range:
    low, _, high = value.partition(RANGE_SIGN)
    try:
        bounds = Range(float(low), float(high), number is int)
    except ValueError:
        raise RequestError(f"sweep: {key} = {value!r}: write a range as 1e-5..1e-3") from None
    if not 0 < bounds.low < bounds.high:
        raise RequestError(f"sweep: {key} = {value!r}: the first number must be above 0 and below the second")
    for end in (bounds.low, bounds.high):
        train_config({key: number(end)}, "sweep")
    return bounds
