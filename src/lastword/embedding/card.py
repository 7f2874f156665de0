"""The model card that lies in a saved folder as README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastword.embedding.embedder import Embedder

_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, lastword]
---
# {title}

A text-embedding model made from the decoder `{base}` with lastword.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
vectors = model.encode(["first text", "second text"])
```

| | |
|---|---|
| template (in the tokenizer: do not add it yourself) | `{template}` |
| pooling | {pooling} |
| dimensions | {dim} |
| longest sequence, template included | {max_tokens} tokens |
| vectors scaled to length 1 | {normalize} |
| adapter, merged into the weights | {adapter} |
| checkpoint kept | {selection} |

`lastword.json` holds every setting and version; `golden.json` holds texts with the vectors that this
folder must give anywhere. Intended use: similarity, clustering, search and few-shot classification
of texts like those it was adapted on. Its limits are those of the base model.
"""


def model_card(embedder: Embedder) -> str:
    """Describe the embedder for people, with the front matter that the Hub reads."""
    facts = embedder.facts
    adapter = "none"
    if facts.adapter:
        adapter = f"LoRA, rank {facts.adapter.get('rank')}, alpha {facts.adapter.get('alpha')}"
    selection = "none (base model)"
    if facts.selection:
        selection = f"step {facts.selection.get('step')}, by {facts.selection.get('criterion')}"
    return _CARD.format(
        title=f"{facts.base.rstrip('/').rpartition('/')[2]}, embedding",
        base=facts.base,
        template=embedder.template.text,
        pooling=embedder.pooling.spec,
        dim=embedder.dim,
        max_tokens=embedder.max_tokens,
        normalize="yes" if embedder.normalize else "no",
        adapter=adapter,
        selection=selection,
    )
