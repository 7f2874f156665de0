"""TOKEN IDS → HIDDEN STATES: ways to run a decoder behind one protocol; in order: tree, path, float32, stock, fused."""
