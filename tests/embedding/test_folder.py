"""The saved folder: loads without lastword, gives the same vectors, and is written whole or not at all."""

from __future__ import annotations

import importlib.metadata
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from lastword.embedding import Embedder, EmbedderSpec
from lastword.embedding import folder as folder_module
from lastword.embedding.card import Provenance
from lastword.embedding.folder import Stored, read, require_savable, run_recipe, write_description
from lastword.embedding.standard import StandardFolder
from lastword.errors import ExistingOutputError, ModelError, ParityError, RequestError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
FILES = {
    "1_Pooling", "2_Normalize", "README.md", "config.json", "config_sentence_transformers.json", "golden.json",
    "lastword.json", "model.safetensors", "modules.json", "sentence_bert_config.json", "tokenizer.json",
    "tokenizer_config.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def embedder(load: Load) -> Embedder:
    return load(template="ccw", pooling="lasttoken")


@pytest.fixture(scope="module")
def saved(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedder.save(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture
def described(embedder: Embedder, tmp_path: Path) -> Path:
    """All of the folder but weights and golden vectors."""
    (tmp_path / "described").mkdir()
    write_description(embedder.pipeline, embedder.provenance, tmp_path / "described")
    return tmp_path / "described"


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_files(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == FILES
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_lastword_json(described: Path, embedder: Embedder, llama_folder: Path) -> None:
    packages = ["torch", "transformers", "tokenizers", "peft", "sentence-transformers"]
    assert _json(described / "lastword.json") == {
        "lastword": importlib.metadata.version("lastword"),
        "template": {
            "name": "ccw",
            "prefix": 'This sentence: "',
            "suffix": '" belongs to the following cluster:',
            "bos": None,
            "eos": False,
            "boundary": "ids",
        },
        "prefix_ids": list(embedder.pipeline.compiled.prefix_ids),
        "suffix_ids": list(embedder.pipeline.compiled.suffix_ids),
        "bos": True,
        "pooling": "lasttoken",
        "layer": 2,
        "norm": "post",
        "normalize": True,
        "max_tokens": 127,
        "prompts": {},
        "attention": "causal",
        "base": str(llama_folder),
        "revision": None,
        "base_hash": None,
        "adapter": None,
        "recipe": None,
        "selection": None,
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "golden": "golden.json",
    }


def test_modules_in_both_spellings(described: Path) -> None:
    kinds = [
        (module["path"], module["type"].rpartition(".")[2]) for module in _json(described / "modules.json")
    ]
    assert kinds == [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    pooling = _json(described / "1_Pooling" / "config.json")
    assert pooling["pooling_mode"] == "lasttoken"
    assert pooling["embedding_dimension"] == pooling["word_embedding_dimension"] == 32
    flags = {name: value for name, value in pooling.items() if isinstance(value, bool)}
    assert flags.pop("include_prompt") is True
    assert flags.pop("pooling_mode_lasttoken") is True
    assert not any(flags.values())
    assert {"pooling_mode_cls_token", "pooling_mode_mean_tokens"} < set(flags)
    assert _json(described / "sentence_bert_config.json") == {"max_seq_length": 127, "do_lower_case": False}


def test_tokenizer_settings(described: Path) -> None:
    assert _json(described / "tokenizer_config.json") == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 127,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }


def test_the_template_is_two_special_tokens_of_the_post_processor(
    described: Path, embedder: Embedder
) -> None:
    special = _json(described / "tokenizer.json")["post_processor"]["special_tokens"]
    assert {name: token["ids"] for name, token in special.items()} == {
        "<template_prefix>": list(embedder.pipeline.compiled.prefix_ids),
        "<template_suffix>": list(embedder.pipeline.compiled.suffix_ids),
    }


def test_what_is_read_is_what_was_written(described: Path, embedder: Embedder) -> None:
    spec = embedder.spec.changed(max_tokens=127)
    assert read(described) == Stored(spec, embedder.provenance)


def test_a_folder_of_sentence_transformers_is_read_at_its_revision(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_standard(name: str, revision: str | None = None) -> StandardFolder | None:
        return (
            StandardFolder(embedder.spec, {"pooling": "reason"})
            if (name, revision) == ("a/b", "v1")
            else None
        )

    monkeypatch.setattr(folder_module, "stored_file", lambda *_: None)
    monkeypatch.setattr(folder_module, "read_standard", read_standard)
    assert read("a/b", "v1") == Stored(embedder.spec, Provenance("a/b", "v1"), {"pooling": "reason"})
    assert read("a/b") is None


def test_what_no_argument_replaces_is_refused(embedder: Embedder, refused: Refused) -> None:
    stored = Stored(embedder.spec, embedder.provenance, {"pooling": "it sums", "": "it has a dense layer"})
    begin = "model is a sentence-transformers model that lastword cannot reproduce: "
    end = "name it sentence-transformers:model where that is allowed"
    assert refused(ModelError, stored.require_supported, "model", {"pooling": None}) == (
        f"{begin}it sums; pass pooling=… to replace that, or {end}"
    )
    assert refused(ModelError, stored.require_supported, "model", {"pooling": "mean"}) == (
        f"{begin}it has a dense layer; {end}"
    )


def test_what_a_folder_cannot_express_is_refused_before_a_training_run(
    embedder: Embedder, load: Load, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = refused(RequestError, require_savable, load(norm="pre").pipeline)
    assert message == "a standard model folder cannot express norm='pre'; use norm='post'"
    seen = []

    def compare(folder: Path, pipeline: object) -> None:
        seen.append(({path.name for path in folder.iterdir()}, pipeline))

    monkeypatch.setattr(folder_module, "require_equal_ids", compare)
    require_savable(embedder.pipeline)
    assert seen == [({"config.json", "tokenizer.json", "tokenizer_config.json"}, embedder.pipeline)]


def test_a_model_is_written_and_then_uploaded(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class Hub:
        def __init__(self, token: str | None) -> None:
            calls.append(token)

        def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
            calls.append((repo_id, private, exist_ok))

        def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> Path:
            calls.append((repo_id, folder_path.name, commit_message))
            return Path("address")

    def write(*arguments: Any, **settings: Any) -> Path:
        pipeline, provenance, folder, encode = arguments
        assert (pipeline, provenance, encode) == (embedder.pipeline, embedder.provenance, embedder.encode)
        calls.append(settings)
        assert folder.parent.is_dir()
        return Path(folder)

    monkeypatch.setattr(folder_module, "HfApi", Hub)
    monkeypatch.setattr(folder_module, "write", write)
    assert embedder.push_to_hub("someone/model", private=True, token="secret") == "address"
    assert calls == [
        "secret",
        ("someone/model", True, True),
        {"overwrite": False, "dtype": "float32"},
        ("someone/model", "model", "Add lastword embedding model"),
    ]


@pytest.mark.parametrize("reader", ["tokenizers", "transformers"])
def test_truncation_keeps_the_template(described: Path, embedder: Embedder, reader: str) -> None:
    long = "goes on and on, " * 100
    if reader == "tokenizers":
        backend = Tokenizer.from_file(str(described / "tokenizer.json"))
        backend.enable_truncation(max_length=24)
        ids = backend.encode(long).ids
    else:
        ids = AutoTokenizer.from_pretrained(described)(long, truncation=True, max_length=24)["input_ids"]
    prefix, suffix = embedder.pipeline.compiled.prefix_ids, embedder.pipeline.compiled.suffix_ids
    text = embedder.pipeline.tokenizer.text_ids([long])[0]
    assert ids == [*prefix, *text[: 24 - len(prefix) - len(suffix)], *suffix]


def test_writing_says_nothing_about_its_own_texts(
    embedder: Embedder, tmp_path: Path, said: list[str]
) -> None:
    embedder.save(tmp_path / "model")
    assert said == []


def test_card(described: Path) -> None:
    card = (described / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: sentence-transformers\n")
    assert '`This sentence: "{text}" belongs to the following cluster:`' in card
    assert "# tiny-llama, embedding" in card
    assert "| dimensions | 32 |" in card


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"pooling": "mean:text"}, "pooling 'mean:text' (over the text alone); use 'mean'"),
        ({"pooling": "max+mean:text"}, "pooling 'max+mean:text' (over the text alone); use 'max+mean'"),
        ({"pooling": "max+mean:2layers"}, "pooling 'max+mean:2layers' (a mean of layers); use one layer"),
        ({"pooling": "mean:ditto"}, "pooling 'mean:ditto' (weights from attention); use 'mean'"),
        ({"pooling": "mean+max"}, "pooling 'mean+max' in this order; use 'max+mean'"),
        (
            {"pooling": "mean+eos"},
            "pooling 'mean+eos': its other parts would see the end-of-text token that eos needs; "
            "use lasttoken instead of eos",
        ),
        ({"norm": "pre"}, "norm='pre'; use norm='post'"),
        ({"boundary": "string"}, "boundary='string'; use boundary='ids'"),
    ],
)
def test_what_a_standard_folder_cannot_express(
    load: Load, refused: Refused, tmp_path: Path, settings: dict[str, Any], problem: str
) -> None:
    message = refused(RequestError, load(**settings).save, tmp_path / "model")
    assert message == f"a standard model folder cannot express {problem}"
    assert list(tmp_path.iterdir()) == []


def test_existing_output_is_refused_unless_told(
    embedder: Embedder, load: Load, refused: Refused, tmp_path: Path
) -> None:
    folder = embedder.save(tmp_path / "model")
    (folder / "mine.txt").touch()
    other = load(template="sum")
    assert refused(ExistingOutputError, other.save, folder) == (
        f"{folder} exists: choose another path or pass overwrite=True"
    )
    assert (folder / "mine.txt").exists()
    assert other.save(folder, overwrite=True) == folder
    assert load(folder).spec.template == other.spec.template
    assert {path.name for path in folder.iterdir()} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("target", [".", ".."])
def test_the_folder_that_one_works_in_is_not_replaced(
    embedder: Embedder, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.txt").touch()
    monkeypatch.chdir(tmp_path / "work")
    assert "the current folder is inside it" in refused(RequestError, embedder.save, target, overwrite=True)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_replaced_only_when_told(
    embedder: Embedder, refused: Refused, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    path.write_text("precious")
    refused(ExistingOutputError, embedder.save, path)
    assert path.read_text() == "precious"
    embedder.save(path, overwrite=True)
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
    assert path.is_dir()


@contextmanager
def _full_disk(limit: int) -> Iterator[None]:
    """No file may grow beyond the limit, in bytes: a write fails as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nothing_is_left_behind_when_the_disk_is_full(embedder: Embedder, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "model"
    with _full_disk(16_000), pytest.raises(Exception, match=r"File too large|os error 27"):
        embedder.save(folder)
    assert list(folder.parent.iterdir()) == []
    embedder.save(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with _full_disk(16_000), pytest.raises(Exception, match=r"File too large|os error 27"):
        embedder.save(folder, overwrite=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_folder_that_disagrees_with_the_model_is_not_left(
    load: Load, refused: Refused, tmp_path: Path
) -> None:
    """What a hook does to the states is in no weight, so that no folder can hold it."""
    embedder = load(template="ccw", pooling="lasttoken")
    embedder.backbone.model.layers[0].register_forward_hook(lambda module, args, output: output * 1.5)
    message = refused(ParityError, embedder.save, tmp_path / "model")
    assert message.startswith("the written folder disagrees with the model in memory: smallest cosine 0.9")
    assert list(tmp_path.iterdir()) == []


def test_damaged_lastword_json(load: Load, saved: Path, refused: Refused, tmp_path: Path) -> None:
    folder = shutil.copytree(saved, tmp_path / "model")
    for content in ("{", "{}", "[]", '{"template": 1}'):
        (folder / "lastword.json").write_text(content)
        message = refused(ModelError, load, folder)
        assert message.startswith(f"{folder / 'lastword.json'} is damaged or from another version: ")


def test_only_folders_of_checkpoints_have_a_recipe(tmp_path: Path, refused: Callable[..., str]) -> None:
    for name in ("step-000001", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
    assert run_recipe(tmp_path / "step-000001") is None
    (tmp_path / "recipe.json").write_text('{"model": "mini", "template": "eol", "pooling": "mean"}')
    assert (run_recipe(tmp_path / "step-000001") or {})["template"] == "eol"
    assert run_recipe(tmp_path / "other") is None
    (tmp_path / "recipe.json").write_text('{"model": "mini"}')
    assert refused(ModelError, run_recipe, tmp_path / "step-000001").startswith(
        f"{tmp_path / 'recipe.json'} is damaged"
    )


def test_a_checkpoint_says_how_its_run_embeds(tmp_path: Path) -> None:
    step = tmp_path / "out" / "training" / "step-000002"
    step.mkdir(parents=True)
    (step / "adapter_config.json").write_text("{}")
    recipe = {"model": "base", "template": "eol", "pooling": "max", "layer": 3, "attention": "bidirectional"}
    (step.parent / "recipe.json").write_text(json.dumps(recipe))
    stored = read(step)
    assert stored is not None
    spec = EmbedderSpec().changed(template="eol", pooling="max", layer=3, attention="bidirectional")
    assert (stored.spec, stored.provenance) == (spec, Provenance("base", recipe=recipe))
    assert stored.latent == "latent_pooling"
    finished = spec.changed(template="examples {text}", max_tokens=77)
    facts = asdict(Provenance("first", "r", "h", {"rank": 4}, recipe, {"step": 4}))
    (tmp_path / "out" / "lastword.json").write_text(json.dumps({**finished.to_dict(), **facts}))
    stored = read(step)
    assert stored is not None
    assert (stored.spec, stored.provenance) == (finished, Provenance("first", "r", "h", recipe=recipe))
    (step.parent / "recipe.json").write_text(json.dumps({**recipe, "pooling": "cls"}))
    other = read(step)
    assert other is not None
    assert (other.spec.template.name, other.spec.pooling.spec) == ("eol", "cls"), (
        "the folder is of another run"
    )
