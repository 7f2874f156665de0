"""Backbones: which models are taken and which are refused, and which hidden state one gets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from lastword.bundled import check_model
from lastword.embedding import Embedder
from lastword.embedding.backbone import Backbone, Norm
from lastword.embedding.device import preferred_dtype
from lastword.embedding.tokens import Batch
from lastword.errors import MissingFileError, ModelError, RequestError
from tests.embedding.reference import hidden

Refused = Callable[..., str]
DECODERS = ["llama", "qwen", "gpt2"]
STRAY = """
from pathlib import Path
from typing import Any
Path(__file__).with_name("executed").touch()
"""


@pytest.fixture(scope="module", params=DECODERS)
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(f"{request.param}_folder")
    return path


@pytest.fixture
def copy(llama_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny Llama, to be damaged."""
    return Path(shutil.copytree(llama_folder, tmp_path / "copy"))


def _load(folder: Path | str, **settings: str) -> Backbone:
    return Backbone.load(folder, **{"dtype": "float32", "device": "cpu", **settings})


def _batch() -> Batch:
    ids = torch.tensor([[5, 17, 99, 3, 250], [7, 8, 9, 0, 0]])
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    return Batch([0, 1], ids, mask, mask, mask.sum(1).tolist())


def test_decoders_are_taken(folder: Path) -> None:
    backbone = _load(folder)
    assert (backbone.layers, backbone.dim, backbone.positions) == (2, 32, 128)
    assert backbone.name == str(folder)
    assert backbone.dtype == torch.float32
    assert backbone.device == torch.device("cpu")
    assert not backbone.model.training
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())


