"""LangChain: `HuggingFaceEmbeddings` loads the folder; a vector store answers a question.

pip install langchain-huggingface
lastword export mini --to folder --output model
python examples/with_langchain.py model
"""

import sys

from langchain_core.vectorstores import InMemoryVectorStore
from langchain_huggingface import HuggingFaceEmbeddings

question = "Does the train to the coast have a dining car?"
texts = [
    "Copper tape around the raised bed stops snails and slugs.",
    "The express train to the coast has no dining car.",
    "Water the seedlings in the morning, never at night.",
    "The court of appeal upheld the verdict of the jury.",
]

embeddings = HuggingFaceEmbeddings(model_name=sys.argv[1])
vectors = embeddings.embed_documents(texts)
store = InMemoryVectorStore.from_texts(texts, embeddings)

print(question)
for document, score in store.similarity_search_with_score(question, k=2):
    print(f"{score:.2f}  {document.page_content}")
