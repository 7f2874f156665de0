"""Where a model came from, and the model card that a saved folder has as README.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.embedding.spec import EmbedderSpec


@dataclass(frozen=True)
class Provenance:
    """Where a model came from.

    Attributes:
        base: name or folder of the base model.
        revision: its revision on the Hub, if one was asked for.
        base_hash: SHA-256 of its weights.
        adapter: rank, alpha, projections and hash of the merged adapter; None for a base model.
        recipe: the resolved settings of the training run.
        selection: which checkpoint was selected, and by which score.
    """

    base: str
    revision: str | None = None
    base_hash: str | None = None
    adapter: dict[str, Any] | None = None
    recipe: dict[str, Any] | None = None
    selection: dict[str, Any] | None = None


_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, lastword]
{base_model}---
# {title}

A text-embedding model made from the decoder `{base}` with lastword.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder"{arguments})
vectors = model.encode(["first text", "second text"])
```
{alone}
Other libraries: `lastword.Embedder.from_pretrained(folder)`, LangChain `HuggingFaceEmbeddings(model_name=folder)`,
LlamaIndex `HuggingFaceEmbedding(model_name=folder)`, `mteb.evaluate(SentenceTransformer(folder), tasks, cache=None)`;
with transformers alone, pool and scale as below.

| | |
|---|---|
| template (in the tokenizer: do not add it yourself) | `{template}` |
| prompts (sentence-transformers: `encode_query`, `encode_document`) | {prompts} |
| pooling | {pooling} |
| attention | {attention} |
| dimensions | {dim} |
| longest sequence, template included | {max_tokens} tokens |
| vectors scaled to length 1 | {normalize} |
| adapter{merged} | {adapter} |
| selected checkpoint | {selection} |
{training}
`lastword.json` holds every setting and version; `golden.json` holds texts with the vectors that this
folder must give anywhere. Intended use: similarity, clustering, search and few-shot classification
of texts like those it was adapted on. Its limits are those of the base model.
"""


_ALONE = """
This folder holds an adapter without its base model. peft and sentence-transformers load it over the model that
`adapter_config.json` names as `base_model_name_or_path`; where that is a folder of another machine, put yours there.
With peft alone: `PeftModel.from_pretrained(AutoModel.from_pretrained(base, dtype="float32"), folder)`.
"""
_ATTENTION = {
    "causal": "causal",
    "bidirectional": "bidirectional, by `is_causal: false` in config.json: transformers 5.2 or newer reads it; compare "
    "what other programs give with golden.json",
}


def model_card(spec: EmbedderSpec, provenance: Provenance, dim: int, *, adapter_alone: bool = False) -> str:
    """The card for people, with the front matter that the Hub reads; `adapter_alone`: of a folder without weights."""
    adapter, selection = "none", "none (base model)"
    if provenance.adapter:
        adapter = f"LoRA, rank {provenance.adapter.get('rank')}, alpha {provenance.adapter.get('alpha')}"
    if provenance.selection:
        selection = f"step {provenance.selection.get('step')}, by {provenance.selection.get('criterion')}"
    loading = ', model_kwargs={"dtype": "float32"}' if adapter_alone else ""
    loading += (
        ", trust_remote_code=True" if spec.pooling.trainable else ""
    )  # latent_pooling.py is in the folder
    prompts = ", ".join(f"{name}: {prompt!r}" for name, prompt in spec.prompts.items())
    on_hub = re.fullmatch(r"[\w.-]+/[\w.-]+", provenance.base) and not Path(provenance.base).exists()
    return _CARD.format(
        title=f"{provenance.base.rstrip('/').rpartition('/')[2]}, embedding",
        base=provenance.base,
        template=spec.template.text,
        prompts=prompts or "none",
        pooling=spec.pooling.spec,
        arguments=loading,
        alone=_ALONE if adapter_alone else "",
        merged="" if adapter_alone else ", merged into the weights",
        attention=_ATTENTION[spec.attention],
        dim=dim,
        max_tokens=spec.max_tokens,
        normalize="yes" if spec.normalize else "no",
        adapter=adapter,
        selection=selection,
        training="".join(f"| {name} | {value} |\n" for name, value in _training(provenance).items()),
        base_model=f"base_model: {provenance.base}\n" if on_hub else "",
    )


def _training(provenance: Provenance) -> dict[str, str]:
    """Rows about a training run: its pairs, and the development score with the 95 % interval of the gain."""
    rows, selection = {}, provenance.selection or {}
    if pairs := (provenance.recipe or {}).get("pairs"):
        rows["pairs"] = ", ".join(Path(str(file)).name for file in pairs)
    gain = selection.get("gain")
    if gain and None not in (gain["low"], gain["high"]):
        interval = f"{gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
        rows["development score"] = f"{selection['score']:.3f}, gain {interval}"
    return rows
