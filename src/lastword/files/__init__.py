"""FILES: read texts and write results; files in order: tables, streams, inputs, run_folder, cache_folder, locks."""
