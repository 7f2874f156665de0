"""A chat model from the Hub or a folder, run in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList

from lastword.bundled import NO_CHAT_TEMPLATE, model_source, require_known_weights
from lastword.console import progress
from lastword.embedding.device import torch_device, torch_dtype
from lastword.embedding.gguf import model_arguments, parsed_once, reason, source_arguments
from lastword.errors import ModelError, RequestError, first_line
from lastword.pairs.generating.engine import TRUNCATED, Answer, Prompt


@dataclass
class LocalChat:
    """A model with a chat template.

    A batch has prompts of one length, so nothing is padded and an answer does not depend on the other prompts;
    a sampled answer depends on its own seed alone.

    Attributes:
        model: name or folder.
        max_tokens: longest answer; a truncated one is rejected.
        temperature: 0 always takes the likeliest token.
        batch_prompts: prompts of a batch.
        device: None is the best available.
        dtype: "float32" or "bfloat16"; None is the best precision that the device supports.
    """

    model: str
    max_tokens: int = 256
    temperature: float = 0.7
    batch_prompts: int = 16
    device: str | None = None
    dtype: str | None = None
    _model: Any = field(init=False, repr=False)
    _tokenizer: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Load model and tokenizer, without remote code."""
        device = torch_device(self.device)
        precision = torch_dtype(self.dtype, device)
        try:
            source = model_source(self.model)
            require_known_weights(self.model)
            with parsed_once(source):
                folder, arguments = source_arguments(source)
                self._tokenizer = AutoTokenizer.from_pretrained(folder, **arguments)
                folder, arguments = model_arguments(source)
                self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=precision, **arguments)
        except (OSError, ValueError, IndexError) as error:
            message = reason(self.model, first_line(error))
            raise ModelError(f"{self.model} does not load as a chat model: {message}") from error
        self._model = self._model.to(device).eval()
        if not self._tokenizer.chat_template:
            raise ModelError(NO_CHAT_TEMPLATE.format(model=self.model))
        if self.max_tokens < 1 or self.batch_prompts < 1 or self.temperature < 0:
            raise RequestError(
                f"max_tokens={self.max_tokens}, batch_prompts={self.batch_prompts}, temperature={self.temperature}: "
                "the first two must be at least 1, the last 0 or more"
            )

    def settings(self) -> dict[str, Any]:
        """See `Engine`."""
        return {
            "model": self.model, "temperature": self.temperature, "max_tokens": self.max_tokens,
            "dtype": str(self._model.dtype).removeprefix("torch."),
        }  # fmt: skip

    def answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """See `Engine`; a prompt longer than the model's window is rejected."""
        ids = [self._ids(prompt.text) for prompt in prompts]
        window = getattr(self._model.config, "max_position_embeddings", None) or 4096
        answers: dict[int, Answer] = {
            i: Answer("", f"longer than the model's window of {window} tokens")
            for i, prompt_ids in enumerate(ids)
            if len(prompt_ids) + self.max_tokens > window
        }
        with progress("answers", len(ids) - len(answers)) as advance:
            for rows in self._batches([i for i in range(len(ids)) if i not in answers], ids):
                batch = self._batch([ids[i] for i in rows], [prompts[i].seed for i in rows])
                answers |= zip(rows, batch, strict=True)
                advance(len(rows))
        return [answers[i] for i in range(len(prompts))]

    def _ids(self, prompt: str) -> list[int]:
        message = [{"role": "user", "content": prompt}]
        text = self._tokenizer.apply_chat_template(
            message,
            add_generation_prompt=True,
            tokenize=False,
            enable_thinking=False,  # templates without this option ignore it
        )
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _batches(self, rows: list[int], ids: list[list[int]]) -> Iterator[list[int]]:
        """Rows of one length, at most `batch_prompts` together, longest first."""
        by_length: dict[int, list[int]] = {}
        for row in rows:
            by_length.setdefault(len(ids[row]), []).append(row)
        for length in sorted(by_length, reverse=True):
            same = by_length[length]
            for start in range(0, len(same), self.batch_prompts):
                yield same[start : start + self.batch_prompts]

    @torch.inference_mode()
    def _batch(self, ids: list[list[int]], seeds: list[int]) -> list[Answer]:
        inputs = torch.tensor(ids, device=self._model.device)
        sampling = LogitsProcessorList([_Sampling(seeds, self.temperature)] if self.temperature else [])
        pad = self._tokenizer.pad_token_id
        ends = self._model.generation_config.eos_token_id
        out = self._model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=self.max_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            logits_processor=sampling,
            pad_token_id=pad if pad is not None else self._tokenizer.eos_token_id,
        )[:, inputs.shape[1] :]
        stops = set(ends if isinstance(ends, list) else [ends]) | {self._tokenizer.eos_token_id}
        return [self._answer(row.tolist(), stops) for row in out]

    def _answer(self, ids: list[int], stops: set[int | None]) -> Answer:
        end = next((i for i, token in enumerate(ids) if token in stops), None)
        if end is None and len(ids) >= self.max_tokens:
            return Answer("", TRUNCATED)
        return Answer(self._tokenizer.decode(ids[:end], skip_special_tokens=True))


class _Sampling(LogitsProcessor):
    """Sampling with one random generator for each row.

    The largest of (logits / temperature + Gumbel variates) is a draw from the softmax.

    Source: Gumbel-max, Maddison et al. 2014, arXiv:1411.0030.
    """

    def __init__(self, seeds: list[int], temperature: float) -> None:
        self._temperature = temperature
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        uniform = torch.stack(
            [torch.rand(scores.shape[-1], generator=generator) for generator in self._generators]
        )
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        return scores.float() / self._temperature + gumbel.to(scores.device)
