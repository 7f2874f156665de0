"""Search gives the rows that comparing with every vector gives, in every layout and type, with the store's model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForCausalLM, AutoTokenizer

from lastword import Store, embed_corpus, search
from lastword.bundled import require_pretrained
from lastword.cli import main
from lastword.corpus import lance_table, rerank
from lastword.corpus import search as search_module
from lastword.corpus import texts as texts_module
from lastword.corpus.rerank import Reranker
from lastword.embedding import Embedder, Template
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import MissingFileError, ModelError, RequestError, WorkError
from lastword.files import sources
from lastword.geometry import unit
from tests.corpus.hashing import HashEncoder

Refused = Callable[..., str]
TEXTS = [f"text of row {n}" for n in range(35)]
QUERIES = ["text of row 7", "something else", "text of row 31"]
LAYOUTS = ["parquet", "arrow", "npy", "lance"]


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows with columns of many types, in shards of 10."""
    monkeypatch.setattr(texts_module, "CHUNK_ROWS", 10)
    table = pa.table({
        "text": TEXTS, "number": range(35), "price": [n / 4 if n % 5 else None for n in range(35)],
        "cost": [f"{n * 3}.5" if n % 7 else "free" for n in range(35)], "sold": [n % 3 == 0 for n in range(35)],
        "kind": pa.array(["it's", "größe"] * 17 + [None]).dictionary_encode(),
        "day": pa.array(range(35), pa.date32()),
        "at": pa.array([n * 86_400_000 for n in range(35)], pa.timestamp("ms", "UTC")),
        "seen": pa.array([n * 86_400_000_000 for n in range(35)], pa.timestamp("us")), "tags": [["a"]] * 35,
    })  # fmt: skip
    pq.write_table(table, tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def made(rows: Path, layout: str = "parquet", dtype: str = "float32", **settings: Any) -> Path:
    if layout == "lance":
        pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lastword[lance]'")
    out = rows.parent / f"{layout}-{dtype}"
    embed_corpus(
        rows, out, settings.pop("model", HashEncoder()), layout=layout, vector_dtype=dtype, **settings
    )
    return out


def numbers(result: Any, query: int = 0) -> list[int]:
    return [match.row["number"] for match in result.queries[query].matches]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "binary"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_nearest_rows_of_every_layout_and_type(rows: Path, layout: str, dtype: str) -> None:
    out = made(rows, layout, dtype)
    cosines = HashEncoder().encode(QUERIES) @ unit(Store.open(out).matrix()).T
    result = search(out, QUERIES, top=12, model=HashEncoder())
    for query, text in enumerate(QUERIES):
        matches = result.queries[query].matches
        assert result.queries[query].query == text
        assert len(set(numbers(result, query))) == 12
        scores = [match.score for match in matches]
        np.testing.assert_allclose(
            scores, np.sort(cosines[query])[::-1][:12], atol=2e-3 if dtype == "float16" else 1e-5
        )
        np.testing.assert_allclose(scores, cosines[query][numbers(result, query)], atol=2e-3)
    assert numbers(result)[0] == 7
    assert result.index is None
    assert set(result.queries[0].matches[0].row) == set(Store.open(out).columns)


def test_shortened_vectors_and_vectors_of_any_length(rows: Path) -> None:
    class Long(HashEncoder):
        def encode(self, texts: Any, /) -> np.ndarray:
            vectors: np.ndarray = super().encode(texts)
            return vectors * np.array([[1 + len(text) % 3] for text in texts], np.float32)

    assert numbers(search(made(rows, truncate_dim=8), "text of row 9", top=1, model=HashEncoder())) == [9]
    result = search(made(rows, "npy", model=Long()), "text of row 12", top=35, model=Long())
    assert numbers(result)[0] == 12
    assert result.queries[0].matches[0].score == pytest.approx(1)


@pytest.mark.parametrize("dtype", ["int8", "binary"])
def test_rescored_rows_have_the_scores_of_the_vectors_themselves(
    rows: Path, dtype: str, refused: Refused
) -> None:
    out, encoder = made(rows, "npy", dtype), HashEncoder()
    exact = HashEncoder().encode(QUERIES) @ HashEncoder().encode(TEXTS).T
    result = search(out, QUERIES, top=9, model=encoder, rescore=True)
    for query in range(3):
        assert numbers(result, query) == np.argsort(-exact[query])[:9].tolist()
        scores = [match.score for match in result.queries[query].matches]
        np.testing.assert_allclose(scores, np.sort(exact[query])[::-1][:9], atol=1e-6)
    whole = made(rows, "arrow")
    message = refused(RequestError, search, whole, "a", model=encoder, rescore=True)
    assert message == f"rescore=True is for int8 and binary vectors, and {whole} has float32: leave it out"


def test_four_times_as_many_texts_are_embedded_again_and_reranked(rows: Path, llama_folder: Path) -> None:
    """Not sixteen times."""

    store, encoder = made(rows, "npy", "int8"), HashEncoder()
    result = search(store, QUERIES[0], top=2, model=encoder, rescore=True, rerank=llama_folder)
    assert len(encoder.encoded) == 1 + 4 * 2
    assert len(result.queries[0].matches) == 2


@pytest.mark.parametrize("layout", ["parquet", "lance"])
@pytest.mark.parametrize("rerank", [False, True])
def test_no_columns_are_none(rows: Path, llama_folder: Path, layout: str, rerank: bool) -> None:
    result = search(
        made(rows, layout),
        "a",
        top=3,
        columns=[],
        model=HashEncoder(),
        rerank=llama_folder if rerank else None,
    )
    assert [match.row for match in result.queries[0].matches] == [{}] * 3


CONDITIONS = {
    "number<3": [0, 1, 2], "number >= 33": [33, 34], "number=+7": [7], "number<2.5": [0, 1, 2], "number=2.5": [],
    "number!=0": range(1, 35), "price<0.8": [1, 2, 3], "price=0.25": [1], "sold=true": range(0, 35, 3),
    "sold!=TRUE": [n for n in range(35) if n % 3],
    "cost<20": [1, 2, 3, 4, 5, 6], "cost=free": range(0, 35, 7), "cost=3.5": [1], "kind=it's": range(0, 34, 2),
    "kind!=it's": range(1, 35, 2), "day<1970-01-03": [0, 1], "at<1970-01-03": [0, 1],
    "at<=1970-01-02T00:00:00Z": [0, 1],
    "seen>=1970-02-03T12:00:00": [34], "text=text of row 4": [4], "text>text of row 9": [], "text<text of row 1": [0],
}  # fmt: skip


def test_large_numbers_are_compared_with_fractions(tmp_path: Path) -> None:
    path = tmp_path / "ids.jsonl"
    path.write_text(
        "".join(f'{{"text": "text {n}", "id": {1_750_000_000_000_000_000 + n}}}\n' for n in range(5))
    )
    embed_corpus(path, tmp_path / "out", HashEncoder())
    assert (
        len(search(tmp_path / "out", "a", where=["id>1.74e18"], model=HashEncoder()).queries[0].matches) == 5
    )
    assert not search(tmp_path / "out", "a", where=["id>1.76e18"], model=HashEncoder()).queries[0].matches


@pytest.mark.parametrize("layout", LAYOUTS)
def test_conditions_mean_the_same_in_every_layout(rows: Path, layout: str) -> None:
    out = made(rows, layout)
    for condition, expected in CONDITIONS.items():
        result = search(out, "a", top=40, where=[condition], model=HashEncoder())
        assert sorted(numbers(result)) == list(expected), condition
    result = search(out, "text of row 7", top=2, where=["number<30", "cost>60"], model=HashEncoder())
    assert len(numbers(result)) == 2
    assert all(20 <= number < 30 for number in numbers(result))


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("price", "where='price': write COLUMN, one of = != < <= > >=, VALUE: price<20"),
        ("number<", "where='number<': write COLUMN, one of"),
        ("prise<3", "unknown column 'prise': did you mean 'price'? Known: "),
        ("price<cheap", "where='price<cheap': 'cheap' is no value of that column, which needs a number"),
        ("sold=maybe", "where='sold=maybe': 'maybe' is no value of that column, which needs true or false"),
        ("sold<true", "where='sold<true': sold is true or false; compare it with = or !="),
        ("day=yesterday", "where='day=yesterday': 'yesterday' is no value of that column, which needs a date, such as"),
        ("tags=a", "where='tags=a': the column is list<"),
    ],
)  # fmt: skip
def test_conditions_that_are_none(rows: Path, condition: str, message: str, refused: Refused) -> None:
    encoder = HashEncoder()
    out = made(rows)
    assert refused(RequestError, search, out, "a", where=[condition], model=encoder).startswith(message)
    assert not encoder.encoded


