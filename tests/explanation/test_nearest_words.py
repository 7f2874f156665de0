"""Nearest words: against direct products with the head, and where the head comes from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from lastword.embedding import Embedder
from lastword.embedding.vocabulary import Vocabulary
from lastword.errors import RequestError
from lastword.explanation.groups import (
    describe_groups,
    distinctive_words,
    require_groups,
    rows_by_cluster,
    rows_by_label,
)

Load = Callable[..., Embedder]
TEXTS = ["a man is driving a car", "the river was low", "she sold the house"]


def by_brute_force(head: torch.Tensor, embedder: Embedder, vector: np.ndarray, count: int) -> list[str]:
    """Every token of the vocabulary, sorted by its logit."""
    special = set(embedder.pipeline.tokenizer.hf.all_special_ids)
    logits = [(float(row @ torch.from_numpy(vector)), token_id) for token_id, row in enumerate(head)]
    words: list[str] = []
    for _, token_id in sorted(logits, key=lambda pair: -pair[0]):
        word = embedder.pipeline.tokenizer.hf.decode([token_id]).strip()
        is_new = word.casefold() not in map(str.casefold, words)
        if token_id not in special and any(character.isalnum() for character in word) and is_new:
            words.append(word)
    return words[:count]


@pytest.mark.parametrize("count", [1, 8, 250])
@pytest.mark.parametrize("model", ["llama_folder", "qwen_folder"])
def test_words_of_an_untied_head(model: str, count: int, load: Load, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(model)
    head = load_file(folder / "model.safetensors")["lm_head.weight"]
    embedder = load(folder, template="ccw", pooling="lasttoken")
    vocabulary = Vocabulary.of(embedder)
    assert vocabulary is not None
    for vector in embedder.encode(TEXTS, normalize=False):
        nearest = vocabulary.nearest(vector, count)
        assert [word.word for word in nearest] == by_brute_force(head, embedder, vector, count)
        assert [word.probability for word in nearest] == sorted(
            (word.probability for word in nearest), reverse=True
        )


def test_probabilities_are_those_of_the_full_model(load: Load, llama_folder: Path) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    vocabulary = Vocabulary.of(embedder)
    assert vocabulary is not None
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(llama_folder, dtype=torch.float32)
    for text, vector in zip(TEXTS, embedder.encode(TEXTS, normalize=False), strict=True):
        with torch.no_grad():
            logits = model(torch.tensor(embedder.pipeline.tokenize([text]).ids)).logits[0, -1]
        expected = logits.double().softmax(0)
        for word in vocabulary.nearest(vector, 5):
            near = [i for i, value in enumerate(expected.tolist()) if abs(value - word.probability) < 1e-5]
            assert word.word in [
                embedder.pipeline.tokenizer.hf.decode([token_id]).strip() for token_id in near
            ]


def test_logits_of_all_tokens_are_those_of_the_full_model(load: Load, llama_folder: Path) -> None:
    embedder = load(template="none", pooling="lasttoken")
    vocabulary = Vocabulary.of(embedder)
    assert vocabulary is not None
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(llama_folder, dtype=torch.float32)
    with torch.no_grad():
        expected = [
            model(torch.tensor(embedder.pipeline.tokenize([text]).ids)).logits[0, -1] for text in TEXTS
        ]
    rounded_up = Vocabulary(torch.cat([vocabulary.head, torch.ones(5, 32)]), vocabulary.tokenizer)
    logits = rounded_up.logits(embedder.encode(TEXTS, normalize=False))
    np.testing.assert_allclose(logits, torch.stack(expected).numpy(), atol=1e-3)


def test_a_word_is_the_token_as_it_is_but_for_outer_spaces(load: Load) -> None:
    tokenizer = load().pipeline.tokenizer
    tokenizer.hf.clean_up_tokenization_spaces = True
    tokenizer.hf.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output = True
    tokenizer.hf.add_tokens([" do n't . "])
    assert Vocabulary(torch.zeros(1, 1), tokenizer).word(len(tokenizer.hf) - 1) == "do n't ."


def test_tied_embeddings_are_the_head(load: Load, gpt2_folder: Path) -> None:
    embedder = load(gpt2_folder)
    vocabulary = Vocabulary.of(embedder)
    assert vocabulary is not None
    assert torch.equal(vocabulary.head, embedder.backbone.model.get_input_embeddings().weight)


def test_a_saved_folder_uses_the_head_of_its_base_model(load: Load, tmp_path: Path) -> None:
    folder = load(template="ccw", pooling="lasttoken").save(tmp_path / "saved")
    base, saved = Vocabulary.of(load()), Vocabulary.of(load(folder))
    assert base is not None
    assert saved is not None
    assert torch.equal(base.head, saved.head)


def test_a_model_adapted_twice_uses_the_head_of_the_first(load: Load, tmp_path: Path) -> None:
    first = load(template="ccw", pooling="lasttoken").save(tmp_path / "first")
    facts = json.loads((first / "lastword.json").read_text())
    shutil.copytree(first, tmp_path / "second")
    (tmp_path / "second" / "lastword.json").write_text(json.dumps({**facts, "base": str(first)}))
    vocabulary = Vocabulary.of(load(tmp_path / "second"))
    assert vocabulary is not None
    expected = Vocabulary.of(load())
    assert expected is not None
    assert torch.equal(vocabulary.head, expected.head)
    (first / "lastword.json").write_text(json.dumps({**facts, "base": str(first)}))
    assert Vocabulary.of(load(tmp_path / "second")) is None, "a base model that names itself"


def test_a_model_trained_from_a_checkpoint_uses_the_head_of_its_base_model(
    load: Load, tmp_path: Path
) -> None:
    base = load(template="ccw", pooling="lasttoken")
    checkpoint = tmp_path / "run" / "training" / "step-000002"
    checkpoint.mkdir(parents=True)
    (checkpoint / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}))
    recipe = {"model": base.name, "template": "ccw", "pooling": "lasttoken"}
    (checkpoint.parent / "recipe.json").write_text(json.dumps(recipe))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "base_model_name_or_path": base.name})
    )
    expected = Vocabulary.of(base)
    assert expected is not None
    for name in (checkpoint, adapter):
        folder = load(template="ccw", pooling="lasttoken").save(tmp_path / f"from-{name.name}")
        facts = json.loads((folder / "lastword.json").read_text())
        (folder / "lastword.json").write_text(json.dumps({**facts, "base": str(name)}))
        vocabulary = Vocabulary.of(load(folder))
        assert vocabulary is not None, name
        assert torch.equal(vocabulary.head, expected.head)


def test_a_model_without_a_head_has_no_vocabulary(load: Load, tmp_path: Path) -> None:
    embedder = load()
    embedder.backbone.model.save_pretrained(tmp_path / "headless")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "headless" / name).write_bytes((Path(embedder.name) / name).read_bytes())
    assert Vocabulary.of(load(tmp_path / "headless")) is None


def test_a_head_in_shards_is_found(load: Load, llama_folder: Path, tmp_path: Path) -> None:
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(llama_folder)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert (tmp_path / "sharded" / "model.safetensors.index.json").is_file()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "sharded" / name).write_bytes((llama_folder / name).read_bytes())
    whole, sharded = Vocabulary.of(load()), Vocabulary.of(load(tmp_path / "sharded"))
    assert whole is not None
    assert sharded is not None
    assert torch.equal(whole.head, sharded.head)


def test_distinctive_words_are_nearest_to_the_difference_from_the_mean(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    vocabulary = Vocabulary.of(embedder)
    assert vocabulary is not None
    vectors = embedder.encode(TEXTS, normalize=False)
    mean = vectors.mean(0)
    expected = [word.word for word in vocabulary.nearest(vectors[0] - mean, 4)]
    assert distinctive_words(vocabulary, vectors[0], mean, 4) == expected
    assert expected != [word.word for word in vocabulary.nearest(vectors[0], 4)]
    assert distinctive_words(vocabulary, mean, mean, 4) == []
    assert distinctive_words(None, vectors[0], mean, 4) is None


def test_groups_by_label_are_largest_first_with_centroid_words_and_examples(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    vocabulary = Vocabulary.of(embedder)
    assert vocabulary is not None
    texts = [f"the river {i} was low" for i in range(4)] + [f"she sold the house {i}" for i in range(3)]
    vectors = embedder.encode(texts, normalize=False)
    rows_of = rows_by_label(["water"] * 4 + ["trade"] * 3)
    water, trade = describe_groups(rows_of, vectors, texts, vocabulary, 5)
    assert (water.name, water.size, trade.name, trade.size) == ("water", 4, "trade", 3)
    centroid = vectors[:4].mean(0)
    assert water.words == vocabulary.nearest(centroid, 5)
    assert water.distinctive == distinctive_words(vocabulary, centroid, vectors.mean(0), 5)
    cosines = [v @ centroid / np.linalg.norm(v) for v in vectors[:4]]
    assert water.examples == [texts[row] for row in np.argsort(cosines)[::-1][:3]]
    assert describe_groups(rows_of, vectors, texts, None, 5)[0].words is None


def test_clusters_are_those_of_k_means_and_include_every_text() -> None:
    draw = np.random.default_rng(0)
    centres = np.eye(3)[[0] * 9 + [1] * 5 + [2] * 2]
    vectors = (centres + draw.normal(0, 0.01, (16, 3))) * draw.uniform(1, 5, (16, 1))
    groups = rows_by_cluster(vectors, 3, seed=0)
    assert list(groups) == ["cluster 1", "cluster 2", "cluster 3"]
    assert [rows.tolist() for rows in groups.values()] == [
        list(range(9)), list(range(9, 14)), [14, 15],
    ]  # fmt: skip


def test_invalid_requests_for_clusters_are_refused(refused: Callable[..., str]) -> None:
    require_groups(None, ["a"], 1)
    require_groups(2, None, 2)
    assert refused(RequestError, require_groups, 3, ["a", "b"], 9) == (
        "clusters=3 and a label column: give one of them"
    )
    assert refused(RequestError, require_groups, 3, None, 2) == "clusters=3: there are 2 texts; give 1 … 2"
    assert refused(RequestError, require_groups, 0, None, 2) == "clusters=0: there are 2 texts; give 1 … 2"
