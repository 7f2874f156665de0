"""TOKEN IDS → HIDDEN STATES: the ways to run the forward pass."""
