"""MODELS → HTTP: files in data order: settings, messages, models, batches, app, pages, server."""
