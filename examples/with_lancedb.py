"""LanceDB: its registry of embedding functions loads the folder, and embeds rows and queries by itself.

pip install 'lastword[lance]'
lastword export mini --to folder --output model
python examples/with_lancedb.py model
"""

import sys
import tempfile

import lancedb
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

question = "Does the train to the coast have a dining car?"
texts = [
    "Copper tape around the raised bed stops snails and slugs.",
    "The express train to the coast has no dining car.",
    "Water the seedlings in the morning, never at night.",
    "The court of appeal upheld the verdict of the jury.",
]
embedding = get_registry().get("sentence-transformers").create(name=sys.argv[1], device="cpu")


class Row(LanceModel):
    """A text and its vector."""

    text: str = embedding.SourceField()
    vector: Vector(embedding.ndims()) = embedding.VectorField()  # type: ignore[valid-type]


with tempfile.TemporaryDirectory() as folder:
    table = lancedb.connect(folder).create_table("texts", schema=Row)
    table.add([{"text": text} for text in texts])
    stored = table.to_arrow().to_pylist()
    found = table.search(question).metric("cosine").limit(2).to_list()
texts, vectors = [row["text"] for row in stored], [row["vector"] for row in stored]

print(question)
for row in found:
    print(f"{1 - row['_distance']:.2f}  {row['text']}")
