"""sentence-transformers loads the folder as it is: the nearest texts to a question.

lastword export mini --to folder --output model
python examples/with_sentence_transformers.py model
"""

import sys

from sentence_transformers import SentenceTransformer

question = "Does the train to the coast have a dining car?"
texts = [
    "Copper tape around the raised bed stops snails and slugs.",
    "The express train to the coast has no dining car.",
    "Water the seedlings in the morning, never at night.",
    "The court of appeal upheld the verdict of the jury.",
]

model = SentenceTransformer(sys.argv[1])
vectors = model.encode(texts)
scores = model.similarity(model.encode([question]), vectors)[0].tolist()

print(question)
for score, text in sorted(zip(scores, texts, strict=True), reverse=True):
    print(f"{score:.2f}  {text}")
