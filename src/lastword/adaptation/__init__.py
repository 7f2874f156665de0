"""A CORPUS → AN EMBEDDER FOR IT.

In order: request, texts, choosing, sources, scoring, result, findings, report, adapt.
"""
