"""Settings of a training run that cannot work are refused before a model is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lastword.config import GRADED, TrainConfig
from lastword.errors import MissingFileError, RequestError, TableError, TemplateError
from lastword.training.settings import check_settings

Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"model": "no/such/model"}, MissingFileError, "no model 'no/such/model'"),
        ({"layer": 99}, RequestError, "layer=99: "),
        ({"widths": (8, 999)}, RequestError, "widths=999: vectors of "),
        ({"guide": "no/such/model"}, MissingFileError, "no model 'no/such/model'"),
        ({"guide": "sentence-transformers:"}, MissingFileError, "no model 'sentence-transformers:'"),
        ({"guide_margin": 0.1}, RequestError, "guide_margin=0.1 needs a guide: "),
        ({"teacher": "no/such/model"}, MissingFileError, "no model 'no/such/model'"),
        ({"teacher": "sentence-transformers:"}, MissingFileError, "no model 'sentence-transformers:'"),
        ({"teacher_weight": 0.1}, RequestError, "teacher_weight=0.1 needs a teacher: "),
        ({"teacher_template": "eol"}, RequestError, "teacher_template='eol' needs a teacher: "),
        ({"teacher": "self", "teacher_template": "{text"}, TemplateError, ""),
        (
            {"teacher": "http://a/v1", "teacher_template": "eol"},
            RequestError,
            "teacher_template='eol': http://a/v1",
        ),
        (
            {"teacher": "tfidf", "teacher_template": "eol"},
            RequestError,
            "teacher_template='eol': tfidf takes no template",
        ),
        (
            {"teacher": "sentence-transformers:a/b", "teacher_template": "eol"},
            RequestError,
            "teacher_template='eol': sentence-transformers:a/b takes no template",
        ),
        ({"widths": (99,), "pooling": "mean+lasttoken"}, RequestError, "widths=99: vectors of "),
        ({"model": "tfidf"}, MissingFileError, "no model 'tfidf': a decoder is needed here: "),
        ({"model": "sparse:mini"}, MissingFileError, "no model 'sparse:mini': a decoder is needed here: "),
        ({"template": "eol@"}, TemplateError, "template 'eol@' names no file of examples: write eol@FILE"),
        ({"template": "three {text}, {text}, {text}"}, TemplateError, ""),
        ({"template": "eol+sum"}, RequestError, "template='eol+sum' is an average: train with one template"),
        ({"pooling": "eoss"}, RequestError, "unknown pooling 'eoss'"),
        ({"noise": ("delet",)}, RequestError, "unknown noise 'delet'"),
        ({"encoding": "utf-9"}, RequestError, "encoding='utf-9' is unknown"),
        ({"delimiter": ";;"}, RequestError, "delimiter=';;': give one character"),
        ({"pairs": ("gone.csv",)}, MissingFileError, ""),
    ],
)
def test_each_setting_is_checked(
    settings: dict[str, Any], error: type[Exception], message: str, llama_folder: Path, refused: Refused
) -> None:
    model = str(llama_folder)
    check_settings(TrainConfig(model=model, pairs=("pairs",)))
    assert refused(error, check_settings, TrainConfig(**{"model": model, **settings})).startswith(message)


def test_concatenated_vectors_are_wider(llama_folder: Path) -> None:
    model = str(llama_folder)
    check_settings(TrainConfig(model=model, pairs=("pairs",), pooling="mean+lasttoken", widths=(40, 64)))


def test_settings_that_need_each_other(llama_folder: Path, tmp_path: Path, refused: Refused) -> None:
    graded, plain = tmp_path / "graded.csv", tmp_path / "plain.csv"
    graded.write_text("anchor,positive,score\na car,the car,4\n")
    plain.write_text("anchor,positive\na car,the car\n")
    settings: dict[str, Any] = {"model": str(llama_folder), "pairs": (str(graded),)}
    check_settings(TrainConfig(**settings, loss="cosent"))
    for loss in GRADED:
        message = refused(
            TableError, check_settings, TrainConfig(**settings | {"pairs": (str(plain),)}, loss=loss)
        )
        assert message.startswith(f"{plain} has no column 'score'; its columns are: anchor, positive; loss=")
        both = TrainConfig(**settings | {"pairs": (str(graded), str(graded))}, loss=loss)
        assert "mixing='by_file'" in refused(RequestError, check_settings, both)
        check_settings(dataclasses.replace(both, mixing="by_file"))
    message = refused(RequestError, check_settings, TrainConfig(**settings, temperatures=(0.1, 0.2)))
    assert message == "temperatures has 2 values and pairs 1: give one for each file"


def test_files_of_pairs_are_read_as_the_settings_say(
    llama_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("anchor_positive\na car_the car\n", encoding="cp037")
    settings: dict[str, Any] = {"model": str(llama_folder), "pairs": (str(path),)}
    check_settings(TrainConfig(**settings, encoding="cp037", delimiter="_"))
    refused(TableError, check_settings, TrainConfig(**settings, encoding="cp037"))


def test_columns_of_every_file_are_checked(llama_folder: Path, tmp_path: Path, refused: Refused) -> None:
    good, lacking = tmp_path / "good.csv", tmp_path / "lacking.csv"
    good.write_text("anchor,positive\na car,the car\n")
    for column in ("anchor", "positive"):
        lacking.write_text(f"{column},other\na car,the car\n")
        config = TrainConfig(model=str(llama_folder), pairs=(str(good), str(lacking)))
        assert str(lacking) in refused(TableError, check_settings, config)
