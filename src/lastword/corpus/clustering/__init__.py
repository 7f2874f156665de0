"""VECTORS → GROUPS WITH NAMES; files in data order: rows, partition, choosing, stability, finding, families, terms,
head, names, labels, describing, table, result."""
