"""VECTOR → DISK: what a model has embedded once it need not embed again.

shelf.py is one model's file of vectors, library.py the folder of all shelves.
"""

from lastword.store.library import EmbeddingStore
from lastword.store.shelf import Shelf, ShelfFacts

__all__ = ["EmbeddingStore", "Shelf", "ShelfFacts"]
