"""Plans of commands that do more than embed: their stages, what changes them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword import embed_corpus
from lastword.adaptation.forecast import plan_adaptation
from lastword.adaptation.request import check_request
from lastword.bundled import path_of
from lastword.embedding import Embedder
from lastword.encoders.long_texts import LongTextEncoder
from lastword.errors import RequestError, TableError
from lastword.files.tables import read_texts
from lastword.planning import (
    plan_clustering,
    plan_distillation,
    plan_embedding,
    plan_evaluation,
    plan_search,
    plan_serving,
)
from lastword.planning.embedding import Encoding
from lastword.planning.grouping import VectorCosts, grouping_bytes
from lastword.planning.memory import GIB, LATER_BYTES, Machine
from lastword.planning.result import Plan

Refused = Callable[..., str]
MODEL = path_of("mini") / "model.safetensors"
pytestmark = pytest.mark.skipif(not MODEL.is_file(), reason=f"the bundled model does not exist: {MODEL}")
GPU = {"gpu_memory": 24 * GIB}


def adaptation(tmp_path: Path, texts: int, **settings: Any) -> Plan:
    file = tmp_path / f"texts-{texts}.parquet"
    rows = [f"the text number {n} about things" for n in range(texts)]
    pq.write_table(pa.table({"text": rows, "label": [f"label {n % 3}" for n in range(texts)]}), file)
    request = check_request(file, tmp_path / "out", label_column="label", map="pca")
    return plan_adaptation(request, map="pca", **settings)


def test_a_run_takes_as_long_as_its_stages() -> None:
    plan = plan_clustering("topics", "mini", map="pca", device="cpu")
    assert list(plan.stages) == ["embedding", "groups", "map"]
    assert plan.seconds == sum(value or 0.0 for value in plan.stages.values())
    assert "embedding " in str(plan)
    assert "groups " in str(plan)
    assert plan.to_dict()["stages"]["map"] == 0.0


def test_on_another_machine_no_stage_has_a_time(tmp_path: Path) -> None:
    plans = [
        plan_clustering("topics", "mini", map="pca", **GPU),
        plan_evaluation("topics", "mini", **GPU),
        plan_distillation("mini", "topics", **GPU),
        plan_serving("mini", **GPU),
        adaptation(tmp_path, 300, **GPU),
    ]
    assert {plan.seconds for plan in plans} == {None}
    assert {value for plan in plans for value in plan.stages.values()} == {None}
    assert {plan.machine.device for plan in plans} == {"cuda"}


def test_work_on_vectors_grows_with_them() -> None:
    costs = VectorCosts(0.01, 0.004)
    assert costs.groups(1000, None) < costs.groups(4000, None) < costs.groups(100_000, None)
    assert costs.groups(4000, 10) < costs.groups(4000, 40) < costs.groups(4000, None)
    assert costs.groups(10**6, 10) == costs.groups(10**7, 10)  # of more, a sample
    assert costs.map(100, "pca") == 0 < costs.map(100, "umap") < costs.map(10_000, "umap")
    assert costs.cluster_score(300) < costs.cluster_score(1000)
    assert (
        grouping_bytes(1000, 64, "none")
        < grouping_bytes(1000, 64, "umap")
        < grouping_bytes(1000, 256, "umap")
    )
    assert grouping_bytes(10**6, 64, "none") == grouping_bytes(10**7, 64, "none")
    assert grouping_bytes(10**6, 64, "umap", 1000) < grouping_bytes(10**6, 64, "umap", 10**5)


def test_an_adaptation_is_the_sum_of_its_stages(tmp_path: Path) -> None:
    few = adaptation(tmp_path, 300, device="cpu")
    many = adaptation(tmp_path, 3000, device="cpu")
    assert list(few.stages) == ["choosing", "pairs", "training", "comparing", "vectors", "groups", "map"]
    assert few.stages["choosing"] == 0 < (many.stages["choosing"] or 0)
    assert (few.stages["comparing"] or 0) < (many.stages["comparing"] or 0)
    assert "39 negatives for each anchor" in many.facts["step"]
    assert many.texts == 3000
    assert many.disk > few.disk
    assert many.memory.adapter > 0


def test_a_server_needs_memory_for_each_request(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(available: float) -> None:
        computer = Machine("cpu", available, 5e8, here=False)
        monkeypatch.setattr(Machine, "of", lambda device, gpu_memory: computer)

    machine(24 * GIB)
    few, many = (plan_serving("mini", requests=number).memory for number in (1, 1001))
    assert 10e6 < many.peak - few.peak < 1e9
    machine(many.peak + 1000)
    message = refused(RequestError, plan_serving, "mini", requests=10**6)
    assert message.endswith("give requests=1001")


def test_a_server_answers_so_many_texts_in_a_second() -> None:
    plan = plan_serving("mini", requests=1000, device="cpu")
    assert "texts of 64 tokens in a second" in plan.facts["speed"]
    assert plan.seconds == plan.stages["all requests at once"]


def test_texts_and_vectors_are_not_in_the_memory_of_a_gpu() -> None:
    assert plan_clustering("topics", "mini", map="pca", **GPU).memory.data == 0.0


def test_long_texts_are_planned_as_they_are_cut(tmp_path: Path, refused: Refused) -> None:
    """A pass of the model for each window; late chunking reads what the model can, and has a vector for each window."""
    path = tmp_path / "in.txt"
    path.write_text(
        "short\n" * 30 + "\n".join(f"{n} {'a long text about a river ' * 200}" for n in range(10))
    )
    how: dict[str, Any] = {"pooling": "mean", "device": "cpu"}
    cut = plan_embedding(path, "mini", **how)
    mean = plan_embedding(path, "mini", long_texts="windows:100:20", **how)
    each = plan_embedding(path, "mini", long_texts="windows:100:20", per_window=True, **how)
    late = plan_embedding(path, "mini", long_texts="late:100:20", per_window=True, **how)
    encoder = LongTextEncoder(Embedder.from_pretrained("mini", pooling="mean"), "windows:100:20")
    windows = sum(map(len, encoder.cut(path.read_text().splitlines())))
    assert mean.facts["long texts"] == f"40 texts in {windows:,} passes of the model"
    assert cut.tokens < late.tokens < mean.tokens == each.tokens
    assert (mean.disk, each.disk, late.disk) == (40 * 1024, windows * 1024, windows * 1024)
    assert {plan.texts for plan in (cut, mean, each, late)} == {40}
    assert "needs windows" in refused(RequestError, plan_embedding, path, "mini", per_window=True)
    assert "unknown long_texts" in refused(RequestError, plan_embedding, path, "mini", long_texts="window")


def test_a_student_has_at_most_the_vocabulary_and_the_dimensions() -> None:
    plan = plan_distillation("mini", "topics", vocabulary=1000, truncate_dim=32, **GPU)
    assert plan.facts["student"] == "1,000 tokens of 32 dimensions"
    assert plan.disk == 4 * 1000 * 32


@pytest.mark.slow
def test_a_shallow_student_is_trained_beside_its_teacher(refused: Refused) -> None:
    how: dict[str, Any] = {"student": "shallow", "device": "cpu", "max_texts": 400}
    few = plan_distillation("mini", "topics", layer=2, steps=100, **how)
    many = plan_distillation("mini", "topics", layer=2, steps=1000, **how)
    deep = plan_distillation("mini", "topics", layer=6, steps=100, **how)
    assert few.facts["student"] == "2 of 8 layers, 100 steps of 32 texts"
    assert list(few.stages) == ["texts", "training"]
    assert few.seconds == pytest.approx(sum(value or 0.0 for value in few.stages.values()))
    assert many.facts["student"] == "2 of 8 layers, 1,000 steps of 32 texts"
    assert min(value or 0.0 for value in few.stages.values()) > 0
    assert few.disk < deep.disk
    assert few.memory.weights > plan_evaluation("topics", "mini", device="cpu").memory.weights
    assert plan_distillation("mini", "topics", **how).facts["student"].startswith("2 of 8 layers, 200 steps")
    plan = plan_distillation("mini", "topics", student="shallow", **GPU)
    assert (plan.seconds, plan.memory.data) == (None, 0.0)
    assert "only a shallow student" in refused(RequestError, plan_distillation, "mini", "topics", steps=9)
    assert "unknown student" in refused(RequestError, plan_distillation, "mini", "topics", student="deep")


@pytest.mark.parametrize("layout", ["parquet", "lance"])
def test_a_search_compares_and_reads_again(tmp_path: Path, layout: str, refused: Refused) -> None:
    if layout == "lance":
        pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lastword[lance]'")
    path = tmp_path / "in.txt"
    path.write_text("\n".join(f"the text number {n} about things" for n in range(100)))
    for dtype in ("float32", "int8"):
        embed_corpus(path, tmp_path / dtype, "mini", layout=layout, vector_dtype=dtype, device="cpu")
    one = plan_search(tmp_path / "float32", device="cpu")
    many = plan_search(tmp_path / "float32", queries=3000, rerank="mini", device="cpu")
    assert list(one.stages) == ["queries", "comparing"]
    assert list(many.stages) == ["queries", "comparing", "reranking"]
    assert many.seconds == pytest.approx(sum(value or 0.0 for value in many.stages.values()))
    assert min(value or 0.0 for plan in (one, many) for value in plan.stages.values()) > 0
    assert one.facts == {"store": "100 rows of 256 dimensions, float32"}
    assert many.facts["reranked"].startswith("120,000 texts by mini")
    assert many.memory.weights == 2 * one.memory.weights
    again = plan_search(tmp_path / "int8", top=1000, rescore=True, device="cpu")
    assert again.facts["rescored"] == "100 texts", "there are no more"
    gpu = plan_search(tmp_path / "float32", rerank="mini", **GPU)
    assert {gpu.seconds, *gpu.stages.values()} == {None}
    assert "rescore=True is for int8" in refused(
        RequestError, plan_search, tmp_path / "float32", rescore=True
    )
    assert "give 1 or more" in refused(RequestError, plan_search, tmp_path / "float32", queries=0)


def test_a_long_run_has_larger_caches() -> None:
    """Of very many texts they are as large as they get."""
    texts = read_texts(path_of("topics"), ["text"])["text"]
    encoding = Encoding.of("embedding", "mini", texts, Machine("cpu", 24 * GIB, 8e8, here=False))
    few, more, many, most = (encoding.memory(0.0, number).process for number in (10, 3000, 10**6, None))
    assert most - LATER_BYTES < few < more < many == most == 8e8


def test_at_most_so_many_texts_are_scored() -> None:
    count = len(read_texts(path_of("topics"), ["text"])["text"])
    assert plan_evaluation("topics", "mini", **GPU).texts == count
    assert plan_evaluation("topics", "mini", max_texts=100, **GPU).texts == 100


def test_files_without_a_usable_text(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "blank.csv"
    path.write_text('text\n" "\n" "\n')
    for plan in (
        lambda: plan_embedding(path, "mini"),
        lambda: plan_clustering(path, "mini", map="pca"),
        lambda: plan_evaluation(path, "mini"),
        lambda: plan_distillation("mini", path),
    ):
        assert refused(TableError, plan) == "no row of the input has a usable text in 'text': empty (2)"


def test_what_does_not_fit_is_refused(tmp_path: Path, refused: Refused) -> None:
    for plan in (
        lambda **gpu: plan_clustering("topics", "mini", map="pca", **gpu),
        lambda **gpu: plan_evaluation("topics", "mini", **gpu),
        lambda **gpu: plan_distillation("mini", "topics", **gpu),
        lambda **gpu: adaptation(tmp_path, 300, **gpu),
    ):
        message = refused(RequestError, plan, gpu_memory=GIB / 4)
        assert "needs at least" in message
        assert message.endswith("no setting makes it fit: take a smaller model")
