"""Instructions for a language model to rewrite a text."""

from __future__ import annotations

import tomllib
from pathlib import Path

from lastword.errors import MissingFileError, RequestError

FIELD = "{text}"

# Source: arXiv:2507.22729, Table 2; wording as in the paper.
INSTRUCTIONS = {
    "detail": (
        "Rewrite the following sentence with more detail, keeping the original meaning. Respond with only the "
        'rewritten sentence: "{text}"'
    ),
    "simple": (
        'Paraphrase this sentence using simpler language. Respond with only the rewritten sentence: "{text}"'
    ),
    "teacher": (
        "You're a high school teacher. Explain this sentence to your students in your own words. Respond with only "
        'the explanation: "{text}"'
    ),
    "metaphor": (
        "Write a metaphor that expresses the same idea as this sentence. Respond with only the metaphor: "
        '"{text}"'
    ),
    "question": (
        "After reading this sentence, what is a natural question someone might ask? Respond with only the question: "
        '"{text}"'
    ),
}


def read_instructions(path: str | Path) -> dict[str, str]:
    """Read a TOML file of instructions: one line each, name = "… {text} …".

    Raises:
        MissingFileError: no such file.
        RequestError: invalid TOML, or an instruction without `{text}`.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a TOML file of instructions")
    try:
        instructions = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not TOML: {error}") from error
    if not instructions:
        raise RequestError(f'{path} has no instruction: write name = "… {FIELD} …", one a line')
    for name, text in instructions.items():
        if not isinstance(text, str) or text.count(FIELD) != 1:
            raise RequestError(
                f"{path}: {name} must be a string that contains {FIELD} once, where the text goes"
            )
    return {name: str(text) for name, text in instructions.items()}


def fill(instruction: str, text: str) -> str:
    """The instruction with the text in it."""
    return instruction.replace(FIELD, text.strip())
