"""EMBEDDER → A FOLDER FOR OTHERS: files in data order: formats, adapter, export."""
