"""Which settings a sweep tries: all combinations of the values, one value at a time, or some drawn at random."""

from __future__ import annotations

import math
import random
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from lastword.config import TrainConfig, train_config
from lastword.errors import RequestError, unknown_name

BETWEEN = ".."
Values = tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """A number between two, drawn evenly in its logarithm; written `1e-5..1e-3`.

    Attributes:
        low: least value, above 0.
        high: largest value.
        whole: whether it is rounded to an integer.
    """

    low: float
    high: float
    whole: bool

    def draw(self, rng: random.Random) -> float | int:
        """A value, floats with three digits."""
        value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return round(value) if self.whole else float(f"{value:.3g}")


Choice = Values | Range
Point = dict[str, Any]
UNCHANGED = "recipe"
"""Name of the combination with the recipe's own values."""


def read_grid(given: Mapping[str, Any]) -> dict[str, Choice]:
    """Read what is to be tried for each setting.

    Args:
        given: field of `TrainConfig` → a list of values, or a string such as "0.05,0.1" or "1e-5..1e-3".
            Values of a field that is a list itself are lists, or strings joined with "+".

    Raises:
        RequestError: an unknown setting, or values that it cannot have.
    """
    kinds = typing.get_type_hints(TrainConfig)
    grid: dict[str, Choice] = {}
    for key, value in given.items():
        if key not in kinds:
            raise RequestError(f"sweep: {unknown_name('setting', key, kinds)}")
        if key == "seed":
            raise RequestError("sweep: seed is no setting to compare: say how many with --seeds")
        grid[key] = _choice(key, value, kinds[key])
    return grid


def points(grid: Mapping[str, Choice], trials: int | None, seed: int = 0) -> list[Point]:
    """The combinations to try, in an order that does not change.

    Args:
        grid: what `read_grid` gives.
        trials: draw so many different combinations; None takes all there are.
        seed: of the draw.

    Raises:
        RequestError: a range without `trials`, or fewer than two combinations.
    """
    ranges = [key for key, choice in grid.items() if isinstance(choice, Range)]
    if trials is None and ranges:
        raise RequestError(f"sweep: {ranges[0]} is a range: say how many values to draw with --trials")
    every: list[Point] = []
    if not ranges:
        values = [choice for choice in grid.values() if not isinstance(choice, Range)]
        every = [dict(zip(grid, combination, strict=True)) for combination in product(*values)]
    if trials is not None:
        every = _drawn(grid, every, trials, seed)
    if len(every) < 2:
        raise RequestError(
            f"sweep: {len(every)} combination of settings: give two values or more, such as "
            "--set temperature=0.05,0.1"
        )
    return every


def changes(grid: Mapping[str, Choice], own: Mapping[str, Any]) -> list[Point]:
    """The recipe's own values, and then each other value alone.

    Args:
        grid: what `read_grid` gives.
        own: all settings of the recipe.

    Raises:
        RequestError: a range, or nothing that differs from the recipe.
    """
    tried: list[Point] = [{}]
    for key, choice in grid.items():
        if isinstance(choice, Range):
            raise RequestError(f"sweep: {key} is a range: one setting at a time needs a list of its values")
        tried += [{key: value} for value in choice if shown(value) != shown(own[key])]
    if len(tried) == 1:
        raise RequestError("sweep: no value differs from the recipe's: give others, such as --set rank=8,32")
    return tried


def label(point: Point, grid: Mapping[str, Choice]) -> str:
    """The values of a combination, of the settings that are not the same in all."""
    varied = [key for key, choice in grid.items() if isinstance(choice, Range) or len(choice) > 1]
    return " ".join(f"{key}={shown(point[key])}" for key in varied if key in point) or UNCHANGED


def _drawn(grid: Mapping[str, Choice], every: list[Point], trials: int, seed: int) -> list[Point]:
    if trials < 1:
        raise RequestError(f"trials={trials}: give 1 or more")
    rng = random.Random(seed)
    if every:
        return rng.sample(every, min(trials, len(every)))
    drawn: dict[str, Point] = {}
    for _ in range(100 * trials):  # a short range of whole numbers may not have as many values
        point = {
            key: choice.draw(rng) if isinstance(choice, Range) else rng.choice(choice)
            for key, choice in grid.items()
        }
        drawn.setdefault(label(point, grid), point)
        if len(drawn) == trials:
            break
    return list(drawn.values())


def _choice(key: str, value: Any, kind: Any) -> Choice:
    number = next((one for one in (typing.get_args(kind) or (kind,)) if one in (int, float)), None)
    if isinstance(value, str) and number and BETWEEN in value:
        return _range(key, value, number)
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or isinstance(parts, str) or not parts:
        parts = [parts]
    values = tuple(_value(key, part, kind, number) for part in parts)
    for one in values:
        train_config({key: one}, "sweep")  # refuses what cannot be
    if len(set(map(shown, values))) < len(values):
        raise RequestError(f"sweep: {key} = {value!r}: a value stands there twice")
    return values


def _value(key: str, part: Any, kind: Any, number: type | None) -> Any:
    """A value as a recipe has it; strings of the command line become what the setting is."""
    if kind == tuple[str, ...]:
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
        raise RequestError(f"sweep: {key} = {part!r}: it must be {number.__name__}") from None


def _range(key: str, value: str, number: type) -> Range:
    low, _, high = value.partition(BETWEEN)
    try:
        found = Range(float(low), float(high), number is int)
    except ValueError:
        raise RequestError(f"sweep: {key} = {value!r}: write a range as 1e-5..1e-3") from None
    if not 0 < found.low < found.high:
        raise RequestError(f"sweep: {key} = {value!r}: the first number must be above 0 and below the second")
    for end in (found.low, found.high):
        train_config({key: number(end)}, "sweep")
    return found


def shown(value: Any) -> str:
    """A value in a combination's name."""
    if isinstance(value, list):
        return "+".join(value) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
