"""The openai client against `lastword serve`.

lastword serve mini --port 8000
python examples/with_openai_client.py http://127.0.0.1:8000/v1
"""

import sys

import numpy as np
from openai import OpenAI

texts = [
    "Copper tape around the raised bed stops snails and slugs.",
    "The night train to Vienna has no dining car any more.",
    "Water the seedlings in the morning, never at night.",
]

client = OpenAI(base_url=sys.argv[1], api_key="none")
model = client.models.list().data[0].id
answer = client.embeddings.create(model=model, input=texts)
vectors = np.array([row.embedding for row in answer.data])

print(
    f"{model}: {vectors.shape[0]} vectors of {vectors.shape[1]} numbers, {answer.usage.total_tokens} tokens"
)
for text, score in zip(texts[1:], vectors[1:] @ vectors[0], strict=True):
    print(f"{score:.2f} to the first text: {text}")