def test_the_model_is_that_of_the_store(
    load: Callable[..., Embedder],
    llama_folder: Path,
    qwen_folder: Path,
    rows: Path,
    tmp_path: Path,
    refused: Refused,
) -> None:
    """It is loaded with the settings of then, from where it is, and queries get the prompt for queries."""
    out = made(rows, model=str(llama_folder), template="ccw", pooling="lasttoken", device="cpu")
    embedder = load(template="ccw", pooling="lasttoken")
    assert Store.open(out).manifest["model"]["loading"]["dtype"] in ("float32", "bfloat16")
    match = search(out, "text of row 3", top=1, device="cpu").queries[0].matches[0]
    expected = embedder.encode(["text of row 3"]) @ embedder.encode(TEXTS).T
    assert match.score == pytest.approx(expected.max(), abs=2e-2)
    message = refused(ModelError, search, out, "a", model=str(qwen_folder), device="cpu")
    assert message.startswith(f"{out} has vectors of {llama_folder} (")

    prompted = load(prompts={"query": "query: ", "document": "passage: "})
    prompted.save(tmp_path / "saved")
    out = tmp_path / "prompted"
    embed_corpus(rows, out, str(tmp_path / "saved"), dtype="float32", device="cpu")
    shutil.move(tmp_path / "saved", tmp_path / "moved")
    message = refused(MissingFileError, search, out, "a")
    assert message.endswith(f"; if the model of {out} was moved, give model=…")
    match = search(out, "text of row 3", top=1, model=tmp_path / "moved", device="cpu").queries[0].matches[0]
    expected = prompted.encode_query(["text of row 3"]) @ prompted.encode_document(TEXTS).T
    assert match.score == pytest.approx(expected.max(), abs=1e-5)
    assert match.row["number"] == expected.argmax()


