"""LlamaIndex: `HuggingFaceEmbedding` loads the folder; an index finds the nearest texts.

pip install llama-index-embeddings-huggingface
lastword export mini --to folder --output model
python examples/with_llama_index.py model
"""

import sys

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding

question = "Does the train to the coast have a dining car?"
texts = [
    "Copper tape around the raised bed stops snails and slugs.",
    "The express train to the coast has no dining car.",
    "Water the seedlings in the morning, never at night.",
    "The court of appeal upheld the verdict of the jury.",
]

embedding = HuggingFaceEmbedding(model_name=sys.argv[1])
vectors = embedding.get_text_embedding_batch(texts)
index = VectorStoreIndex([TextNode(text=text) for text in texts], embed_model=embedding)

print(question)
for found in index.as_retriever(similarity_top_k=2).retrieve(question):
    print(f"{found.score:.2f}  {found.text}")