def test_loading_says_nothing(llama_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The head, which the folder has and a backbone leaves out, is nothing to report."""
    transformers.logging.set_verbosity_warning()
    _load(llama_folder)
    assert caplog.messages == []
    assert transformers.logging.get_verbosity() == transformers.logging.WARNING


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("layer", [0, 1, 2, None])
def test_layers_and_norms(folder: Path, layer: int | None, norm: Norm) -> None:
    """As the model's own hidden states have it; its final norm is taken out for the last one before it."""
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    name = "ln_f" if hasattr(model, "ln_f") else "norm"
    final_norm = getattr(model, name)
    setattr(model, name, nn.Identity())
    batch = _batch()
    with torch.no_grad():
        states = model(batch.input_ids, attention_mask=batch.attention_mask.long(), output_hidden_states=True)
        expected = states.hidden_states[-1 if layer is None else layer]
        expected = final_norm(expected) if norm == "post" else expected
        states = hidden(_load(folder), batch, layer, norm)
    mask = batch.attention_mask
    assert states.shape == (2, 5, 32)
    torch.testing.assert_close(states[mask], expected[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_last_token_alone(folder: Path, norm: Norm) -> None:
    backbone, batch = _load(folder), _batch()
    with torch.no_grad():
        states, last = hidden(backbone, batch, norm=norm), backbone.last(batch, norm)
    torch.testing.assert_close(last, torch.stack([states[0, 4], states[1, 2]]), atol=1e-5, rtol=1e-5)


def test_a_model_that_names_no_longest_sequence() -> None:
    config = transformers.BloomConfig(hidden_size=32, n_layer=1, n_head=4, vocab_size=300)
    assert Backbone(transformers.BloomModel(config), "bloom").positions == 512


def test_norms_and_layers_differ(folder: Path) -> None:
    backbone, batch = _load(folder), _batch()
    states = [hidden(backbone, batch, layer, norm) for layer in range(3) for norm in ("post", "pre")]
    for i, one in enumerate(states):
        assert all((one - other).abs().max() > 0.05 for other in states[:i])


def test_model_without_a_final_norm(tmp_path: Path, refused: Refused) -> None:
    config = transformers.OPTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=48,
        vocab_size=60,
        word_embed_proj_dim=32,
        do_layer_norm_before=False,
    )
    transformers.OPTModel(config).save_pretrained(tmp_path)
    backbone = _load(tmp_path)
    batch = Batch([0], torch.tensor([[3, 4]]), torch.ones(1, 2).bool(), torch.ones(1, 2).bool(), [2])
    assert hidden(backbone, batch).shape == (1, 2, 32)
    assert refused(ModelError, hidden, backbone, batch, norm="pre") == (
        f"{tmp_path}: no norm gives the last hidden state: use norm='post' and the last layer"
    )


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_later_tokens_change_nothing(folder: Path, norm: Norm) -> None:
    """What suffixes and appended tokens rely on."""
    backbone, batch = _load(folder), _batch()
    long = hidden(backbone, batch, norm=norm)[0, :3]
    ones = torch.ones(1, 3, dtype=torch.bool)
    short = hidden(backbone, Batch([0], batch.input_ids[:1, :3], ones, ones, [3]), norm=norm)[0]
    torch.testing.assert_close(short, long, atol=1e-5, rtol=1e-5)


def test_encoder_is_refused(bert_folder: Path, refused: Refused) -> None:
    assert refused(ModelError, _load, bert_folder) == (
        f"{bert_folder} (bert) lets tokens see later ones: lastword needs a decoder, such as Qwen/Qwen3-0.6B; "
        "for this model use sentence-transformers"
    )


def test_encoder_decoder_is_refused_by_its_configuration(t5_folder: Path, refused: Refused) -> None:
    assert [path.name for path in t5_folder.iterdir()] == ["config.json"]
    assert refused(ModelError, _load, t5_folder) == (
        f"{t5_folder} (t5) is an encoder-decoder: lastword needs a decoder-only model"
    )


def test_folder_without_configuration(tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert refused(ModelError, _load, folder) == (
        f"{folder} is not a model folder: it has no config.json and no GGUF file (found: nothing)"
    )
    for name in ("b.txt", "a.bin"):
        (folder / name).touch()
    assert refused(ModelError, _load, folder) == (
        f"{folder} is not a model folder: it has no config.json and no GGUF file (found: a.bin, b.txt)"
    )
    assert refused(ModelError, _load, folder / "a.bin") == (
        f"{folder / 'a.bin'} is not a model: it is neither a GGUF file nor a folder"
    )


@pytest.mark.parametrize("name", ["./none", "~/none", "none", "a/b/c", "/none/at/all"])
def test_missing_path(refused: Refused, name: str) -> None:
    assert refused(MissingFileError, _load, name) == (
        f"no model {name!r}: give 'mini', 'smollm2', 'smollm2-adapted', a folder or GGUF file that exists, or a "
        "Hub name like Qwen/Qwen3-0.6B"
    )


@pytest.mark.parametrize("name", ["hub:x/y", "http://x/v1", "", "a b/c"])
def test_what_is_no_name_on_the_hub_is_refused_at_once(refused: Refused, name: str) -> None:
    for call in (check_model, Embedder.from_pretrained):
        assert refused(MissingFileError, call, name).startswith(f"no model {name!r}: give 'mini', ")


@pytest.mark.parametrize("name", ["Mini", "mini ", "minni", "smollm", "SmolLM-2"])
def test_the_most_similar_name(refused: Refused, name: str) -> None:
    meant = "smollm2" if "smol" in name.lower() else "mini"
    for call in (check_model, Embedder.from_pretrained):
        assert refused(MissingFileError, call, name).startswith(
            f"no model {name!r}: did you mean {meant!r}? Give 'mini', "
        )


@pytest.mark.parametrize("name", ["tfidf", "sparse:mini", "hybrid:a/b", "sentence-transformers:a/b"])
def test_where_a_decoder_is_needed(refused: Refused, name: str) -> None:
    for call in (check_model, Embedder.from_pretrained):
        assert refused(MissingFileError, call, name).startswith(
            f"no model {name!r}: a decoder is needed here: give 'mini', "
        )
    assert refused(MissingFileError, check_model, 3) == "model 3: give a name or a folder"


def test_hub_name_without_a_network(refused: Refused) -> None:
    message = refused(ModelError, _load, "nobody/no-such-model")
    assert message.startswith("no model 'nobody/no-such-model': ")
    assert "\n" not in message


def test_remote_code_is_refused(copy: Path, refused: Refused) -> None:
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.OwnModel"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "own.py").write_text(STRAY)
    message = refused(ModelError, _load, copy)
    assert message == f"{copy} needs code of its own to load; lastword runs no remote code"
    assert not (copy / "executed").exists()


def test_known_model_loads_without_the_code_that_lies_beside_it(copy: Path, llama_folder: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.Own", "AutoModel": "own.OwnModel"}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "own.py").write_text(STRAY)
    torch.testing.assert_close(hidden(_load(copy), _batch()), hidden(_load(llama_folder), _batch()))
    assert not (copy / "executed").exists()


def test_pickled_weights_are_not_loaded(copy: Path, refused: Refused) -> None:
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    message = refused(ModelError, _load, copy)
    assert message.startswith(f"{copy} does not load as a model: Error no file named model.safetensors")


def test_damaged_weights(copy: Path, refused: Refused) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    message = refused(ModelError, _load, copy)
    assert message.startswith(f"{copy} does not load as a model: ")
    assert "\n" not in message


def test_missing_weights_are_not_made_up(copy: Path, refused: Refused) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"], weights["model.norm.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert refused(ModelError, _load, copy) == (
        f"{copy} lacks 2 of its weights, layers.1.mlp.up_proj.weight first: download it again"
    )


@pytest.mark.parametrize("config", ["{", "{}", '{"model_type": "nonsense"}'])
def test_damaged_configuration(copy: Path, refused: Refused, config: str) -> None:
    (copy / "config.json").write_text(config)
    message = refused(ModelError, _load, copy)
    assert message.startswith(f"no model {str(copy)!r}: ")
    assert "\n" not in message


def test_dtypes(llama_folder: Path, refused: Refused) -> None:
    assert _load(llama_folder, dtype="bfloat16").dtype == torch.bfloat16
    assert Backbone.load(llama_folder, device="cpu").dtype == preferred_dtype(torch.device("cpu"))
    assert refused(RequestError, _load, llama_folder, dtype="float16") == (
        "unknown dtype 'float16': did you mean 'bfloat16'? Known: float32, bfloat16"
    )


def test_unknown_device(llama_folder: Path, refused: Refused) -> None:
    message = refused(RequestError, _load, llama_folder, device="gpu")
    assert message.startswith("no device 'gpu' here: Expected one of cpu, cuda")
    assert message.endswith("; use cpu, cuda, cuda:1 or mps")


NO_SDPA = {
    "gemma2": lambda: transformers.Gemma2Config(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=64,
    ),
    "gpt_oss": lambda: transformers.GptOssConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=64, num_local_experts=2, num_experts_per_tok=1,
    ),
    "gpt_neo": lambda: transformers.GPTNeoConfig(
        vocab_size=300, hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]],
        max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("config", NO_SDPA.values(), ids=NO_SDPA.keys())
def test_models_without_sdpa_take_what_they_have(config: Callable[[], Any], tmp_path: Path) -> None:
    transformers.AutoModelForCausalLM.from_config(config()).save_pretrained(tmp_path)
    backbone = _load(tmp_path)
    assert (backbone.implementation, backbone.causal) == ("eager", True)
    assert hidden(backbone, _batch()).isfinite().all()


@pytest.mark.parametrize("wanted", ["flash_attention_2", "eager", "nobody/some-kernel"])
def test_an_attention_implementation_that_the_configuration_asks_for_is_not_needed(
    copy: Path, llama_folder: Path, wanted: str
) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "attn_implementation": wanted}))
    backbone = _load(copy)
    assert (backbone.implementation, backbone.path) == ("sdpa", "fused")
    torch.testing.assert_close(hidden(backbone, _batch()), hidden(_load(llama_folder), _batch()))


