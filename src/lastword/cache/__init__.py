"""VECTORS → DISK: the vector cache, so that a model embeds each text once; files in order: vectors, folder, encoder."""

from lastword.cache.encoder import CachedEncoder
from lastword.cache.folder import VectorCache
from lastword.cache.vectors import VectorFile, VectorFileInfo

__all__ = ["CachedEncoder", "VectorCache", "VectorFile", "VectorFileInfo"]
