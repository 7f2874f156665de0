"""TOKEN IDS → HIDDEN STATES: the ways to run a decoder, behind one protocol; files in order: path, stock, tree, fused."""
