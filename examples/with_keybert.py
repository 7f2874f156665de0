"""KeyBERT: the folder as model; the key phrases of a text.

pip install keybert
lastword export mini --to folder --output model
python examples/with_keybert.py model
"""

import sys

from keybert import KeyBERT
from sentence_transformers import SentenceTransformer

texts = [
    "The night train to Vienna has no dining car any more. Passengers buy sandwiches on the platform, and the guard "
    "sells coffee from a trolley between the sleeping cars.",
]

model = SentenceTransformer(sys.argv[1])
vectors = model.encode(texts)
phrases = KeyBERT(model).extract_keywords(texts[0], keyphrase_ngram_range=(1, 2), use_mmr=True, top_n=5)

for phrase, score in phrases:
    print(f"{score:.2f}  {phrase}")
