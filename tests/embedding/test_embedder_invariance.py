"""Each vector depends on its own text only, and is what the bare model gives for that text alone."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lastword.embedding import Embedder, Pooling, Template
from lastword.embedding.pooling import PLAIN
from lastword.embedding.tokens import Batch
from tests.embedding.reference import POOLED

Load = Callable[..., Embedder]
ALL = [*PLAIN, *(f"{name}:text" for name in PLAIN if name != "eos")]
SOME = ["a man", 'This sentence: "x"', "Größe, 東京 🚀", "a man is driving a car, " * 60]
MAX_TOKENS = 80  # "ke" takes most of it
words = st.sampled_from(["a", "man", "is driving", "the cluster", "Größe", "🚀", '"', ".", "\n", "  "])
texts = st.lists(words, min_size=1, max_size=40).map(" ".join).filter(lambda text: text.strip() != "")
templates = st.sampled_from(["none", "ccw", "ccp", "sum", "🚀 {text}\n"])


@dataclass
class Pair:
    """An embedder, and the bare model that it was made from."""

    embedder: Embedder
    model: transformers.PreTrainedModel

    def alone(self, embedder: Embedder, text: str, pooling: str) -> np.ndarray:
        """The vector of a text by itself: no batch, no mask, no padding, plain NumPy."""
        name, _, over = pooling.partition(":")
        sequences = embedder.pipeline.tokenize([text], append_eos=False)
        ids, (start, end) = sequences.ids[0], sequences.spans[0]
        if name == "eos" and not embedder.spec.template.eos:
            ids = [*ids, embedder.pipeline.tokenizer.eos_id]
        states = self.model(torch.tensor([ids])).last_hidden_state[0].numpy()
        return POOLED[name](states[start:end] if over else states)


@pytest.fixture(scope="module", params=["llama", "qwen", "gpt2"])
def pair(request: pytest.FixtureRequest, load: Load) -> Pair:
    folder = request.getfixturevalue(f"{request.param}_folder")
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager")
    return Pair(load(folder, max_tokens=MAX_TOKENS), model.eval().requires_grad_(False))


@given(
    many=st.lists(texts, min_size=1, max_size=4),
    template=templates,
    order=st.randoms(use_true_random=False),
    batch_tokens=st.none() | st.integers(1, 400),
)
@settings(max_examples=20)
def test_batch_mates_order_batch_size_and_duplicates_change_nothing(
    pair: Pair, many: list[str], template: str, order: random.Random, batch_tokens: int | None
) -> None:
    """Holds for every pooling from one pass, with an end-of-text token appended for `eos`."""
    embedder = pair.embedder.variant(template=template)
    given = [*many, *many[:2]]
    order.shuffle(given)
    vectors = embedder.encode_poolings(given, ALL, batch_tokens=batch_tokens, normalize=False)
    assert list(vectors) == ALL
    for pooling, rows in vectors.items():
        assert rows.shape == (len(given), 32)
        assert rows.dtype == np.float32
        expected = [pair.alone(embedder, text, pooling) for text in given]
        np.testing.assert_allclose(rows, np.stack(expected), atol=1e-5, err_msg=pooling)


@given(many=st.lists(texts, min_size=1, max_size=3), columns=st.integers(1, 30), fill=st.integers(0, 299))
@settings(max_examples=15)
def test_amount_and_content_of_padding_change_nothing(
    pair: Pair, many: list[str], columns: int, fill: int
) -> None:
    embedder = pair.embedder.variant(template="sum")
    poolings = [Pooling.parse(spec) for spec in ALL]
    sequences = embedder.pipeline.tokenize(many, append_eos=True)
    for batch in embedder.pipeline.batches(sequences):
        wide = Batch(
            batch.rows,
            torch.nn.functional.pad(batch.input_ids, (0, columns), value=fill),
            torch.nn.functional.pad(batch.attention_mask, (0, columns)),
            torch.nn.functional.pad(batch.text_mask, (0, columns)),
            batch.lengths,
            batch.shared,
        )
        narrow_vectors, wide_vectors = (
            embedder.pipeline.pooled(padded, poolings, [embedder.pipeline.layer]) for padded in (batch, wide)
        )
        for spec, vectors in narrow_vectors.items():
            torch.testing.assert_close(wide_vectors[spec], vectors, atol=1e-5, rtol=0)


@given(many=st.lists(texts, min_size=2, max_size=3), template=templates)
@settings(max_examples=15)
def test_side_of_padding_changes_nothing(pair: Pair, many: list[str], template: str) -> None:
    """The bare model padded on the left, pooled by the same functions, gives the same vectors."""
    embedder = pair.embedder.variant(template=template)
    for spec in ALL:
        pooling = Pooling.parse(spec)
        sequences = embedder.pipeline.tokenize(many, append_eos=pooling.name == "eos")
        width = max(map(len, sequences.ids))
        ids, mask, counted = (torch.zeros(len(many), width, dtype=torch.long) for _ in range(3))
        for row, (row_ids, span) in enumerate(zip(sequences.ids, sequences.spans, strict=True)):
            left = width - len(row_ids)
            ids[row, left:], mask[row, left:] = torch.tensor(row_ids), 1
            start, end = span if pooling.over == "text" else (0, len(row_ids))
            counted[row, left + start : left + end] = 1
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        states = pair.model(ids, attention_mask=mask, position_ids=positions).last_hidden_state
        vectors = embedder.encode_poolings(many, [spec], normalize=False)[spec]
        np.testing.assert_allclose(pooling(states, counted.bool()), vectors, atol=1e-5, err_msg=spec)


@pytest.mark.parametrize("template", [Template.parse("ccw"), Template.parse("ccw", eos=True)])
def test_several_poolings_from_one_pass_equal_each_alone(pair: Pair, template: Template) -> None:
    """An end-of-text token appended for `eos` takes no room from the text and changes no other vector."""
    embedder = pair.embedder.variant(template=template)
    together = embedder.encode_poolings(SOME, ALL)
    for spec in ALL:
        alone = embedder.encode_poolings(SOME, [spec])
        np.testing.assert_allclose(alone[spec], together[spec], atol=1e-5)


def test_eos_of_the_template_is_read_by_every_pooling(pair: Pair) -> None:
    embedder = pair.embedder.variant(template=Template.parse("ccw", eos=True))
    vectors = embedder.encode_poolings(["a man"], ["lasttoken", "eos"])
    np.testing.assert_array_equal(vectors["lasttoken"], vectors["eos"])
    plain = pair.embedder.variant(template="ccw").encode_poolings(["a man"], ["lasttoken", "eos"])
    assert np.abs(plain["lasttoken"] - vectors["lasttoken"]).max() > 0.01
    np.testing.assert_allclose(plain["eos"], vectors["eos"], atol=1e-5)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_layers_and_norms(load: Load, llama_folder: Path, pair: Pair, layer: int, norm: str) -> None:
    folder = Path(pair.embedder.name)
    embedder = load(folder, template="ccw", pooling="mean", layer=layer, norm=norm, normalize=False)
    ids = torch.tensor([embedder.pipeline.tokenize(["a man"]).ids[0]])
    states = pair.model(ids, output_hidden_states=True)
    final_norm = pair.model.ln_f if hasattr(pair.model, "ln_f") else pair.model.norm
    expected = states.hidden_states[layer]
    if layer < 2 and norm == "post":
        expected = final_norm(expected)
    if layer == 2 and norm == "pre":
        bare = copy.deepcopy(pair.model)
        setattr(bare, "ln_f" if hasattr(bare, "ln_f") else "norm", torch.nn.Identity())
        expected = bare(ids).last_hidden_state
    np.testing.assert_allclose(embedder.encode("a man"), expected[0].mean(0), atol=1e-5)
