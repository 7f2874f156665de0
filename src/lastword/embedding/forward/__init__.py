"""TOKEN IDS → HIDDEN STATES: ways to run a decoder behind one protocol; files in order: tree, path, stock, fused."""
