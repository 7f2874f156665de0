"""MODEL NAME → TEXT ENCODER: whatever can embed texts, by its name; files in order: baselines, by_name."""
