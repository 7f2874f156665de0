"""A model as a transformer of scikit-learn: its conventions, searches, pickles, and what is refused."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import (
    check_estimator_repr,
    check_get_params_invariance,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
)

from lastword.embedding import Embedder, Template
from lastword.errors import MissingFileError, ModelError, RequestError, TemplateError
from lastword.sklearn import TextEmbedder
from tests.samples import WORDS

TEXTS = [f"the {first} and the {second}" for group in WORDS.values() for first, second in pairwise(group)]
LABELS = [name for name, group in WORDS.items() for _ in group[1:]]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models that are loaded during the test, in order."""
    from lastword.sklearn import _shared

    names: list[str] = []
    load = Embedder.from_pretrained.__func__  # type: ignore[attr-defined]

    def counted(kind: Any, name: Any, **settings: Any) -> Embedder:
        names.append(str(name))
        embedder: Embedder = load(kind, name, **settings)
        return embedder

    monkeypatch.setattr(Embedder, "from_pretrained", classmethod(counted))
    _shared.cache_clear()
    return names


def test_vectors_are_those_of_the_embedder(load: Callable[..., Embedder], llama_folder: Path) -> None:
    settings: dict[str, Any] = {"template": "ccw", "pooling": "lasttoken", "layer": 1, "max_tokens": 40}
    embedder = TextEmbedder(llama_folder, **settings, dtype="float32", device="cpu")
    expected = load(**settings)

    vectors = embedder.fit_transform(TEXTS)

    np.testing.assert_array_equal(vectors, expected.encode(TEXTS))
    assert vectors.dtype == np.float32
    assert embedder.identity_ == expected.identity
    assert embedder.dtype_ == "float32"
    assert embedder.embedder_.spec == expected.spec
    shorter = clone(embedder).set_params(truncate_dim=np.int64(5)).fit(TEXTS)
    np.testing.assert_allclose(shorter.transform(TEXTS), expected.encode(TEXTS, truncate_dim=5), atol=1e-6)
    assert list(shorter.get_feature_names_out()) == [f"textembedder{i}" for i in range(5)]
    frame = shorter.set_output(transform="pandas").transform(TEXTS)
    assert list(frame.columns) == list(shorter.get_feature_names_out())


def test_prompts_go_inside_the_template(load: Callable[..., Embedder], tmp_path: Path) -> None:
    stored = load(template="eol", pooling="lasttoken", prompts={"query": "find: "})
    stored.save(tmp_path / "model")
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        embedder = TextEmbedder(tmp_path / "model", prompt_name="query", dtype="float32", cache=cache)
        vectors = embedder.fit_transform(TEXTS)
        np.testing.assert_allclose(vectors, stored.encode(TEXTS, prompt_name="query"), atol=1e-5)
    assert len(list((tmp_path / "cache").glob("*.sqlite"))) == 1


