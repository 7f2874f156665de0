"""Plans count what the real model and the real run have; what does not fit is refused with what would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lastword import Embedder
from lastword.bundled import path_of
from lastword.config import read_recipe, train_config
from lastword.embedding.forward.fused.forward import FusedForward
from lastword.errors import RequestError
from lastword.files.tables import read_texts
from lastword.planning import plan_embedding, plan_training
from lastword.planning.costs import Linear, truncated_shares
from lastword.planning.embedding import Encoding
from lastword.planning.memory import GIB, Machine
from lastword.planning.shape import Shape
from lastword.training.objectives import Standard
from lastword.training.run import make_accelerator, make_loop

Refused = Callable[..., str]
RECIPE = {**read_recipe("mini"), "steps": 2, "batch_pairs": 8, "warmup_steps": 1}


@pytest.fixture(scope="module")
def mini() -> Embedder:
    return Embedder.from_pretrained(
        "mini", template="ccw", pooling="lasttoken", device="cpu", dtype="float32"
    )


@pytest.mark.parametrize("folder", ["llama_folder", "qwen_folder", "gpt2_folder", "mini"])
def test_a_shape_has_the_weights_of_the_model(folder: str, request: pytest.FixtureRequest) -> None:
    name = "mini" if folder == "mini" else request.getfixturevalue(folder)
    embedder = Embedder.from_pretrained(name, device="cpu")
    shape = Shape.read(name)
    real = sum(parameter.numel() for parameter in embedder.backbone.model.parameters())
    assert shape.depth == embedder.backbone.layers
    assert shape.depth * shape.layer_weights + shape.other_weights == real
    assert shape.weights_bytes(torch.float32) == 4 * real


def test_a_shallow_model_runs_on_the_same_path(mini: Embedder) -> None:
    shallow = Shape.read("mini", template="ccw", pooling="lasttoken").shallow(2, "float32")
    assert isinstance(shallow.backbone.fused, FusedForward)
    assert (shallow.backbone.layers, shallow.dim) == (2, mini.dim)
    texts = ["a man is driving a car", "größe 東京"]
    assert shallow.pipeline.tokenize(texts).ids == mini.pipeline.tokenize(texts).ids
    assert shallow.encode(texts).shape == (2, mini.dim)


@pytest.mark.parametrize(
    "spec",
    [
        {"pooling": "latent"},
        {"attention": "bidirectional"},
        {"pooling": "mean:4layers+lasttoken"},
        {"layer": 6},
    ],
)
def test_a_shallow_model_embeds_in_every_way(mini: Embedder, spec: dict[str, Any]) -> None:
    shallow = Shape.read("mini", **spec).shallow(2, "float32")
    parts = 2 if "+" in str(spec) else 1
    assert shallow.encode(["a man is driving a car"]).shape == (1, parts * mini.dim)
    assert shallow.spec.attention == spec.get("attention", "causal")


def test_a_model_that_was_saved_with_bidirectional_attention(mini: Embedder, tmp_path: Path) -> None:
    folder = mini.variant(attention="bidirectional", pooling="mean").save(tmp_path / "model")
    shallow = Shape.read(folder).shallow(2, "float32")
    assert (shallow.spec.attention, shallow.backbone.path) == ("bidirectional", "bidirectional")


def test_an_average_of_templates_has_no_plan(refused: Refused) -> None:
    assert refused(RequestError, Shape.read, "mini", template="eol+sum") == (
        "template='eol+sum' is an average: plan with each of its templates"
    )


def test_a_line_through_two_depths() -> None:
    line = Linear.through({2: 5.0, 4: 9.0})
    assert [line.at(layers) for layers in (0, 2, 30)] == [1.0, 5.0, 61.0]
    assert Linear.through({2: 5.0, 4: 4.0}).at(30) == 5.0  # noise: more layers are not faster


def test_the_graph_of_all_layers_is_that_of_the_real_model(mini: Embedder, tmp_path: Path) -> None:
    config = train_config({**RECIPE, "dtype": "float32"})
    objective = Standard().objective(Standard().read(["pairs"], drop_empty=False), config)
    embedder = Embedder.from_pretrained(
        "mini", template="ccw", pooling="lasttoken", device="cpu", dtype="float32"
    )
    accelerator = make_accelerator(config, embedder, "none", tmp_path)
    _, loop = make_loop(config, Standard(), embedder, objective, tmp_path, accelerator)
    parts = loop.parts(objective.step(0).texts)
    loop.memory.measure(loop.embed, parts[-1])
    assert loop.memory.bytes_per_token
    real = loop.memory.bytes_per_token * sum(part.tokens for part in parts)
    plan = plan_training(device="cpu", **{**RECIPE, "dtype": "float32", "graph_gib": 100.0})
    tokens = plan.tokens / config.steps
    assert plan.memory.activations == pytest.approx(loop.memory.bytes_per_token * tokens, rel=0.1)
    assert plan.memory.activations == pytest.approx(real, rel=0.3)  # of the first step, of the mean of all
    trainable = sum(parameter.numel() for parameter in loop.parameters)
    assert plan.memory.adapter == pytest.approx(16 * trainable)
    assert (plan.layers, plan.dtype, plan.texts) == (8, "float32", 2 * 8 * 2)


def test_fewer_layers_and_adapters_cost_less() -> None:
    whole, cut, upper = (
        plan_training(device="cpu", **RECIPE, **changes)
        for changes in ({}, {"layer": 4}, {"adapt_layers": 2})
    )
    assert cut.layers == 4
    assert cut.memory.weights < whole.memory.weights == upper.memory.weights
    assert cut.memory.adapter == pytest.approx(whole.memory.adapter / 2)
    assert upper.memory.adapter == pytest.approx(whole.memory.adapter / 4)
    assert upper.memory.activations < cut.memory.activations < whole.memory.activations


def test_a_plan_of_embedding_counts_the_rows_and_tokens(mini: Embedder) -> None:
    texts = read_texts(path_of("topics"), ["text"])["text"]
    plan = plan_embedding("topics", "mini", template="ccw", pooling="lasttoken", vector_dtype="float16")
    assert plan.texts == len(texts)
    assert plan.tokens == sum(map(len, mini.pipeline.tokenize(texts).ids))
    assert plan.seconds
    assert plan.disk == len(texts) * mini.dim * 2


def test_a_gpu_that_is_not_here_has_no_speed() -> None:
    plan = plan_training(gpu_memory=24 * GIB, **RECIPE)
    assert (plan.seconds, plan.dtype, plan.machine.device) == (None, "bfloat16", "cuda")
    assert "on a GPU of 24.0 GiB" in str(plan)
    assert plan.to_dict()["seconds"] is None


def test_a_gpu_that_is_here_has_no_speed_either() -> None:
    """The models that are timed run on the CPU."""
    machine = Machine("cuda", 24 * GIB, GIB, here=True)
    encoding = Encoding.of("embedding", "mini", ["a river"], machine, dtype="bfloat16")
    plan = encoding.plan(1, encoding.memory(0.0), {"embedding": encoding.seconds(1)}, 0.0)
    assert (plan.seconds, plan.stages) == (None, {"embedding": None})
    assert "on this machine" in str(plan)


def test_what_does_not_fit_is_refused_with_what_does(refused: Refused) -> None:
    enough = plan_training(gpu_memory=24 * GIB, **RECIPE)
    least = enough.memory.peak - enough.memory.activations
    message = refused(RequestError, plan_training, gpu_memory=least + 2**20, **RECIPE)
    assert message.startswith("training mini needs at least ")
    assert "batch_tokens=64" in message
    message = refused(RequestError, plan_training, gpu_memory=GIB / 4, **RECIPE)
    assert message.endswith("no setting makes it fit: take a smaller model")
    message = refused(RequestError, plan_embedding, "topics", "mini", gpu_memory=GIB / 4)
    assert message.endswith("no setting makes it fit: take a smaller model")


def test_truncated_shares() -> None:
    shares = truncated_shares([10, 70, 200, 600], 100, 2048)
    assert shares == {64: 0.75, 100: 0.5, 128: 0.5, 256: 0.25, 512: 0.25}
    assert truncated_shares([10, 70, 200, 600], 64, 128) == {64: 0.75, 128: 0.5}
    assert truncated_shares([10, 20], 512, 2048) == {512: 0.0}


def test_a_plan_says_which_texts_lose_their_end(tmp_path: Path) -> None:
    long, short = "word " * 600, "a word"
    (tmp_path / "texts.txt").write_text(f"{long}\n" + f"{short}\n" * 3)
    lines = str(plan_embedding(tmp_path / "texts.txt", "mini")).splitlines()
    (line,) = (line for line in lines if line.startswith("truncated"))
    assert line.split(maxsplit=1)[1] == (
        "25.0% of the texts lose their end, beyond the 511 tokens of this run; it would be 25.0% with 64, 25.0% with "
        "128, 25.0% with 256, 25.0% with 512; --long-texts windows reads them whole"
    )
    (tmp_path / "texts.txt").write_text(f"{short}\n" * 3)
    assert "none: each text fits into the 511 tokens of this run" in str(
        plan_embedding(tmp_path / "texts.txt", "mini")
    )
