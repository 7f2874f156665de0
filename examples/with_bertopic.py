"""BERTopic: the folder as embedding model; topics of the bundled sentences.

pip install bertopic
lastword export mini --to folder --output model
python examples/with_bertopic.py model
"""

import sys

import pyarrow.parquet
from bertopic import BERTopic
from hdbscan import HDBSCAN
from sentence_transformers import SentenceTransformer
from sklearn.feature_extraction.text import CountVectorizer

from lastword.bundled import path_of

rows = pyarrow.parquet.read_table(path_of("topics")).to_pylist()
texts = [row["text"] for row in rows if row["label"] in ("astronomy", "gardening", "football", "law")]

model = SentenceTransformer(sys.argv[1])
vectors = model.encode(texts)
topics = BERTopic(
    embedding_model=model,
    hdbscan_model=HDBSCAN(min_cluster_size=8, prediction_data=True),
    vectorizer_model=CountVectorizer(stop_words="english"),
)
topics.fit_transform(texts, vectors)

for number, size in topics.get_topic_freq().itertuples(index=False):
    words = ", ".join(word for word, _ in topics.get_topic(number)[:5])
    print(f"{size:4} texts  {'(no topic)' if number == -1 else words}")
