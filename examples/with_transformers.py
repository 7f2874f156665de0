"""transformers alone: the tokenizer adds the template, five lines pool the hidden states.

lastword export mini --to folder --output model
python examples/with_transformers.py model
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

texts = [
    "Copper tape around the raised bed stops snails and slugs.",
    "The express train to the coast has no dining car.",
    "Water the seedlings in the morning, never at night.",
    "The court of appeal upheld the verdict of the jury.",
]

folder = Path(sys.argv[1])
pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())["pooling_mode"]
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
mask = batch["attention_mask"]
with torch.inference_mode():
    states = model(batch["input_ids"], attention_mask=mask).last_hidden_state  # (batch, seq, dim)
if pooling == "lasttoken":
    last = mask.cumsum(1).argmax(1)  # the last position that is no padding, on either side
    pooled = states[torch.arange(len(texts)), last]
else:
    pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
vectors = torch.nn.functional.normalize(pooled, dim=-1).numpy()

print("The model reads:", tokenizer.decode(batch["input_ids"][0]))
print("Similarities, with", pooling, "pooling:")
for row, text in zip(vectors @ vectors.T, texts, strict=True):
    print(*(f"{value:.2f}" for value in row), text)
