"""LangChain: `OpenAIEmbeddings` against `lastword serve`.

`check_embedding_ctx_length=False` sends texts. Without it LangChain sends token ids of another tokenizer, which the
server refuses.

pip install langchain-openai
lastword serve mini --port 8000
python examples/with_langchain_server.py http://127.0.0.1:8000/v1
"""

import sys

from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import OpenAIEmbeddings

question = "Does the train to the coast have a dining car?"
texts = [
    "Copper tape around the raised bed stops snails and slugs.",
    "The express train to the coast has no dining car.",
    "Water the seedlings in the morning, never at night.",
    "The court of appeal upheld the verdict of the jury.",
]

embeddings = OpenAIEmbeddings(
    model="mini", base_url=sys.argv[1], api_key="none", check_embedding_ctx_length=False
)
vectors = embeddings.embed_documents(texts)
store = InMemoryVectorStore.from_texts(texts, embeddings)

print(question)
for document, score in store.similarity_search_with_score(question, k=2):
    print(f"{score:.2f}  {document.page_content}")
