"""Every example runs with the real library, and that library's vectors are those of the embedder."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lastword.embedding import Embedder

EXAMPLES = Path(__file__).parents[2] / "examples"
ATOL = 1e-5
pytestmark = pytest.mark.filterwarnings("ignore")  # what these libraries warn of is theirs
Run = Callable[[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def mini() -> Embedder:
    return Embedder.from_pretrained("mini", dtype="float32")


@pytest.fixture(scope="module")
def folder(mini: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as a folder of sentence-transformers."""
    return mini.save(tmp_path_factory.mktemp("examples") / "model")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of the bundled model."""
    from lastword.serving.app import Service
    from lastword.serving.models import load_models
    from lastword.serving.settings import ServerSettings
    from tests.serving.conftest import running

    models = load_models({"mini": "mini"}, dtype="float32", device="cpu")
    with running(Service(models, ServerSettings())) as server:
        yield f"{server.url}/v1"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a script as `python SCRIPT ARGUMENT`; gives its variables and, under "printed", what it prints."""

    def run(script: str, argument: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [script, argument])
        variables = runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return variables | {"printed": capsys.readouterr().out}

    return run


def needs(*modules: str) -> Any:
    """Skip where a library is not installed; the rest of the `examples` extra is in the slow tier."""
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not installed: pip install 'lastword[examples]'"
    )


def case(script: str, *modules: str, slow: bool = True) -> Any:
    marks = [needs(*modules), *([pytest.mark.slow] if slow else [])]
    return pytest.param(f"with_{script}.py", marks=marks, id=script)


@pytest.mark.parametrize(
    "script",
    [
        case("sentence_transformers", slow=False),
        case("transformers", slow=False),
        case("langchain", "langchain_huggingface", "langchain_core"),
        case("llama_index", "llama_index"),
        case("haystack", "haystack", "haystack_integrations"),
        case("lancedb", "lancedb"),
        case("keybert", "keybert"),
        case("setfit", "setfit"),
        case("bertopic", "bertopic", "hdbscan"),
    ],
)
def test_a_library_that_loads_the_folder(script: str, folder: Path, mini: Embedder, run: Run) -> None:
    found = run(script, str(folder))

    np.testing.assert_allclose(np.asarray(found["vectors"]), mini.encode(found["texts"]), atol=ATOL)
    if "question" in found:  # the nearest text comes first
        question, first, *_ = found["printed"].splitlines()
        assert question == found["question"]
        assert re.fullmatch(r"0\.\d\d  The express train to the coast has no dining car\.", first)
    assert len(found["printed"].splitlines()) > 2


@pytest.mark.parametrize("script", [case("transformers", slow=False)])
def test_the_template_and_the_last_token(script: str, load: Any, tmp_path: Path, run: Run) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    found = run(script, str(embedder.save(tmp_path / "model")))

    np.testing.assert_allclose(found["vectors"], embedder.encode(found["texts"]), atol=ATOL)
    assert 'This sentence: "Copper tape' in found["printed"]


@pytest.mark.parametrize(
    "script",
    [
        case("openai_client", "openai", "fastapi", "uvicorn", slow=False),
        case("langchain_server", "langchain_openai", "langchain_core", "fastapi", "uvicorn"),
    ],
)
def test_a_client_of_the_server(script: str, url: str, mini: Embedder, run: Run) -> None:
    found = run(script, url)

    np.testing.assert_allclose(np.asarray(found["vectors"]), mini.encode(found["texts"]), atol=ATOL)
    assert "0." in found["printed"]


def test_scikit_learn(mini: Embedder, run: Run) -> None:
    found = run("with_sklearn.py", "mini")

    settings = {
        name.removeprefix("textembedder__"): value for name, value in found["search"].best_params_.items()
    }
    expected = mini.variant(template="ccw", **settings).encode(found["texts"])
    np.testing.assert_allclose(found["vectors"], expected, atol=ATOL)
    assert found["printed"].splitlines()[1:] == [
        "trains - The last train leaves at ten.",
        "garden - Sow carrots in rows.",
    ]


@pytest.mark.slow
def test_mteb(folder: Path, mini: Embedder, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from mteb.models import SentenceTransformerEncoderWrapper

    seen: dict[str, np.ndarray] = {}
    encode = SentenceTransformerEncoderWrapper.encode

    def recorded(self: Any, inputs: Any, **settings: Any) -> Any:
        vectors = encode(self, inputs, **settings)
        seen.update(
            zip((text for batch in inputs for text in batch["text"]), np.asarray(vectors), strict=True)
        )
        return vectors

    monkeypatch.setattr(SentenceTransformerEncoderWrapper, "encode", recorded)
    found = run("with_mteb.py", str(folder))

    np.testing.assert_allclose(np.stack(list(seen.values())), mini.encode(list(seen)), atol=ATOL)
    assert {row["text"] for row in found["rows"]} > set(seen)
    assert len(seen) > 100  # of 160: mteb draws those that it learns from
    assert re.fullmatch(r"accuracy \d\d\.\d% on four subjects\n", found["printed"])


def calls(text: str) -> set[str]:
    """Functions that take a folder, with the argument's name, and functions of mteb."""
    return set(re.findall(r"[\w.]+\((?:\w+=)?(?=folder[,)]|sys\.argv\[1\])|mteb\.\w+\(", text))


def test_cards_and_pages_name_calls_that_the_examples_make(folder: Path) -> None:
    made = set().union(*(calls(path.read_text(encoding="utf-8")) for path in EXAMPLES.glob("*.py")))
    page = EXAMPLES.parent / "docs" / "how-to" / "use-in-other-libraries.md"
    for named in (folder / "README.md", page):
        found = calls(named.read_text(encoding="utf-8"))
        assert {"mteb.evaluate(", "SentenceTransformer(", "HuggingFaceEmbeddings(model_name="} <= found
        assert found - made <= {"lastword.Embedder.from_pretrained("}


def test_every_example_is_listed_and_tested() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    listed = set(re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    tested = set(re.findall(r'case\("(\w+)"', Path(__file__).read_text(encoding="utf-8")))

    assert listed == scripts
    assert {f"with_{name}.py" for name in tested} | {"with_sklearn.py", "with_mteb.py"} == scripts