@pytest.mark.parametrize(
    "column",
    [
        list, tuple, np.array, iter, lambda t: np.array(t, dtype=object), pandas.Series, pandas.Index,
        lambda t: pandas.Series(t, dtype="string", index=range(9, 9 + len(t))),
        lambda t: pandas.Series(t, dtype="category"),
        lambda t: pandas.DataFrame({"text": t}), lambda t: np.array(t)[:, None],
        lambda t: pyarrow.chunked_array([t]),
    ],
)  # fmt: skip
def test_columns_of_every_kind(llama_folder: Path, column: Callable[[list[str]], Any]) -> None:
    embedder = TextEmbedder(llama_folder, dtype="float32").fit(TEXTS)
    np.testing.assert_array_equal(embedder.transform(column(TEXTS[:4])), embedder.transform(TEXTS[:4]))
    assert embedder.transform([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a text", "X is str: give a list, an array or a column of texts"),
        (None, "X is NoneType: give a list, an array or a column of texts"),
        (5, "X is int: give a list, an array or a column of texts"),
        ({"text": ["a"]}, "X is dict: give a list, an array or a column of texts"),
        (["a", 5], "text 1 is int, not str: give texts as strings"),
        (pandas.Series(["a", None]), "text 1 is float, not str: give texts as strings"),
        (pandas.Series(["a", None], dtype="string"), "text 1 is NAType, not str: give texts as strings"),
        (np.array([1.0]), "text 0 is float, not str: give texts as strings"),
        (
            pandas.DataFrame({"title": ["a"], "text": ["b"]}),
            "X has shape (1, 2): give one column of texts, such as table['text']",
        ),
        ([["a", "b"]], "X has shape (1, 2): give one column of texts, such as table['text']"),
    ],
)
def test_what_is_no_column_of_texts(
    llama_folder: Path, refused: Callable[..., str], texts: Any, message: str
) -> None:
    assert refused(RequestError, TextEmbedder(llama_folder).fit, texts) == message
    fitted = TextEmbedder(llama_folder, dtype="float32").fit(["a"])
    assert refused(RequestError, fitted.transform, texts) == message


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"model": "none"}, MissingFileError, "no model 'none': give 'mini', "),
        ({"model": None}, RequestError, "model=None is NoneType: give a string"),
        ({"template": "eoll"}, TemplateError, "unknown template 'eoll': did you mean 'eol'?"),
        ({"template": 5}, RequestError, "template=5 is int: give a string"),
        ({"pooling": "maen"}, RequestError, "unknown pooling 'maen': did you mean 'mean'?"),
        ({"pooling": ["mean"]}, RequestError, "pooling=['mean'] is list: give a string"),
        ({"layer": 99}, RequestError, "layer=99: mini has "),
        ({"layer": True}, RequestError, "layer=True is bool: give a whole number"),
        ({"layer": 1.0}, RequestError, "layer=1.0 is float: give a whole number"),
        ({"max_tokens": "9"}, RequestError, "max_tokens='9' is str: give a whole number"),
        ({"dtype": "float61"}, RequestError, "unknown dtype 'float61': did you mean "),
        ({"truncate_dim": "5"}, RequestError, "truncate_dim='5' is str: give a whole number"),
        ({"cache": __file__}, RequestError, f"{__file__} is a file: give a folder as cache"),
    ],
)
def test_parameters_are_refused_when_fitted_before_anything_is_loaded(
    refused: Callable[..., str], loads: list[str], parameters: dict[str, Any], kind: Any, message: str
) -> None:
    embedder = TextEmbedder(**parameters)
    assert clone(embedder).get_params() == embedder.get_params()
    assert refused(kind, embedder.fit, TEXTS).startswith(message)
    assert loads == []


def test_wrong_parameters_are_told_without_torch() -> None:
    code = (
        "import sys; from lastword.sklearn import TextEmbedder\n"
        "try: TextEmbedder(template='eoll').fit(['a'])\n"
        "except ValueError: print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"truncate_dim": 33}, "truncate_dim=33: vectors have 32 dimensions; use 1 … 32"),
        ({"truncate_dim": 0}, "truncate_dim=0: vectors have 32 dimensions; use 1 … 32"),
        ({"prompt_name": "query"}, "unknown prompt 'query': there are no prompts"),
    ],
)
def test_what_only_the_model_knows(
    llama_folder: Path, refused: Callable[..., str], parameters: dict[str, Any], message: str
) -> None:
    assert refused(RequestError, TextEmbedder(llama_folder, **parameters).fit, TEXTS) == message


def test_conventions(llama_folder: Path, refused: Callable[..., str]) -> None:
    embedder = TextEmbedder(llama_folder, template=Template.parse("query: {text}"))
    for check in (
        check_parameters_default_constructible,
        check_no_attributes_set_in_init,
        check_get_params_invariance,
        check_set_params,
        check_estimator_repr,
    ):  # those of `check_estimator` that fit nothing: the others fit numbers
        check("TextEmbedder", embedder)
    assert "not fitted yet" in refused(NotFittedError, embedder.transform, TEXTS)
    assert [name for name in vars(embedder) if name.endswith("_")] == []
    assert set(embedder.get_params()) == {name for name in vars(embedder) if not name.startswith("_")}
    assert repr(TextEmbedder("mini", layer=2)) == "TextEmbedder(layer=2)"


