"""TEXTS OF ANY NUMBER → STORE: files in data order: texts, vectors, store, reuse, encode, layouts, embed."""