def test_a_sentence_transformers_model_that_was_moved(
    sentence_folder: Path, rows: Path, tmp_path: Path
) -> None:
    shutil.copytree(sentence_folder, tmp_path / "here")
    out = made(rows, model=f"sentence-transformers:{tmp_path / 'here'}", device="cpu")
    assert len(search(out, "text", top=3, device="cpu").queries[0].matches) == 3
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = f"sentence-transformers:{tmp_path / 'there'}"
    assert len(search(out, "text", top=3, model=moved, device="cpu").queries[0].matches) == 3


def test_a_model_that_was_passed_as_an_object(rows: Path, refused: Refused) -> None:
    out = made(rows)
    assert (
        refused(RequestError, search, out, "a")
        == f"{out} was made with a loaded model (hashing): give it, model=…"
    )
    message = refused(ModelError, search, out, "a", model=HashEncoder("hash-2"))
    assert message.startswith(
        f"{out} has vectors of hashing (hash-1), the same model with other settings (hash-2)"
    )


def test_requests_that_cannot_work(rows: Path, tmp_path: Path, refused: Refused) -> None:
    out, encoder = made(rows), HashEncoder()

    def message(*queries: str, **settings: Any) -> str:
        return refused(RequestError, search, out, list(queries), model=encoder, **settings)

    assert message() == "no query: give a text, or several"
    assert message("a", " ") == "query 2 is blank: give a text"
    assert message("a", columns=["txet"]).startswith("unknown column 'txet': did you mean 'text'?")
    assert message("a", index="ivf-pq").startswith("unknown index 'ivf-pq': Known: auto, exact")
    reason = "needs a LanceDB table with float32 or float16 vectors, and"
    advice = "has parquet with float32: write one with `lastword embed --format lance`"
    assert message("a", index="hnsw-sq") == f"index='hnsw-sq' {reason} {out} {advice}"
    assert message("a", hybrid=True) == f"hybrid=True {reason} {out} {advice}"
    assert not encoder.encoded
    assert refused(MissingFileError, search, tmp_path, "a").startswith(f"{tmp_path} has no manifest")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A LanceDB table large enough for an index."""
    pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lastword[lance]'")
    path = tmp_path / "many.csv"
    path.write_text("text,number\n" + "".join(f"text of row {n},{n}\n" for n in range(3000)))
    embed_corpus(path, tmp_path / "many", HashEncoder(), layout="lance")
    return tmp_path / "many"


@pytest.mark.parametrize("kind", ["ivf-flat", "hnsw-flat", "hnsw-sq"])
def test_an_index_is_built_measured_and_used(many: Path, kind: str) -> None:
    queries = [f"text of row {n}" for n in range(0, 3000, 100)]
    exact = search(many, queries, index="exact", model=HashEncoder())
    assert exact.index is None
    result = search(many, queries, index=kind, model=HashEncoder())
    assert result.index
    assert result.index.kind == kind
    assert result.index.recall >= 0.95
    assert json.loads((many / "_index.json").read_text()) == result.index.to_dict()
    hits = [len({*numbers(result, n)} & {*numbers(exact, n)}) for n in range(len(queries))]
    assert np.mean(hits) >= 9.5
    assert [found.matches[0].row["text"] for found in result.queries] == queries
    again = search(many, queries, model=HashEncoder())
    assert again == result, "the index that is there is used"
    scores = [match.score for match in result.queries[3].matches]
    vectors = HashEncoder().encode([match.row["text"] for match in result.queries[3].matches])
    np.testing.assert_allclose(scores, vectors @ HashEncoder().encode([queries[3]])[0], atol=1e-4)


def test_an_index_with_a_low_recall_is_refused_and_removed(
    many: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance_table, "_PROBES", (1,))
    monkeypatch.setattr(lance_table, "LEAST_RECALL", 1.01)
    message = refused(WorkError, search, many, [], index="ivf-flat")
    assert (
        "of the 10 nearest rows, less than 1.01: it was removed; use index='ivf-flat' or index='exact'"
        in message
    )
    assert not (many / "_index.json").exists()
    assert not lance_table.LanceTable(Store.open(many)).table.list_indices()
    assert search(many, "text of row 5", top=1, model=HashEncoder()).index is None


def test_large_tables_get_an_index(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "INDEX_ROWS", 2999)
    result = search(many, "text of row 5", top=1, model=HashEncoder())
    assert result.index
    assert result.index.kind == "ivf-flat"
    embed_corpus(many.parent / "many.csv", many, HashEncoder(), layout="lance", update=True)
    assert not (many / "_index.json").exists(), "an updated store has other rows"


def test_an_index_whose_recall_is_unknown_is_not_used(many: Path) -> None:
    """A run that was killed between building and measuring leaves such an index."""
    search(many, [], index="ivf-flat")
    (many / "_index.json").unlink()
    assert search(many, "text of row 5", top=1, model=HashEncoder()).index is None
    assert search(many, [], index="ivf-flat").index


def test_one_index_is_built_at_a_time(many: Path, refused: Refused) -> None:
    with lance_table.LanceTable(Store.open(many))._alone("index"):
        assert "is building an index" in refused(WorkError, search, many, [], index="ivf-flat")


@pytest.mark.parametrize("index", ["exact", "ivf-flat"])
def test_words_and_vectors_together(many: Path, index: str) -> None:
    """A row with a rare word of the query is found, though its vector is far, and the nearest one too."""
    query, found = "row 1234", {}
    for hybrid in (True, False):
        result = search(many, query, hybrid=hybrid, index=index, model=HashEncoder())
        found[hybrid] = [match.row["text"] for match in result.queries[0].matches]
    assert "text of row 1234" in found[True]
    assert found[False][0] in found[True]
    assert "text of row 1234" not in found[False]
    assert "vector" not in result.queries[0].matches[0].row
    result = search(many, query, hybrid=True, where=["number<1000"], index=index, model=HashEncoder())
    assert len(result.queries[0].matches) == 10
    assert all(int(match.row["number"]) < 1000 for match in result.queries[0].matches)


def run(arguments: list[str], **settings: Any) -> Any:
    sources._standard_input.cache_clear()
    return CliRunner().invoke(main, ["search", *arguments], **settings)


def test_the_command(llama_folder: Path, rows: Path, tmp_path: Path) -> None:
    out = str(made(rows, model=str(llama_folder), device="cpu"))
    given = [*("--top", "2", "--where", "number<20", "--device", "cpu")]
    result = run(
        [out, "-", "third query", *given, "--json"], input="first query\n\n größer \n".encode("latin-1")
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [query["query"] for query in found["queries"]] == ["first query", "größer", "third query"]
    assert all(len(query["matches"]) == 2 for query in found["queries"])
    first = found["queries"][0]["matches"][0]["row"]
    assert first["day"] == f"1970-01-{first['number'] + 1:02}"
    shown = run([out, "first query", *given, "--columns", "number,text"])
    assert shown.stdout.splitlines()[0].split() == ["score", "number", "text"]
    assert len(shown.stdout.splitlines()) == 3
    nothing = run([out, "a", "b", "--where", "number>99", "--device", "cpu"])
    assert nothing.stdout == "a\n\nno row fulfils the conditions\n\n\nb\n\nno row fulfils the conditions\n"


def test_long_cells_and_control_characters_do_not_break_the_table() -> None:
    from lastword.cli.search import search_table
    from lastword.corpus.search import Found, Match, SearchResult

    row = {"text": "two\nlines \x1b[2J" + "x" * 100, "tags": ["a"], "none": None}
    result = SearchResult(Path("s"), "m", None, (Found("q", (Match(0.5, row),)),))
    lines = search_table(result).splitlines()
    assert len(lines) == 2
    assert "\x1b" not in lines[1]
    assert "…" in lines[1]
    assert lines[1].endswith('["a"]  –')


def test_reranking_orders_the_best_rows_by_the_models_own_answer(
    rows: Path, llama_folder: Path, refused: Refused
) -> None:
    store = made(rows)
    plain = search(store, QUERIES, top=12, columns=["number"], model=HashEncoder())
    reranked = search(store, QUERIES, top=3, columns=["number"], model=HashEncoder(), rerank=llama_folder)
    reranker = Reranker(llama_folder)
    for query, before, after in zip(QUERIES, plain.queries, reranked.queries, strict=True):
        candidates = [match.row["number"] for match in before.matches]
        scores = reranker.scores(query, [TEXTS[number] for number in candidates])
        best = [candidates[i] for i in np.argsort(-scores, kind="stable")[:3]]
        assert [match.row for match in after.matches] == [{"number": number} for number in best]
        np.testing.assert_allclose(
            [match.score for match in after.matches], np.sort(scores)[::-1][:3], atol=1e-5
        )
    assert "no model 'nowhere'" in refused(
        MissingFileError, search, store, "a", model=HashEncoder(), rerank="nowhere"
    )


@pytest.mark.parametrize(
    "facts", [{"recipe": {"merged": {}}}, {"adapter": {"rank": 4}}, {"recipe": {"steps": 1}}]
)
def test_a_model_that_was_adapted_to_embed_does_not_answer(
    facts: dict[str, Any], tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "lastword.json").write_text(json.dumps({"base": "mini", "adapter": None, "recipe": None}))
    require_pretrained(tmp_path)
    (tmp_path / "lastword.json").write_text(json.dumps({"base": "mini", **facts}))
    (tmp_path / "texts.txt").write_text("a text\n")
    store = tmp_path / "store"
    embed_corpus(tmp_path / "texts.txt", store, HashEncoder())
    message = refused(ModelError, search, store, "a", model=HashEncoder(), rerank=tmp_path)
    assert message == (
        f"{tmp_path} was adapted to embed and does not answer any more: give a model as it was pretrained, such as mini"
    )


def test_a_reranker_compares_the_next_words_yes_and_no(llama_folder: Path) -> None:
    """Its scores are those of the model's logits after the whole prompt, whatever stands in the query."""
    model = AutoModelForCausalLM.from_pretrained(llama_folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    query, texts = "what is {text}, or 50 %?", ["the river is low", "a car"]
    found = Reranker(llama_folder, device="cpu").scores(query, texts)
    compiled = Template("custom", f"Query: {query}\nText: ", rerank.SUFFIX).compile(
        TextTokenizer(tokenizer), 512
    )
    yes, no = rerank.answer_ids(tokenizer, llama_folder)
    for text, score in zip(texts, found, strict=True):
        ids = [*compiled.prefix_ids, *tokenizer.encode(text, add_special_tokens=False), *compiled.suffix_ids]
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, -1]
        assert score == pytest.approx(float((logits[yes] - logits[no]).sigmoid()), abs=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"queries": None}, "queries is NoneType: give a list"),
        ({"queries": b"a"}, "queries is bytes: give a list"),
        ({"queries": {"a": 1}}, "queries is dict: give a list"),
        ({"queries": ["a", None]}, "queries has None in it: give strings"),
        ({"where": "price<20"}, "where is str: give a list"),
        ({"columns": "text"}, "columns is str: give a list"),
        ({"columns": [3]}, "columns has 3 in it: give strings"),
        ({"top": 0}, "top=0: give a whole number, 1 or more"),
        ({"top": "3"}, "top='3': give a whole number, 1 or more"),
    ],
)
def test_arguments_of_another_kind(
    wrong: dict[str, Any], message: str, tmp_path: Path, refused: Refused
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("text,price\na river,3\n")
    embed_corpus(path, tmp_path / "out", HashEncoder())
    queries = wrong.pop("queries", ["a"])
    assert (
        refused(RequestError, search, tmp_path / "out", queries, **{"model": HashEncoder(), **wrong})
        == message
    )
