"""Retrieval of documents for a text: passages, BM25, dense vectors, rank fusion."""
