"""IS IT THE SAME MODEL? files in data order: sequences, model, reference, targets, runtimes, causes, result, check."""
