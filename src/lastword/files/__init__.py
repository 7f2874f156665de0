"""FILES → texts and back; files in data order: formats, tables, inputs, run_folder, chunk_run; locks, cache_folder."""
