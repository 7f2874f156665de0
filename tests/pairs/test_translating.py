"""There and back: what returns is a pair, what does not is counted; and a real, if senseless, model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import processors

from lastword.errors import ModelError, RequestError
from lastword.pairs import make_pairs
from lastword.pairs.translating import BackTranslation
from lastword.pairs.translators import CTranslate2, SequenceToSequence, ways_via
from tests.conftest import _bpe
from tests.pairs.test_methods import rows
from tests.pairs.test_stream import write

Refused = Callable[..., str]
TEXTS = ["the river was low", "she sold the house", "nobody rowed in summer", "the boats lay on mud"]


def there(texts: Sequence[str]) -> list[str | None]:
    return [None if "boats" in text else "" if "house" in text else f"<{text}>" for text in texts]


def back(texts: Sequence[str]) -> list[str | None]:
    return [
        text.strip("<>") if "river" in text else f"well, {text.strip('<>')}, it is said" for text in texts
    ]


def test_what_does_not_come_back_is_no_pair(tmp_path: Path) -> None:
    file = write(tmp_path / "texts.txt", TEXTS)
    made = make_pairs(BackTranslation({"de": (there, back)}), file, tmp_path / "out.parquet")
    assert [(row["anchor"], row["positive"], row["meta"]) for row in rows(made.out)] == [
        (TEXTS[2], "well, nobody rowed in summer, it is said", '{"via": "de"}')
    ]
    assert made.rejected == {"the text itself": 1, "empty answer": 1, "longer than the model's window": 1}


def test_every_pivot_gives_pairs(tmp_path: Path) -> None:
    file = write(tmp_path / "texts.txt", TEXTS[2:3])
    ways = {"de": (there, back), "fr": (there, lambda texts: ["in summer nobody went rowing" for _ in texts])}
    made = make_pairs(BackTranslation(ways), file, tmp_path / "out.parquet")
    assert [row["meta"] for row in rows(made.out)] == ['{"via": "de"}', '{"via": "fr"}']


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
        # As in Marian's own models: <pad> is never said. CTranslate2 knows so, transformers must be told.
        model.generation_config.bad_words_ids = [[config.pad_token_id]]
        model.save_pretrained(root / name)
        fast.save_pretrained(root / name)
    return root


def test_a_real_model_answers_each_text_by_itself(marian: Path) -> None:
    translate = SequenceToSequence(str(marian / "en-de"), device="cpu")
    together = translate([*TEXTS, "the river was low " * 40])
    assert together[-1] is None, "beyond the window"
    assert together[:-1] == [translate([text])[0] for text in TEXTS]


def test_ctranslate2_says_the_same_in_full_precision(marian: Path) -> None:
    pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    model = str(marian / "en-de")
    texts = [*TEXTS, "the river was low " * 40]
    plain = SequenceToSequence(model, device="cpu")(texts)
    converted = CTranslate2(model, precision="float32")(texts)
    assert converted[-1] is plain[-1] is None, "beyond the window"
    # The random model never ends: the last token of each text is where it was cut.
    assert all(str(one).startswith(str(other)) for one, other in zip(converted, plain, strict=True))
    assert CTranslate2(model)([]) == []


def test_models_are_found_by_their_languages(marian: Path, refused: Refused, tmp_path: Path) -> None:
    ways = ways_via(["de"], names=str(marian / "{source}-{target}"))
    assert [one.model for one in ways["de"]] == [str(marian / "en-de"), str(marian / "de-en")]  # type: ignore[attr-defined]
    assert refused(RequestError, ways_via, ["de"], engine="ctranslate") == (
        "unknown engine 'ctranslate': did you mean 'ctranslate2'? Known: transformers, ctranslate2"
    )
    assert refused(RequestError, ways_via, ["en"]) == (
        "--via en: give languages other than the texts' own, 'en'"
    )
    assert refused(ModelError, ways_via, ["xx"], names=str(tmp_path / "{source}-{target}")).startswith(
        f"{tmp_path / 'en-xx'} does not load as a translation model: "
    )
