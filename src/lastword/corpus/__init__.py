"""TEXTS OF ANY NUMBER → STORE: files in data order: texts, vectors, layouts, store, reuse, encode,
finish, embed; of search: filters, nearest, lance_table, search."""
