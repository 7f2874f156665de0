"""Back-translations are pairs or are counted as rejected; and a real model with random weights."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import processors

from lastword.errors import MissingExtraError, ModelError, RequestError
from lastword.pairs import make_pairs
from lastword.pairs.generating import Rewriting
from lastword.pairs.translating import BackTranslation, CTranslate2, SequenceToSequence, load_translators
from tests.conftest import _bpe
from tests.pairs.test_make import write
from tests.pairs.test_methods import rows

Refused = Callable[..., str]
TEXTS = ["the river was low", "she sold the house", "nobody rowed in summer", "the boats lay on mud"]


def forth(texts: Sequence[str]) -> list[str | None]:
    return [None if "boats" in text else "" if "house" in text else f"<{text}>" for text in texts]


def back(texts: Sequence[str]) -> list[str | None]:
    return [
        text.strip("<>") if "river" in text else f"well, {text.strip('<>')}, it is said" for text in texts
    ]


def test_a_lost_or_unchanged_text_gives_no_pair(tmp_path: Path) -> None:
    file = write(tmp_path / "texts.txt", TEXTS)
    result = make_pairs(BackTranslation({"de": (forth, back)}), file, tmp_path / "out.parquet")
    assert [(row["anchor"], row["positive"], row["meta"]) for row in rows(result.output)] == [
        (TEXTS[2], "well, nobody rowed in summer, it is said", '{"via": "de"}')
    ]
    assert result.rejected == {"the text itself": 1, "empty answer": 1, "longer than the model's window": 1}


@pytest.mark.slow
def test_every_pivot_gives_pairs(tmp_path: Path) -> None:
    file = write(tmp_path / "texts.txt", TEXTS[2:3])
    translators = {
        "de": (forth, back),
        "fr": (forth, lambda texts: ["in summer nobody went rowing" for _ in texts]),
    }
    result = make_pairs(BackTranslation(translators), file, tmp_path / "out.parquet")
    assert [row["meta"] for row in rows(result.output)] == ['{"via": "de"}', '{"via": "fr"}']


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Marian model as small as they get, with random weights, in both directions."""
    tokenizer = _bpe(["</s>", "<unk>"])
    tokenizer.add_special_tokens(["<pad>"])  # last, as in Marian's own vocabularies
    end = tokenizer.token_to_id("</s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", end)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    config = transformers.MarianConfig(
        vocab_size=len(fast), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
        pad_token_id=tokenizer.token_to_id("<pad>"), eos_token_id=end, forced_eos_token_id=end,
        decoder_start_token_id=tokenizer.token_to_id("<pad>"), num_beams=1,
    )  # fmt: skip
    root = tmp_path_factory.mktemp("marian")
    torch.manual_seed(0)
    for name in ("en-de", "de-en"):
        model = transformers.MarianMTModel(config)
        # As in Marian's own models: <pad> is never generated. CTranslate2 has this built in, transformers has not.
        model.generation_config.bad_words_ids = [[config.pad_token_id]]
        model.save_pretrained(root / name)
        fast.save_pretrained(root / name)
    return root


def test_a_real_model_answers_each_text_by_itself(marian: Path) -> None:
    translate = SequenceToSequence(str(marian / "en-de"), device="cpu")
    together = translate([*TEXTS, "the river was low " * 40])
    assert together[-1] is None, "beyond the window"
    assert together[:-1] == [translate([text])[0] for text in TEXTS]


def test_ctranslate2_gives_the_same_in_full_precision(marian: Path) -> None:
    pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    model = str(marian / "en-de")
    texts = [*TEXTS, "the river was low " * 40]
    plain = SequenceToSequence(model, device="cpu")(texts)
    converted = CTranslate2(model, precision="float32")(texts)
    assert converted[-1] is plain[-1] is None, "beyond the window"
    # The random model never ends its answers: both are truncated, at lengths that differ by a token.
    assert all(str(text).startswith(str(other)) for text, other in zip(converted, plain, strict=True))
    assert CTranslate2(model)([]) == []


def test_engine_and_precision_are_settings(marian: Path) -> None:
    """A resumed run must not mix the translations of two."""
    pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    model = str(marian / "en-de")
    engines = [
        SequenceToSequence(model, device="cpu"), CTranslate2(model), CTranslate2(model, precision="float32"), forth,
    ]  # fmt: skip
    settings = [BackTranslation({"de": (engine, back)}).settings()["translators"]["de"] for engine in engines]
    plain = {"engine": "back", "model": "", "precision": ""}
    assert settings == [
        [{"engine": "SequenceToSequence", "model": model, "precision": "float32"}, plain],
        [{"engine": "CTranslate2", "model": model, "precision": "int8"}, plain],
        [{"engine": "CTranslate2", "model": model, "precision": "float32"}, plain],
        [{"engine": "forth", "model": "", "precision": ""}, plain],
    ]


def test_models_are_found_by_their_languages(marian: Path, refused: Refused, tmp_path: Path) -> None:
    translators = load_translators(["de"], models=str(marian / "{source}-{target}"))
    assert [translator.model for translator in translators["de"]] == [
        str(marian / "en-de"),
        str(marian / "de-en"),
    ]  # type: ignore[attr-defined]
    assert refused(RequestError, load_translators, ["de"], engine="ctranslate") == (
        "unknown engine 'ctranslate': did you mean 'ctranslate2'? Known: transformers, ctranslate2"
    )
    assert refused(RequestError, load_translators, ["en"]) == (
        "pivots='en': give languages other than that of the texts, 'en'"
    )
    assert refused(
        ModelError, load_translators, ["xx"], models=str(tmp_path / "{source}-{target}")
    ).startswith(f"{tmp_path / 'en-xx'} does not load as a translation model: ")


def test_the_language_detector_is_missed_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setitem(sys.modules, "py3langid", None)
    message = "language detection needs py3langid, which is not installed: pip install 'lastword[pairs]'"
    assert (
        refused(MissingExtraError, load_translators, ["de"], models="no/model-{source}-{target}") == message
    )
    assert refused(MissingExtraError, Rewriting, None) == message
