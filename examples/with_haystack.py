"""Haystack: the components of sentence-transformers load the folder; a document store answers a question.

pip install sentence-transformers-haystack
lastword export mini --to folder --output model
python examples/with_haystack.py model
"""

import sys

from haystack import Document
from haystack.components.retrievers import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)

question = "Does the train to the coast have a dining car?"
texts = [
    "Copper tape around the raised bed stops snails and slugs.",
    "The express train to the coast has no dining car.",
    "Water the seedlings in the morning, never at night.",
    "The court of appeal upheld the verdict of the jury.",
]

of_documents = SentenceTransformersDocumentEmbedder(model=sys.argv[1], progress_bar=False)
of_queries = SentenceTransformersTextEmbedder(model=sys.argv[1], progress_bar=False)
of_documents.warm_up()
of_queries.warm_up()
documents = of_documents.run([Document(content=text) for text in texts])["documents"]
vectors = [document.embedding for document in documents]
store = InMemoryDocumentStore(embedding_similarity_function="cosine")
store.write_documents(documents)
retriever = InMemoryEmbeddingRetriever(store, top_k=2)
found = retriever.run(of_queries.run(question)["embedding"])["documents"]

print(question)
for document in found:
    print(f"{document.score:.2f}  {document.content}")