POSITIONS = {
    "max_seq_len": lambda: transformers.MptConfig(d_model=32, n_heads=4, n_layers=1, max_seq_len=24, vocab_size=300),
    "n_positions": lambda: transformers.GPT2Config(
        n_embd=32, n_layer=1, n_head=4, n_positions=24, vocab_size=300, bos_token_id=0, eos_token_id=0
    ),
    "context_length": lambda: transformers.RwkvConfig(
        hidden_size=32, num_hidden_layers=2, context_length=24, vocab_size=300
    ),
    "max_position_embeddings": lambda: transformers.PhiConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4, vocab_size=300,
        max_position_embeddings=24,
    ),
}  # fmt: skip


@pytest.mark.parametrize("config", POSITIONS.values(), ids=POSITIONS.keys())
def test_positions_by_the_name_that_the_model_has_for_them(config: Callable[[], Any]) -> None:
    model = transformers.AutoModel.from_config(config())
    assert Backbone(model, "tiny").positions == 24


def test_shapes_that_the_configuration_contradicts(copy: Path, refused: Refused) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    assert refused(ModelError, _load, copy) == (
        f"{copy} does not load as a model: its weights have other shapes than its configuration says"
    )


@pytest.mark.parametrize("error", [RuntimeError("sizes\nmore"), TypeError("sizes"), KeyError("sizes")])
def test_a_model_whose_own_forward_fails_is_refused(
    llama_folder: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(transformers.LlamaModel, "forward", fail)
    assert (
        refused(ModelError, _load, llama_folder).strip("'").replace("'", "")
        == f"{llama_folder} does not run: sizes"
    )


FINAL_NORMS = {
    "norm_f": lambda: transformers.MptConfig(d_model=32, n_heads=4, n_layers=2, max_seq_len=24, vocab_size=300),
    "layer_norm": lambda: transformers.BioGptConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=300,
        max_position_embeddings=24,
    ),
    "final_norm": lambda: transformers.ModernBertDecoderConfig(  # its embeddings have a `norm`
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=300,
        max_position_embeddings=24, pad_token_id=0, bos_token_id=0, eos_token_id=1,
    ),
    "ln_out": lambda: transformers.RwkvConfig(hidden_size=32, num_hidden_layers=2, context_length=24, vocab_size=300),
}  # fmt: skip


