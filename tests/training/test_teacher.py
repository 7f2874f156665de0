"""A teacher in training: its similarities are learned, from a model, a file, a folder or a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.errors import RequestError, WorkError
from lastword.geometry import unit
from lastword.training import LastStep, train
from lastword.training import loop as loops
from lastword.training import teacher as module
from lastword.training.objectives import PairObjective
from lastword.training.pairs import Pairs, read_pairs
from lastword.training.settings import check_settings
from lastword.training.teacher import Endpoint, make_teacher, require_stored
from lastword.training.vectors import TextVectors, texts_of

Settings = dict[str, Any]
Refused = Callable[..., str]


def letters(texts: list[str]) -> np.ndarray:
    """A teacher of three dimensions: how often a text has some letters."""
    return np.array([[text.count(letter) + 0.1 for letter in "aer"] for text in texts], np.float32)


class Handler(BaseHTTPRequestHandler):
    """Vectors of `letters` by OpenAI's API."""

    def do_GET(self) -> None:
        self.answer({"data": [{"id": "first"}]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request["model"] not in ("first", "letters"):
            self.answer({"error": "no such model"}, 404)
            return
        rows = [{"index": i, "embedding": row.tolist()} for i, row in enumerate(letters(request["input"]))]
        self.answer({"data": rows})

    def answer(self, content: object, status: int = 200) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture
def file(tmp_path: Path, pairs_file: Path) -> Path:
    texts = texts_of(read_pairs([pairs_file]))
    pq.write_table(pa.table({"text": texts, "vector": letters(texts).tolist()}), tmp_path / "taught.parquet")
    return tmp_path / "taught.parquet"


def test_a_server_is_a_teacher(url: str, refused: Refused) -> None:
    texts = [f"a text {'r' * i}" for i in range(40)]
    for address, model in ((url, "first"), (f"letters@{url}", "letters")):
        endpoint = Endpoint(address)
        assert np.allclose(endpoint.encode(texts), letters(texts))
        assert endpoint.name == address
        assert endpoint.identity == f"{url.removesuffix('/v1')}/v1/embeddings {model}"
    assert "404" in refused(WorkError, Endpoint(f"other@{url}").encode, texts)


def test_all_kinds_of_teachers_give_the_same(
    url: str, file: Path, pairs_file: Path, tmp_path: Path, load: Callable[..., Embedder]
) -> None:
    pairs, model = read_pairs([pairs_file]), load(template="none", pooling="mean")

    def made(teacher: str | None, **settings: Any) -> TextVectors | None:
        folder = tmp_path / f"parts{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        config = train_config({"teacher": teacher, **settings})
        check_settings(config)
        return make_teacher(config, pairs, model, "cpu", folder)

    assert made(None) is None
    expected = unit(letters(texts_of(pairs)))
    for teacher in (url, str(file)):
        vectors = made(teacher)
        assert vectors is not None
        assert np.allclose(vectors.vectors, expected, atol=1e-6)
    own, averaged = made("self"), made("self", teacher_template="eol+sum")
    assert own is not None
    assert averaged is not None
    assert np.allclose(own.vectors, unit(model.encode(texts_of(pairs))), atol=1e-5)
    wanted = model.variant(template="eol+sum").encode(texts_of(pairs))
    assert np.allclose(averaged.vectors, unit(wanted), atol=1e-5)
    words = made("tfidf")
    assert words is not None
    assert words.vectors.shape[1] != own.vectors.shape[1]


@pytest.mark.parametrize(("name", "device"), [("tfidf", None), ("no/matter", "cpu")])
def test_another_teacher_is_loaded_on_the_device(
    tmp_path: Path,
    load: Callable[..., Embedder],
    name: str,
    device: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, asked = load(template="none", pooling="mean"), list[tuple[str, str | None, str | None]]()

    def loaded(name: str, *, template: str | None, device: str | None) -> Embedder:
        asked.append((name, template, device))
        return model

    monkeypatch.setattr(module, "load_encoder", loaded)
    config = train_config({"teacher": name, "teacher_template": "eol"})
    made = make_teacher(config, Pairs(["a", "b"], ["c", "d"], [[], []]), model, "cpu", tmp_path)
    assert made is not None
    assert [file.name for file in tmp_path.iterdir()] == ["teacher-000000.npz"]
    assert asked == [(name, "eol", device)]


def test_similarities_of_a_teacher_are_learned(tmp_path: Path, settings: Settings, file: Path) -> None:
    settings |= {
        "scorer": LastStep(),
        "steps": 20,
        "pooling": "mean",
        "teacher_weight": 1.0,
        "teacher": str(file),
    }
    result = train(tmp_path / "out", **settings)
    assert np.mean(result.losses[-4:]) < 0.5 * np.mean(result.losses[:4])
    texts = texts_of(read_pairs(settings["pairs"]))
    taught = unit(letters(texts))
    after = Embedder.from_pretrained(tmp_path / "out").encode(texts)
    before = Embedder.from_pretrained(
        settings["model"], template="ccw", pooling="mean", dtype="float32", device="cpu"
    ).encode(texts)
    upper = np.triu_indices(len(texts), 1)
    similar = [np.corrcoef((v @ v.T)[upper], (taught @ taught.T)[upper])[0, 1] for v in (before, after)]
    assert similar[1] > similar[0] + 0.05
    assert not list((tmp_path / "out").rglob("*.npz"))


def test_the_objective_has_the_similarities_before_noise(pairs_file: Path) -> None:
    pairs = read_pairs([pairs_file])
    texts = texts_of(pairs)
    teacher = TextVectors({text: row for row, text in enumerate(texts)}, unit(letters(texts)))
    config = train_config(
        {"batch_pairs": 6, "noise": "characters", "teacher": "self", "teacher_weight": 0.25}
    )
    step = PairObjective(pairs, config, teacher=teacher).step(3)
    plain = PairObjective(pairs, train_config({"batch_pairs": 6}), teacher=teacher).step(3)
    assert step.targets.taught is not None
    expected = teacher.cosines(plain.texts[:6], plain.texts[6:])
    assert step.targets.taught.equal(expected)
    assert PairObjective(pairs, config).step(3).targets.taught is None


def test_a_file_without_some_texts_is_refused_at_once(
    tmp_path: Path, settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    table = pq.read_table(file)
    pq.write_table(table.slice(1), file)
    monkeypatch.setattr("lastword.training.run.load_base", None)
    message = refused(RequestError, train, tmp_path / "out", teacher=str(file), scorer=LastStep(), **settings)
    text = table["text"][0].as_py()
    assert message == f"{file} has no vectors of 1 of 60 texts, such as {text!r}: embed all of them"
    require_stored(train_config({"teacher": "self"}), read_pairs(settings["pairs"]))


def test_a_run_that_was_killed_does_not_ask_the_teacher_again(
    tmp_path: Path, settings: Settings, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings |= {"scorer": LastStep(), "steps": 2, "teacher": url}
    whole = train(tmp_path / "whole", **settings)
    with monkeypatch.context() as patched:
        patched.setattr(loops.Loop, "run", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(tmp_path / "out", **settings)
    monkeypatch.setattr(Endpoint, "encode", None)
    assert train(tmp_path / "out", resume=True, **settings).losses == whole.losses