def test_a_search_over_everything_that_makes_a_vector_loads_a_model_once(
    llama_folder: Path, qwen_folder: Path, loads: list[str], tmp_path: Path
) -> None:
    steps = [
        ("embed", TextEmbedder(dtype="float32", cache=tmp_path / "cache")),
        ("classify", LogisticRegression()),
    ]
    grid = {
        "embed__dtype": ["float32"],
        "embed__layer": np.array([1, 2]),
        "embed__pooling": ["mean", "lasttoken"],
        "embed__template": ["none", "ccw"],
    }
    grids = [{**grid, "embed__model": [str(folder)]} for folder in (llama_folder, qwen_folder)]

    search = GridSearchCV(Pipeline(steps), grids, cv=3, error_score="raise").fit(TEXTS, LABELS)

    assert len(search.cv_results_["params"]) == 16
    assert loads[:2] == [str(llama_folder), str(qwen_folder)]
    assert len(loads) <= 3  # and the best one, if it is of the first model
    assert len(list((tmp_path / "cache").glob("*.sqlite"))) == 16
    assert set(search.predict(TEXTS)) <= set(LABELS)


def test_a_column_of_a_table(llama_folder: Path) -> None:
    table = pandas.DataFrame({"text": TEXTS, "price": range(len(TEXTS))})
    columns = ColumnTransformer(
        [("text", TextEmbedder(llama_folder, truncate_dim=3), "text")], remainder="passthrough"
    )
    rows = columns.set_output(transform="pandas").fit_transform(table)
    assert list(rows.columns) == [*(f"text__textembedder{i}" for i in range(3)), "remainder__price"]


def test_threads_and_the_memory_of_a_pipeline_give_the_same_vectors(
    llama_folder: Path, tmp_path: Path
) -> None:
    embedder = TextEmbedder(llama_folder, template="ccw", dtype="float32").fit(TEXTS)
    expected = embedder.transform(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: clone(embedder).fit_transform(TEXTS), range(8)):
            np.testing.assert_array_equal(vectors, expected)
    for _ in range(2):  # computed, then read
        pipeline = Pipeline(
            [("embed", clone(embedder)), ("classify", LogisticRegression())], memory=str(tmp_path)
        )
        pipeline.fit(TEXTS, LABELS)
        np.testing.assert_array_equal(pipeline["embed"].transform(TEXTS), expected)


def test_a_pickle_names_the_model_and_gives_the_same_vectors(
    load: Callable[..., Embedder], tmp_path: Path, loads: list[str], refused: Callable[..., str]
) -> None:
    load().save(tmp_path / "model")
    embedder = TextEmbedder(tmp_path / "model", pooling="lasttoken").fit(TEXTS)
    stored = pickle.dumps(embedder)
    assert len(stored) < 2000
    for other in (pickle.loads(stored), copy.deepcopy(embedder)):
        np.testing.assert_array_equal(other.transform(TEXTS), embedder.transform(TEXTS))
    assert (
        loads[1:] == [str(tmp_path / "model")] * 2
    )  # by the precision that it chose, and by that precision's name

    load(max_tokens=30).save(tmp_path / "model", overwrite=True)
    assert refused(ModelError, pickle.loads(stored).transform, TEXTS).startswith(
        f"{tmp_path / 'model'} is not the model that this TextEmbedder was fitted with"
    )
    assert embedder.fit(TEXTS).embedder_.spec.max_tokens == 30


def test_a_setting_may_replace_what_the_model_cannot_do(sentence_folder: Path, tmp_path: Path) -> None:
    import json
    import shutil

    folder = shutil.copytree(sentence_folder, tmp_path / "model")
    (config,) = folder.glob("1_Pooling/config.json")
    config.write_text(json.dumps({"embedding_dimension": 16, "pooling_mode": "mean_sqrt_len_tokens"}))
    with pytest.raises(ModelError, match="pass pooling=… to replace that"):
        TextEmbedder(folder).fit(TEXTS)
    assert TextEmbedder(folder, pooling="mean").fit_transform(TEXTS).shape == (len(TEXTS), 16)
