"""scikit-learn: a pipeline from texts to labels, and a search for the best pooling and layer.

python examples/with_sklearn.py mini
"""

import sys

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from lastword.sklearn import TextEmbedder

garden = [
    "Copper tape around the raised bed stops snails and slugs.",
    "Water the seedlings in the morning, never at night.",
    "Prune the roses before the buds swell.",
    "Compost needs air, so turn the heap every week.",
    "Tie the beans to a cane when they are a hand high.",
    "Clay soil drains better with a spade of sand.",
]
trains = [
    "The night train to Vienna has no dining car any more.",
    "Which carriages of the express go on to the coast?",
    "The signal box was closed when the line got radio.",
    "Change at the junction; the branch train waits.",
    "Our locomotive lost steam on the last gradient.",
    "A season ticket is valid on the platform bus, too.",
]
texts, labels = garden + trains, ["garden"] * 6 + ["trains"] * 6

pipeline = make_pipeline(TextEmbedder(sys.argv[1], template="ccw"), LogisticRegression(C=100))
grid = {"textembedder__pooling": ["mean", "lasttoken"], "textembedder__layer": [2, 4]}
search = GridSearchCV(pipeline, grid, cv=3).fit(texts, labels)
embedder = search.best_estimator_["textembedder"]
vectors = embedder.transform(texts)

print(f"best: layer {embedder.layer}, {embedder.pooling} pooling, accuracy {search.best_score_:.0%}")
for text in ("The last train leaves at ten.", "Sow carrots in rows."):
    print(search.predict([text])[0], "-", text)
