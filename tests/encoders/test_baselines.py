"""Word counts tell clear topics apart; a sentence-transformers folder gives its own vectors."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from lastword.encoders.baselines import SentenceTransformerEncoder, TfidfEncoder
from lastword.encoders.by_name import description, load_encoder
from lastword.errors import MissingFileError, ModelError, RequestError
from lastword.evaluation import classification_score, cluster_score
from tests.samples import topic_texts


def test_tfidf_finds_clear_topics():
    texts, labels = topic_texts(per_label=20)
    assert cluster_score(TfidfEncoder(), texts, labels).value > 0.6


def test_tfidf_classifies_clear_topics():
    train, test = topic_texts(per_label=20, seed=1), topic_texts(per_label=10, seed=2)
    encoder = TfidfEncoder().fit(train[0])
    assert classification_score(encoder, *train, *test).value > 0.9


def test_tfidf_vectors_are_unit_float32_of_at_most_the_asked_dimensions():
    texts, _ = topic_texts(per_label=20)
    vectors = TfidfEncoder(dims=7).encode(texts)
    assert (vectors.shape, vectors.dtype) == ((60, 7), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert TfidfEncoder().encode(texts[:4]).shape == (4, 4)


def test_tfidf_keeps_the_words_it_met_first():
    encoder = TfidfEncoder()
    encoder.encode(["wave harbour", "oven flour"])
    assert np.abs(encoder.encode(["verdict appeal"])).max() == 0
    assert np.abs(encoder.encode(["oven"])).max() > 0


def test_tfidf_is_the_same_each_time_and_its_identity_follows_settings_and_texts():
    texts, _ = topic_texts(per_label=10)
    one, two = TfidfEncoder().fit(texts), TfidfEncoder().fit(texts)
    np.testing.assert_array_equal(one.encode(texts), two.encode(texts))
    assert one.identity == two.identity
    others = [
        TfidfEncoder(),
        TfidfEncoder().fit(texts[1:]),
        TfidfEncoder(dims=5).fit(texts),
        TfidfEncoder(seed=1).fit(texts),
    ]
    assert len({each.identity for each in [one, *others]}) == 5


def test_tfidf_of_equal_texts_makes_no_noise(capfd):
    assert TfidfEncoder().encode(["one word more"] * 3).shape == (3, 3)
    assert capfd.readouterr() == ("", "")


def test_tfidf_refuses_texts_without_words():
    with pytest.raises(RequestError) as caught:
        TfidfEncoder().encode(["?", "a !"])
    assert str(caught.value) == "TF-IDF finds no word of two letters or more in 2 texts: use another model"


def test_sentence_transformer_gives_its_own_vectors(sentence_folder, capfd):
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformerEncoder(sentence_folder, device="cpu")
    vectors = encoder.encode(["the wave", "the oven flour"])
    assert capfd.readouterr() == ("", "")
    assert (vectors.shape, vectors.dtype) == ((2, 16), np.float32)
    reference = SentenceTransformer(str(sentence_folder), device="cpu").encode(["the wave", "the oven flour"])
    np.testing.assert_allclose(vectors, reference, atol=1e-6)
    half = SentenceTransformerEncoder(sentence_folder, dtype="bfloat16", device="cpu")
    np.testing.assert_allclose(half.encode(["the wave"]), vectors[:1], atol=0.05)
    assert half.identity != encoder.identity


def _mean_to_last(folder):
    path = folder / "1_Pooling" / "config.json"
    path.write_text(path.read_text().replace('"mean"', '"lasttoken"'))


def _add_a_template(folder):
    path = folder / "tokenizer.json"
    definition = json.loads(path.read_text())
    piece = {"id": "<prompt>", "ids": [4], "tokens": ["the"]}
    single = [{"SpecialToken": {"id": "<prompt>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    definition["post_processor"] = {
        "type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {"<prompt>": piece},
    }  # fmt: skip
    path.write_text(json.dumps(definition))


def _shift_a_weight(folder):
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["norm.weight"][0] += 0.5
    save_file(tensors, path, {"format": "pt"})


def _changed_config(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    "change",
    [
        _mean_to_last,
        _add_a_template,
        _shift_a_weight,
        _changed_config(rope_parameters={"rope_type": "default", "rope_theta": 3.0}),
        _changed_config(rms_norm_eps=1.0),
    ],
)
def test_identity_follows_whatever_changes_a_vector(sentence_folder, tmp_path, change):
    folder = tmp_path / "model"
    shutil.copytree(sentence_folder, folder)
    before = SentenceTransformerEncoder(folder, device="cpu")
    assert before.identity == SentenceTransformerEncoder(folder, device="cpu").identity
    vectors = before.encode(["wave harbour"])
    change(folder)
    after = SentenceTransformerEncoder(folder, device="cpu")
    assert np.abs(after.encode(["wave harbour"]) - vectors).max() > 1e-4
    assert after.identity != before.identity


def test_missing_folder():
    with pytest.raises(MissingFileError) as caught:
        SentenceTransformerEncoder("./no-such-model")
    assert str(caught.value) == (
        "no folder ./no-such-model: give a sentence-transformers folder or a name on the Hub"
    )


def test_folder_without_a_model(tmp_path):
    with pytest.raises(ModelError) as caught:
        SentenceTransformerEncoder(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path} is not a sentence-transformers model: ")
    assert "\n" not in str(caught.value)


def test_models_by_name_alone_have_the_settings_of_their_kind(llama_folder, sentence_folder):
    assert description(load_encoder("tfidf")) == ("tfidf", None, None)
    assert description(load_encoder(llama_folder)) == (str(llama_folder), "none", "mean")
    name = f"sentence-transformers:{sentence_folder}"
    assert description(load_encoder(name)) == (str(sentence_folder), None, None)
