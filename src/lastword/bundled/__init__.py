"""The bundled data and the bundled model.

`topics` and `products` are labelled texts with a development and a test split, `pairs` are sentences
with rewritings, `mini` is the folder of the bundled model. README.md beside this file describes how the
texts were made and what they are for.
"""

from __future__ import annotations

from pathlib import Path

from lastword.errors import MissingFileError, ModelError, RequestError, unknown_name

_FOLDER = Path(__file__).resolve().parent

PATHS: dict[str, Path] = {
    "topics": _FOLDER / "topics.parquet",  # text, label, split
    "products": _FOLDER / "products.parquet",  # text, label, split
    "pairs": _FOLDER / "pairs.parquet",  # anchor, positive, source, subject
    "mini": _FOLDER / "mini",
}
NAMES: tuple[str, ...] = tuple(PATHS)


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
    """What to load a model from: the bundled folder for "mini", any other name or folder as it is."""
    return path_of("mini") if str(name_or_folder) == "mini" else name_or_folder


def check_model(name_or_folder: str | Path) -> None:
    """Refuse what is neither "mini", nor a folder with a model, nor may be a name on the Hub.

    Raises:
        MissingFileError, ModelError: see the message.
    """
    name, folder = str(name_or_folder), Path(model_source(name_or_folder))
    if not folder.exists() and (name.count("/") != 1 or name.startswith((".", "/", "~"))):
        raise MissingFileError(
            f"no model {name!r}: give 'mini', a folder that exists or a Hub name like Qwen/Qwen3-0.6B"
        )
    if folder.exists() and not any(
        (folder / file).is_file() for file in ("config.json", "adapter_config.json")
    ):
        entries = sorted(path.name for path in folder.iterdir())[:8] if folder.is_dir() else ["a file"]
        raise ModelError(
            f"{name} is not a model folder: it has no config.json (found: {', '.join(entries) or 'nothing'})"
        )