@pytest.mark.parametrize("name", FINAL_NORMS)
def test_the_final_norm_whatever_it_is_called(name: str) -> None:
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(FINAL_NORMS[name]())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    backbone = Backbone(model, name)
    assert backbone.stock.final_norm is getattr(model, name)
    batch = Batch([0], torch.tensor([[3, 4, 5]]), torch.ones(1, 3).bool(), torch.ones(1, 3).bool(), [3])
    lower, before = hidden(backbone, batch, 1), hidden(backbone, batch, 1, "pre")
    torch.testing.assert_close(lower, getattr(model, name)(before))


@pytest.mark.parametrize(
    ("config", "dim"),
    [
        (
            transformers.OPTConfig(
                hidden_size=32, word_embed_proj_dim=16, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4,
                vocab_size=300, max_position_embeddings=32,
            ),
            16,
        ),
        (
            transformers.ReformerConfig(
                hidden_size=32, feed_forward_size=48, num_attention_heads=4, attention_head_size=8, vocab_size=300,
                max_position_embeddings=128, is_decoder=True, axial_pos_embds=False, attn_layers=["local", "local"],
            ),
            64,
        ),
    ],
    ids=["opt-350m", "reformer"],
)  # fmt: skip
def test_vectors_are_as_wide_as_the_last_hidden_state(config: Any, dim: int, refused: Refused) -> None:
    backbone = Backbone(transformers.AutoModel.from_config(config), "projected")
    assert backbone.dim == dim
    batch = Batch([0], torch.tensor([[3, 4, 5]]), torch.ones(1, 3).bool(), torch.ones(1, 3).bool(), [3])
    assert hidden(backbone, batch).shape == (1, 3, dim)
    assert refused(ModelError, hidden, backbone, batch, 1) == (
        f"projected: a state of layer 1 is 32 numbers, not {dim}: use the last layer"
    )
