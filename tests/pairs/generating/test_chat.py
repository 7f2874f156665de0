"""A tiny real chat model: answers do not depend on other prompts, and a killed run resumes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers

from lastword.errors import ModelError, RequestError
from lastword.pairs import make_pairs
from lastword.pairs.generating import Rewriting
from lastword.pairs.generating.chat import LocalChat
from lastword.pairs.generating.engine import Prompt
from tests.pairs.test_make import write

Refused = Callable[..., str]
TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}: {{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
INSTRUCTIONS = {"say": "say it: {text}"}


@pytest.fixture(scope="module")
def chat_folder(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama with a chat template; many of its tokens end an answer, so that answers are short."""
    folder = tmp_path_factory.mktemp("chat") / "tiny-chat"
    shutil.copytree(llama_folder, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    ends = [tokenizer.eos_token_id, *range(300, 330)]
    transformers.GenerationConfig(eos_token_id=ends).save_pretrained(folder)
    return folder


def chat(folder: Path, **settings: object) -> LocalChat:
    return LocalChat(str(folder), **{"max_tokens": 40, "device": "cpu", "dtype": "float32", **settings})  # type: ignore[arg-type]


def prompts(count: int) -> list[Prompt]:
    return [Prompt(f"the river {'was low and ' * (i % 3)}number {i}", i) for i in range(count)]


def test_the_prompt_ends_where_the_answer_begins(chat_folder: Path) -> None:
    engine = chat(chat_folder)
    prompt = engine._tokenizer.decode(engine._ids("the river"))
    assert prompt.replace(" ", "").endswith("<s>assistant:")
    assert prompt.count("<s>") == 2, "no second begin-of-text token"


def test_thinking_is_switched_off(chat_folder: Path) -> None:
    """As in Qwen3's template: by default it thinks, and would spend all its tokens on that."""
    engine = chat(chat_folder)
    engine._tokenizer.chat_template = TEMPLATE.replace(
        "assistant: ",
        "assistant: {% if enable_thinking is defined and enable_thinking is false %}no thought{% endif %}",
    )
    assert engine._tokenizer.decode(engine._ids("the river")).replace(" ", "").endswith("nothought")


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_answers_do_not_depend_on_other_prompts(chat_folder: Path, temperature: float) -> None:
    together = chat(chat_folder, temperature=temperature).answers(prompts(12))
    alone = [
        chat(chat_folder, temperature=temperature, batch_prompts=1).answers([prompt])[0]
        for prompt in prompts(12)
    ]
    assert together == alone
    assert sum(not answer.problem for answer in together) >= 6


def test_a_sampled_answer_follows_its_seed(chat_folder: Path) -> None:
    engine = chat(chat_folder, temperature=1.0)
    text = "the river was low"
    first, again, other = (engine.answers([Prompt(text, seed)])[0] for seed in (1, 1, 2))
    assert first == again != other


def test_draws_follow_the_softmax(chat_folder: Path) -> None:
    """The first token over many seeds comes as often as its probability says."""
    import torch

    engine = chat(chat_folder, temperature=0.8, max_tokens=1, batch_prompts=256)
    ids = torch.tensor([engine._ids("the river")])
    with torch.no_grad():
        expected = (engine._model(ids).logits[0, -1].float() / 0.8).softmax(-1)
    count, seen = 4096, torch.zeros_like(expected)
    for start in range(0, count, 256):
        from lastword.pairs.generating.chat import _Sampling

        sampling = _Sampling(list(range(start, start + 256)), 0.8)
        scores = expected.log().mul(0.8).expand(256, -1)
        for token in sampling(ids, scores).argmax(-1).tolist():
            seen[token] += 1 / count
    top = expected.topk(5).indices
    assert torch.allclose(seen[top], expected[top], atol=0.03)


def test_long_prompts_and_long_answers_are_rejected(chat_folder: Path) -> None:
    engine = chat(chat_folder, max_tokens=100)
    (answer,) = engine.answers([Prompt("the river was low " * 60, 0)])
    assert answer.problem == "longer than the model's window of 128 tokens"
    (short,) = chat(chat_folder, max_tokens=1, temperature=0.0).answers([Prompt("the river", 0)])
    assert short.problem in ("answer truncated at the token limit", "")


def test_models_that_cannot_chat(llama_folder: Path, tmp_path: Path, refused: Refused) -> None:
    assert refused(ModelError, LocalChat, str(llama_folder)) == (
        f"{llama_folder} has no chat template: give an instruction-tuned model such as smollm2 or Qwen/Qwen3-0.6B"
    )
    assert refused(ModelError, LocalChat, "mini").startswith("mini has no chat template: ")
    assert refused(ModelError, LocalChat, str(tmp_path / "none")).startswith(
        f"{tmp_path / 'none'} does not load as a chat model: "
    )


def test_the_precision_is_a_setting(chat_folder: Path) -> None:
    """A resumed run must not mix the answers of two."""
    assert (
        chat(chat_folder).settings()["dtype"]
        == chat(chat_folder, dtype=None).settings()["dtype"]
        == "float32"
    )
    assert chat(chat_folder, dtype="bfloat16").settings()["dtype"] == "bfloat16"


def test_invalid_settings(chat_folder: Path, refused: Refused) -> None:
    assert "temperature=-1" in refused(RequestError, chat, chat_folder, temperature=-1)


@pytest.mark.slow
def test_a_killed_run_resumes(chat_folder: Path, tmp_path: Path) -> None:
    """kill -9 while the model writes, and the file of the uninterrupted run."""
    file = write(tmp_path / "texts.txt", [f"the river number {i} was low" for i in range(600)])
    toml = tmp_path / "instructions.toml"
    toml.write_text('say = "say it: {text}"\n')
    out, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    command = [sys.executable, "-m", "lastword", "pairs", "generate", str(file), "--model", str(chat_folder),
               "--max-tokens", "40", "--instructions", str(toml), "--output", str(out)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(partial.glob("part-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    subprocess.run([*command, "--resume"], check=True, stderr=subprocess.DEVNULL)
    engine = LocalChat(str(chat_folder), max_tokens=40)
    whole = make_pairs(Rewriting(engine, instructions=INSTRUCTIONS), file, tmp_path / "whole.jsonl")
    assert out.read_bytes() == whole.output.read_bytes()
