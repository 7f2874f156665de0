"""A folder with one file that a runtime reads, and the tokenizer, golden vectors and card beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from lastword.embedding import EmbedderSpec
from lastword.embedding.golden import GOLDEN
from lastword.embedding.spec import LASTWORD_JSON

_KEPT = ("tokenizer.json", "tokenizer_config.json", LASTWORD_JSON, GOLDEN)
_CARD = """\
# {title}

A text-embedding model made from the decoder `{base}` with lastword, for {runtime}.

{use}

| | |
|---|---|
| template | `{template}` |
| pooling | {pooling} |
| longest sequence, template included | {max_tokens} tokens |
| vectors scaled to length 1 | {normalize} |

`golden.json` holds texts with the token ids and vectors that they must get; `lastword check FOLDER` compares them.
"""
GRAPH_USE = """\
The tokenizer adds the template; the graph pools and scales. Inputs are `input_ids` and `attention_mask`, the output
is `sentence_embedding`:

```python
{code}
```"""
_TOKENIZE = """\
import numpy as np
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation({max_tokens})
tokenizer.enable_padding()
rows = tokenizer.encode_batch(["first text", "second text"])
inputs = {{
    "input_ids": np.array([row.ids for row in rows]),
    "attention_mask": np.array([row.attention_mask for row in rows]),
}}"""
ONNX_CODE = f"""\
import onnxruntime
{_TOKENIZE}
vectors = onnxruntime.InferenceSession("model.onnx").run(["sentence_embedding"], inputs)[0]"""
OPENVINO_CODE = f"""\
import openvino
{_TOKENIZE}
model = openvino.Core().compile_model("model.xml", "CPU", {{{{"INFERENCE_PRECISION_HINT": "f32"}}}})
vectors = model(inputs)["sentence_embedding"]"""


def describe(standard: Path, spec: EmbedderSpec, base: str, runtime: str, use: str, folder: Path) -> None:
    """Copy what does not depend on the format from the standard folder, and write a card for the format.

    Args:
        standard: folder of the merged model.
        spec: how it embeds.
        base: name of the base model.
        runtime: what reads the export.
        use: Markdown that says how.
        folder: with the exported file.
    """
    for name in _KEPT:
        shutil.copy(standard / name, folder / name)
    card = _CARD.format(
        title=f"{base.rstrip('/').rpartition('/')[2]}, embedding",
        base=base,
        runtime=runtime,
        use=use,
        template=spec.template.text,
        pooling=spec.pooling.spec,
        max_tokens=spec.max_tokens,
        normalize="yes" if spec.normalize else "no",
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
